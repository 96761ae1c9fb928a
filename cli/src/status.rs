//! What an execution's status means to a person.

use anstyle::Style;
use aws_sdk_sfn::types::ExecutionStatus;

use crate::report::{BAD, GOOD, WARNING};

/// The statuses of executions that did not succeed.
pub const FAILED: [ExecutionStatus; 3] = [
    ExecutionStatus::Failed,
    ExecutionStatus::TimedOut,
    ExecutionStatus::Aborted,
];

pub fn has_failed(status: &ExecutionStatus) -> bool {
    FAILED.contains(status)
}

pub fn style_of(status: &ExecutionStatus) -> Style {
    match status {
        ExecutionStatus::Succeeded => GOOD,
        ExecutionStatus::Running | ExecutionStatus::PendingRedrive => WARNING,
        _ => BAD,
    }
}
