//! `apgl`, the command line for operators and scripts. See `apgl --help`.
//!
//! | module | purpose |
//! |---|---|
//! | `deployment` | finds the deployment: AWS, the prefix, the state machines, executions by name |
//! | `operations` | the eight operations |
//! | `list`, `inspect`, `redrive` | executions; `inspect` reads them with `history` |
//! | `items`, `snooze`, `remind` | the items that wait for people, and who is reminded of them; they use `planner` |
//! | `preferences` | who wants Slack notifications |
//! | `limits` | the queues for Slack's rate limits |
//! | `doctor` | checks the deployment |
//! | `advice` | what to do about a failed execution |
//! | `status`, `time` | statuses and times in a readable form |
//! | `values` | the values that arguments can have |
//! | `report` | what is printed, and the exit codes |

mod advice;
mod deployment;
mod doctor;
mod history;
mod inspect;
mod items;
mod limits;
mod list;
mod operations;
mod planner;
mod preferences;
mod redrive;
mod remind;
#[cfg(test)]
mod reminding;
mod report;
mod snooze;
mod status;
mod time;
mod values;

use std::{io, process::ExitCode};

use clap::{CommandFactory, Parser, Subcommand, error::ErrorKind};
use clap_complete::Shell;

use crate::{
    deployment::{Deployment, Target},
    operations::Operation,
    report::{Exit, Failure, Output, Report},
};

/// Operates APGL Notifications: sends messages; lists, inspects and redrives executions; checks the deployment.
///
/// It works on the deployment in the account and region of the AWS configuration: environment variables, profile or
/// single sign-on. For the local stack, set the variables that `cargo xtask local` prints.
#[derive(Debug, Parser)]
#[command(name = "apgl", version, after_help = EXIT_CODES)]
struct Arguments {
    #[command(flatten)]
    target: Target,
    /// The output format.
    #[arg(long, global = true, value_enum, default_value_t = Output::Text)]
    output: Output,
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 fine; 1 an execution failed, or a check found something; \
    2 bad input, nothing was done; 3 AWS refused or could not be reached; 4 still running when the \
    time to wait was over; 5 the key was used for another request; 6 there is no such channel.";

#[derive(Debug, Subcommand)]
enum Command {
    #[command(flatten)]
    Operation(Box<Operation>),
    /// Lists executions, the latest first.
    List(list::Arguments),
    /// Shows what an execution did: each state with its time and duration, retries, waits and the error.
    Inspect(inspect::Arguments),
    /// Redrives failed executions: they continue from the step that failed.
    Redrive(redrive::Arguments),
    /// Reads or writes whether a person wants Slack notifications.
    Preferences(preferences::Arguments),
    /// Lists the items that wait for somebody: the earliest due date first, with what each person was told.
    ///
    /// It reads the whole table of items.
    Items(items::Arguments),
    /// Has nobody reminded of an item until some time, or ends that.
    Snooze(snooze::Arguments),
    /// Shows who would be reminded of which items, and when others are reminded next.
    ///
    /// It reads the whole table of items; nothing is written or sent. Whether a person wants messages and can be
    /// reached is found out only when they are reminded.
    Remind(remind::Arguments),
    /// Shows how long calls wait for Slack's rate limits, or clears a queue.
    Limits(limits::Arguments),
    /// Checks the deployment (stacks, token, scopes, tables, dead letters, alarms), and says what to do.
    Doctor {
        /// Also reads a message of one of the bot's channels and its thread, because Slack's documentation does not
        /// say clearly whether the bot may. Nothing is posted or changed.
        #[arg(long)]
        deep: bool,
    },
    /// Prints a completion script for a shell.
    Completion { shell: Shell },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return refused(&error),
    };
    let output = arguments.output;
    match run(arguments).await {
        Ok(report) => {
            report.print(output);
            report.exit.into()
        }
        Err(failure) => {
            failure.print();
            failure.exit.into()
        }
    }
}

async fn run(arguments: Arguments) -> Result<Report, Failure> {
    let target = arguments.target;
    match arguments.command {
        Command::Operation(operation) => operations::run(*operation, &target).await,
        Command::List(arguments) => list::run(&Deployment::of(&target).await?, &arguments).await,
        Command::Inspect(arguments) => {
            inspect::run(&Deployment::of(&target).await?, &arguments).await
        }
        Command::Redrive(arguments) => {
            redrive::run(&Deployment::of(&target).await?, &arguments).await
        }
        Command::Preferences(arguments) => preferences::run(&target, arguments).await,
        Command::Items(arguments) => items::run(&target, &arguments).await,
        Command::Snooze(arguments) => snooze::run(&target, &arguments).await,
        Command::Remind(arguments) => remind::run(&target, &arguments).await,
        Command::Limits(arguments) => limits::run(&target, arguments).await,
        Command::Doctor { deep } => doctor::run(&Deployment::of(&target).await?, deep).await,
        Command::Completion { shell } => Ok(completion(shell)),
    }
}

fn completion(shell: Shell) -> Report {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "apgl", &mut script);
    let text = String::from_utf8_lossy(&script).into_owned();
    Report {
        json: serde_json::json!({ "script": text }),
        text,
        exit: Exit::Fine,
    }
}

/// Prints help if it was asked for, and otherwise one line that says what is wrong with the command line.
fn refused(error: &clap::Error) -> ExitCode {
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    ) {
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _ = io::Write::write_all(
            &mut anstream::stderr(),
            error.render().ansi().to_string().as_bytes(),
        );
        return Exit::BadInput.into();
    }
    let failure = Failure::input(first_paragraph(&error.to_string()));
    failure.print();
    failure.exit.into()
}

/// clap's message without the usage.
fn first_paragraph(message: &str) -> String {
    let paragraph = message.split("\n\n").next().unwrap_or(message);
    paragraph
        .strip_prefix("error: ")
        .unwrap_or(paragraph)
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
