use std::{fmt, time::Duration};

use apgl_aws::AwsError;
use apgl_contract::{ErrorName, InvalidField, Recovery, request::Operation};
use serde_json::Value;

use crate::{ExecutionName, NameError};

/// Why a [`Client`](crate::Client) can't be created. An operator must fix the environment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    #[error(transparent)]
    Aws(#[from] apgl_aws::ConfigError),
    #[error("the caller's name {0}")]
    Caller(NameError),
    #[error("environment variable {variable} {rule}")]
    Variable {
        variable: String,
        rule: &'static str,
    },
    /// Neither the common start of the ARNs nor the ARN of any workflow is set.
    #[error(
        "no state machine is known: set APGL_STATE_MACHINES, or a workflow's own variable such as APGL_NOTIFY_PRIVATE_CHANNEL_ARN"
    )]
    NoStateMachine,
}

/// Why no execution was started. The [table](crate#what-can-go-wrong) says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The request breaks a rule. Nothing was started.
    #[error(transparent)]
    InvalidRequest(#[from] InvalidField),
    /// No name can be made from the key. Nothing was started.
    #[error(transparent)]
    Key(#[from] NameError),
    /// The key has already been used for a different request. One of the two callers is wrong.
    #[error("execution {name} was started with another request: the idempotency key is not unique")]
    Conflict { name: ExecutionName },
    /// The workflow's state machine is not configured.
    #[error("no state machine is known for {operation}: set {variable} or APGL_STATE_MACHINES")]
    NotConfigured {
        operation: Operation,
        variable: String,
    },
    /// Step Functions throttled the call, or was unavailable or unreachable, until the budget ran out. The
    /// execution may have started. Starting it again with the same key is safe.
    #[error("{action} failed temporarily: {reason}")]
    Unavailable {
        action: &'static str,
        reason: String,
    },
    /// Step Functions rejected the call, for example with `AccessDeniedException` or `StateMachineDoesNotExist`.
    #[error("{action} was refused: {reason}")]
    Refused {
        action: &'static str,
        reason: String,
    },
}

impl StartError {
    pub(crate) fn of(action: &'static str, error: AwsError) -> Self {
        match error {
            AwsError::Transient(reason) => Self::Unavailable { action, reason },
            AwsError::Permanent(reason) => Self::Refused { action, reason },
        }
    }
}

/// Why there is no outcome to read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WaitError {
    /// The execution failed. This may not be final: an operator can redrive it.
    #[error("the execution failed with {0}")]
    Failed(Failure),
    /// The execution took longer than its workflow allows.
    #[error("the execution timed out")]
    TimedOut,
    /// Somebody stopped the execution.
    #[error("the execution was stopped")]
    Aborted,
    /// The execution is still running. It may wait for hours, for a rate limit or for a person.
    #[error("the execution is still running after {} s", waited.as_secs())]
    StillRunning { waited: Duration },
    /// The execution does not exist, or no longer: Step Functions keeps executions for 90 days after their end.
    #[error("there is no such execution")]
    NoSuchExecution,
    /// The execution succeeded, but its outcome has a different shape: this client is too old for the workflow.
    #[error("the outcome does not fit this client: {0}")]
    UnreadableOutcome(InvalidField),
    /// Step Functions could not be asked. The execution itself is not affected.
    #[error("DescribeExecution failed: {reason}")]
    StepFunctions { reason: String },
}

/// How an execution failed. It contains no message text and no address, so it is safe to show.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// The error's name: one of ours, such as `Slack.Rejected`, or one that Step Functions or Lambda defines.
    pub error: String,
    /// What happened, if the error is one of ours.
    pub message: Option<String>,
    /// For `InvalidRequest`: the invalid field.
    pub field: Option<String>,
    /// Slack's own error code, for example `restricted_action`.
    pub slack_error: Option<String>,
    /// Whether the execution ended in a `Fail` state, from which no redrive continues. Final errors do; executions of
    /// definitions before 0.2 also did after some errors that can be redriven now, such as `Channel.NotFound`.
    pub is_in_fail_state: bool,
}

