//! `cargo xtask upgrade`: updates to this version from the previous one while executions run, then destroys it.

use std::{path::PathBuf, process::ExitCode};

use chaos::{no_problems, upgrade};
use clap::Parser;
use local_stack::App;
use xtask::{
    Build, Project,
    program::{self, Failure},
    progress,
};

/// Updates a local stack to this version from a previous one that `cargo xtask upgrade` has built.
#[derive(Parser)]
struct Arguments {
    /// The name of the previous version.
    #[arg(long)]
    from: String,
    /// The previous version's CDK app.
    #[arg(long)]
    cdk: PathBuf,
    /// The previous version's functions.
    #[arg(long)]
    functions: PathBuf,
    /// Updates to a dev build of this version's functions.
    #[arg(long)]
    dev: bool,
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
        dev,
    } = arguments;
    let what = format!("Updating from {from} while executions run");
    let project = Project::with(Build::release_if(!dev));
    let previous = App { cdk, functions };
    let report = progress::step(&what, upgrade::run(&project, &previous)).await?;
    println!("\n{report}");
    no_problems(&report.problems())
}
