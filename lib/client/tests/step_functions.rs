//! How a client handles the responses of Step Functions, as AWS sends them.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use apgl_client::{
    Client, CreateChannel, ErrorName, Execution, InvalidField, NotifyPerson, NotifyPublicChannel,
    Operation, StartError, StateMachines, UpdateItem, Visibility, WaitError,
    outcome::{
        MessageOutcome, NotPosted, NotifyPersonOutcome, NotifyPublicChannelOutcome, SkipReason,
    },
};
use aws_sdk_sfn::config::HttpClient;
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_http_client::test_util::{NeverClient, ReplayEvent, StaticReplayClient};
use aws_smithy_types::body::SdkBody;
use rstest::rstest;
use serde_json::{Value, json};

const MACHINES: &str = "arn:aws:states:us-east-1:1:stateMachine:apgl";
const KEY: &str = "42";
const ARN: &str = "arn:aws:states:us-east-1:1:execution:apgl-notify-public-channel:event-73475cb40a568e8da8a045ced110137e159f890ac4da883b6b17dc651b3a8049";

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

fn refusal(code: &str) -> ReplayEvent {
    answer(400, &json!({ "__type": code, "message": "x" }))
}

fn started() -> ReplayEvent {
    answer(200, &json!({ "executionArn": ARN, "startDate": 1.0 }))
}

fn execution(status: &str, more: &Value) -> ReplayEvent {
    let mut body = json!({
        "executionArn": ARN, "stateMachineArn": MACHINES, "status": status, "startDate": 1.0,
    });
    for (field, value) in more.as_object().unwrap() {
        body[field] = value.clone();
    }
    answer(200, &body)
}

/// A client, and the HTTP client that records its requests.
fn client(answers: Vec<ReplayEvent>) -> (Client, StaticReplayClient) {
    let http = StaticReplayClient::new(answers);
    let machines = StateMachines::starting_with(MACHINES).unwrap();
    (client_over(http.clone(), machines), http)
}

fn client_over(http: impl HttpClient + 'static, machines: StateMachines) -> Client {
    let aws = fake_aws::config(http)
        .into_builder()
        .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
        .build();
    Client::new(aws_sdk_sfn::Client::new(&aws), machines, "event").unwrap()
}

fn request() -> NotifyPublicChannel {
    NotifyPublicChannel::new("x", "hi")
}

type Started = Result<Execution<NotifyPublicChannelOutcome>, StartError>;

async fn start(answers: Vec<ReplayEvent>) -> Started {
    client(answers)
        .0
        .notify_public_channel(KEY, &request())
        .await
}

fn sent(http: &StaticReplayClient) -> Vec<Value> {
    let bodies = http.actual_requests().map(|request| request.body().bytes());
    bodies
        .map(|body| serde_json::from_slice(body.unwrap()).unwrap())
        .collect()
}

#[tokio::test]
async fn a_start_sends_the_request_under_a_name_made_from_the_key() {
    let (client, http) = client(vec![started()]);
    let execution = client.notify_public_channel(KEY, &request()).await.unwrap();
    assert_eq!(execution.arn(), ARN);
    let sent = sent(&http);
    assert_eq!(
        sent[0]["stateMachineArn"],
        format!("{MACHINES}-notify-public-channel")
    );
    assert_eq!(sent[0]["name"], ARN.rsplit(':').next().unwrap());
    let input: Value = sent[0]["input"].as_str().unwrap().parse().unwrap();
    assert_eq!(
        input,
        json!({ "channelName": "x", "message": { "text": "hi" } })
    );
}

#[tokio::test]
async fn a_direct_message_has_a_workflow_and_a_variable_of_its_own() {
    let request = NotifyPerson::new("ana@example.com", "hi");
    let (client, http) = client(vec![started()]);
    client.notify_person(KEY, &request).await.unwrap();
    let sent = &sent(&http)[0];
    let machine = format!("{MACHINES}-notify-person");
    assert_eq!(sent["stateMachineArn"], machine);
    let input: Value = sent["input"].as_str().unwrap().parse().unwrap();
    assert_eq!(
        input,
        json!({ "email": "ana@example.com", "message": { "text": "hi" } })
    );
    let unconfigured = client_over(NeverClient::new(), StateMachines::default());
    let error = unconfigured.notify_person(KEY, &request).await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("set APGL_NOTIFY_PERSON_ARN or"), "{error}");
}

