//! `cargo xtask deadline`: reminders under faults at every seam, with a calendar that the run sets.

use std::{collections::BTreeSet, process::ExitCode};

use chaos::{
    deadline::{self, Options, Reports},
    dice::Seam,
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

/// Reminds people of items under faults at every seam, and checks every reminder.
#[derive(Parser)]
#[command(bin_name = "cargo xtask deadline")]
struct Arguments {
    /// How many items there are.
    #[arg(long, default_value_t = 500, value_parser = at_least_one)]
    items: usize,
    /// For how many people they wait, who are in seven time zones.
    #[arg(long, default_value_t = 40, value_parser = at_least_one)]
    people: usize,
    /// How many days of the calendar it lasts. One more, without faults, follows.
    #[arg(long, default_value_t = 10, value_parser = at_least_one)]
    days: usize,
    /// The seeds that determine the items, the moves and the faults: a run for each.
    #[arg(long, value_delimiter = ',', default_values_t = [1])]
    seed: Vec<u64>,
    /// The share of the calls at each seam that fail.
    #[arg(long, default_value_t = 0.15, value_parser = chaos::rate)]
    rate: f64,
    /// The seams where faults occur. People change nothing in Slack here.
    #[arg(long, value_delimiter = ',', default_values_t = deadline::SEAMS)]
    faults: Vec<Seam>,
    /// How long a second of waits and of Slack's limits lasts, in seconds.
    #[arg(long, default_value_t = 0.1, value_parser = wait_scale)]
    wait_scale: f64,
    /// For how many seconds the calendar waits at the end of a person's working time for their message.
    #[arg(long, default_value_t = 6)]
    patience: u64,
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
    prepare(&project, &[BOOTSTRAP]).await?;
    let mut reports = Reports::default();
    let mut problems = Vec::new();
    for seed in arguments.seed {
        let options = Options {
            items: arguments.items,
            people: arguments.people,
            days: i64::try_from(arguments.days)?,
            seed,
            rate: arguments.rate,
            seams: BTreeSet::from_iter(arguments.faults.clone()),
            wait_scale: arguments.wait_scale,
            patience: std::time::Duration::from_secs(arguments.patience),
        };
        let what = format!(
            "Reminding {} people of {} items for {} days with faults from seed {seed}",
            options.people, options.items, options.days
        );
        let report = progress::step(&what, deadline::run(&project, &options)).await?;
        problems.extend(report.problems(&options.seams));
        reports.0.push(report);
    }
    println!("\n{reports}");
    no_problems(&problems)
}
