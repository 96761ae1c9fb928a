//! `cargo xtask budget`: what notifications take and how large the functions are, against what is written down.

use bench::budget::{self, Budget};
use local_stack::Project;

use crate::{Failure, progress};

#[derive(clap::Args)]
pub struct Arguments {
    /// Writes down what is measured, for a change that has a reason.
    #[arg(long)]
    write: bool,
}

pub async fn run(arguments: Arguments) -> Result<(), Failure> {
    let project = Project::here();
    progress::prepare(&project).await?;
    if !arguments.write {
        return check(&project).await;
    }
    let file = budget::file(&project);
    measured(&project).await?.write(&file)?;
    println!("written into {}", file.display());
    Ok(())
}

/// Fails where something has grown. What a busy machine has counted otherwise, it does not count so twice.
pub async fn check(project: &Project) -> Result<(), Failure> {
    let written = Budget::read(&budget::file(project))?;
    let first = measured(project).await?;
    if let Some(build) = written.unknown_build(&first) {
        println!("  sizes: NOT CHECKED, none are written down for {build}");
    }
    let mut problems = written.broken_by(&first);
    if !problems.is_empty() {
        let again = written.broken_by(&measured(project).await?);
        problems.retain(|problem| again.contains(problem));
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

async fn measured(project: &Project) -> Result<Budget, Failure> {
    let measuring = Budget::measured(project);
    progress::step("Counting what notifications take", measuring).await
}