impl Failure {
    /// Reads an execution's error and cause. From a `Fail` state our cause comes as it is; if a Task failed, it is
    /// inside Lambda's cause. Any other cause is left out, because it may quote anything.
    pub fn new(error: &str, cause: &str) -> Self {
        let cause: Value = cause.parse().unwrap_or_default();
        let (ours, is_from_a_task) = match cause["errorMessage"].as_str() {
            Some(inner) => (inner.parse().unwrap_or_default(), true),
            None => (cause, false),
        };
        let text = |field: &str| ours[field].as_str().map(str::to_owned);
        let is_ours = ErrorName::from_name(error).is_some();
        let is_in_fail_state = is_ours && !is_from_a_task && text("message").is_some();
        let ours = |field| text(field).filter(|_| is_ours);
        Self {
            error: printable(error),
            message: ours("message"),
            field: ours("field"),
            slack_error: ours("slackError"),
            is_in_fail_state,
        }
    }

    /// The error's name, if the contract defines it. `None` means a crash, a time-out or a bug.
    pub fn name(&self) -> Option<ErrorName> {
        ErrorName::from_name(&self.error)
    }

    /// Whether no fix makes the same request succeed, such as `InvalidRequest`.
    pub fn is_final(&self) -> bool {
        self.name()
            .is_some_and(|name| name.recovery() == Recovery::Terminal)
    }

    /// Whether the execution can continue from the step that failed, after the cause is fixed. If not, it needs a new
    /// request with a new key.
    pub fn can_be_redriven(&self) -> bool {
        !self.is_final() && !self.is_in_fail_state
    }
}

/// Whoever stops an execution may name any error, which could otherwise control the terminal that shows it.
fn printable(error: &str) -> String {
    let control = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    error.replace(control, "\u{fffd}")
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.error)?;
        match &self.message {
            Some(message) => write!(f, ": {message}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_final_error_is_read_from_the_fail_states_cause() {
        let cause = r#"{"message":"members[1]: must be an address","field":"members[1]"}"#;
        let failure = Failure::new("InvalidRequest", cause);
        assert_eq!(failure.name(), Some(ErrorName::InvalidRequest));
        assert_eq!(failure.field.as_deref(), Some("members[1]"));
        assert!(!failure.can_be_redriven());
        assert_eq!(
            failure.to_string(),
            "InvalidRequest: members[1]: must be an address"
        );
    }

    #[test]
    fn a_fixable_error_is_read_from_lambdas_response() {
        let cause = r#"{"errorType":"Slack.Unauthorized","errorMessage":"{\"message\":\"no\",\"slackError\":\"token_revoked\"}"}"#;
        let failure = Failure::new("Slack.Unauthorized", cause);
        assert_eq!(failure.slack_error.as_deref(), Some("token_revoked"));
        assert!(failure.can_be_redriven());
    }

    /// As an execution of release 0.1 ends.
    #[test]
    fn a_fixable_error_from_a_fail_state_cannot_be_redriven() {
        let ours = r#"{"message":"the bot can't see #x"}"#;
        let in_fail_state = Failure::new("Channel.NotFound", ours);
        assert!(in_fail_state.is_in_fail_state);
        assert!(!in_fail_state.can_be_redriven());
        let cause = json!({ "errorType": "Channel.NotFound", "errorMessage": ours });
        let of_a_task = Failure::new("Channel.NotFound", &cause.to_string());
        assert!(!of_a_task.is_in_fail_state);
        assert!(of_a_task.can_be_redriven());
    }

    #[test]
    fn an_error_that_somebody_has_named_cannot_control_the_terminal() {
        let failure = Failure::new("x\u{1b}[2J\r\nfine", "");
        assert_eq!(failure.to_string(), "x\u{fffd}[2J\u{fffd}\u{fffd}fine");
    }

    #[test]
    fn the_cause_of_an_error_that_is_not_ours_is_not_shown() {
        let cause =
            r#"{"errorType":"Runtime.ExitError","errorMessage":"{\"message\":\"hello ana\"}"}"#;
        for cause in [cause, "evaluated with ana@example.com"] {
            let failure = Failure::new("Runtime.ExitError", cause);
            assert_eq!(failure.to_string(), "Runtime.ExitError");
            assert!(failure.can_be_redriven());
        }
    }
}
