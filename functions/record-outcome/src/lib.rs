//! Keeps a receipt of each workflow execution, and publishes what it did as CloudWatch metrics.
//!
//! EventBridge sends every status change to a queue, at least once and in any order. A status change that can't be
//! recorded stays in the queue and is delivered again; after several attempts it becomes a dead letter.
//!
//! 1. When an execution starts, its receipt is opened, with its input.
//! 2. When the execution ends, the receipt is completed, with its outcome. If the event contains no outcome, because
//!    the execution failed or the outcome is too large, it is read from the history.
//! 3. Calls to Slack that the execution reserved but did not make are freed for other executions.
//! 4. If the deployment names an event bus, it gets an event that says how the execution ended, and what became of each
//!    person.
//! 5. The metrics are published, and then the receipt is marked as counted. A crash in between counts the execution
//!    twice, and one after the event sends it again.

mod counts;
mod event;
mod history;
mod request;
mod settled;

use apgl_contract::{
    InvalidField, Recovery, ReportedAddress, StepError, decode::parse, request::Operation,
};
use apgl_rate_limit::SharedLimiter;
use apgl_runtime::batch::{UnreadableBatch, messages};
use apgl_stores::{End, Receipt, Receipts, Recorded};
use aws_lambda_events::sqs::{SqsBatchResponse, SqsMessage};
use serde_json::Value;

use crate::{
    event::{Ended, StatusChange},
    history::History,
    request::{Asked, Request},
};

pub use settled::{DETAIL_TYPE, NotificationSettled, SettledEvents};

const SUCCEEDED: &str = "SUCCEEDED";

#[derive(Debug)]
pub struct Deps {
    pub receipts: Receipts,
    /// `None` if it is off.
    pub rate_limiter: Option<SharedLimiter>,
    pub sfn: aws_sdk_sfn::Client,
    pub cloudwatch: aws_sdk_cloudwatch::Client,
    /// `None` if the deployment names no bus.
    pub settled_events: Option<SettledEvents>,
}

/// The JSON Schema of the event's `detail`.
#[cfg(feature = "schema")]
pub fn schema() -> schemars::Schema {
    apgl_contract::schema::of_output::<NotificationSettled>()
}

