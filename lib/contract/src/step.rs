//! The envelope in which a workflow hands each step its input.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::{Email, StepError};

/// A step's payload: which run it belongs to, and its own input.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step<I> {
    pub run: Run,
    pub input: I,
}

/// The execution that a step works for. It stands in every log line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Run {
    /// The execution's ARN. A redrive keeps it, so it is what makes a delivery one delivery.
    pub execution_id: String,
    /// The state machine's name.
    pub workflow: String,
    /// How often the workflow is still willing to wait for this step. At 0 a step that would ask for
    /// another wait fails with `Slack.WaitsExhausted` instead, so that the Task fails and not a
    /// `Fail` state: a redrive goes on from it. Steps that never ask for a wait leave it out.
    #[serde(default = "unbounded")]
    pub waits_left: i64,
    /// The turns that this step was given when it was asked to wait.
    #[serde(default)]
    pub turns: Vec<Turn>,
}

/// A place in the queue of those who wait for one of Slack's limits.
///
/// A step that may not call Slack yet leaves with its turns, the workflow sleeps and hands them back,
/// and the step makes the calls without asking again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Turn {
    /// The limit's name, for example `chat.postMessage#C012AB3CD`.
    pub limit: String,
    /// How many calls it is for.
    pub calls: u32,
    /// When the last of them may be made, in milliseconds of Slack's time since the epoch.
    pub at: u64,
    /// For how long Slack had held everybody up by the time when the turn was given, in
    /// milliseconds. What has come since is added to `at`.
    pub held_up: u64,
}

impl Turn {
    /// When it comes, where Slack has held everybody up for so long by now, in milliseconds.
    pub fn comes_at(&self, held_up: u64) -> u64 {
        self.at + held_up.saturating_sub(self.held_up)
    }
}

fn unbounded() -> i64 {
    i64::MAX
}

/// What a step knows about the invocation besides its input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    pub run: Run,
    /// Lambda's id of the invocation: another one for each attempt of a step.
    pub request_id: String,
    /// When Lambda ends this invocation.
    pub deadline: SystemTime,
}

impl Invocation {
    /// Whether at least this much time is left.
    pub fn has_time_for(&self, work: Duration) -> bool {
        SystemTime::now() + work <= self.deadline
    }

    /// Leaves the rest of `what` to the step's next invocation where less time than this is left.
    ///
    /// # Errors
    /// [`StepError::StepUnfinished`].
    pub fn need_time_for(&self, work: Duration, what: &'static str) -> Result<(), StepError> {
        if self.has_time_for(work) {
            return Ok(());
        }
        Err(StepError::StepUnfinished { what })
    }
}

/// Slack's id of a user, for example `U012AB3CD`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SlackUserId(pub String);

/// A person in Slack: the address that the request named, and Slack's id for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlackUser {
    pub email: Email,
    pub id: SlackUserId,
}
