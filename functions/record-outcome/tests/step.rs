//! Status changes of executions, and the receipts and metrics that result from them.
#![allow(clippy::unwrap_used)]

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use apgl_stores::{Receipts, Table};
use aws_sdk_cloudwatch::{
    primitives::DateTime,
    types::{Dimension, Statistic},
};
use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_http_client::test_util::infallible_client_fn;
use aws_smithy_types::body::SdkBody;
use fixture::Fixture;
use record_outcome::{Deps, SettledEvents, handle};
use rstest::rstest;
use serde_json::{Value, json};
use uuid::Uuid;

type Item = HashMap<String, AttributeValue>;

const POSTED: &str = r#"{"message":{"ts":"1.0","duplicate":false}}"#;

/// The function, and one execution of a workflow that no other test counts.
struct Recording {
    fixture: Fixture,
    deps: Deps,
    table: String,
    workflow: String,
}

impl Recording {
    /// With a Step Functions client that returns this history for every execution.
    async fn with(history: Value) -> Self {
        let fixture = Fixture::new().await;
        let table = fixture.create_receipts_table().await;
        let deps = Deps {
            receipts: Receipts::new(Table::new(fixture.dynamodb.clone(), table.clone())),
            rate_limiter: None,
            sfn: aws_sdk_sfn::Client::new(&answering(200, history)),
            cloudwatch: aws_sdk_cloudwatch::Client::new(&fixture.aws),
            settled_events: None,
        };
        Self {
            fixture,
            deps,
            table,
            workflow: format!("workflow-{}", Uuid::new_v4().simple()),
        }
    }

    async fn new() -> Self {
        Self::with(json!({ "events": [] })).await
    }

    /// With this bus for the events.
    async fn onto(bus: &Bus) -> Self {
        let mut recording = Self::new().await;
        recording.deps.settled_events = Some(bus.settled_events());
        recording
    }

    fn execution(&self) -> String {
        format!(
            "arn:aws:states:us-east-1:000000000000:execution:{}:key",
            self.workflow
        )
    }

    /// A status change as EventBridge sends it.
    fn event(&self, status: &str, redrives: u32, output: Option<&str>) -> Value {
        let has_ended = status != "RUNNING";
        let machine = self.execution().replace(":execution:", ":stateMachine:");
        let machine = machine.strip_suffix(":key").unwrap();
        json!({ "detail": {
            "executionArn": self.execution(), "stateMachineArn": machine, "name": "key",
            "status": status, "startDate": millis(), "stopDate": has_ended.then(millis),
            "input": r##"{"channelName":"#guide","members":["Ana@example.com"],"message":"secret"}"##,
            "output": output, "error": null, "redriveCount": redrives, "redriveDate": null,
        } })
    }

    /// Delivers a batch of these messages. Returns the ids of those that failed: their places in the batch.
    async fn deliver(&self, bodies: &[&Value]) -> Vec<String> {
        let records = bodies.iter().enumerate().map(|(index, body)| {
            json!({
                "messageId": index.to_string(), "receiptHandle": "h", "body": body.to_string(),
                "attributes": {}, "messageAttributes": {}, "eventSource": "aws:sqs",
            })
        });
        let batch = json!({ "Records": records.collect::<Vec<_>>() });
        let failures = handle(&self.deps, batch).await.unwrap().batch_item_failures;
        failures
            .into_iter()
            .map(|failure| failure.item_identifier)
            .collect()
    }

    async fn receipt(&self) -> Item {
        self.item(&self.execution(), "receipt").await.unwrap()
    }

    async fn item(&self, id: &str, item: &str) -> Option<Item> {
        let get = self.fixture.dynamodb.get_item().table_name(&self.table);
        let get = get.key("id", AttributeValue::S(id.to_owned()));
        let get = get.key("item", AttributeValue::S(item.to_owned()));
        get.send().await.unwrap().item
    }

    /// The sum of this workflow's metric.
    async fn sum(&self, metric: &str, dimension: Option<(&str, &str)>) -> f64 {
        let dimensions = [("Workflow", self.workflow.as_str())].into_iter();
        let dimensions = dimensions.chain(dimension).map(|(name, value)| {
            let dimension = Dimension::builder().name(name).value(value);
            dimension.build()
        });
        let now = SystemTime::now();
        let answer = aws_sdk_cloudwatch::Client::new(&self.fixture.aws)
            .get_metric_statistics()
            .namespace("APGL/Notifications")
            .metric_name(metric)
            .set_dimensions(Some(dimensions.collect()))
            .start_time(DateTime::from(now - Duration::from_hours(1)))
            .end_time(DateTime::from(now + Duration::from_hours(1)))
            .period(86_400)
            .statistics(Statistic::Sum)
            .send()
            .await;
        let datapoints = answer.unwrap().datapoints.unwrap_or_default();
        datapoints.iter().filter_map(|point| point.sum).sum()
    }
}

