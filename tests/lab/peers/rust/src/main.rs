//! Reads the token from Secrets Manager and calls Slack once, with the project's own crates. The peers in Node and
//! Python do the same.

use std::process::ExitCode;

use apgl_runtime::{aws_config, serve, slack_client};
use lambda_runtime::Error;
use serde_json::json;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let client = || slack_client(&aws_config()?);
    serve("OneCall", client, async |slack, _event| {
        let who = slack.auth_test().await?;
        Ok::<_, Error>(json!({ "team": who.team }))
    })
    .await
}