#[tokio::test]
async fn an_item_is_updated_by_a_workflow_of_its_own() {
    let request = UpdateItem::new("bounty:7", 3, "x", "Rust", "posted");
    let (client, http) = client(vec![started()]);
    client.update_item(KEY, &request).await.unwrap();
    let sent = &sent(&http)[0];
    assert_eq!(sent["stateMachineArn"], format!("{MACHINES}-update-item"));
    let input: Value = sent["input"].as_str().unwrap().parse().unwrap();
    assert_eq!(input, json!(request));
}

#[tokio::test]
async fn a_request_can_be_checked_without_a_start() {
    let public =
        UpdateItem::new("bounty:7", 3, "x", "Rust", "posted").visibility(Visibility::Public);
    assert_eq!(Client::check(Operation::UpdateItem, &public), Ok(()));
    let refused = Client::check(Operation::UpdateItem, &public.own_channel()).unwrap_err();
    let rule = "must not be true for a public channel";
    assert_eq!(refused, InvalidField::new("ownChannel", rule));
}

#[tokio::test]
async fn the_same_event_is_the_existing_execution_however_its_json_is_written() {
    let input = r#"{ "message": {"text":"hi"}, "channelName": "x" }"#;
    let existing = execution("FAILED", &json!({ "input": input }));
    let execution = start(vec![refusal("ExecutionAlreadyExists"), existing]).await;
    assert_eq!(execution.unwrap().arn(), ARN);
}

#[tokio::test]
async fn another_request_with_the_same_key_is_a_conflict_that_shows_neither() {
    let input = r#"{ "message": "secret", "channelName": "x" }"#;
    let existing = execution("RUNNING", &json!({ "input": input }));
    let error = start(vec![refusal("ExecutionAlreadyExists"), existing])
        .await
        .unwrap_err();
    assert!(matches!(error, StartError::Conflict { .. }));
    assert!(!format!("{error:?} {error}").contains("secret"));
}

#[tokio::test(start_paused = true)]
async fn an_execution_that_is_not_visible_yet_is_requested_again() {
    let existing = execution(
        "RUNNING",
        &json!({ "input": r#"{"channelName":"x","message":{"text":"hi"}}"# }),
    );
    let answers = vec![
        refusal("ExecutionAlreadyExists"),
        refusal("ExecutionDoesNotExist"),
        existing,
    ];
    assert_eq!(start(answers).await.unwrap().arn(), ARN);
}

#[tokio::test(start_paused = true)]
async fn a_transient_error_is_retried() {
    let answers = vec![
        refusal("ThrottlingException"),
        answer(503, &json!({ "__type": "ServiceUnavailable" })),
        answer(500, &json!({ "__type": "InternalFailure" })),
        refusal("ThrottlingException"),
        started(),
    ];
    assert_eq!(start(answers).await.unwrap().arn(), ARN);
}

#[tokio::test(start_paused = true)]
async fn the_budget_ends_the_retries() {
    let before = tokio::time::Instant::now();
    let answers = (0..100).map(|_| refusal("ThrottlingException")).collect();
    let (client, http) = client(answers);
    let client = client.with_budget(Duration::from_secs(3));
    let error = client.notify_public_channel(KEY, &request()).await;
    assert!(matches!(error.unwrap_err(), StartError::Unavailable { .. }));
    assert!(before.elapsed() <= Duration::from_secs(4));
    let tries = sent(&http).len();
    assert!((3..30).contains(&tries), "{tries}");
}

#[tokio::test(start_paused = true)]
async fn many_outages_do_not_use_up_the_retries() {
    for _ in 0..50 {
        let mut answers: Vec<_> = (0..8).map(|_| refusal("ThrottlingException")).collect();
        answers.push(started());
        assert!(start(answers).await.is_ok());
    }
}

#[tokio::test]
async fn a_permanent_error_is_returned_at_once_with_its_code() {
    for code in ["AccessDeniedException", "StateMachineDoesNotExist"] {
        let error = start(vec![refusal(code)]).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("StartExecution was refused: {code}")
        );
    }
}

#[rstest]
#[case(
    NotifyPublicChannel::new("Not a name", "hi"),
    "channelName: must contain only lower-case letters, digits, - and _"
)]
#[case(NotifyPublicChannel::new("x", " "), "message.text: must not be empty")]
#[tokio::test]
async fn a_request_that_breaks_a_rule_is_not_sent(
    #[case] request: NotifyPublicChannel,
    #[case] expected: &str,
) {
    let (client, http) = client(Vec::new());
    let error = client.notify_public_channel(KEY, &request).await;
    let error = error.unwrap_err();
    assert!(matches!(error, StartError::InvalidRequest(_)));
    assert_eq!(error.to_string(), expected);
    assert!(sent(&http).is_empty());
}

