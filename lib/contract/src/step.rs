//! The envelope in which a workflow passes each step its input.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::{Email, StepError, epoch::time_of};

/// A step's payload: which execution it belongs to, and its own input.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step<I> {
    pub run: Run,
    pub input: I,
}

/// How many times a step may wait, and how many times more for each redrive of its execution.
const WAITS: i64 = 100;

/// The execution that a step works for. Every log line contains it.
///
/// Unknown fields are ignored: after a rollback, running executions continue with a definition that is newer
/// than their functions. Release 0.1 rejects them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    /// The execution's ARN. A redrive keeps it, so it identifies a delivery.
    pub execution_id: String,
    /// The state machine's name.
    pub workflow: String,
    /// When the execution was started, or last redriven, in milliseconds since the epoch.
    #[serde(default)]
    pub started_at: Option<u64>,
    /// When the execution was started. A redrive keeps it. Only a step that needs it gets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_started_at: Option<u64>,
    /// How long the execution may run from then on.
    #[serde(default)]
    pub timeout_seconds: Option<u64>,
    #[serde(default)]
    pub redrive_count: u32,
    /// How often the workflow has waited for this step.
    #[serde(default)]
    pub waits: u32,
    /// The workflow may go back to look the channel up again once after the start and once after each redrive. This
    /// is how many of these look-ups are used up; one that is not needed does not stay for a later redrive. `None` for
    /// a step from which the workflow does not go back, except `OpenConversation`, which then asks Slack again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel_lookups: Option<u32>,
    /// When the step's users were resolved, in milliseconds since the epoch. It stands here and not in the step's
    /// input, whose fields must all be known to the function.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved_at: Option<u64>,
    /// The counterpart in definitions of release 0.1: how many more times the workflow will wait.
    #[serde(default, skip_serializing)]
    pub waits_left: Option<i64>,
}

impl Run {
    /// Whether the step may ask for another wait. Otherwise it fails with `Slack.WaitsExhausted`. That fails the
    /// Task instead of ending in a `Fail` state, so a redrive continues from the step, with new waits.
    pub fn has_waits_left(&self) -> bool {
        let allowed = WAITS * (1 + i64::from(self.redrive_count));
        let left = allowed - i64::from(self.waits);
        self.waits_left.unwrap_or(left) > 0
    }

    /// Whether the workflow goes back to look the channel up again: once, and once more after each redrive.
    pub fn may_look_up_again(&self) -> bool {
        self.channel_lookups
            .is_some_and(|used| used <= self.redrive_count)
    }

    /// Whether the workflow goes back after a redrive to look people and the channel up again. The redrive can be two weeks
    /// after the first look-up: people may have opted out since, and their addresses may have passed to others. It also
    /// goes back if the redrive began with the look-up, which the step does not know.
    pub fn looks_up_again_after_redrive(&self) -> bool {
        self.redrive_count > 0 && self.may_look_up_again()
    }

    /// When the execution was last redriven. What was learnt before that may be the cause that somebody has fixed
    /// since, so it must be asked for again.
    pub fn redriven_at(&self) -> Option<SystemTime> {
        self.began_at().filter(|_| self.redrive_count > 0)
    }

    /// This time, or the last redrive if that was later: what was learnt before does not count.
    pub fn since_redrive(&self, since: SystemTime) -> SystemTime {
        self.redriven_at().map_or(since, |at| since.max(at))
    }

    /// When the execution was started, or last redriven.
    pub fn began_at(&self) -> Option<SystemTime> {
        self.started_at.map(time_of)
    }

    /// When the execution was started, in milliseconds since the epoch. Definitions of release 0.1 don't tell it after a
    /// redrive.
    pub fn execution_started_at(&self) -> Option<u64> {
        let until_redrive = self.started_at.filter(|_| self.redrive_count == 0);
        self.execution_started_at.or(until_redrive)
    }

    /// Whether an earlier invocation of this step may have asked for a wait.
    pub fn may_have_waited(&self) -> bool {
        self.waits > 0 || self.waits_left.is_some()
    }
}

/// What a step knows about the invocation besides its input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    pub run: Run,
    /// Lambda's id of the invocation; each attempt of a step has a new one.
    pub request_id: String,
    /// When Lambda ends this invocation.
    pub deadline: SystemTime,
}

impl Invocation {
    /// Whether at least this much time is left.
    pub fn has_time_for(&self, work: Duration) -> bool {
        SystemTime::now() + work <= self.deadline
    }

    /// Returns an error if less time than `work` is left, so that the next invocation does the rest of `what`.
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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SlackUserId(pub String);

impl SlackUserId {
    /// Whether it has the form of such an id: 1 to 50 letters and digits.
    pub(crate) fn is_valid(&self) -> bool {
        let Self(id) = self;
        (1..=50).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric())
    }
}

/// A Slack user: the address from the request, and Slack's id of the user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlackUser {
    pub email: Email,
    pub id: SlackUserId,
}

/// The direct message between the bot and a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DirectMessage {
    /// Slack's id of the conversation, for example `D012AB3CD`.
    pub id: String,
    pub email: Email,
    pub user_id: SlackUserId,
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn run(fields: &Value) -> Run {
        let mut run = json!({ "executionId": "arn", "workflow": "apgl-delete-channel" });
        let fields = fields.as_object().unwrap().clone();
        run.as_object_mut().unwrap().extend(fields);
        serde_json::from_value(run).unwrap()
    }

    #[rstest]
    #[case::first(json!({ "waits": 0 }), true)]
    #[case::last(json!({ "waits": 99 }), true)]
    #[case::used_up(json!({ "waits": 100 }), false)]
    #[case::redriven(json!({ "waits": 100, "redriveCount": 1 }), true)]
    #[case::used_up_again(json!({ "waits": 200, "redriveCount": 1 }), false)]
    #[case::old_definition(json!({ "waitsLeft": 1, "turns": [] }), true)]
    #[case::old_definition_used_up(json!({ "waitsLeft": 0, "turns": [] }), false)]
    #[case::step_that_never_waits(json!({}), true)]
    fn waits_are_counted_for_each_start_and_redrive(#[case] fields: Value, #[case] left: bool) {
        assert_eq!(run(&fields).has_waits_left(), left);
    }

    #[rstest]
    #[case::first(json!({ "channelLookups": 0 }), true)]
    #[case::used_up(json!({ "channelLookups": 1 }), false)]
    #[case::redriven(json!({ "channelLookups": 1, "redriveCount": 1 }), true)]
    #[case::used_up_again(json!({ "channelLookups": 2, "redriveCount": 1 }), false)]
    #[case::redriven_often(json!({ "channelLookups": 1, "redriveCount": 5 }), true)]
    #[case::redriven_often_and_used_up(json!({ "channelLookups": 6, "redriveCount": 5 }), false)]
    #[case::step_that_never_goes_back(json!({ "redriveCount": 1 }), false)]
    fn a_channel_is_looked_up_again_once_for_each_start_and_redrive(
        #[case] fields: Value,
        #[case] again: bool,
    ) {
        assert_eq!(run(&fields).may_look_up_again(), again);
    }

    #[test]
    fn a_field_of_a_newer_definition_is_ignored() {
        assert_eq!(run(&json!({ "priority": 1 })).execution_id, "arn");
    }
}
