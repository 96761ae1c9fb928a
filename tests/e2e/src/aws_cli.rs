//! The AWS command line that the project installs, on the local stack.

use aws_types::SdkConfig;
use local_stack::{Project, stack::client_environment};
use serde_json::Value;
use tokio::process::Command;

/// Runs a command, such as `["iam", "list-roles"]`, and reads what it answers.
pub async fn aws(config: &SdkConfig, arguments: &[&str]) -> Value {
    let url = config.endpoint_url().expect("the local stack has a URL");
    let project = Project::here();
    let mut aws = Command::new(project.venv().join("bin/aws"));
    aws.envs(client_environment(url))
        .env_remove("AWS_PROFILE")
        .env_remove("AWS_SESSION_TOKEN")
        .args(["--endpoint-url", url, "--output", "json"])
        .args(arguments);
    let ran = aws.output().await.expect("the AWS CLI runs");
    let errors = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "aws {arguments:?}: {errors}");
    // Many commands answer nothing.
    serde_json::from_slice(&ran.stdout).unwrap_or_default()
}