#[tokio::test]
async fn a_request_that_the_workflow_could_not_pass_on_is_not_sent() {
    let (client, http) = client(Vec::new());
    // 40,000 characters of four bytes, and as many again in blocks.
    let text = "\u{1F600}".repeat(40_000);
    let blocks = vec![json!({ "type": "section", "text": { "text": text } })];
    let message = apgl_client::Message::new(text.clone()).blocks(blocks);
    let request = NotifyPublicChannel::new("x", message);
    let error = client.notify_public_channel(KEY, &request).await;
    assert_eq!(
        error.unwrap_err().to_string(),
        "request: must have at most 250,000 bytes as JSON, where each address counts 50 more"
    );
    assert!(sent(&http).is_empty());
}

#[tokio::test]
async fn a_request_that_step_functions_would_reject_is_not_sent() {
    let (client, http) = client(Vec::new());
    // The workflow needs a repeated address only once, but Step Functions counts each.
    let address = format!(
        "ana@{}example.com",
        "a-long-label-of-the-domain.".repeat(8) + "of-250-characters."
    );
    let request = CreateChannel::new("x").members(vec![address; 1_000]);
    let error = client.create_channel(KEY, &request).await;
    assert_eq!(
        error.unwrap_err().to_string(),
        "request: must have at most 250,000 bytes as JSON"
    );
    assert!(sent(&http).is_empty());
}

#[tokio::test]
async fn an_empty_key_starts_nothing() {
    let error = client(Vec::new())
        .0
        .notify_public_channel("", &request())
        .await;
    assert_eq!(
        error.unwrap_err().to_string(),
        "the idempotency key must not be empty"
    );
}

#[tokio::test]
async fn a_workflow_that_is_not_configured_says_which_variable_is_missing() {
    let unconfigured = client_over(NeverClient::new(), StateMachines::default());
    let error = unconfigured.notify_public_channel(KEY, &request()).await;
    assert_eq!(
        error.unwrap_err().to_string(),
        "no state machine is known for notify-public-channel: \
         set APGL_NOTIFY_PUBLIC_CHANNEL_ARN or APGL_STATE_MACHINES"
    );
}

async fn wait(answers: Vec<ReplayEvent>) -> Result<NotifyPublicChannelOutcome, WaitError> {
    let answers = std::iter::once(started()).chain(answers).collect();
    let execution = start(answers).await.unwrap();
    execution.wait(Duration::from_mins(1)).await
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_with_the_outcome_of_the_workflow() {
    // An unknown, newer field is ignored.
    let output = json!({
        "channel": {
            "id": "C1", "name": "x", "visibility": "public", "archived": false, "created": false,
            "colour": "red",
        },
        "message": { "ts": "1.2", "duplicate": true },
        "mood": "good",
    });
    let answers = vec![
        execution("RUNNING", &json!({})),
        refusal("ThrottlingException"),
        execution("RUNNING", &json!({})),
        execution("SUCCEEDED", &json!({ "output": output.to_string() })),
    ];
    let outcome = wait(answers).await.unwrap();
    assert_eq!(outcome.channel.id, "C1");
    assert!(
        outcome
            .message
            .posted()
            .is_some_and(|posted| posted.duplicate)
    );
}

#[rstest]
#[case::posted(
    json!({ "message": { "ts": "1.2", "duplicate": false, "channelId": "D1" }, "skipped": [] }),
    Some("1.2"), None, None
)]
#[case::expired(
    json!({ "message": { "expired": true }, "skipped": [] }),
    None, Some(NotPosted::Expired), None
)]
#[case::superseded(
    json!({ "message": { "superseded": true }, "skipped": [] }),
    None, Some(NotPosted::Superseded), None
)]
#[case::skipped(
    json!({ "skipped": [{ "email": "ana@example.com", "reason": "opted_out" }] }),
    None, None, Some(SkipReason::OptedOut)
)]
#[tokio::test]
async fn the_outcome_says_why_a_person_got_no_message(
    #[case] output: Value,
    #[case] ts: Option<&str>,
    #[case] not_posted: Option<NotPosted>,
    #[case] skipped: Option<SkipReason>,
) {
    let ended = execution("SUCCEEDED", &json!({ "output": output.to_string() }));
    let (client, _) = client(vec![started(), ended]);
    let request = NotifyPerson::new("ana@example.com", "hi");
    let execution = client.notify_person(KEY, &request).await.unwrap();
    let outcome: NotifyPersonOutcome = execution.wait(Duration::from_mins(1)).await.unwrap();
    let message = outcome.message.as_ref();
    let posted = message.and_then(MessageOutcome::posted);
    assert_eq!(posted.map(|posted| posted.ts.as_str()), ts);
    let reason = message.and_then(|message| match message {
        MessageOutcome::NotPosted(reason) => Some(*reason),
        _ => None,
    });
    assert_eq!(reason, not_posted);
    let reason = outcome.skipped.first().map(|skipped| skipped.reason);
    assert_eq!(reason, skipped);
}

