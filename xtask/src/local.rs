//! `cargo xtask local`: the stack, kept up.

use std::time::Duration;

use local_stack::{
    Endpoints, LocalStack, Project, Slack, StackOptions,
    stack::{ACCOUNT, client_environment},
};

use crate::{Failure, people, progress};

const LOOK_EVERY: Duration = Duration::from_secs(1);

#[derive(clap::Args)]
pub struct Arguments {
    /// A Slack Web API to use in place of the sandbox, for example <https://slack.com/api>.
    #[arg(long, requires = "slack_token")]
    slack_url: Option<String>,
    /// The bot token for that API. Better given by the variable, which no process list shows.
    #[arg(
        long,
        env = "SLACK_TOKEN",
        hide_env_values = true,
        requires = "slack_url"
    )]
    slack_token: Option<String>,
    /// How long a second of a workflow's waits and retries lasts, in seconds.
    #[arg(long, default_value_t = 1.0, value_parser = wait_scale)]
    wait_scale: f64,
    /// The port of the AWS endpoint on 127.0.0.1.
    #[arg(long, default_value_t = 4566)]
    aws_port: u16,
    /// The port of the sandbox on 127.0.0.1.
    #[arg(long, default_value_t = 4580)]
    sandbox_port: u16,
}

pub(crate) fn wait_scale(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(scale) if scale > 0.0 && scale <= 1.0 => Ok(scale),
        _ => Err("must be a number above 0, at most 1".to_owned()),
    }
}

pub async fn run(arguments: Arguments) -> Result<(), Failure> {
    let project = Project::here();
    let played_by = match (arguments.slack_url, arguments.slack_token) {
        (Some(url), Some(token)) => Slack::Url { url, token },
        _ => Slack::Sandbox {
            port: arguments.sandbox_port,
        },
    };
    progress::prepare(&project).await?;
    let options = StackOptions {
        aws_port: arguments.aws_port,
        slack: played_by,
        wait_scale: arguments.wait_scale,
        ..StackOptions::new("local")
    };
    let starting = LocalStack::start(&project, options);
    let mut stack =
        progress::step("Starting the local stack and deploying to it", starting).await?;
    progress::step("Adding a handful of people", people::seed(&stack)).await?;
    describe(&stack.endpoints);
    println!("ready");
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        if stack.has_ended() {
            let log = stack.endpoints.ministack_log.display();
            return Err(format!("MiniStack has ended by itself; its output is in {log}").into());
        }
    }
}

fn describe(endpoints: &Endpoints) {
    println!(
        "\nAWS        {}  (account {ACCOUNT}, Step Functions and all the rest)",
        endpoints.aws
    );
    println!("Slack API  {}", endpoints.slack);
    if let Some(page) = &endpoints.sandbox {
        println!("Slack page {page}  (open it in a browser)");
    }
    if let Some(url) = &endpoints.mpc_requests {
        println!("MPC API    {url}  (the MPC service's handlers: docs/mpc-handlers.md)");
    }
    println!("\nFor an AWS client:");
    for (name, value) in client_environment(&endpoints.aws) {
        println!("  export {name}={value}");
    }
    if let Some(url) = &endpoints.mpc_requests {
        println!("  export MPC_REQUESTS_URL={url}");
    }
    println!("\nCtrl-C ends it all.");
}
