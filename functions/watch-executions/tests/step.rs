//! Executions whose status changes got lost, and the messages that replace them.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use apgl_stores::{Receipts, Table};
use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_http_client::test_util::infallible_client_fn;
use aws_smithy_types::body::SdkBody;
use fixture::Fixture;
use serde_json::{Value, json};
use uuid::Uuid;
use watch_executions::{Deps, handle, state_machines};

const MACHINE: &str = "arn:aws:states:us-east-1:000000000000:stateMachine:workflow";
const EXECUTION: &str = "arn:aws:states:us-east-1:000000000000:execution:workflow:key";
const INPUT: &str = r#"{"channelName":"guide"}"#;
const A_MINUTE: Duration = Duration::from_mins(1);
const A_QUARTER_OF_AN_HOUR: Duration = Duration::from_mins(15);

/// The function, beside an execution that has succeeded.
struct Watching {
    fixture: Fixture,
    deps: Deps,
    table: String,
}

impl Watching {
    /// With an execution that started this long ago.
    async fn execution(ago: Duration, input: &str) -> Self {
        let fixture = Fixture::new().await;
        let table = fixture.create_receipts_table().await;
        let sqs = aws_sdk_sqs::Client::new(&fixture.aws);
        let queue = format!("test-{}", Uuid::new_v4().simple());
        let queue = sqs.create_queue().queue_name(&queue).send().await.unwrap();
        let deps = Deps {
            sfn: step_functions(ago, input.to_owned(), false),
            cloudwatch: aws_sdk_cloudwatch::Client::new(&fixture.aws),
            sqs,
            receipts: Receipts::new(Table::new(fixture.dynamodb.clone(), table.clone())),
            state_machines: state_machines(MACHINE).unwrap(),
            outcomes_queue: queue.queue_url.unwrap(),
        };
        Self {
            fixture,
            deps,
            table,
        }
    }

    /// Writes a receipt of the execution with this status, which it has had for this long.
    async fn receipt(&self, status: &str, ago: Duration) {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let number = |number: u128| AttributeValue::N(number.to_string());
        let mut put = self.fixture.dynamodb.put_item().table_name(&self.table);
        put = put
            .item("id", text(EXECUTION))
            .item("item", text("receipt"))
            .item("status", text(status));
        if status == "RUNNING" {
            put = put
                .item("runningWorkflow", text("workflow"))
                .item("runningSince", number(since_epoch(ago).as_millis()));
        }
        put.send().await.unwrap();
    }

    /// Runs the function. Returns the status changes that it reports.
    async fn reported(&self) -> Vec<Value> {
        handle(&self.deps, SystemTime::now()).await.unwrap();
        let (sqs, queue) = (&self.deps.sqs, &self.deps.outcomes_queue);
        let receive = sqs.receive_message().queue_url(queue);
        let received = receive.max_number_of_messages(10).send().await.unwrap();
        let messages = received.messages.unwrap_or_default().into_iter();
        let bodies = messages.map(|message| message.body.unwrap().parse().unwrap());
        bodies.collect()
    }
}

/// Step Functions with one execution, which has succeeded. It may have forgotten what the execution did.
fn step_functions(ago: Duration, input: String, is_forgotten: bool) -> aws_sdk_sfn::Client {
    let started = since_epoch(ago).as_secs_f64();
    let http = infallible_client_fn(move |request: http::Request<SdkBody>| {
        let mut execution = json!({
            "executionArn": EXECUTION, "stateMachineArn": MACHINE, "name": "key",
            "status": "SUCCEEDED", "startDate": started, "stopDate": started + 1.0,
        });
        let target = request.headers()["x-amz-target"].to_str().unwrap();
        let body: Value = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
        let answer = match target {
            "AWSStepFunctions.ListExecutions" if body["statusFilter"] == json!("RUNNING") => {
                json!({ "executions": [] })
            }
            "AWSStepFunctions.ListExecutions" => json!({ "executions": [execution] }),
            _ if is_forgotten => {
                let error = json!({ "__type": "ExecutionDoesNotExist" });
                let response = http::Response::builder().status(400);
                return response.body(SdkBody::from(error.to_string())).unwrap();
            }
            _ => {
                execution["input"] = json!(input);
                execution["output"] = json!("{}");
                execution
            }
        };
        http::Response::new(SdkBody::from(answer.to_string()))
    });
    aws_sdk_sfn::Client::new(&fake_aws::config(http))
}

fn since_epoch(ago: Duration) -> Duration {
    let time = SystemTime::now() - ago;
    time.duration_since(UNIX_EPOCH).unwrap()
}

fn none() -> Vec<Value> {
    Vec::new()
}

#[tokio::test]
async fn an_execution_without_a_receipt_is_reported_as_an_event_would_have_reported_it() {
    let watching = Watching::execution(A_QUARTER_OF_AN_HOUR, INPUT).await;
    let reported = watching.reported().await;
    assert_eq!(reported.len(), 1, "{reported:?}");
    let detail = &reported[0]["detail"];
    assert_eq!(detail["executionArn"], json!(EXECUTION));
    assert_eq!(detail["status"], json!("SUCCEEDED"));
    assert_eq!(
        (&detail["input"], &detail["output"]),
        (&json!(INPUT), &json!("{}"))
    );
}

#[tokio::test]
async fn an_execution_whose_receipt_is_still_open_is_reported() {
    let watching = Watching::execution(Duration::from_hours(2), INPUT).await;
    watching.receipt("RUNNING", A_QUARTER_OF_AN_HOUR).await;
    let reported = watching.reported().await;
    assert_eq!(reported.len(), 1, "{reported:?}");
    assert_eq!(reported[0]["detail"]["executionArn"], json!(EXECUTION));
}

#[tokio::test]
async fn an_execution_whose_event_is_not_late_is_not_reported() {
    let watching = Watching::execution(A_MINUTE, INPUT).await;
    assert_eq!(watching.reported().await, none());
    watching.receipt("RUNNING", A_MINUTE).await;
    assert_eq!(watching.reported().await, none());
}

#[tokio::test]
async fn an_execution_whose_receipt_is_complete_is_not_reported() {
    let watching = Watching::execution(A_QUARTER_OF_AN_HOUR, INPUT).await;
    watching.receipt("SUCCEEDED", A_QUARTER_OF_AN_HOUR).await;
    assert_eq!(watching.reported().await, none());
}

#[tokio::test]
async fn an_execution_that_step_functions_has_forgotten_is_not_reported() {
    let mut watching = Watching::execution(A_QUARTER_OF_AN_HOUR, INPUT).await;
    watching.deps.sfn = step_functions(A_QUARTER_OF_AN_HOUR, INPUT.to_owned(), true);
    assert_eq!(watching.reported().await, none());
}

#[tokio::test]
async fn an_input_that_is_too_long_for_an_event_is_left_out() {
    let input = json!({ "message": "x".repeat(110 * 1024) }).to_string();
    let watching = Watching::execution(A_QUARTER_OF_AN_HOUR, &input).await;
    let reported = watching.reported().await;
    assert_eq!(reported[0]["detail"]["input"], Value::Null);
}