/// An `EventBridge` that keeps the entries that it gets.
#[derive(Clone, Default)]
struct Bus {
    entries: Arc<Mutex<Vec<Value>>>,
    /// The code with which every entry fails.
    fails_with: Option<&'static str>,
}

impl Bus {
    fn settled_events(&self) -> SettledEvents {
        let bus = self.clone();
        let aws = fake_aws::config(infallible_client_fn(
            move |request: http::Request<SdkBody>| {
                let request: Value =
                    serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
                let entries = request["Entries"].as_array().unwrap().clone();
                bus.entries.lock().unwrap().extend(entries);
                let answer = match bus.fails_with {
                    Some(code) => {
                        json!({ "FailedEntryCount": 1, "Entries": [{ "ErrorCode": code }] })
                    }
                    None => json!({ "FailedEntryCount": 0, "Entries": [{ "EventId": "1" }] }),
                };
                http::Response::new(SdkBody::from(answer.to_string()))
            },
        ));
        let client = aws_sdk_eventbridge::Client::new(&aws);
        SettledEvents::new(
            client,
            "library".to_owned(),
            "apgl.notifications".to_owned(),
        )
    }

    fn entries(&self) -> Vec<Value> {
        self.entries.lock().unwrap().clone()
    }

    fn details(&self) -> Vec<Value> {
        let entries = self.entries();
        let details = entries
            .iter()
            .map(|entry| entry["Detail"].as_str().unwrap());
        details.map(|detail| detail.parse().unwrap()).collect()
    }
}

/// An AWS that answers every request like this.
fn answering(status: u16, body: Value) -> aws_types::SdkConfig {
    fake_aws::config(infallible_client_fn(move |_: http::Request<SdkBody>| {
        let response = http::Response::builder().status(status);
        response.body(SdkBody::from(body.to_string())).unwrap()
    }))
}

fn millis() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    since_epoch.unwrap().as_millis().try_into().unwrap()
}

fn text<'a>(item: &'a Item, field: &str) -> &'a str {
    item[field].as_s().unwrap()
}

fn is_one(sum: f64) -> bool {
    (sum - 1.0).abs() < 0.1
}

#[tokio::test]
async fn a_receipt_is_opened_completed_and_counted() {
    let recording = Recording::new().await;
    let started = recording.event("RUNNING", 0, None);
    assert_eq!(recording.deliver(&[&started]).await, [""; 0]);
    let open = recording.receipt().await;
    assert_eq!(text(&open, "status"), "RUNNING");
    assert_eq!(text(&open, "channelName"), "guide");
    assert_eq!(text(&open, "runningWorkflow"), recording.workflow);
    let started_at = open["startedAt"].as_n().unwrap();
    let key = format!("{started_at}/{}", recording.execution());
    let person = recording.item("person/ana@example.com", &key).await;
    assert!(person.is_some());

    let ended = recording.event("SUCCEEDED", 0, Some(POSTED));
    assert_eq!(recording.deliver(&[&ended]).await, [""; 0]);
    let complete = recording.receipt().await;
    assert_eq!(text(&complete, "status"), "SUCCEEDED");
    assert_eq!(text(&complete, "outcome"), POSTED);
    assert_eq!(complete["counted"], AttributeValue::Bool(true));
    assert!(!complete.contains_key("runningWorkflow"));
    assert!(!format!("{complete:?}").contains("secret"));
    assert!(is_one(recording.sum("NotificationsSent", None).await));
}

#[tokio::test]
async fn duplicate_and_reordered_events_make_one_receipt_and_count_once() {
    let recording = Recording::new().await;
    let succeeded = recording.event("SUCCEEDED", 1, Some(POSTED));
    for event in [
        &succeeded,
        &recording.event("RUNNING", 0, None),
        &succeeded,
        &recording.event("FAILED", 0, Some("{}")),
        &recording.event("RUNNING", 1, None),
    ] {
        assert_eq!(recording.deliver(&[event]).await, [""; 0]);
        assert_eq!(text(&recording.receipt().await, "status"), "SUCCEEDED");
    }
    assert!(is_one(recording.sum("NotificationsSent", None).await));
    let failed = recording.sum("WorkflowsFailed", Some(("Error", "FAILED")));
    assert!(failed.await < 0.1);
}

