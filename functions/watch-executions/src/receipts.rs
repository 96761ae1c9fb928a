//! Finds receipts that no event has opened or completed, because EventBridge delivers on a best-effort basis.

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime},
};

use aws_sdk_sfn::{
    operation::describe_execution::{DescribeExecutionError, DescribeExecutionOutput},
    primitives::DateTime,
    types::ExecutionStatus,
};
use serde_json::{Value, json};

use crate::{Deps, NotMeasured, Running, StateMachine, not_measured};

/// After this time, an event is late.
const LATE: Duration = Duration::from_mins(10);
/// Executions that started at most this long ago are checked. The function runs every five minutes, so each is
/// checked several times.
const RECENT: Duration = Duration::from_mins(25);
/// The most executions of a workflow that one run lists. In a burst of more, the earlier ones are not checked.
const MOST_LISTED: usize = 10_000;
/// The most executions of a workflow that one run reports; the rest follows in the next run.
const MOST_REPORTED: usize = 100;
/// Longer texts are left out of a message, as EventBridge leaves them out of an event.
const LONGEST_TEXT: usize = 100 * 1024;

/// Sends the current status of each execution whose receipt is late to the queue of status changes.
pub(crate) async fn catch_up(
    deps: &Deps,
    machine: &StateMachine,
    running: &[Running],
    now: SystemTime,
) -> Result<(), NotMeasured> {
    let running: BTreeSet<&str> = running.iter().map(|one| one.arn.as_str()).collect();
    let mut open = deps
        .receipts
        .running_since_before(&machine.name, now - LATE)
        .await?;
    open.retain(|id| !running.contains(id.as_str()));
    let recent = started_recently(deps, machine, now).await?;
    let missing = deps.receipts.missing(&recent).await?;
    for id in open.iter().chain(&missing).take(MOST_REPORTED) {
        if let Some(execution) = describe(deps, id).await? {
            report(deps, &execution).await?;
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

async fn report(deps: &Deps, execution: &DescribeExecutionOutput) -> Result<(), NotMeasured> {
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
    let (mut recent, mut listed) = (BTreeSet::new(), 0);
    while let Some(execution) = executions.next().await {
        let execution = execution.map_err(|error| not_measured("ListExecutions", &error))?;
        let started = SystemTime::try_from(execution.start_date).unwrap_or(now);
        let ago = now.duration_since(started).unwrap_or_default();
        if (LATE..RECENT).contains(&ago) {
            recent.insert(execution.execution_arn);
        }
        listed += 1;
        // The most recent ones come first. Running ones that are older are not recent either.
        if ago > RECENT || listed == MOST_LISTED {
            break;
        }
    }
    Ok(recent.into_iter().collect())
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
