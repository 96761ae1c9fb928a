//! The status change of an execution, as EventBridge reports it.
//!
//! Source: "Automating Step Functions event delivery with EventBridge", AWS.

use std::time::SystemTime;

use apgl_contract::{InvalidField, decode, epoch::time_of};
use serde::Deserialize;
use serde_json::Value;

const RUNNING: &str = "RUNNING";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusChange {
    /// The execution's ARN.
    pub execution_id: String,
    /// The state machine's name.
    pub workflow: String,
    /// The execution's name.
    pub key: String,
    pub started_at: SystemTime,
    /// When it was last redriven.
    pub redriven_at: Option<SystemTime>,
    pub redrive_count: u32,
    /// The caller's request; missing in the event if it is too large.
    pub input: Option<String>,
    /// `None` while the execution runs.
    pub ended: Option<Ended>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// `SUCCEEDED`, `FAILED`, `TIMED_OUT` or `ABORTED`.
    pub status: String,
    pub at: SystemTime,
    /// The output of a successful execution; missing in the event if it is too large.
    pub output: Option<String>,
    pub error: Option<String>,
}

#[derive(Deserialize)]
struct Event {
    detail: Detail,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Detail {
    execution_arn: String,
    state_machine_arn: String,
    name: String,
    status: String,
    /// In milliseconds since the epoch, like all dates here.
    start_date: u64,
    stop_date: Option<u64>,
    redrive_date: Option<u64>,
    #[serde(default)]
    redrive_count: u32,
    input: Option<String>,
    output: Option<String>,
    error: Option<String>,
}

/// Reads an event.
///
/// # Errors
/// [`InvalidField`] if it is not the status change of an execution.
pub fn read(event: Value) -> Result<StatusChange, InvalidField> {
    let Event { detail } = decode(event)?;
    let ended = (detail.status != RUNNING).then(|| Ended {
        at: time_of(detail.stop_date.unwrap_or(detail.start_date)),
        status: detail.status,
        output: detail.output,
        error: detail.error,
    });
    Ok(StatusChange {
        execution_id: detail.execution_arn,
        workflow: last_part(&detail.state_machine_arn).to_owned(),
        key: detail.name,
        started_at: time_of(detail.start_date),
        redriven_at: detail.redrive_date.map(time_of),
        redrive_count: detail.redrive_count,
        input: detail.input,
        ended,
    })
}

fn last_part(arn: &str) -> &str {
    arn.rsplit(':').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(changes: &Value) -> Value {
        let mut detail = json!({
            "executionArn": "arn:aws:states:us-east-1:1:execution:apgl-x:event-1",
            "stateMachineArn": "arn:aws:states:us-east-1:1:stateMachine:apgl-x",
            "name": "event-1", "status": "RUNNING", "startDate": 1_000, "stopDate": null,
            "input": "{}", "output": null, "error": null, "redriveCount": 0, "redriveDate": null,
        });
        let changes = changes.as_object().unwrap().clone();
        detail.as_object_mut().unwrap().extend(changes);
        json!({ "detail-type": "Step Functions Execution Status Change", "detail": detail })
    }

    #[test]
    fn a_running_execution_has_no_end() {
        let change = read(event(&json!({}))).unwrap();
        assert_eq!((change.workflow.as_str(), change.ended), ("apgl-x", None));
        assert_eq!(change.started_at, time_of(1_000));
    }

    #[test]
    fn an_end_has_a_status_a_time_and_an_error() {
        let change = read(event(&json!({
            "status": "FAILED", "stopDate": 9_000, "error": "Slack.Unauthorized",
            "redriveCount": 2, "redriveDate": 5_000,
        })));
        let change = change.unwrap();
        assert_eq!(change.redrive_count, 2);
        assert_eq!(change.redriven_at, Some(time_of(5_000)));
        let ended = change.ended.unwrap();
        assert_eq!(
            (ended.status.as_str(), ended.at),
            ("FAILED", time_of(9_000))
        );
        assert_eq!(ended.error.as_deref(), Some("Slack.Unauthorized"));
    }

    #[test]
    fn any_other_event_is_rejected_with_the_missing_field() {
        let invalid = read(json!({ "detail": { "bucket": "b" } })).unwrap_err();
        assert_eq!(invalid.field, "detail.executionArn");
    }
}
