//! `cargo xtask chaos`: notifications under faults at every seam.

use std::{collections::BTreeSet, path::PathBuf};

use chaos::{
    dice::Seam,
    faults::{self, Options},
};
use local_stack::Project;
use tokio::process::Command;

use crate::{Failure, local::wait_scale, progress};

#[derive(clap::Args)]
pub struct Arguments {
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
}

pub(crate) fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count) if count > 0 => Ok(count),
        _ => Err("must be a whole number above 0".to_owned()),
    }
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if (0.0..=0.5).contains(&rate) => Ok(rate),
        _ => Err("must be a number from 0 to 0.5: beyond that nothing gets through".to_owned()),
    }
}

pub async fn run(arguments: Arguments) -> Result<(), Failure> {
    let project = Project::here();
    progress::prepare(&project).await?;
    let options = Options {
        executions: arguments.executions,
        channels: arguments.channels,
        seed: arguments.seed,
        rate: arguments.rate,
        seams: BTreeSet::from_iter(arguments.faults),
        concurrency: arguments.concurrency,
        wait_scale: arguments.wait_scale,
    };
    measure(&project, &options).await
}

/// Builds what stands in front of the functions, makes the run, and shows what became of it.
pub(crate) async fn measure(project: &Project, options: &Options) -> Result<(), Failure> {
    let building = build(project);
    let bootstrap = progress::step("Building the bootstrap that makes faults", building).await?;
    let what = format!(
        "Sending {} notifications to {} channels with faults from seed {}",
        options.executions, options.channels, options.seed
    );
    let running = faults::run(project, &bootstrap, options);
    let report = progress::step(&what, running).await?;
    println!("\n{report}");
    no_problems(&report.problems(options))
}

pub(crate) fn no_problems(problems: &[String]) -> Result<(), Failure> {
    if problems.is_empty() {
        return Ok(());
    }
    Err(problems.join("; ").into())
}

async fn build(project: &Project) -> Result<PathBuf, Failure> {
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--quiet", "--locked", "--package", "chaos"]);
    cargo.current_dir(&project.root).kill_on_drop(true);
    if !cargo.status().await?.success() {
        return Err("chaos-bootstrap can't be built".into());
    }
    Ok(project.target().join("debug/chaos-bootstrap"))
}
