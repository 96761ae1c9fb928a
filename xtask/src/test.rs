//! `cargo xtask test`: runs every check and test.

use std::{collections::BTreeMap, fs, path::PathBuf};

use serde_json::Value;
use tokio::process::Command;
use xtask::{
    Project,
    builds::{cargo, cargo_build},
    ministack,
    prepare::{install_cdk_packages, install_tools},
    process::{self, run_to_log},
    program::Failure,
    progress,
};

use crate::{stages::Stages, supply_chain, templates};

/// What is checked and built. `--all-targets` would also link each function a second time, as a benchmark of which it has
/// none: two gigabytes more.
const TARGETS: [&str; 4] = ["--lib", "--bins", "--tests", "--examples"];
/// The programs of end-to-end tests: the folders of `tests/e2e/tests`.
const END_TO_END: [&str; 2] = ["together", "alone"];
/// The arguments that build these programs and the programs that they run.
pub const END_TO_END_BUILD: [&str; 5] = [
    "--bin=e2e",
    "--test=together",
    "--test=alone",
    "--bin=apgl",
    "--example=handler",
];
/// The arguments of a short `cargo xtask chaos` run.
pub const FAULTS: [&str; 7] = [
    // The seam `people` has runs of its own: see `PEOPLE`.
    "--faults=caller,lambda,dynamodb,secretsmanager,cloudwatch,slack",
    "--seed=4",
    "--executions=60",
    "--channels=6",
    "--concurrency=60",
    "--rate=0.18",
    "--wait-scale=0.25",
];
/// The arguments of a short `cargo xtask deadline` run.
const REMINDERS: [&str; 5] = ["--dev", "--items=30", "--people=2", "--days=2", "--seed=1"];
/// The arguments of a `cargo xtask chaos` run in which people change Slack between the steps. The trust is added: no run
/// can be longer than the default of 15 minutes, so a short one shows that it is kept.
pub const PEOPLE: [&str; 4] = [
    "--faults=people",
    "--seed=1",
    "--executions=100",
    "--channels=10",
];

#[derive(clap::Args)]
pub struct Arguments {
    /// Runs only the end-to-end tests.
    #[arg(long)]
    e2e: bool,
    /// Runs only end-to-end tests whose name contains this text.
    #[arg(requires = "e2e")]
    filter: Option<String>,
}

pub async fn run(arguments: Arguments) -> Result<(), Failure> {
    let project = Project::here();
    project.make_folders()?;
    println!("Every tool's output is in {}", project.logs().display());
    if arguments.e2e {
        return end_to_end(&project, arguments.filter).await;
    }
    let stages = Stages::new(&project);
    let outcome = everything(&project, &stages).await;
    println!("\n{stages}");
    outcome?;
    println!("Everything passed");
    Ok(())
}

async fn everything(project: &Project, stages: &Stages) -> Result<(), Failure> {
    let asl = project.root.join("tests/asl");
    let slack_sdks = project.root.join("tests/slack-sdks");
    let installing = async {
        tokio::try_join!(
            install_tools(project),
            install_cdk_packages(project),
            progress::step(
                "Installing the packages of the ASL checks",
                project.install_node_packages(&asl)
            ),
            progress::step(
                "Installing Slack's SDK",
                project.install_node_packages(&slack_sdks)
            ),
        )
    };
    stages.time("set-up", installing).await?;
    tokio::try_join!(rust(project, stages), the_rest(project, stages))?;
    Ok(())
}

/// The stages that cargo checks, builds and runs.
async fn rust(project: &Project, stages: &Stages) -> Result<(), Failure> {
    cargo_stage(project, stages, "formatting", &["fmt", "--all", "--check"]).await?;
    let clippy = ["clippy", "--workspace", "--locked"];
    let deny = ["--", "--deny", "warnings"];
    cargo_stage(
        project,
        stages,
        "Clippy",
        &[&clippy[..], &TARGETS, &deny].concat(),
    )
    .await?;
    let alone = progress::step("each part alone", each_alone(project));
    stages.time("each part alone", alone).await?;
    let building = progress::step("build", build(project, &TARGETS));
    let tests = stages.time("build", building).await?;
    project.lay_out_functions()?;
    // The runs with faults mostly wait and leave the processors idle, so the other stages run at the same time.
    tokio::try_join!(faults(project, stages), async {
        unit_tests(project, stages).await?;
        let end_to_end = end_to_end_tests(project, &tests, None);
        stages.run("end to end", end_to_end).await?;
        stages
            .run("budget", program(project, "budget", &["counts"]))
            .await
    })?;
    Ok(())
}

/// Runs the workflows under faults at every seam.
async fn faults(project: &Project, stages: &Stages) -> Result<(), Failure> {
    let mut chaos = program(project, "chaos", &FAULTS);
    chaos.arg("--dev");
    stages.run("faults", chaos).await?;
    let deadline = program(project, "deadline", &REMINDERS);
    stages.run("reminders under faults", deadline).await
}

