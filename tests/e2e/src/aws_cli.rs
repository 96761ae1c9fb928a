use aws_types::SdkConfig;
use local_stack::{Project, aws_cli};
use serde_json::Value;

/// Runs an AWS command, such as `["iam", "list-roles"]`, and returns its output.
pub async fn aws(config: &SdkConfig, arguments: &[&str]) -> Value {
    let url = config.endpoint_url().expect("the local stack has a URL");
    let answer = aws_cli::aws(&Project::here(), url, arguments).await;
    answer.expect("the command succeeds")
}
