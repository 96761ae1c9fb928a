//! The arguments of the demo and the local stack. `cargo xtask` parses them before it builds these programs.

use std::path::PathBuf;

use crate::Build;

/// Starts the local stack, sends one notification through it, and shows what happened.
#[derive(Debug, clap::Parser)]
#[command(bin_name = "cargo xtask demo")]
pub struct Demo {
    /// The request, as a JSON file. By default, an example request of the project.
    #[arg(long)]
    pub request: Option<PathBuf>,
}

/// Starts the local stack and keeps it running until Ctrl-C.
#[derive(Debug, clap::Parser)]
#[command(bin_name = "cargo xtask local")]
pub struct Local {
    /// A Slack Web API to use in place of the sandbox, for example <https://slack.com/api>.
    #[arg(long, requires = "slack_token")]
    pub slack_url: Option<String>,
    /// The bot token for that API. Prefer the environment variable, which does not appear in process lists.
    #[arg(
        long,
        env = "SLACK_TOKEN",
        hide_env_values = true,
        requires = "slack_url"
    )]
    pub slack_token: Option<String>,
    /// How long a second of a workflow's waits and retries lasts, in seconds.
    #[arg(long, default_value_t = 1.0, value_parser = wait_scale)]
    pub wait_scale: f64,
    /// The port of the AWS endpoint on 127.0.0.1.
    #[arg(long, default_value_t = 4566)]
    pub aws_port: u16,
    /// The port of the sandbox on 127.0.0.1.
    #[arg(long, default_value_t = 4580)]
    pub sandbox_port: u16,
    /// A setting of the deployment: see docs/settings.md. Can be given several times.
    #[arg(long, value_name = "NAME=VALUE", value_parser = context)]
    pub context: Vec<(String, String)>,
    /// Uses the functions' release build, which takes minutes.
    #[arg(long)]
    pub release: bool,
    /// Rebuilds and redeploys when a function, a state machine or the CDK app changes.
    #[arg(long, conflicts_with = "release")]
    pub watch: bool,
}

impl Local {
    pub fn build(&self) -> Build {
        Build::release_if(self.release)
    }
}

pub fn wait_scale(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(scale) if scale > 0.0 && scale <= 1.0 => Ok(scale),
        _ => Err("must be greater than 0 and at most 1".to_owned()),
    }
}

fn context(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("must be NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

pub fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count) if count > 0 => Ok(count),
        _ => Err("must be a whole number above 0".to_owned()),
    }
}
