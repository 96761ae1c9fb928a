//! `cargo xtask chaos`: notifications under faults at every seam.

use std::{collections::BTreeSet, process::ExitCode};

use chaos::{
    dice::Seam,
    faults::{self, Options},
    lambda::BOOTSTRAP,
    no_problems,
};
use clap::Parser;
use xtask::{
    Build, Project,
    arguments::{at_least_one, wait_scale},
    prepare::prepare,
    program::{self, Failure},
    progress,
};

/// Sends notifications under faults at every seam, and counts what became of each.
#[derive(Parser)]
#[command(bin_name = "cargo xtask chaos")]
struct Arguments {
    /// How many notifications are sent.
    #[arg(long, default_value_t = 2_000, value_parser = at_least_one)]
    executions: usize,
    /// To how many channels; every fifth is a private one.
    #[arg(long, default_value_t = 50, value_parser = at_least_one)]
    channels: usize,
    /// What goes wrong follows from this number.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Which part of the calls at each seam goes wrong.
    #[arg(long, default_value_t = 0.18, value_parser = rate)]
    rate: f64,
    /// The seams where something goes wrong.
    #[arg(long, value_delimiter = ',', default_values_t = Seam::ALL)]
    faults: Vec<Seam>,
    /// How many notifications are on their way at once.
    #[arg(long, default_value_t = 60, value_parser = at_least_one)]
    concurrency: usize,
    /// How long a second of a wait, and of Slack's limits, lasts, in seconds.
    #[arg(long, default_value_t = 0.25, value_parser = wait_scale)]
    wait_scale: f64,
    /// With a dev build of the functions, which is there in seconds.
    #[arg(long)]
    dev: bool,
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if (0.0..=0.5).contains(&rate) => Ok(rate),
        _ => Err("must be a number from 0 to 0.5: beyond that nothing gets through".to_owned()),
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    program::run(measure(Arguments::parse())).await
}

async fn measure(arguments: Arguments) -> Result<(), Failure> {
    let options = Options {
        executions: arguments.executions,
        channels: arguments.channels,
        seed: arguments.seed,
        rate: arguments.rate,
        seams: BTreeSet::from_iter(arguments.faults),
        concurrency: arguments.concurrency,
        wait_scale: arguments.wait_scale,
    };
    let what = format!(
        "Sending {} notifications to {} channels with faults from seed {}",
        options.executions, options.channels, options.seed
    );
    let project = Project::with(Build::release_if(!arguments.dev));
    prepare(&project, &[BOOTSTRAP]).await?;
    let running = faults::run(&project, &options);
    let report = progress::step(&what, running).await?;
    println!("\n{report}");
    no_problems(&report.problems(&options))
}
