use std::{fmt, time::Duration};

use apgl_aws::Refusal;
use apgl_contract::{ErrorName, InvalidField, Kind, request::Operation};
use serde_json::Value;

use crate::{ExecutionName, NameError};

/// Why a [`Client`](crate::Client) can't be made: an operator mends the environment.
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
    /// Neither a common start of the ARNs nor one workflow's own is there.
    #[error(
        "no state machine is known: set APGL_STATE_MACHINES, or for a workflow its own variable such as APGL_NOTIFY_PRIVATE_CHANNEL_ARN"
    )]
    NoStateMachine,
}

/// Why an event has no execution. The [table](crate#what-can-go-wrong) says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The request breaks a rule. Nothing was started.
    #[error(transparent)]
    InvalidRequest(#[from] InvalidField),
    /// No name can be made from the key. Nothing was started.
    #[error(transparent)]
    Key(#[from] NameError),
    /// The key has been used for another request. One of the two callers is wrong.
    #[error("execution {name} was started with another request: the idempotency key is not unique")]
    Conflict { name: ExecutionName },
    /// This client does not know the workflow's state machine.
    #[error("no state machine is known for {operation}: set {variable} or APGL_STATE_MACHINES")]
    NotConfigured {
        operation: Operation,
        variable: String,
    },
    /// Step Functions was throttled, out of order or out of reach, for as long as the budget lasted. The
    /// execution may have started; to start it again with the same key is safe.
    #[error("{action} failed for now: {reason}")]
    Unavailable {
        action: &'static str,
        reason: String,
    },
    /// Step Functions refused, for example with `AccessDeniedException` or `StateMachineDoesNotExist`.
    #[error("{action} was refused: {reason}")]
    Refused {
        action: &'static str,
        reason: String,
    },
}

impl StartError {
    pub(crate) fn of(action: &'static str, refusal: Refusal) -> Self {
        match refusal {
            Refusal::Passing(reason) => Self::Unavailable { action, reason },
            Refusal::Lasting(reason) => Self::Refused { action, reason },
        }
    }
}

/// Why there is no outcome to read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WaitError {
    /// The execution failed. An operator may redrive it, so this need not be its end.
    #[error("the execution failed with {0}")]
    Failed(Failure),
    /// The execution took longer than its workflow allows.
    #[error("the execution timed out")]
    TimedOut,
    /// Somebody stopped the execution.
    #[error("the execution was stopped")]
    Aborted,
    /// The execution goes on: it may wait for hours where Slack is limited or a person must act.
    #[error("the execution is still running after {} s", waited.as_secs())]
    StillRunning { waited: Duration },
    /// There is no such execution, or no longer: Step Functions keeps it for 90 days after its end.
    #[error("there is no such execution")]
    NoSuchExecution,
    /// The execution succeeded with an outcome of another shape: this client is too old for the workflow.
    #[error("the outcome does not fit this client: {0}")]
    UnreadableOutcome(InvalidField),
    /// Step Functions could not be asked. The execution goes on.
    #[error("DescribeExecution failed: {reason}")]
    StepFunctions { reason: String },
}

/// How an execution failed, as far as it may be shown: no text of a message and no address is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// The error's name, for example `Slack.Rejected`, or one of Step Functions' or Lambda's own.
    pub error: String,
    /// What happened, where the error is one of ours.
    pub message: Option<String>,
    /// For `InvalidRequest`: the field at fault.
    pub field: Option<String>,
    /// Slack's own code, for example `restricted_action`.
    pub slack_error: Option<String>,
}

impl Failure {
    /// Reads an execution's error and cause. The cause is ours as it stands in a `Fail` state, or inside
    /// of Lambda's own where a Task failed. Another's cause may quote anything, and is left out.
    pub fn new(error: &str, cause: &str) -> Self {
        let cause: Value = cause.parse().unwrap_or_default();
        let ours = match cause["errorMessage"].as_str() {
            Some(inner) => inner.parse().unwrap_or_default(),
            None => cause,
        };
        let text = |field: &str| ours[field].as_str().map(str::to_owned);
        let is_ours = ErrorName::from_name(error).is_some();
        let ours = |field| text(field).filter(|_| is_ours);
        Self {
            error: error.to_owned(),
            message: ours("message"),
            field: ours("field"),
            slack_error: ours("slackError"),
        }
    }

    /// The error, if the contract has it. `None` stands for a crash, a time-out or a bug.
    pub fn name(&self) -> Option<ErrorName> {
        ErrorName::from_name(&self.error)
    }

    /// Whether the execution can go on from the step that failed, once its cause is mended. A final error
    /// needs a new request, under a new key.
    pub fn can_be_redriven(&self) -> bool {
        self.name().is_none_or(|name| name.kind() != Kind::Final)
    }
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
    fn a_mendable_error_is_read_from_the_answer_of_lambda() {
        let cause = r#"{"errorType":"Slack.Unauthorized","errorMessage":"{\"message\":\"no\",\"slackError\":\"token_revoked\"}"}"#;
        let failure = Failure::new("Slack.Unauthorized", cause);
        assert_eq!(failure.slack_error.as_deref(), Some("token_revoked"));
        assert!(failure.can_be_redriven());
    }

    #[test]
    fn the_cause_of_somebody_elses_error_is_not_shown() {
        let cause =
            r#"{"errorType":"Runtime.ExitError","errorMessage":"{\"message\":\"hello ana\"}"}"#;
        for cause in [cause, "evaluated with ana@example.com"] {
            let failure = Failure::new("Runtime.ExitError", cause);
            assert_eq!(failure.to_string(), "Runtime.ExitError");
            assert!(failure.can_be_redriven());
        }
    }
}
