//! `slack-sandbox`: the sandbox as a program of its own.

use std::{fs, net::SocketAddr, path::PathBuf, process::ExitCode};

use clap::Parser;
use slack_sandbox::{Options, Sandbox, Seed};

/// A server that behaves as Slack's Web API is documented to.
#[derive(Parser)]
struct Arguments {
    /// Where to listen: loopback only.
    #[arg(long, default_value = "127.0.0.1:4580")]
    listen: SocketAddr,
    /// What the workspace starts with: a JSON file.
    #[arg(long)]
    seed: Option<PathBuf>,
    /// How long a sandbox second lasts, in seconds: 0.05 makes every limit pass 20 times faster.
    #[arg(long, default_value_t = 1.0)]
    time_factor: f64,
    /// No limits on how often a method may be called.
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
