//! Checks lock files: each package must be pinned by version and hash, and come from the public registry.

use serde_json::Value;

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Every external crate must come from crates.io, with a checksum.
pub fn cargo(path: &str, text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    for package in text.split("[[package]]").skip(1) {
        let field = |name: &str| {
            let start = format!("{name} = \"");
            let line = package.lines().find_map(|line| line.strip_prefix(&start));
            line.map(|value| value.trim_end_matches('"'))
        };
        let name = field("name").unwrap_or("?");
        match field("source") {
            None => {}
            Some(CRATES_IO) if field("checksum").is_some() => {}
            Some(CRATES_IO) => problems.push(format!("{path}: {name} has no checksum")),
            Some(other) => problems.push(format!("{path}: {name} comes from {other}")),
        }
    }
    problems
}

/// Every package must have a hash and no address, so that npm uses the configured registry.
pub fn npm(path: &str, lock: &Value) -> Vec<String> {
    let Some(packages) = lock["packages"].as_object() else {
        return vec![format!("{path} has no packages")];
    };
    let mut problems = Vec::new();
    for (name, package) in packages {
        if let Some(address) = package["resolved"].as_str() {
            problems.push(format!("{path}: {name} comes from {address}"));
        }
        // A bundled package is covered by the hash of the package that contains it.
        let has_a_hash = package["integrity"].is_string() || package["inBundle"] == true;
        if !name.is_empty() && !has_a_hash {
            problems.push(format!("{path}: {name} has no hash"));
        }
    }
    problems
}

/// Every requirement must be pinned to one version with hashes. No option may refer to another place.
pub fn python(path: &str, text: &str) -> Vec<String> {
    let joined = text.replace("\\\n", " ");
    let lines = joined.lines().map(str::trim);
    let mut problems = Vec::new();
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let mut words = line.split_whitespace();
        let requirement = words.next().unwrap_or_default();
        if requirement.starts_with('-') || requirement.contains(['@', '/']) {
            problems.push(format!("{path}: {requirement} refers to another place"));
        } else if !requirement.contains("==") {
            problems.push(format!(
                "{path}: {requirement} is not pinned to one version"
            ));
        } else if !words.any(|word| word.starts_with("--hash=sha256:")) {
            problems.push(format!("{path}: {requirement} has no hash"));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const FROM_CRATES_IO: &str =
        "source = \"registry+https://github.com/rust-lang/crates.io-index\"";

    fn crate_with(lines: &str) -> Vec<String> {
        cargo("lock", &format!("[[package]]\nname = \"a\"\n{lines}\n"))
    }

    #[test]
    fn a_crate_comes_from_crates_io_with_its_checksum() {
        let complete = format!("{FROM_CRATES_IO}\nchecksum = \"1f\"");
        assert_eq!(crate_with(&complete), [""; 0]);
        assert_eq!(crate_with("version = \"0.1.0\""), [""; 0], "one of ours");
        assert_eq!(crate_with(FROM_CRATES_IO), ["lock: a has no checksum"]);
        let elsewhere = "source = \"registry+https://mirror.example/index\"\nchecksum = \"1f\"";
        assert_eq!(
            crate_with(elsewhere),
            ["lock: a comes from registry+https://mirror.example/index"]
        );
        let git = "source = \"git+https://host.example/a#1f\"";
        assert_eq!(
            crate_with(git),
            ["lock: a comes from git+https://host.example/a#1f"]
        );
    }

    #[test]
    fn an_npm_package_has_a_hash_and_no_address() {
        let with = |package: Value| npm("lock", &json!({"packages": {"": {}, "a": package}}));
        assert_eq!(with(json!({"integrity": "sha512-1f"})), [""; 0]);
        assert_eq!(with(json!({"inBundle": true})), [""; 0]);
        assert_eq!(with(json!({})), ["lock: a has no hash"]);
        assert_eq!(
            with(json!({"integrity": "sha512-1f", "resolved": "https://mirror.example/a.tgz"})),
            ["lock: a comes from https://mirror.example/a.tgz"]
        );
    }

    #[test]
    fn a_python_requirement_is_one_version_with_a_hash() {
        assert_eq!(
            python("r", "# why\na==1 \\\n    --hash=sha256:1f\n"),
            [""; 0]
        );
        assert_eq!(python("r", "a==1"), ["r: a==1 has no hash"]);
        assert_eq!(
            python("r", "a>=1 --hash=sha256:1f"),
            ["r: a>=1 is not pinned to one version"]
        );
        assert_eq!(
            python("r", "--index-url https://mirror.example"),
            ["r: --index-url refers to another place"]
        );
        assert_eq!(
            python("r", "a@https://mirror.example/a.whl"),
            ["r: a@https://mirror.example/a.whl refers to another place"]
        );
    }
}
