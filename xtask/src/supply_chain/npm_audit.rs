//! Checks the packages of a `package-lock.json` with the npm registry.

use std::path::Path;

use serde_json::Value;
use tokio::process::Command;
use xtask::program::Failure;

/// The result of `npm audit --json`.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    /// The packages with a high or critical finding.
    Findings(Vec<String>),
    NotDone(String),
}

/// Fails on a high or critical finding in run-time dependencies. Only prints findings in development tools, and the
/// reason if the audit is not possible.
pub async fn check(root: &Path, folder: &str) -> Result<(), Failure> {
    let run_time = audit(&root.join(folder), &["--omit=dev"]).await?;
    let everything = audit(&root.join(folder), &[]).await?;
    match (run_time, everything) {
        (Answer::Findings(packages), _) if !packages.is_empty() => Err(format!(
            "npm audit of {folder}: high or critical: {}",
            packages.join(", ")
        )
        .into()),
        (Answer::NotDone(why), _) | (_, Answer::NotDone(why)) => {
            println!("  npm audit of {folder}: NOT DONE: {why}");
            Ok(())
        }
        (_, Answer::Findings(packages)) if packages.is_empty() => {
            println!("  npm audit of {folder}: nothing high or critical");
            Ok(())
        }
        (_, Answer::Findings(packages)) => {
            let packages = packages.join(", ");
            println!(
                "  npm audit of {folder}: high or critical, in development tools only: {packages}"
            );
            Ok(())
        }
    }
}

async fn audit(folder: &Path, options: &[&str]) -> Result<Answer, Failure> {
    let output = Command::new("npm")
        .args(["audit", "--json", "--package-lock-only"])
        .args(["--fetch-retries=0", "--fetch-timeout=15000"])
        .args(options)
        .current_dir(folder)
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| format!("can't run npm: {error}"))?;
    Ok(read(&output.stdout))
}

fn read(printed: &[u8]) -> Answer {
    let Ok(report) = serde_json::from_slice::<Value>(printed) else {
        return Answer::NotDone("npm printed no report".to_owned());
    };
    let Some(packages) = report["vulnerabilities"].as_object() else {
        let why = report["message"].as_str().unwrap_or("no reason given");
        return Answer::NotDone(why.to_owned());
    };
    let is_grave =
        |package: &Value| matches!(package["severity"].as_str(), Some("high" | "critical"));
    let grave = packages.iter().filter(|(_, package)| is_grave(package));
    Answer::Findings(grave.map(|(name, _)| name.clone()).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_high_and_critical_findings_count() {
        let report = json!({"vulnerabilities": {
            "a": {"severity": "low"}, "b": {"severity": "high"},
            "c": {"severity": "moderate"}, "d": {"severity": "critical"},
        }});
        let found = read(report.to_string().as_bytes());
        assert_eq!(
            found,
            Answer::Findings(vec!["b".to_owned(), "d".to_owned()])
        );
    }

    #[test]
    fn a_registry_without_audits_does_not_count_as_clean() {
        let refusal = json!({"message": "405 Method Not Allowed", "statusCode": 405});
        let refusal = read(refusal.to_string().as_bytes());
        assert_eq!(
            refusal,
            Answer::NotDone("405 Method Not Allowed".to_owned())
        );
        assert!(matches!(read(b""), Answer::NotDone(_)));
    }
}
