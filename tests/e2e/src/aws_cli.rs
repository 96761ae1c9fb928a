use aws_types::SdkConfig;
use local_stack::{Project, aws_cli};
use serde_json::Value;

/// Runs a command of the AWS command line, such as `["iam", "list-roles"]`, and reads what it answers.
pub async fn aws(config: &SdkConfig, arguments: &[&str]) -> Value {
    let url = config.endpoint_url().expect("the local stack has a URL");
    let answer = aws_cli::aws(&Project::here(), url, arguments).await;
    answer.expect("the command succeeds")
}
