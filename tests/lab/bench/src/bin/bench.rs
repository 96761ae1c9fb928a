//! `cargo xtask bench`: measures speed, memory and size, together with comparable programs in the same run.

use std::{path::PathBuf, process::ExitCode};

use bench::{
    TIME_SCALE, cold,
    contender::{self, Places},
    events::Scene,
    growth::{self, By, CHANNELS, MEMBERS},
    peers, report, throughput, warm,
};
use clap::{Parser, ValueEnum};
use counting::{
    Section,
    deployment::Deployment,
    growth::{self as counting_growth, Point},
};
use local_stack::{LocalStack, Project, StackOptions};
use xtask::{
    Build,
    arguments::at_least_one,
    builds::built_functions,
    prepare::prepare,
    program::{self, Failure},
    progress,
};

/// Measures cold starts, warm invocations, memory and sizes, together with peers in the same run.
#[derive(Parser)]
#[command(bin_name = "cargo xtask bench")]
struct Arguments {
    /// Runs only these parts; by default all of them.
    #[arg(value_enum)]
    parts: Vec<Part>,
    /// How often each contender is started.
    #[arg(long, default_value_t = 21, value_parser = at_least_one)]
    rounds: usize,
    /// How often each contender is invoked while it is warm.
    #[arg(long, default_value_t = 1_000, value_parser = at_least_one)]
    invocations: usize,
    /// How many notifications the throughput measurement sends with concurrent starts.
    #[arg(long, default_value_t = 500, value_parser = at_least_one)]
    executions: usize,
    /// How many of these starts are in flight at once.
    #[arg(long, default_value_t = 8, value_parser = at_least_one)]
    at_once: usize,
    /// A folder with functions of another build (from `cargo lambda build --lambda-dir`) to measure as well.
    /// Can be given more than once.
    #[arg(long, value_name = "FOLDER", value_parser = with_functions)]
    beside: Vec<PathBuf>,
    /// The folder for the plots.
    #[arg(long, default_value = "target/bench")]
    plots: PathBuf,
    /// Prints the tables as Markdown, for docs/performance.md.
    #[arg(long)]
    markdown: bool,
}

fn with_functions(folder: &str) -> Result<PathBuf, String> {
    let folder = PathBuf::from(folder);
    match built_functions(&folder) {
        Ok(functions) if !functions.is_empty() => Ok(folder),
        _ => Err(
            "must be a folder that contains a folder with a `bootstrap` for each function"
                .to_owned(),
        ),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Cold starts and warm invocations, memory and sizes.
    Speed,
    /// How a notification's cost grows with its members.
    Members,
    /// How a notification's cost grows with the channels of the workspace.
    Channels,
    /// How many executions start, and how many end, each second.
    Throughput,
}

#[tokio::main]
async fn main() -> ExitCode {
    program::run(measure(Arguments::parse())).await
}

async fn measure(arguments: Arguments) -> Result<(), Failure> {
    let project = Project::with(Build::Release);
    prepare(&project, &[]).await?;
    let is_asked = |part| arguments.parts.is_empty() || arguments.parts.contains(&part);
    // Print each table as soon as it is ready, so that a later failure does not lose it.
    let show = |section: &Section| {
        if arguments.markdown {
            println!("\n{}", section.markdown());
        } else {
            println!("\n{section}");
        }
    };
    if is_asked(Part::Speed) {
        speed(&project, &arguments).await?.iter().for_each(show);
    }
    if is_asked(Part::Members) || is_asked(Part::Channels) {
        let deployment = Deployment::synthesised(&project, "bench").await?;
        let grown = |by: &By, points: &[Point]| -> Result<(), Failure> {
            growth::draw(by, points, &arguments.plots)?;
            println!("The plot is in {}", arguments.plots.display());
            show(&growth::section(by, points, &deployment));
            Ok(())
        };
        if is_asked(Part::Members) {
            let counting = counting_growth::by_members(&project);
            let points = progress::step("Counting by number of members", counting).await?;
            grown(&MEMBERS, &points)?;
        }
        if is_asked(Part::Channels) {
            let counting = counting_growth::by_channels(&project);
            let points = progress::step("Counting by number of channels", counting).await?;
            grown(&CHANNELS, &points)?;
        }
    }
    if is_asked(Part::Throughput) {
        let measuring = throughput::measure(&project, arguments.executions, arguments.at_once);
        let throughput = progress::step("Measuring throughput", measuring).await?;
        show(&throughput.section());
    }
    Ok(())
}

async fn speed(project: &Project, arguments: &Arguments) -> Result<[Section; 2], Failure> {
    let building = peers::build(project);
    let peers = progress::step("Building the peers", building).await?;
    let options = StackOptions {
        wait_scale: TIME_SCALE,
        ..StackOptions::new("bench")
    };
    let starting = LocalStack::start(project, options);
    let stack = progress::step("Starting and deploying the local stack", starting).await?;
    let sandbox = stack.sandbox().ok_or("the bench needs the sandbox")?;
    let &Arguments {
        rounds,
        invocations,
        ref beside,
        ..
    } = arguments;
    let cold_events = cold::events(rounds);
    let events = cold_events + warm::events(invocations);
    let scene = Scene::set(&sandbox, events, 1 + beside.len()).await?;
    let contenders = contender::all(project, &stack, &peers, beside, events).await?;
    let places = Places::of(&stack);
    let measuring = cold::measure(&contenders, &scene, &places, rounds);
    let cold = progress::step("Measuring cold starts", measuring).await?;
    let measuring = warm::measure(&contenders, &scene, &places, cold_events, invocations);
    let warm = progress::step("Measuring warm invocations", measuring).await?;
    stack.stop().await;
    Ok([
        report::cold_starts(&cold, rounds),
        report::warm_invocations(&warm, invocations),
    ])
}
