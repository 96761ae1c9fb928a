//! Runs a program's work. At Ctrl-C, stops the work and everything that it has started. Prints why it failed.

use std::{future::Future, process::ExitCode};

use tokio::signal::unix::{SignalKind, signal};

/// Why a command failed, for the person who started it.
pub type Failure = Box<dyn std::error::Error>;

/// Does the work, unless it is stopped first.
pub async fn run(work: impl Future<Output = Result<(), Failure>>) -> ExitCode {
    finish(work, || Err("stopped".into())).await
}

/// The same for work that continues until it is stopped.
pub async fn run_until_stopped(work: impl Future<Output = Result<(), Failure>>) -> ExitCode {
    finish(work, || Ok(())).await
}

async fn finish(
    work: impl Future<Output = Result<(), Failure>>,
    stopped: impl FnOnce() -> Result<(), Failure>,
) -> ExitCode {
    // The work is dropped, which stops everything that it has started.
    let outcome = tokio::select! {
        outcome = work => outcome,
        asked = asked_to_stop() => asked.map_err(Failure::from).and_then(|()| stopped()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("\nerror: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// Returns at Ctrl-C, SIGTERM or SIGHUP.
async fn asked_to_stop() -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result,
        _ = terminate.recv() => Ok(()),
        _ = hang_up.recv() => Ok(()),
    }
}
