//! `apgl limits`: shows how long calls wait for Slack's rate limits, and clears a queue.

use apgl_rate_limit::{RateLimits, SlackClock, table::Queue};
use clap::Subcommand;
use serde_json::json;

use crate::{
    deployment::{Deployment, Target},
    report::{Exit, Failure, Report, STRONG, styled},
    time::took,
};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Clears a quota's queue, so that the next call is made at once. Reserved calls keep their times.
    Reset {
        /// The quota's name in `apgl limits`, for example `chat.postMessage#C012AB3CD`.
        quota: String,
    },
}

pub async fn run(target: &Target, arguments: Arguments) -> Result<Report, Failure> {
    let clock = SlackClock::from_env().map_err(Failure::input)?;
    let deployment = Deployment::of(target).await?;
    let table = deployment.rate_limits_table().await?.ok_or_else(|| {
        let off =
            "this deployment has no rate-limits table: it was deployed with rateLimiter=false";
        Failure::input(off)
    })?;
    let dynamodb = aws_sdk_dynamodb::Client::new(&deployment.aws);
    let limits = RateLimits::new(dynamodb, table);
    match arguments.action {
        None => show(&limits, clock).await,
        Some(Action::Reset { quota }) => reset(&limits, clock, &quota).await,
    }
}

async fn show(limits: &RateLimits, clock: SlackClock) -> Result<Report, Failure> {
    let queues = limits.queues(clock.now()).await.map_err(Failure::aws)?;
    let lines: Vec<String> = queues.iter().map(line).collect();
    let all = queues.iter().map(|queue| {
        json!({
            "quota": queue.quota, "waitSeconds": queue.wait.as_secs(), "reservedCalls": queue.reserved,
        })
    });
    Ok(Report {
        json: json!({ "queues": all.collect::<Vec<_>>() }),
        text: if lines.is_empty() {
            "No call to Slack has to wait.".to_owned()
        } else {
            lines.join("\n")
        },
        exit: Exit::Fine,
    })
}

fn line(queue: &Queue) -> String {
    let calls = if queue.reserved == 1 { "call" } else { "calls" };
    format!(
        "{}  the next call waits {}; {} {calls} reserved",
        styled(STRONG, &queue.quota),
        took(queue.wait),
        queue.reserved,
    )
}

async fn reset(limits: &RateLimits, clock: SlackClock, quota: &str) -> Result<Report, Failure> {
    let is_reset = limits.reset(quota, clock.now()).await;
    if !is_reset.map_err(Failure::aws)? {
        return Err(Failure::input(format!(
            "there is no quota `{quota}`; `apgl limits` shows the quotas with a queue"
        )));
    }
    Ok(Report {
        text: format!("{quota}: cleared"),
        json: json!({ "quota": quota, "cleared": true }),
        exit: Exit::Fine,
    })
}
