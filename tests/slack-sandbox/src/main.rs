//! `slack-sandbox`: the sandbox as a program.

use std::{fs, net::SocketAddr, path::PathBuf, process::ExitCode};

use clap::Parser;
use slack_sandbox::{Options, Sandbox, Seed};

/// A server that behaves like Slack's documented Web API.
#[derive(Parser)]
struct Arguments {
    /// The address to listen on, which must be a loopback address.
    #[arg(long, default_value = "127.0.0.1:4580")]
    listen: SocketAddr,
    /// A JSON file with the initial contents of the workspace.
    #[arg(long)]
    seed: Option<PathBuf>,
    /// How long a sandbox second lasts, in seconds: with 0.05, every limit passes 20 times faster.
    #[arg(long, default_value_t = 1.0)]
    time_factor: f64,
    /// Turns the rate limits off.
    #[arg(long)]
    no_limits: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("slack-sandbox: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), String> {
    let seed = match &arguments.seed {
        None => Seed::default(),
        Some(file) => {
            let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
            let json = fs::read(file).map_err(|error| failed(&error))?;
            serde_json::from_slice(&json).map_err(|error| failed(&error))?
        }
    };
    let options = Options {
        listen: arguments.listen,
        seed,
        time_factor: arguments.time_factor,
        limits: !arguments.no_limits,
    };
    let sandbox = Sandbox::start(options)
        .await
        .map_err(|error| error.to_string())?;
    println!("Slack sandbox listening on {}", sandbox.url());
    asked_to_stop().await.map_err(|error| error.to_string())
}

async fn asked_to_stop() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result,
        _ = terminate.recv() => Ok(()),
    }
}
