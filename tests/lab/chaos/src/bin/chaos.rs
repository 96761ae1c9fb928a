//! `cargo xtask chaos`: notifications under faults at every seam.

use std::{collections::BTreeSet, process::ExitCode, time::Duration};

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

/// Sends notifications under faults at every seam, and counts the results.
#[derive(Parser)]
#[command(bin_name = "cargo xtask chaos")]
struct Arguments {
    /// How many notifications to send.
    #[arg(long, default_value_t = 2_000, value_parser = at_least_one)]
    executions: usize,
    /// How many channels to send them to; every fifth is private.
    #[arg(long, default_value_t = 50, value_parser = at_least_one)]
    channels: usize,
    /// The seed that determines the faults.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The share of the calls at each seam that fail.
    #[arg(long, default_value_t = 0.18, value_parser = chaos::rate)]
    rate: f64,
    /// The seams where faults occur.
    #[arg(long, value_delimiter = ',', default_values_t = Seam::ALL)]
    faults: Vec<Seam>,
    /// How many notifications are in flight at once.
    #[arg(long, default_value_t = 60, value_parser = at_least_one)]
    concurrency: usize,
    /// How long a second of waits and of Slack's limits lasts, in seconds.
    #[arg(long, default_value_t = 0.25, value_parser = wait_scale)]
    wait_scale: f64,
    /// How long what Slack has confirmed of a channel is trusted, in seconds.
    #[arg(long, default_value_t = 900)]
    channel_trust: u32,
    /// Uses a dev build of the functions, which takes only seconds to build.
    #[arg(long)]
    dev: bool,
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
        channel_trust: Duration::from_secs(arguments.channel_trust.into()),
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
