//! A start that meets a name which is there, as AWS answers it.
#![allow(clippy::unwrap_used)]

use apgl_client::{Client, ExecutionName, StartError, Started};
use aws_credential_types::Credentials;
use aws_sdk_sfn::{
    Config,
    config::{BehaviorVersion, Region},
};
use aws_smithy_http_client::test_util::{ReplayEvent, StaticReplayClient};
use aws_smithy_types::body::SdkBody;
use serde_json::{Value, json};

const MACHINE: &str = "arn:aws:states:us-east-1:1:stateMachine:apgl-notify-public-channel";

fn answer(status: u16, body: &Value) -> ReplayEvent {
    let request = http::Request::builder()
        .uri("http://127.0.0.1/")
        .body(SdkBody::empty())
        .unwrap();
    let response = http::Response::builder()
        .status(status)
        .body(SdkBody::from(body.to_string()))
        .unwrap();
    ReplayEvent::new(request, response)
}

fn already_exists() -> ReplayEvent {
    answer(
        400,
        &json!({ "__type": "ExecutionAlreadyExists", "message": "x" }),
    )
}

fn execution(input: &str) -> ReplayEvent {
    answer(
        200,
        &json!({
            "executionArn": "arn", "stateMachineArn": MACHINE, "status": "FAILED",
            "startDate": 1.0, "input": input,
        }),
    )
}

async fn start(answers: Vec<ReplayEvent>, input: &Value) -> Result<Started, StartError> {
    let config = Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::for_tests())
        .endpoint_url("http://127.0.0.1")
        .http_client(StaticReplayClient::new(answers))
        .build();
    let client = Client::new(aws_sdk_sfn::Client::from_conf(config));
    client.start(MACHINE, &name(), input).await
}

fn name() -> ExecutionName {
    ExecutionName::from_key("event", "42").unwrap()
}

#[tokio::test]
async fn the_same_event_is_the_execution_that_is_there_however_its_json_is_written() {
    let input = json!({ "channelName": "x", "message": "hi" });
    let there = execution(r#"{ "message": "hi", "channelName": "x" }"#);
    let started = start(vec![already_exists(), there], &input).await.unwrap();
    let expected = format!(
        "arn:aws:states:us-east-1:1:execution:apgl-notify-public-channel:{}",
        name()
    );
    assert_eq!(started.execution_arn, expected);
}

#[tokio::test]
async fn another_input_under_the_same_key_is_a_conflict_that_does_not_show_it() {
    let input = json!({ "channelName": "x", "message": "secret" });
    let there = execution(r#"{ "channelName": "x", "message": "hi" }"#);
    let error = start(vec![already_exists(), there], &input)
        .await
        .unwrap_err();
    assert!(matches!(error, StartError::Conflict { .. }));
    assert!(!format!("{error:?} {error}").contains("secret"));
}

#[tokio::test]
async fn what_step_functions_refuses_is_named() {
    let refusal = answer(
        400,
        &json!({ "__type": "StateMachineDoesNotExist", "message": "x" }),
    );
    let error = start(vec![refusal], &json!({})).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "StartExecution failed: StateMachineDoesNotExist"
    );
}
