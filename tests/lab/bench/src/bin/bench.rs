//! `cargo xtask bench`: measures cold starts, warm invocations, memory and sizes.

use std::{path::PathBuf, process::ExitCode};

use bench::{
    TIME_SCALE, cold,
    contender::{self, Places},
    events::Scene,
    report, warm,
};
use clap::Parser;
use counting::Section;
use local_stack::{LocalStack, Project, StackOptions};
use xtask::{
    Build,
    arguments::at_least_one,
    builds::built_functions,
    prepare::prepare,
    program::{self, Failure},
    progress,
};

/// Measures cold starts, warm invocations, memory and sizes.
#[derive(Parser)]
#[command(bin_name = "cargo xtask bench")]
struct Arguments {
    /// How often each contender is started.
    #[arg(long, default_value_t = 21, value_parser = at_least_one)]
    rounds: usize,
    /// How often each contender is invoked while it is warm.
    #[arg(long, default_value_t = 1_000, value_parser = at_least_one)]
    invocations: usize,
    /// A folder with functions of another build (from `cargo lambda build --lambda-dir`) to measure as well.
    /// Can be given more than once.
    #[arg(long, value_name = "FOLDER", value_parser = with_functions)]
    beside: Vec<PathBuf>,
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

#[tokio::main]
async fn main() -> ExitCode {
    program::run(measure(Arguments::parse())).await
}

async fn measure(arguments: Arguments) -> Result<(), Failure> {
    let project = Project::with(Build::Release);
    prepare(&project, &[]).await?;
    for section in speed(&project, &arguments).await? {
        if arguments.markdown {
            println!("\n{}", section.markdown());
        } else {
            println!("\n{section}");
        }
    }
    Ok(())
}

async fn speed(project: &Project, arguments: &Arguments) -> Result<[Section; 2], Failure> {
    let building = contender::bare(project);
    let bare = progress::step("Building the minimal function", building).await?;
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
    let contenders = contender::all(project, &stack, bare, beside, events).await?;
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
