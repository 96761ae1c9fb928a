//! Prints what is going on, and that it is still going on.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use tokio::time::interval;

use crate::program::Failure;

const REASSURE_EVERY: Duration = Duration::from_secs(20);

/// Does `work`, and prints a line when it starts, from time to time while it runs, and when it is done. Each line
/// names the work, because other work can run in parallel.
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
            _ = ticks.tick() => println!("  {what}: {} s so far", started.elapsed().as_secs()),
        }
    };
    let took = started.elapsed();
    if took > Duration::from_secs(1) {
        println!("✓ {what} ({:.1} s)", took.as_secs_f64());
    }
    Ok(outcome)
}
