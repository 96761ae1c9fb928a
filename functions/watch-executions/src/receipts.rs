//! Finds receipts that no event has opened or completed, because EventBridge delivers on a best-effort basis.

use std::time::{Duration, SystemTime};

use aws_sdk_sfn::{
    operation::describe_execution::{DescribeExecutionError, DescribeExecutionOutput},
    primitives::DateTime,
    types::ExecutionStatus,
};
use serde_json::{Value, json};

use crate::{Deps, NotMeasured, StateMachine, not_measured};

/// After this time, an event is late.
const LATE: Duration = Duration::from_mins(10);
/// Executions that started at most this long ago are checked. The function runs every five minutes, so each is
/// checked several times.
const RECENT: Duration = Duration::from_mins(25);
/// The most receipts, and the most executions, of a workflow that one run checks.
const MOST_RECEIPTS: i32 = 50;
const MOST_EXECUTIONS: usize = 2_000;
/// Longer texts are left out of a message, as EventBridge leaves them out of an event.
const LONGEST_TEXT: usize = 100 * 1024;

/// Sends the current status of each execution whose receipt is late to the queue of status changes.
pub(crate) async fn catch_up(
    deps: &Deps,
    machine: &StateMachine,
    now: SystemTime,
) -> Result<(), NotMeasured> {
    let receipts = &deps.receipts;
    let open = receipts.running_since_before(&machine.name, now - LATE, MOST_RECEIPTS);
    for id in open.await? {
        let execution = describe(deps, &id).await?;
        // The receipt of an execution that is still running is correct.
        if let Some(ended) = execution.filter(|one| one.status != ExecutionStatus::Running) {
            tell(deps, &ended).await?;
        }
    }
    let recent = started_recently(deps, machine, now).await?;
    for id in receipts.missing(&recent).await? {
        if let Some(execution) = describe(deps, &id).await? {
            tell(deps, &execution).await?;
        }
    }
    Ok(())
}

/// `None` if Step Functions no longer has the execution: after 90 days, or after its state machine was deleted.
async fn describe(deps: &Deps, id: &str) -> Result<Option<DescribeExecutionOutput>, NotMeasured> {
    match deps.sfn.describe_execution().execution_arn(id).send().await {
        Ok(execution) => Ok(Some(execution)),
        Err(error) => match error.as_service_error() {
            Some(DescribeExecutionError::ExecutionDoesNotExist(_)) => Ok(None),
            _ => Err(not_measured("DescribeExecution", &error)),
        },
    }
}

async fn tell(deps: &Deps, execution: &DescribeExecutionOutput) -> Result<(), NotMeasured> {
    let message = deps.sqs.send_message().queue_url(&deps.outcomes_queue);
    let message = message.message_body(status_change(execution).to_string());
    let sent = message.send().await;
    sent.map_err(|error| not_measured("SendMessage", &error))?;
    tracing::warn!(
        executionId = execution.execution_arn,
        "no event reported the execution in time"
    );
    Ok(())
}

/// The ARNs of the executions that started recently, but long enough ago that their event is late.
async fn started_recently(
    deps: &Deps,
    machine: &StateMachine,
    now: SystemTime,
) -> Result<Vec<String>, NotMeasured> {
    let list = deps.sfn.list_executions().state_machine_arn(&machine.arn);
    let mut executions = list.into_paginator().page_size(crate::PAGE).items().send();
    let (mut recent, mut seen) = (Vec::new(), 0);
    while let Some(execution) = executions.next().await {
        let execution = execution.map_err(|error| not_measured("ListExecutions", &error))?;
        let started = SystemTime::try_from(execution.start_date).unwrap_or(now);
        let ago = now.duration_since(started).unwrap_or_default();
        seen += 1;
        // The latest come first: running executions, then ended ones by their end.
        if seen > MOST_EXECUTIONS {
            break;
        }
        if (LATE..RECENT).contains(&ago) {
            recent.push(execution.execution_arn);
        }
    }
    Ok(recent)
}

/// The status change as EventBridge would have sent it.
fn status_change(execution: &DescribeExecutionOutput) -> Value {
    let millis = |date: &DateTime| date.to_millis().unwrap_or_default();
    let fits = |text: &&String| text.len() <= LONGEST_TEXT;
    let has_succeeded = execution.status == ExecutionStatus::Succeeded;
    json!({
        "detail-type": "Step Functions Execution Status Change",
        "source": "aws.states",
        "detail": {
            "executionArn": execution.execution_arn,
            "stateMachineArn": execution.state_machine_arn,
            "name": execution.name,
            "status": execution.status.as_str(),
            "startDate": millis(&execution.start_date),
            "stopDate": execution.stop_date.as_ref().map(millis),
            "redriveDate": execution.redrive_date.as_ref().map(millis),
            "redriveCount": execution.redrive_count.unwrap_or_default(),
            "input": execution.input.as_ref().filter(fits),
            "output": execution.output.as_ref().filter(fits).filter(|_| has_succeeded),
            "error": execution.error,
        },
    })
}
