//! Builds and installs the peers in `tests/lab/peers`.

use std::path::{Path, PathBuf};

use local_stack::Project;
use tokio::process::Command;
use xtask::builds::cargo;

use crate::Error;

/// The variable that names the secret, as in our functions.
pub const SECRET_VARIABLE: &str = "SLACK_TOKEN_SECRET";
const FOLDER: &str = "tests/lab/peers";

/// The paths of the peers' programs.
#[derive(Debug, Clone)]
pub struct Peers {
    pub bare: PathBuf,
    pub rust: PathBuf,
    pub node: PathBuf,
    pub node_bundle: PathBuf,
    pub python: PathBuf,
    pub python_handler: PathBuf,
}

/// Builds the Rust peers the way the functions are built, bundles the Node peer, and installs the Python peer's
/// dependencies.
pub async fn build(project: &Project) -> Result<Peers, Error> {
    let folder = project.root.join(FOLDER);
    // Build each one separately: a common build would unify their features.
    for package in ["bare", "one-call"] {
        let mut cargo = cargo(&project.root);
        cargo.args([
            "build",
            "--quiet",
            "--release",
            "--locked",
            "--package",
            package,
        ]);
        run(&project.root, cargo).await?;
    }

    let (node, node_bundle) = (
        folder.join("node"),
        project.folder().join("peers/one-call.js"),
    );
    project.install_node_packages(&node).await?;
    let mut esbuild = Command::new(node.join("node_modules/.bin/esbuild"));
    esbuild.args([
        "one-call.mjs",
        "--bundle",
        "--minify",
        "--platform=node",
        "--target=node20",
    ]);
    esbuild.arg(format!("--outfile={}", node_bundle.display()));
    esbuild.arg("--log-level=warning");
    run(&node, esbuild).await?;

    let python = folder.join("python");
    let venv = project.folder().join("peers/venv");
    project
        .install_python_packages(&venv, &python.join("requirements.txt"))
        .await?;
    let release = project.target().join("release");
    Ok(Peers {
        bare: release.join("bare"),
        rust: release.join("one-call"),
        node: PathBuf::from("node"),
        node_bundle,
        python: venv.join("bin/python"),
        python_handler: python.join("one_call.py"),
    })
}

async fn run(folder: &Path, mut command: Command) -> Result<(), Error> {
    let what = format!("{:?}", command.as_std());
    command.current_dir(folder).kill_on_drop(true);
    let status = command.status().await.map_err(Error::io(&what))?;
    if status.success() {
        return Ok(());
    }
    Err(Error::Command { command: what })
}
