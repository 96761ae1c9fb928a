//! `cargo xtask sbom`: lists the components of a release, as `CycloneDX`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;
use tokio::process::Command;
use xtask::{Project, program::Failure, progress};

/// The functions' target. Crates for other systems are left out.
const TARGET: &str = "aarch64-unknown-linux-gnu";
const SPECIFICATION: &str = "1.5";
/// The suffix of the files that cargo-cyclonedx writes for programs.
const SUFFIX: &str = "_bin.cdx.json";

pub async fn run() -> Result<(), Failure> {
    let project = Project::here();
    let installing = project.install_cargo_cyclonedx();
    progress::step(
        "Installing cargo-cyclonedx (takes minutes the first time)",
        installing,
    )
    .await?;
    let folder = project.target().join("sbom");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)?;
    let mut sboms = rust(&project, &folder).await?;
    sboms.push(cdk(&project, &folder).await?);
    sboms.sort();
    for sbom in &sboms {
        let components = components(sbom)?;
        println!("{}: {components} components", sbom.display());
    }
    Ok(())
}

/// Writes an SBOM for each function, and one for `apgl`.
async fn rust(project: &Project, folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut cyclonedx = Command::new(project.cargo_cyclonedx());
    cyclonedx
        .args(["cyclonedx", "--describe", "binaries", "--no-build-deps"])
        .args(["--format", "json", "--spec-version", SPECIFICATION])
        .args(["--target", TARGET, "--quiet"])
        .current_dir(&project.root)
        .kill_on_drop(true);
    if !cyclonedx.status().await?.success() {
        return Err("cargo cyclonedx failed".into());
    }
    // cargo-cyclonedx writes next to every Cargo.toml of the workspace.
    let root = format!("file://{}", project.root.display());
    let mut sboms = Vec::new();
    for written in written(&project.root)? {
        let text = fs::read_to_string(&written)?;
        fs::remove_file(&written)?;
        let is_released = ["cli", "functions"]
            .iter()
            .any(|folder| written.starts_with(project.root.join(folder)));
        if is_released {
            let name = written.file_name().unwrap_or_default().to_string_lossy();
            let sbom = folder.join(name.replace(SUFFIX, ".cdx.json"));
            fs::write(&sbom, text.replace(&root, "file://."))?;
            sboms.push(sbom);
        }
    }
    Ok(sboms)
}

fn written(root: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    for folder in [
        "cli",
        "xtask",
        "functions/*",
        "lib/*",
        "tests/*",
        "tests/lab/*",
    ] {
        let folders = match folder.strip_suffix("/*") {
            None => vec![root.join(folder)],
            Some(parent) => entries(&root.join(parent))?,
        };
        for folder in folders.iter().filter(|folder| folder.is_dir()) {
            let is_sbom = |file: &PathBuf| file.to_string_lossy().ends_with(SUFFIX);
            found.extend(entries(folder)?.into_iter().filter(is_sbom));
        }
    }
    Ok(found)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries: Result<Vec<_>, _> = fs::read_dir(folder)?.collect();
    Ok(entries?.iter().map(fs::DirEntry::path).collect())
}

/// Writes the SBOM of the CDK app, which runs where a release is deployed from.
async fn cdk(project: &Project, folder: &Path) -> Result<PathBuf, Failure> {
    let output = Command::new("npm")
        .args(["sbom", "--sbom-format=cyclonedx", "--package-lock-only"])
        .arg("--omit=dev")
        .current_dir(project.cdk())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| format!("can't run npm: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(format!("npm sbom failed: {said}").into());
    }
    let sbom = folder.join("cdk.cdx.json");
    fs::write(&sbom, output.stdout)?;
    Ok(sbom)
}

/// The number of components in an SBOM. Each must have the fields that an auditor needs.
fn components(sbom: &Path) -> Result<usize, Failure> {
    let bom: Value = serde_json::from_slice(&fs::read(sbom)?)?;
    let components = bom["components"].as_array();
    let components = components.filter(|_| bom["bomFormat"] == "CycloneDX");
    let components = components.ok_or_else(|| format!("{} is not an SBOM", sbom.display()))?;
    for component in components {
        for field in ["name", "version", "purl", "licenses"] {
            if component[field].as_str() == Some("") || component[field].is_null() {
                let name = &component["name"];
                return Err(format!("{}: {name} has no {field}", sbom.display()).into());
            }
        }
    }
    Ok(components.len())
}