#[rstest]
#[case::failed("FAILED")]
#[case::timed_out("TIMED_OUT")]
#[case::stopped("ABORTED")]
#[tokio::test]
async fn an_end_without_an_output_is_completed_from_the_history(#[case] status: &str) {
    let entered = |id: u32, name: &str| {
        json!({
            "id": id, "timestamp": 1, "type": "TaskStateEntered",
            "stateEnteredEventDetails": { "name": name },
        })
    };
    let channel = json!({ "channel": { "id": "C1", "name": "guide" } });
    let result = json!({ "Payload": channel }).to_string();
    let recording = Recording::with(json!({ "events": [
        entered(1, "EnsureChannel"),
        { "id": 2, "timestamp": 1, "type": "TaskSucceeded",
          "taskSucceededEventDetails": { "output": result, "resource": "r", "resourceType": "t" } },
        entered(3, "InviteMembers"),
    ] }))
    .await;
    let ended = recording.event(status, 0, None);
    assert_eq!(recording.deliver(&[&ended]).await, [""; 0]);
    let receipt = recording.receipt().await;
    assert_eq!(text(&receipt, "status"), status);
    let outcome: Value = text(&receipt, "outcome").parse().unwrap();
    assert_eq!(outcome, channel);
    assert_eq!(receipt["partial"], AttributeValue::Bool(true));
    let failed = recording.sum("WorkflowsFailed", Some(("Error", status)));
    assert!(is_one(failed.await));
}

/// Dead letters that an operator moves back must not ring an alarm again, which would take a release back.
#[rstest]
#[case::just_now(0, true)]
#[case::hours_ago(3 * 3_600_000, false)]
#[tokio::test]
async fn a_failure_that_is_recorded_late_is_none_of_the_system_now(
    #[case] ago: u64,
    #[case] is_counted: bool,
) {
    let recording = Recording::new().await;
    let mut ended = recording.event("FAILED", 0, None);
    ended["detail"]["error"] = json!("Step.Bug");
    ended["detail"]["startDate"] = json!(millis() - ago);
    ended["detail"]["stopDate"] = json!(millis() - ago);
    assert_eq!(recording.deliver(&[&ended]).await, [""; 0]);
    assert_eq!(
        is_one(recording.sum("SystemFailures", None).await),
        is_counted
    );
    let failed = recording.sum("WorkflowsFailed", Some(("Error", "Step.Bug")));
    assert!(is_one(failed.await));
}

