//! Watches the executions of each workflow.
//!
//! 1. It publishes the age of the oldest running execution as a metric. Step Functions' own metrics cover an
//!    execution only after it has ended.
//! 2. It completes the receipts that no event has completed.
//!
//! It runs on a schedule and ignores the content of the event.

mod receipts;

use std::time::{Duration, SystemTime};

use apgl_aws::{AwsError, METRICS_NAMESPACE};
use apgl_contract::{Recovery, StepError};
use apgl_runtime::SettingError;
use apgl_stores::Receipts;
use aws_sdk_cloudwatch::types::{Dimension, MetricDatum, StandardUnit};
use aws_sdk_sfn::types::ExecutionStatus;
use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use futures_util::future::try_join_all;
use lambda_runtime::Diagnostic;

use crate::receipts::catch_up;

const METRIC: &str = "OldestRunningExecution";
/// The largest page size of `ListExecutions`, whose calls are rate-limited.
const PAGE: i32 = 1_000;

#[derive(Debug)]
pub struct Deps {
    pub sfn: aws_sdk_sfn::Client,
    pub cloudwatch: aws_sdk_cloudwatch::Client,
    pub sqs: aws_sdk_sqs::Client,
    pub receipts: Receipts,
    pub state_machines: Vec<StateMachine>,
    /// The URL of the queue of status changes.
    pub outcomes_queue: String,
}

/// A state machine to watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateMachine {
    arn: String,
    /// The state machine's name, which is the metric's dimension `Workflow`.
    name: String,
}

/// Why there is no measurement. Lambda retries, and the next scheduled run measures again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{operation} failed: {}", cause.reason())]
pub struct NotMeasured {
    pub operation: &'static str,
    pub cause: AwsError,
}

/// Reads `STATE_MACHINES`: ARNs separated by commas.
///
/// # Errors
/// If one of them is not the ARN of a state machine.
pub fn state_machines(setting: &str) -> Result<Vec<StateMachine>, SettingError> {
    let machines = setting.split(',').map(|arn| {
        let (_, name) = arn.split_once(":stateMachine:")?;
        let is_one = arn.starts_with("arn:") && !name.is_empty() && !name.contains(':');
        let (arn, name) = (arn.to_owned(), name.to_owned());
        is_one.then_some(StateMachine { arn, name })
    });
    machines.collect::<Option<_>>().ok_or(SettingError::Bad {
        name: "STATE_MACHINES",
        rule: "must be ARNs of state machines, separated by commas",
    })
}

/// Publishes the age of the oldest running execution of each state machine, or 0 if none is running. Then completes
/// receipts.
///
/// # Errors
/// [`NotMeasured`].
pub async fn handle(deps: &Deps, now: SystemTime) -> Result<(), NotMeasured> {
    watch(deps, now).await.inspect_err(|error| {
        let message = "not all executions could be watched";
        // One alarm counts errors. Another one rings if there is no measurement for a long time.
        match error.cause {
            AwsError::Transient(_) => tracing::warn!(%error, "{message}"),
            AwsError::Permanent(_) => tracing::error!(%error, "{message}"),
        }
    })
}

async fn watch(deps: &Deps, now: SystemTime) -> Result<(), NotMeasured> {
    let machines = &deps.state_machines;
    let running = machines.iter().map(|machine| running(&deps.sfn, machine));
    let running = try_join_all(running).await?;
    measure(deps, &running, now).await?;
    let mut watched = Ok(());
    for (machine, running) in machines.iter().zip(&running) {
        // What fails for one workflow does not stop the others.
        watched = watched.and(catch_up(deps, machine, running, now).await);
    }
    watched
}

async fn measure(
    deps: &Deps,
    running: &[Vec<Running>],
    now: SystemTime,
) -> Result<(), NotMeasured> {
    let machines = deps.state_machines.iter().zip(running);
    let data = machines.map(|(machine, running)| {
        let age = oldest(running).and_then(|since| now.duration_since(since).ok());
        datum(machine, age.unwrap_or_default())
    });
    let data = data.collect();
    deps.cloudwatch
        .put_metric_data()
        .namespace(METRICS_NAMESPACE)
        .set_metric_data(Some(data))
        .send()
        .await
        .map_err(|error| not_measured("PutMetricData", &error))?;
    tracing::info!(
        workflows = deps.state_machines.len(),
        "measured the age of running executions"
    );
    Ok(())
}

/// A running execution.
#[derive(Debug, PartialEq, Eq)]
struct Running {
    arn: String,
    /// When it was started or last redriven.
    since: SystemTime,
}

fn oldest(running: &[Running]) -> Option<SystemTime> {
    running.iter().map(|execution| execution.since).min()
}

async fn running(
    sfn: &aws_sdk_sfn::Client,
    machine: &StateMachine,
) -> Result<Vec<Running>, NotMeasured> {
    let mut executions = sfn
        .list_executions()
        .state_machine_arn(&machine.arn)
        .status_filter(ExecutionStatus::Running)
        .into_paginator()
        .page_size(PAGE)
        .items()
        .send();
    let mut running = Vec::new();
    while let Some(execution) = executions.next().await {
        let execution = execution.map_err(|error| not_measured("ListExecutions", &error))?;
        let since = execution.redrive_date.unwrap_or(execution.start_date);
        if let Ok(since) = SystemTime::try_from(since) {
            let arn = execution.execution_arn;
            running.push(Running { arn, since });
        }
    }
    Ok(running)
}

