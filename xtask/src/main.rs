//! The project's own commands: `cargo xtask --help`.
//!
//! What a command needs is installed and built in parallel. A large command is a separate program with the same name,
//! so that only those who use it wait for its build.

mod release_checks;
mod sbom;
mod stages;
mod start;
mod supply_chain;
mod templates;
mod test;
mod upgrade;

use std::{ffi::OsString, process::ExitCode};

use clap::{Parser, Subcommand};
use xtask::{
    Build,
    arguments::{Demo, Local},
    program::{self, Failure},
};

/// The project's own commands.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measures cold starts, warm invocations, memory and sizes.
    Bench(Rest),
    /// Checks that no notification uses more, and no function is larger, than the budget records.
    Budget(Rest),
    /// Sends many notifications at once, with and without the rate limiter, and measures how they drain.
    Burst(Rest),
    /// Sends notifications under faults at every seam, and counts the results.
    Chaos(Rest),
    /// Runs typical notifications, counts what each uses of AWS and Slack, and calculates the cost.
    Cost(Rest),
    /// Reminds people of many items under faults at every seam, by a calendar of its own, and checks every reminder.
    Deadline(Rest),
    Demo(Demo),
    Local(Local),
    /// Runs the additional checks for a release, such as the update from the previous release.
    ReleaseChecks,
    /// Writes an SBOM for each part of a release to target/sbom.
    Sbom,
    /// Writes the JSON Schemas of requests and outcomes to docs/schemas.
    Schemas,
    /// Checks the project's dependencies: lock files, npm audit, cargo deny.
    SupplyChain,
    /// Runs every check and test.
    Test(test::Arguments),
    /// Updates a local stack from the previous version while executions run, then destroys it.
    Upgrade(upgrade::Arguments),
}

/// Arguments that the command's program parses.
#[derive(clap::Args)]
#[command(disable_help_flag = true)]
struct Rest {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    _arguments: Vec<OsString>,
}

#[tokio::main]
async fn main() -> ExitCode {
    program::run(run(Arguments::parse().command)).await
}

async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Bench(_) => start::program("bench").await,
        Command::Budget(_) => start::program("budget").await,
        Command::Burst(_) => start::program("burst").await,
        Command::Chaos(_) => start::program("chaos").await,
        Command::Cost(_) => start::program("cost").await,
        Command::Deadline(_) => start::program("deadline").await,
        Command::Demo(_) => start::prepared_program("demo", Build::Dev).await,
        Command::Local(local) => start::prepared_program("local", local.build()).await,
        Command::ReleaseChecks => release_checks::run().await,
        Command::Sbom => sbom::run().await,
        Command::Schemas => start::program("schemas").await,
        Command::SupplyChain => supply_chain::run().await,
        Command::Test(arguments) => test::run(arguments).await,
        Command::Upgrade(arguments) => upgrade::run(arguments).await,
    }
}
