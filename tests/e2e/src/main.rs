//! Runs the end-to-end test programs side by side, each on a local stack of its own.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{ExitCode, Stdio},
};

use clap::Parser;
use e2e::WAIT_SCALE;
use local_stack::{LocalStack, Project, StackOptions};
use tokio::process::Command;
use xtask::{
    Build,
    program::{self, Failure},
    progress,
};

/// Tests mostly wait for workflows, so more tests run at once than there are processors.
const TESTS_AT_ONCE: usize = 8;
/// The program whose tests run one at a time.
const ALONE: &str = "alone";

/// Runs the end-to-end tests that `cargo xtask test` has built.
#[derive(Parser)]
struct Arguments {
    /// Only tests whose name contains this text.
    filter: Option<String>,
    /// A test program: its name and its path.
    #[arg(long = "tests", value_name = "NAME=FILE", value_parser = program_of_tests)]
    programs: Vec<(String, PathBuf)>,
    /// Uses the functions' release build.
    #[arg(long)]
    release: bool,
}

fn program_of_tests(text: &str) -> Result<(String, PathBuf), String> {
    let (name, file) = text.split_once('=').ok_or("must be NAME=FILE")?;
    Ok((name.to_owned(), file.into()))
}

#[tokio::main]
async fn main() -> ExitCode {
    program::run(run(Arguments::parse())).await
}

async fn run(arguments: Arguments) -> Result<(), Failure> {
    let filter = arguments.filter.as_deref();
    let project = Project::with(Build::release_if(arguments.release));
    let mut with_tests = Vec::new();
    for (name, program) in &arguments.programs {
        if has_tests(program, filter).await? {
            with_tests.push(run_program(&project, name, program, filter));
        }
    }
    if with_tests.is_empty() {
        let filter = filter.unwrap_or_default();
        return Err(format!("no end-to-end test's name contains {filter:?}").into());
    }
    let ended = futures_util::future::join_all(with_tests).await;
    ended.into_iter().collect()
}

async fn has_tests(program: &Path, filter: Option<&str>) -> Result<bool, Failure> {
    let mut list = Command::new(program);
    let list = list.args(filter).args(["--list", "--format=terse"]);
    let listed = list.output().await;
    let listed = listed.map_err(|error| format!("{}: {error}", program.display()))?;
    Ok(!listed.stdout.trim_ascii().is_empty())
}

async fn run_program(
    project: &Project,
    name: &str,
    program: &Path,
    filter: Option<&str>,
) -> Result<(), Failure> {
    let options = StackOptions {
        wait_scale: WAIT_SCALE,
        context: vec![("settledEventBusName".to_owned(), "default".to_owned())],
        ..StackOptions::new(&format!("test-{name}"))
    };
    let what = format!("Starting the stack of the tests in `{name}`");
    let stack = progress::step(&what, LocalStack::start(project, options)).await?;
    let at_once = if name == ALONE { 1 } else { TESTS_AT_ONCE };
    let mut tests = Command::new(program);
    tests
        .args(filter)
        .arg("--show-output")
        .arg(format!("--test-threads={at_once}"))
        .envs(environment(&stack))
        .env("APGL_E2E_FUNCTIONS", project.functions())
        .current_dir(project.root.join("tests/e2e"))
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let status = tests.status().await?;
    let log = project.logs().join(format!("test-{name}-functions.log"));
    stack.save_function_logs(&log).await?;
    stack.stop().await;
    if status.success() {
        return Ok(());
    }
    Err(format!(
        "end-to-end tests failed in `{name}`; the functions' log lines are in {}",
        log.display()
    )
    .into())
}

/// The environment variables that the tests read: see `e2e::World`.
fn environment(stack: &LocalStack) -> BTreeMap<&'static str, &str> {
    let endpoints = &stack.endpoints;
    BTreeMap::from([
        ("APGL_E2E_AWS", endpoints.aws.as_str()),
        (
            "APGL_E2E_SANDBOX",
            endpoints.sandbox.as_deref().unwrap_or_default(),
        ),
        (
            "APGL_E2E_MPC_REQUESTS",
            endpoints.mpc_requests.as_deref().unwrap_or_default(),
        ),
    ])
}
