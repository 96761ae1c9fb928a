//! `cargo xtask test`: every check and test, the quick ones first.

use std::{fs, time::Instant};

use chaos::{dice::Seam, faults::Options};
use local_stack::{LocalStack, Project, StackOptions};
use tokio::process::Command;

use crate::{
    Failure, budget, chaos as faults_command,
    progress::{self, stage},
    supply_chain, upgrade,
};

/// How long a second of a wait lasts in the end-to-end tests, for the workflows and for Slack's
/// limits alike.
const WAIT_SCALE: f64 = 0.05;
/// The smaller version of `cargo xtask chaos`.
const FAULTS_SEED: u64 = 4;
const FAULTS_EXECUTIONS: usize = 60;
const FAULTS_CHANNELS: usize = 6;
const FAULTS_RATE: f64 = 0.18;
const FAULTS_WAIT_SCALE: f64 = 0.25;

#[derive(clap::Args)]
pub struct Arguments {
    /// Only the end-to-end tests.
    #[arg(long)]
    e2e: bool,
    /// Only end-to-end tests with this in their name.
    #[arg(requires = "e2e")]
    filter: Option<String>,
}

pub async fn run(arguments: Arguments) -> Result<(), Failure> {
    let started = Instant::now();
    let project = Project::here();
    if !arguments.e2e {
        checks(&project).await?;
    }
    end_to_end(&project, arguments.filter.as_deref()).await?;
    if !arguments.e2e {
        budget::check(&project).await?;
        faults(&project).await?;
        upgrade::from_the_previous_release(&project).await?;
    }
    println!("\nEverything passed in {} s", started.elapsed().as_secs());
    Ok(())
}

async fn checks(project: &Project) -> Result<(), Failure> {
    let root = &project.root;
    stage("Formatting", root, "cargo", &["fmt", "--all", "--check"]).await?;
    supply_chain::check(project).await?;
    let clippy = [
        "clippy",
        "--workspace",
        "--all-targets",
        "--locked",
        "--",
        "--deny",
        "warnings",
    ];
    stage("Clippy", root, "cargo", &clippy).await?;
    let unit = [
        "test",
        "--workspace",
        "--exclude",
        "e2e",
        "--locked",
        "--quiet",
    ];
    stage("Unit tests", root, "cargo", &unit).await?;
    for (what, folder) in [
        ("CDK", project.cdk()),
        ("ASL", project.root.join("tests/asl")),
    ] {
        let installing = project.install_node_packages(&folder);
        progress::step(
            &format!("Installing the packages of the {what} checks"),
            installing,
        )
        .await?;
        for script in ["build", "lint", "test"] {
            stage(
                &format!("{what}: {script}"),
                &folder,
                "npm",
                &["run", "--silent", script],
            )
            .await?;
        }
    }
    Ok(())
}

async fn end_to_end(project: &Project, filter: Option<&str>) -> Result<(), Failure> {
    progress::prepare(project).await?;
    let options = StackOptions {
        wait_scale: WAIT_SCALE,
        ..StackOptions::new("test")
    };
    let starting = LocalStack::start(project, options);
    let stack = progress::step("Starting the local stack and deploying to it", starting).await?;
    println!("• End-to-end tests …");
    let mut cargo = Command::new("cargo");
    // With the workspace's features, as the unit tests: with those of `e2e` alone, the AWS SDK would be
    // compiled once more.
    cargo.args(["test", "--workspace", "--locked", "--no-fail-fast"]);
    for name in end_to_end_tests(project)? {
        cargo.args(["--test", &name]);
    }
    cargo
        .args(filter)
        .args(["--", "--show-output"])
        .current_dir(&project.root)
        .kill_on_drop(true);
    cargo.env("APGL_E2E_AWS", &stack.endpoints.aws);
    cargo.env(
        "APGL_E2E_SANDBOX",
        stack.endpoints.sandbox.as_deref().unwrap_or_default(),
    );
    cargo.env(
        "APGL_E2E_MPC_REQUESTS",
        stack.endpoints.mpc_requests.as_deref().unwrap_or_default(),
    );
    let status = cargo.status().await?;
    let log = project.logs().join("test-functions.log");
    stack.save_function_logs(&log).await?;
    stack.stop().await;
    if status.success() {
        return Ok(());
    }
    Err(format!(
        "the end-to-end tests failed; the functions' log lines are in {}",
        log.display()
    )
    .into())
}

/// The names of the tests of `e2e`.
fn end_to_end_tests(project: &Project) -> Result<Vec<String>, Failure> {
    let folder = project.root.join("tests/e2e/tests");
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let file = entry?.file_name().to_string_lossy().into_owned();
        names.extend(file.strip_suffix(".rs").map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

async fn faults(project: &Project) -> Result<(), Failure> {
    let options = Options {
        executions: FAULTS_EXECUTIONS,
        channels: FAULTS_CHANNELS,
        seed: FAULTS_SEED,
        rate: FAULTS_RATE,
        seams: Seam::ALL.into(),
        concurrency: FAULTS_EXECUTIONS,
        wait_scale: FAULTS_WAIT_SCALE,
    };
    faults_command::measure(project, &options).await
}
