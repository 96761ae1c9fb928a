//! `cargo xtask budget`: what notifications take and how large the functions are, against what is written down.

use std::{collections::BTreeMap, process::ExitCode};

use bench::budget::{self, Budget};
use clap::{Parser, ValueEnum};
use xtask::{
    Build, Project,
    prepare::prepare,
    program::{self, Failure},
    progress,
};

/// Checks that no notification takes more, and no function is larger, than is written down.
#[derive(Parser)]
#[command(bin_name = "cargo xtask budget")]
struct Arguments {
    /// Only this part; both where none is named.
    #[arg(value_enum, conflicts_with = "write")]
    part: Option<Part>,
    /// Writes down what is measured, for a change that has a reason.
    #[arg(long)]
    write: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// What notifications take, whichever way the functions are built.
    Counts,
    /// How large the zips of a release are.
    Sizes,
}

#[tokio::main]
async fn main() -> ExitCode {
    program::run(run(Arguments::parse())).await
}

async fn run(arguments: Arguments) -> Result<(), Failure> {
    let file = budget::file(&Project::here());
    if arguments.write {
        let budget = Budget {
            notifications: counted().await?,
            zips: weighed().await?,
        };
        budget.write(&file)?;
        println!("written into {}", file.display());
        return Ok(());
    }
    let written = Budget::read(&file)?;
    let mut problems = Vec::new();
    if arguments.part != Some(Part::Sizes) {
        problems.extend(broken_by_counts(&written).await?);
    }
    if arguments.part != Some(Part::Counts) {
        problems.extend(broken_by_sizes(&written).await?);
    }
    if problems.is_empty() {
        return Ok(());
    }
    Err(format!(
        "the budget is not kept:\n  {}\nIf that is meant: `cargo xtask budget --write`, and say why in the commit.",
        problems.join("\n  ")
    )
    .into())
}

/// What a busy machine has counted otherwise, it does not count so twice.
async fn broken_by_counts(written: &Budget) -> Result<Vec<String>, Failure> {
    let mut problems = written.broken_by_counts(&counted().await?);
    if !problems.is_empty() {
        let again = written.broken_by_counts(&counted().await?);
        problems.retain(|problem| again.contains(problem));
    }
    Ok(problems)
}

async fn broken_by_sizes(written: &Budget) -> Result<Vec<String>, Failure> {
    let weighed = weighed().await?;
    if let Some(build) = written.unknown_build(&weighed) {
        println!("  sizes: NOT CHECKED, none are written down for {build}");
    }
    Ok(written.broken_by_sizes(&weighed))
}

async fn counted() -> Result<BTreeMap<String, budget::Counts>, Failure> {
    let project = Project::here();
    prepare(&project, &[]).await?;
    let counting = budget::counted(&project);
    progress::step("Counting what notifications take", counting).await
}

async fn weighed() -> Result<BTreeMap<String, BTreeMap<String, u64>>, Failure> {
    let project = Project::with(Build::Release);
    prepare(&project, &[]).await?;
    Ok(budget::weighed(&project).await?)
}
