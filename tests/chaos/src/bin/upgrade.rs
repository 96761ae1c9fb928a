//! `cargo xtask upgrade`: from the previous version to this one while executions run, and away.

use std::{path::PathBuf, process::ExitCode};

use chaos::{no_problems, upgrade};
use clap::Parser;
use local_stack::App;
use xtask::{
    Build, Project,
    program::{self, Failure},
    progress,
};

/// Updates a local stack from a previous version, which `cargo xtask upgrade` has built, to this one.
#[derive(Parser)]
struct Arguments {
    /// What the previous version is called.
    #[arg(long)]
    from: String,
    /// The previous version's CDK app.
    #[arg(long)]
    cdk: PathBuf,
    /// The previous version's functions.
    #[arg(long)]
    functions: PathBuf,
}

#[tokio::main]
async fn main() -> ExitCode {
    program::run(measure(Arguments::parse())).await
}

async fn measure(arguments: Arguments) -> Result<(), Failure> {
    let Arguments {
        from,
        cdk,
        functions,
    } = arguments;
    let what = format!("Updating from {from} while executions run");
    let (project, previous) = (Project::with(Build::Release), App { cdk, functions });
    let report = progress::step(&what, upgrade::run(&project, &previous)).await?;
    println!("\n{report}");
    no_problems(&report.problems())
}
