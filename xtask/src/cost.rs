//! `cargo xtask cost`: what notifications take of AWS and Slack, and what that costs.

use counting::report;
use local_stack::Project;

use crate::{Failure, progress};

#[derive(clap::Args)]
pub struct Arguments {
    /// Prints the tables as Markdown, for docs/cost.md.
    #[arg(long)]
    markdown: bool,
}

pub async fn run(arguments: Arguments) -> Result<(), Failure> {
    let project = Project::here();
    progress::prepare(&project).await?;
    let counting = report::run(&project);
    let report = progress::step("Counting what notifications take", counting).await?;
    if arguments.markdown {
        println!("\n{}", report.markdown());
    } else {
        println!("\n{report}");
    }
    Ok(())
}
