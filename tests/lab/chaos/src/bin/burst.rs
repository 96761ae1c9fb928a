//! `cargo xtask burst`: many notifications at once, without faults.

use std::process::ExitCode;

use chaos::{
    burst::{self, Destination, Options},
    no_problems,
};
use clap::Parser;
use xtask::{
    Build, Project,
    arguments::at_least_one,
    prepare::prepare,
    program::{self, Failure},
    progress,
};

/// Sends many notifications at once, with and without the rate limiter, and measures how they drain.
#[derive(Parser)]
#[command(bin_name = "cargo xtask burst")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
struct Arguments {
    /// How many notifications to send.
    #[arg(long, default_value_t = 1_000, value_parser = at_least_one)]
    notifications: usize,
    /// How many channels to send them to.
    #[arg(long, default_value_t = 10, value_parser = at_least_one)]
    channels: usize,
    /// How many executions to start each second. Slack takes ten messages a second.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    starts_per_second: u32,
    /// Sends to private channels that the notifications create.
    #[arg(long)]
    new_channels: bool,
    /// Sends to private channels about which Slack must be asked again.
    #[arg(long, conflicts_with = "new_channels")]
    due_channels: bool,
    /// Runs only with the rate limiter.
    #[arg(long)]
    limited_only: bool,
    /// Uses a dev build of the functions, which takes only seconds to build.
    #[arg(long)]
    dev: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    program::run(measure(Arguments::parse())).await
}

async fn measure(arguments: Arguments) -> Result<(), Failure> {
    let project = Project::with(Build::release_if(!arguments.dev));
    prepare(&project, &[]).await?;
    let options = Options {
        notifications: arguments.notifications,
        channels: arguments.channels,
        destination: match arguments {
            Arguments {
                new_channels: true, ..
            } => Destination::New,
            Arguments {
                due_channels: true, ..
            } => Destination::Due,
            _ => Destination::Known,
        },
        starts_per_second: arguments.starts_per_second,
    };
    let ways: &[bool] = if arguments.limited_only {
        &[true]
    } else {
        &[true, false]
    };
    let what = format!(
        "Sending {} notifications to {} channels at once",
        options.notifications, options.channels
    );
    let report = progress::step(&what, burst::run(&project, &options, ways)).await?;
    println!("\n{report}");
    no_problems(&report.problems())
}