fn datum(machine: &StateMachine, age: Duration) -> MetricDatum {
    let workflow = Dimension::builder().name("Workflow").value(&machine.name);
    MetricDatum::builder()
        .metric_name(METRIC)
        .value(age.as_secs_f64().round())
        .unit(StandardUnit::Seconds)
        .dimensions(workflow.build())
        .build()
}

fn not_measured<E: ProvideErrorMetadata>(
    operation: &'static str,
    error: &SdkError<E, HttpResponse>,
) -> NotMeasured {
    let cause = AwsError::of(error);
    NotMeasured { operation, cause }
}

impl From<StepError> for NotMeasured {
    fn from(error: StepError) -> Self {
        let reason = error.to_string();
        let cause = match error.name().recovery() {
            Recovery::Transient => AwsError::Transient(reason),
            _ => AwsError::Permanent(reason),
        };
        let operation = "access to the receipts table";
        Self { operation, cause }
    }
}

impl From<NotMeasured> for Diagnostic {
    fn from(error: NotMeasured) -> Self {
        Self {
            error_type: "NotMeasured".to_owned(),
            error_message: error.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use aws_smithy_http_client::test_util::{ReplayEvent, StaticReplayClient};
    use aws_smithy_types::body::SdkBody;
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    const ARN: &str = "arn:aws:states:eu-west-1:1:stateMachine:apgl-create-channel";

    /// A Step Functions client that returns these pages: when each running execution started, in seconds.
    fn step_functions(pages: &[Vec<u32>]) -> aws_sdk_sfn::Client {
        let running = |start: &u32| json!({ "startDate": start });
        let pages: Vec<Vec<Value>> = pages
            .iter()
            .map(|starts| starts.iter().map(running).collect())
            .collect();
        listing(&pages)
    }

    fn listing(pages: &[Vec<Value>]) -> aws_sdk_sfn::Client {
        let last = pages.len() - 1;
        let answers = pages.iter().enumerate().map(|(page, running)| {
            let executions: Vec<Value> = running
                .iter()
                .map(|dates| {
                    let mut execution = json!({
                        "executionArn": "arn", "stateMachineArn": ARN, "name": "e", "status": "RUNNING",
                    });
                    for (name, date) in dates.as_object().unwrap() {
                        execution[name] = date.clone();
                    }
                    execution
                })
                .collect();
            let next = (page < last).then_some("more");
            let body = json!({ "executions": executions, "nextToken": next });
            let request = http::Request::builder().body(SdkBody::empty()).unwrap();
            let response = http::Response::new(SdkBody::from(body.to_string()));
            ReplayEvent::new(request, response)
        });
        let aws = fake_aws::config(StaticReplayClient::new(answers.collect()));
        aws_sdk_sfn::Client::new(&aws)
    }

    #[rstest]
    #[case::nothing_runs(vec![vec![]], None)]
    #[case::one_page(vec![vec![30, 20, 10]], Some(10))]
    #[case::the_oldest_is_on_the_last_page(vec![vec![40, 30], vec![20, 10]], Some(10))]
    #[case::the_last_page_is_empty(vec![vec![40, 30], vec![]], Some(30))]
    #[tokio::test]
    async fn the_oldest_running_execution_is_found(
        #[case] pages: Vec<Vec<u32>>,
        #[case] expected: Option<u64>,
    ) {
        let machine = state_machines(ARN).unwrap().remove(0);
        let running = running(&step_functions(&pages), &machine).await;
        let start = oldest(&running.unwrap());
        let expected =
            expected.map(|seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(start, expected);
    }

    #[test]
    fn the_state_machines_come_from_one_setting() {
        let machines = state_machines(&format!("{ARN},{ARN}2")).unwrap();
        let names: Vec<&str> = machines.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["apgl-create-channel", "apgl-create-channel2"]);
    }

    #[rstest]
    #[case("")]
    #[case("apgl-create-channel")]
    #[case("arn:aws:states:eu-west-1:1:stateMachine:a:live")]
    #[case("arn:aws:states:eu-west-1:1:stateMachine:a,")]
    fn an_invalid_list_of_arns_prevents_the_start(#[case] setting: &str) {
        let error = state_machines(setting).unwrap_err().to_string();
        assert!(error.starts_with("environment variable STATE_MACHINES must be"));
    }

    #[tokio::test]
    async fn a_redriven_execution_is_as_old_as_its_redrive() {
        let running = vec![
            json!({ "startDate": 10, "redriveDate": 50 }),
            json!({ "startDate": 30 }),
        ];
        let machine = state_machines(ARN).unwrap().remove(0);
        let running = super::running(&listing(&[running]), &machine).await;
        assert_eq!(
            oldest(&running.unwrap()),
            Some(SystemTime::UNIX_EPOCH + Duration::from_secs(30))
        );
    }
}