#[tokio::test]
async fn an_input_that_is_too_large_for_an_event_is_read_from_the_history() {
    let started = json!({
        "id": 1, "timestamp": 1, "type": "ExecutionStarted",
        "executionStartedEventDetails": { "input": r#"{"channelName":"other"}"# },
    });
    let recording = Recording::with(json!({ "events": [started] })).await;
    let mut event = recording.event("SUCCEEDED", 0, Some(POSTED));
    event["detail"]["input"] = Value::Null;
    assert_eq!(recording.deliver(&[&event]).await, [""; 0]);
    let receipt = recording.receipt().await;
    assert_eq!(text(&receipt, "channelName"), "other");
    assert_eq!(receipt["partial"], AttributeValue::Bool(false));
}

#[tokio::test]
async fn a_history_that_can_not_be_read_fails_the_message() {
    let mut recording = Recording::new().await;
    let denied = json!({ "__type": "AccessDeniedException" });
    recording.deps.sfn = aws_sdk_sfn::Client::new(&answering(400, denied));
    let ended = recording.event("FAILED", 0, None);
    assert_eq!(recording.deliver(&[&ended]).await, ["0"]);
}

#[tokio::test]
async fn an_output_that_is_too_large_for_the_table_is_left_out() {
    let recording = Recording::new().await;
    let large = json!({ "members": "x".repeat(360 * 1024) }).to_string();
    let ended = recording.event("SUCCEEDED", 0, Some(&large));
    assert_eq!(recording.deliver(&[&ended]).await, [""; 0]);
    let receipt = recording.receipt().await;
    assert_eq!(text(&receipt, "outcome"), "{}");
    assert_eq!(receipt["partial"], AttributeValue::Bool(true));
}

#[tokio::test]
async fn an_unreadable_event_fails_alone() {
    let recording = Recording::new().await;
    let good = recording.event("RUNNING", 0, None);
    let bad = json!({ "detail": { "bucket": "b" } });
    assert_eq!(recording.deliver(&[&bad, &good]).await, ["0"]);
    assert_eq!(text(&recording.receipt().await, "status"), "RUNNING");
}

#[tokio::test]
async fn an_uncounted_end_is_counted_when_its_event_is_delivered_again() {
    let mut recording = Recording::new().await;
    let works = recording.deps.cloudwatch.clone();
    let denied = json!({ "__type": "AccessDeniedException" });
    recording.deps.cloudwatch = aws_sdk_cloudwatch::Client::new(&answering(400, denied));
    let ended = recording.event("SUCCEEDED", 0, Some(POSTED));
    assert_eq!(recording.deliver(&[&ended]).await, ["0"]);
    let receipt = recording.receipt().await;
    assert_eq!(receipt["counted"], AttributeValue::Bool(false));

    recording.deps.cloudwatch = works;
    for _ in 0..2 {
        assert_eq!(recording.deliver(&[&ended]).await, [""; 0]);
    }
    assert!(is_one(recording.sum("NotificationsSent", None).await));
}

#[tokio::test]
async fn the_bus_gets_one_event_for_each_end() {
    let bus = Bus::default();
    let recording = Recording::onto(&bus).await;
    let outcome = json!({
        "channel": { "id": "C1", "name": "guide" },
        "members": { "invited": ["ana@example.com"], "alreadyMembers": [], "skipped": [] },
        "message": { "ts": "1.0", "duplicate": false },
    });
    let failed = recording.event("FAILED", 0, None);
    let succeeded = recording.event("SUCCEEDED", 1, Some(&outcome.to_string()));
    for event in [
        &recording.event("RUNNING", 0, None),
        &failed,
        &failed,
        &recording.event("RUNNING", 1, None),
        &succeeded,
        &failed,
        &succeeded,
    ] {
        assert_eq!(recording.deliver(&[event]).await, [""; 0]);
    }

    for entry in bus.entries() {
        assert_eq!(entry["EventBusName"], "library");
        assert_eq!(entry["Source"], "apgl.notifications");
        assert_eq!(entry["DetailType"], "Notification Settled");
        assert!(!entry.to_string().contains("secret"));
    }
    let person =
        |result: &str| json!([{ "email": "ana@example.com", "asked": "invite", "result": result }]);
    let [failed, succeeded] = &bus.details()[..] else {
        panic!("there are {} events", bus.entries().len());
    };
    for (event, redrives, status, result) in [
        (failed, 0, "FAILED", "unknown"),
        (succeeded, 1, "SUCCEEDED", "done"),
    ] {
        assert_eq!(event["executionArn"], recording.execution());
        assert_eq!(event["workflow"], recording.workflow);
        assert_eq!(event["key"], "key");
        assert_eq!(event["channelName"], "guide");
        assert_eq!(event["redriveCount"], redrives);
        assert_eq!(event["status"], status);
        assert_eq!(event["people"], person(result));
    }
    assert_eq!(failed.get("message"), None);
    assert_eq!(succeeded["message"], json!({ "ts": "1.0" }));
}

#[rstest]
#[case::for_a_while("ThrottlingException")]
#[case::until_an_operator_acts("AccessDeniedException")]
#[tokio::test]
async fn an_event_that_the_bus_refuses_keeps_the_message_in_the_queue(#[case] code: &'static str) {
    let refusing = Bus {
        fails_with: Some(code),
        ..Bus::default()
    };
    let mut recording = Recording::onto(&refusing).await;
    let ended = recording.event("SUCCEEDED", 0, Some(POSTED));
    assert_eq!(recording.deliver(&[&ended]).await, ["0"]);
    let receipt = recording.receipt().await;
    assert_eq!(receipt["counted"], AttributeValue::Bool(false));
    assert!(recording.sum("NotificationsSent", None).await < 0.1);

    let bus = Bus::default();
    recording.deps.settled_events = Some(bus.settled_events());
    assert_eq!(recording.deliver(&[&ended]).await, [""; 0]);
    assert_eq!(bus.details(), refusing.details());
    assert!(is_one(recording.sum("NotificationsSent", None).await));
}

#[tokio::test]
async fn an_event_is_sent_again_if_its_end_could_not_be_counted() {
    let bus = Bus::default();
    let mut recording = Recording::onto(&bus).await;
    let works = recording.deps.cloudwatch.clone();
    let denied = json!({ "__type": "AccessDeniedException" });
    recording.deps.cloudwatch = aws_sdk_cloudwatch::Client::new(&answering(400, denied));
    let ended = recording.event("SUCCEEDED", 0, Some(POSTED));
    assert_eq!(recording.deliver(&[&ended]).await, ["0"]);
    recording.deps.cloudwatch = works;
    assert_eq!(recording.deliver(&[&ended]).await, [""; 0]);
    let [first, second] = &bus.details()[..] else {
        panic!("there are {} events", bus.entries().len());
    };
    assert_eq!(first, second);
}

#[tokio::test]
async fn a_request_with_many_people_is_settled_in_parts() {
    let bus = Bus::default();
    let recording = Recording::onto(&bus).await;
    let members: Vec<String> = (0..401).map(|n| format!("p{n}@example.com")).collect();
    let mut ended = recording.event("FAILED", 0, None);
    ended["detail"]["input"] = json!(json!({ "members": members }).to_string());
    assert_eq!(recording.deliver(&[&ended]).await, [""; 0]);
    let parts = bus.details().into_iter().map(|event| {
        let people = event["people"].as_array().unwrap().len();
        (event["part"].clone(), event["parts"].clone(), people)
    });
    let parts: Vec<_> = parts.collect();
    assert_eq!(json!(parts), json!([[1, 3, 200], [2, 3, 200], [3, 3, 1]]));
}