#[test]
fn a_reason_from_a_newer_release_is_read_as_other() {
    let reason: SkipReason = serde_json::from_value(json!("on_holiday")).unwrap();
    assert_eq!(reason, SkipReason::Other);
}

#[tokio::test]
async fn a_wait_ends_with_the_typed_failure() {
    let cause = json!({ "message": "Slack refused", "slackError": "invalid_blocks" });
    let failed = execution(
        "FAILED",
        &json!({ "error": "Slack.MessageRejected", "cause": cause.to_string() }),
    );
    let WaitError::Failed(failure) = wait(vec![failed]).await.unwrap_err() else {
        panic!("the execution has failed");
    };
    assert_eq!(failure.name(), Some(ErrorName::SlackMessageRejected));
    assert_eq!(failure.slack_error.as_deref(), Some("invalid_blocks"));
    assert!(!failure.can_be_redriven());
}

#[rstest]
#[case(execution("TIMED_OUT", &json!({})), WaitError::TimedOut)]
#[case(execution("ABORTED", &json!({})), WaitError::Aborted)]
#[case(refusal("InvalidArn"), WaitError::NoSuchExecution)]
#[case(
    execution("SUCCEEDED", &json!({ "output": "{}" })),
    WaitError::UnreadableOutcome(InvalidField::new("output.channel", "is required"))
)]
#[case(
    refusal("AccessDeniedException"),
    WaitError::StepFunctions { reason: "AccessDeniedException".to_owned() }
)]
#[tokio::test]
async fn every_other_end_is_reported(#[case] end: ReplayEvent, #[case] expected: WaitError) {
    assert_eq!(wait(vec![end]).await, Err(expected));
}

#[tokio::test(start_paused = true)]
async fn an_execution_that_was_just_started_need_not_be_visible_yet() {
    let missing = || refusal("ExecutionDoesNotExist");
    let output = json!({
        "channel": {
            "id": "C1", "name": "x", "visibility": "public", "archived": false, "created": false,
        },
        "message": { "ts": "1.2", "duplicate": false },
    });
    let ended = execution("SUCCEEDED", &json!({ "output": output.to_string() }));
    assert!(wait(vec![missing(), missing(), ended]).await.is_ok());
    let never = (0..100).map(|_| missing()).collect();
    assert_eq!(wait(never).await, Err(WaitError::NoSuchExecution));
}

#[tokio::test(start_paused = true)]
async fn a_request_without_a_response_ends_with_the_wait() {
    let client = client_over(NeverClient::new(), StateMachines::default());
    let before = tokio::time::Instant::now();
    let end = client.execution(ARN).wait(Duration::from_secs(3)).await;
    assert_eq!(
        end,
        Err(WaitError::StepFunctions {
            reason: "no answer in time".to_owned()
        })
    );
    assert!(before.elapsed() <= Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_at_its_deadline_and_polls_less_and_less_often() {
    let running = (0..100).map(|_| execution("RUNNING", &json!({})));
    let (client, http) = client(running.collect());
    let before = tokio::time::Instant::now();
    let waited = Duration::from_mins(1);
    let end = client.execution(ARN).wait(waited).await;
    assert_eq!(end, Err(WaitError::StillRunning { waited }));
    assert_eq!(before.elapsed().as_secs(), 60);
    let requests = sent(&http).len();
    assert!((10..50).contains(&requests), "{requests}");
}