/// Runs the tests of each crate. They share one MiniStack.
async fn unit_tests(project: &Project, stages: &Stages) -> Result<(), Failure> {
    let port = ministack::free_port(0)?;
    let starting = ministack::start(project, "unit-tests", port, &[]);
    let mut ministack = progress::step("Starting MiniStack", starting).await?;
    let mut cargo = cargo(&project.root);
    cargo
        .args([
            "test",
            "--workspace",
            "--exclude=e2e",
            "--locked",
            "--quiet",
        ])
        .env(ministack::TEST_URL_VARIABLE, ministack::url(port));
    stages.run("unit tests", cargo).await?;
    ministack.stop().await;
    Ok(())
}

async fn cargo_stage(
    project: &Project,
    stages: &Stages,
    what: &str,
    arguments: &[&str],
) -> Result<(), Failure> {
    let mut cargo = cargo(&project.root);
    cargo.args(arguments);
    stages.run(what, cargo).await
}

pub fn program(project: &Project, name: &str, arguments: &[&str]) -> Command {
    let mut program = Command::new(project.program(name));
    program.args(arguments);
    program
}

/// The stages without cargo.
async fn the_rest(project: &Project, stages: &Stages) -> Result<(), Failure> {
    stages
        .time("supply chain", supply_chain::check(project))
        .await?;
    // The Slack sandbox's tests start those of the SDKs.
    for (name, folder, scripts) in [
        ("CDK", project.cdk(), &["build", "lint", "test"][..]),
        (
            "ASL",
            project.root.join("tests/asl"),
            &["build", "lint", "test"],
        ),
        (
            "SDKs",
            project.root.join("tests/slack-sdks"),
            &["build", "lint"],
        ),
    ] {
        for script in scripts {
            let mut npm = Command::new("npm");
            npm.args(["run", "--silent", *script]).current_dir(&folder);
            stages.run(&format!("{name}: {script}"), npm).await?;
        }
    }
    templates::check(project, stages).await
}

/// In a common build, a crate that lacks a feature still compiles if another one enables it. So each function,
/// `apgl`, which is installed separately, and the example for callers are checked alone.
async fn each_alone(project: &Project) -> Result<(), Failure> {
    let functions = project.function_names()?;
    let functions = functions.iter().map(|name| vec!["--package", name]);
    let others = [
        vec!["--package", "apgl-cli"],
        vec!["--package", "apgl-client", "--example", "handler"],
    ];
    for selected in functions.chain(others) {
        let mut check = cargo(&project.root);
        check.args(["check", "--locked", "--quiet"]).args(&selected);
        let log = project.logs().join("test-each-alone.log");
        let what = format!("cargo check {}", selected.join(" "));
        run_to_log(&what, &mut check, &log).await?;
    }
    Ok(())
}

/// Builds and runs only the end-to-end tests and what they need.
async fn end_to_end(project: &Project, filter: Option<String>) -> Result<(), Failure> {
    let mut arguments = END_TO_END_BUILD.to_vec();
    let functions = project.function_names()?;
    let functions = functions.iter().map(|name| format!("--bin={name}"));
    let functions: Vec<String> = functions.collect();
    arguments.extend(functions.iter().map(String::as_str));
    let ((), (), tests) = tokio::try_join!(
        install_tools(project),
        install_cdk_packages(project),
        progress::step(
            "Building the functions and the tests",
            build(project, &arguments)
        ),
    )?;
    project.lay_out_functions()?;
    let mut end_to_end = end_to_end_tests(project, &tests, filter);
    let status = process::run("the end-to-end tests", &mut end_to_end).await?;
    if status.success() {
        return Ok(());
    }
    Err("the end-to-end tests failed".into())
}

pub fn end_to_end_tests(
    project: &Project,
    tests: &BTreeMap<String, PathBuf>,
    filter: Option<String>,
) -> Command {
    let mut e2e = Command::new(project.program("e2e"));
    for (name, program) in tests {
        e2e.arg("--tests")
            .arg(format!("{name}={}", program.display()));
    }
    e2e.args(filter);
    e2e
}

/// Builds the programs, and returns the paths of those with end-to-end tests.
pub async fn build(
    project: &Project,
    arguments: &[&str],
) -> Result<BTreeMap<String, PathBuf>, Failure> {
    let mut cargo = cargo_build(&project.root);
    cargo
        .arg("--message-format=json-render-diagnostics")
        .args(arguments);
    let log = project.logs().join("test-build.log");
    run_to_log("cargo build", &mut cargo, &log).await?;
    let printed = fs::read_to_string(&log)?;
    let messages = printed
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let tests = messages.filter_map(|message| {
        let name = message["target"]["name"].as_str()?;
        let program = message["executable"].as_str()?;
        END_TO_END
            .contains(&name)
            .then(|| (name.to_owned(), program.into()))
    });
    let tests: BTreeMap<String, PathBuf> = tests.collect();
    if let Some(missing) = END_TO_END.iter().find(|name| !tests.contains_key(**name)) {
        return Err(format!("cargo has not built the end-to-end tests in `{missing}`").into());
    }
    Ok(tests)
}
