//! The project's own commands: `cargo xtask --help`.

#![allow(
    clippy::large_futures,
    reason = "each runs once, on a thread with a stack to spare"
)]

mod bench;
mod budget;
mod burst;
mod chaos;
mod cost;
mod demo;
mod local;
mod people;
mod progress;
mod sbom;
mod schemas;
mod supply_chain;
mod test;
mod upgrade;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

/// The project's own commands.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measures cold starts, warm invocations, memory and sizes, beside peers in the same run.
    Bench(bench::Arguments),
    /// Checks that no notification takes more, and no function is larger, than is written down.
    Budget(budget::Arguments),
    /// Sends many notifications at once, paced and not, and measures how they drain.
    Burst(burst::Arguments),
    /// Sends notifications under faults at every seam, and counts what became of each.
    Chaos(chaos::Arguments),
    /// Runs typical notifications, counts what each takes of AWS and Slack, and says what that costs.
    Cost(cost::Arguments),
    /// Starts the local stack, sends one notification through it, and shows what happened.
    Demo(demo::Arguments),
    /// Starts the local stack and keeps it up until Ctrl-C.
    Local(local::Arguments),
    /// Writes an SBOM of each part of a release into target/sbom.
    Sbom,
    /// Writes the JSON Schemas of requests and outcomes into docs/schemas.
    Schemas,
    /// Checks what the project depends on: lock files, npm audit, cargo deny.
    SupplyChain,
    /// Runs every check and test.
    Test(test::Arguments),
    /// Updates a local stack from the previous version while executions run, and destroys it.
    Upgrade(upgrade::Arguments),
}

/// Why a command ends badly, for the person who started it.
type Failure = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> ExitCode {
    let command = Arguments::parse().command;
    let runs_until_stopped = matches!(command, Command::Local(_));
    let work = async {
        match command {
            Command::Bench(arguments) => bench::run(arguments).await,
            Command::Budget(arguments) => budget::run(arguments).await,
            Command::Burst(arguments) => burst::run(arguments).await,
            Command::Chaos(arguments) => chaos::run(arguments).await,
            Command::Cost(arguments) => cost::run(arguments).await,
            Command::Demo(arguments) => demo::run(arguments).await,
            Command::Local(arguments) => local::run(arguments).await,
            Command::Sbom => sbom::run().await,
            Command::Schemas => schemas::run(),
            Command::SupplyChain => supply_chain::run().await,
            Command::Test(arguments) => test::run(arguments).await,
            Command::Upgrade(arguments) => upgrade::run(arguments).await,
        }
    };
    // Whatever is at work is dropped, and what it has started ends with it.
    let outcome = tokio::select! {
        outcome = work => outcome,
        stopped = asked_to_stop() => match stopped {
            Ok(()) if runs_until_stopped => Ok(()),
            Ok(()) => Err("stopped".into()),
            Err(error) => Err(error.into()),
        },
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("\nerror: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// Ends at Ctrl-C or SIGTERM.
async fn asked_to_stop() -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result,
        _ = terminate.recv() => Ok(()),
        _ = hang_up.recv() => Ok(()),
    }
}
