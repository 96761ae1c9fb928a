//! `cargo xtask cost`: counts what notifications use of AWS and Slack, and calculates the cost.

use std::process::ExitCode;

use clap::Parser;
use counting::report;
use xtask::{
    Build, Project,
    prepare::prepare,
    program::{self, Failure},
    progress,
};

/// Runs typical notifications, counts what each uses of AWS and Slack, and calculates the cost.
#[derive(Parser)]
#[command(bin_name = "cargo xtask cost")]
struct Arguments {
    /// Prints the tables as Markdown, for docs/cost.md.
    #[arg(long)]
    markdown: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    program::run(count(Arguments::parse())).await
}

async fn count(arguments: Arguments) -> Result<(), Failure> {
    let project = Project::with(Build::Release);
    prepare(&project, &[]).await?;
    let counting = report::run(&project);
    let report = progress::step("Counting what notifications use", counting).await?;
    if arguments.markdown {
        println!("\n{}", report.markdown());
    } else {
        println!("\n{report}");
    }
    Ok(())
}