/// Why a status change is not recorded yet.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum NotRecorded {
    /// The message is not a status change of an execution.
    #[error(transparent)]
    InvalidEvent(#[from] InvalidField),
    #[error(transparent)]
    Aws(#[from] StepError),
}

/// Records the status changes of the batch one after the other, so that of duplicates one counts. Returns those that
/// failed.
///
/// # Errors
/// [`UnreadableBatch`].
pub async fn handle(deps: &Deps, batch: Value) -> Result<SqsBatchResponse, UnreadableBatch> {
    let mut failed = SqsBatchResponse::default();
    for message in &messages(batch)? {
        if let Err(error) = record(deps, message).await {
            let id = message.message_id.as_deref().unwrap_or_default();
            log(id, &error);
            failed.add_failure(id);
        }
    }
    Ok(failed)
}

/// Only what an operator must fix is an error. If the queue's retries don't help, other alarms ring.
fn log(message_id: &str, error: &NotRecorded) {
    let message = "the status change is not recorded yet";
    match error {
        NotRecorded::Aws(aws) if aws.name().recovery() == Recovery::Transient => {
            tracing::warn!(sqs.message_id = message_id, %error, "{message}");
        }
        _ => tracing::error!(sqs.message_id = message_id, %error, "{message}"),
    }
}

async fn record(deps: &Deps, message: &SqsMessage) -> Result<(), NotRecorded> {
    let body = message.body.as_deref().unwrap_or_default();
    let body = parse(body.as_bytes()).map_err(|_| InvalidField::new("body", "must be JSON"))?;
    let change = event::read(body).map_err(|invalid| invalid.within("body"))?;
    let (receipt, asked) = receipt(deps, change).await?;
    let recorded = deps.receipts.record(&receipt).await?;
    let Some(end) = &receipt.end else {
        return Ok(());
    };
    match recorded {
        Recorded::Written | Recorded::AlreadyEnded { counted: false } => {}
        Recorded::AlreadyEnded { counted: true } | Recorded::Outdated => return Ok(()),
    }
    if let Some(limiter) = &deps.rate_limiter {
        limiter.release(&receipt.execution_id, end.at).await?;
    }
    if let Some(bus) = &deps.settled_events {
        for event in settled::events(&receipt, end, asked)? {
            bus.put(&event).await?;
        }
    }
    count(deps, &receipt.workflow, end).await?;
    deps.receipts.mark_counted(&receipt).await?;
    tracing::info!(
        executionId = receipt.execution_id,
        workflow = receipt.workflow,
        execution.status = end.status,
        "recorded how the execution ended"
    );
    Ok(())
}

/// The receipt and what the request asks for whom, from the event and, if that is incomplete, from the history.
async fn receipt(
    deps: &Deps,
    change: StatusChange,
) -> Result<(Receipt, Vec<(ReportedAddress, Asked)>), StepError> {
    let has_output = |ended: &Ended| ended.output.is_some();
    let is_complete = change.input.is_some() && change.ended.as_ref().is_none_or(has_output);
    let history = if is_complete {
        History::default()
    } else {
        let history = History::of(&deps.sfn, &change.execution_id).await;
        history.map_err(|error| {
            apgl_aws::step_error("Step Functions", "GetExecutionHistory", &error)
        })?
    };
    let input = change.input.as_ref().or(history.input.as_ref());
    let operation = operation_of(&change.workflow);
    let request = Request::read(input.map_or("{}", String::as_str), operation);
    let end = change.ended.map(|ended| end(ended, &history, operation));
    let receipt = Receipt {
        execution_id: change.execution_id,
        workflow: change.workflow,
        key: change.key,
        channel_name: request.channel_name,
        people: request.people,
        started_at: change.started_at,
        since: change.redriven_at.unwrap_or(change.started_at),
        redrive_count: change.redrive_count,
        end,
    };
    Ok((receipt, request.asked))
}

/// The operation of a state machine, whose name is the deployment's prefix and the workflow's file name.
fn operation_of(workflow: &str) -> Option<Operation> {
    Operation::ALL
        .into_iter()
        .find(|operation| workflow.ends_with(&format!("-{operation}")))
}

fn end(ended: Ended, history: &History, operation: Option<Operation>) -> End {
    let output = ended.output.or_else(|| history.output.clone());
    let is_partial = output.is_none();
    End {
        status: ended.status,
        at: ended.at,
        error: ended.error,
        outcome: output.unwrap_or_else(|| history.partial_outcome(operation).to_string()),
        is_partial,
    }
}

async fn count(deps: &Deps, workflow: &str, end: &End) -> Result<(), StepError> {
    let counts = if end.status == SUCCEEDED {
        let outcome = parse(end.outcome.as_bytes()).unwrap_or_default();
        counts::successes(&outcome)
    } else {
        let ago = end.at.elapsed().unwrap_or_default();
        counts::failure(&end.status, end.error.as_deref(), ago)
    };
    if counts.is_empty() {
        return Ok(());
    }
    let data = counts.iter().map(|count| count.datum(workflow)).collect();
    deps.cloudwatch
        .put_metric_data()
        .namespace(apgl_aws::METRICS_NAMESPACE)
        .set_metric_data(Some(data))
        .send()
        .await
        .map_err(|error| apgl_aws::step_error("CloudWatch", "PutMetricData", &error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operation_is_the_end_of_a_state_machines_name() {
        for operation in Operation::ALL {
            let workflow = format!("apgl-notify-{operation}");
            assert_eq!(operation_of(&workflow), Some(operation));
        }
        assert_eq!(operation_of("apgl-other"), None);
    }

    #[test]
    fn an_end_without_an_output_is_partial() {
        let ended = |output: Option<&str>| Ended {
            status: SUCCEEDED.to_owned(),
            at: std::time::SystemTime::UNIX_EPOCH,
            output: output.map(str::to_owned),
            error: None,
        };
        let whole = end(
            ended(Some(r#"{"deleted":true}"#)),
            &History::default(),
            None,
        );
        assert!(!whole.is_partial);
        let too_large = History {
            output: Some("{}".to_owned()),
            ..History::default()
        };
        assert!(!end(ended(None), &too_large, None).is_partial);
        let unknown = end(ended(None), &History::default(), None);
        assert_eq!((unknown.outcome.as_str(), unknown.is_partial), ("{}", true));
    }
}
