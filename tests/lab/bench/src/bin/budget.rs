//! `cargo xtask budget`: compares what notifications use, and how large the functions are, with the recorded budget.

use std::{collections::BTreeMap, process::ExitCode};

use bench::budget::{self, Budget};
use clap::{Parser, ValueEnum};
use xtask::{
    Build, Project,
    prepare::prepare,
    program::{self, Failure},
    progress,
};

/// Checks that no notification uses more, and no function is larger, than the budget records.
#[derive(Parser)]
#[command(bin_name = "cargo xtask budget")]
struct Arguments {
    /// Checks only this part; by default both.
    #[arg(value_enum, conflicts_with = "write")]
    part: Option<Part>,
    /// Records the measured values as the new budget. Give the reason in the commit.
    #[arg(long)]
    write: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// What notifications use, however the functions are built.
    Counts,
    /// The sizes of a release's zips.
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
        println!("wrote {}", file.display());
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
        "the measurements do not match the budget:\n  {}\nIf the change is intended, run `cargo xtask budget --write` and give the reason in the commit.",
        problems.join("\n  ")
    )
    .into())
}

/// Counts again if there are differences, and reports those that appear twice: a busy machine can distort one run.
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
        println!("  sizes: NOT CHECKED, the budget has none for {build}");
    }
    Ok(written.broken_by_sizes(&weighed))
}

async fn counted() -> Result<BTreeMap<String, budget::Counts>, Failure> {
    let project = Project::here();
    prepare(&project, &[]).await?;
    let counting = budget::counted(&project);
    progress::step("Counting what notifications use", counting).await
}

async fn weighed() -> Result<BTreeMap<String, BTreeMap<String, u64>>, Failure> {
    let project = Project::with(Build::Release);
    prepare(&project, &[]).await?;
    Ok(budget::weighed(&project).await?)
}
