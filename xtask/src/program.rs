//! The frame of a program: it ends at Ctrl-C with all that it has started, and says why it failed.

use std::{future::Future, process::ExitCode};

use tokio::signal::unix::{SignalKind, signal};

/// Why a command ends badly, for the person who started it.
pub type Failure = Box<dyn std::error::Error>;

/// Does the work, unless it is stopped before.
pub async fn run(work: impl Future<Output = Result<(), Failure>>) -> ExitCode {
    finish(work, || Err("stopped".into())).await
}

/// The same for work that goes on until it is stopped.
pub async fn run_until_stopped(work: impl Future<Output = Result<(), Failure>>) -> ExitCode {
    finish(work, || Ok(())).await
}

async fn finish(
    work: impl Future<Output = Result<(), Failure>>,
    stopped: impl FnOnce() -> Result<(), Failure>,
) -> ExitCode {
    // Whatever is at work is dropped, and what it has started ends with it.
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
