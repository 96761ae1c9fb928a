//! The errors that a step can fail with.
//!
//! Their names are a contract: the state machines match them in `Retry` and `Catch`, and operators
//! search for them in the console. [`ErrorName`] is the complete list; a test checks that it and the ASL
//! files contain the same names. The rest of an error goes into the execution's `Cause` and into the log, so
//! no variant may contain a token, a message's text or an e-mail address.
//!
//! Each name has one [`Recovery`], what a workflow does with the error, and one [`Origin`], who must act on it.
//!
//! | recovery | what the workflow does | does a redrive help? |
//! |---|---|---|
//! | [`Recovery::Terminal`] | catches it by name and ends in `Fail` | no |
//! | [`Recovery::Transient`] | retries the step with exponential backoff | yes, after the retries have run out |
//! | [`Recovery::Wait`] | sleeps for `retryAfterSeconds` in a `Wait` state, then runs the step again | – |
//! | [`Recovery::LookUp`] | goes back, once, to the step that looks the channel up | – |
//! | [`Recovery::Redrive`] | lets the Task fail the execution | yes, after somebody has fixed the cause |
//!
//! A workflow that has more to do than what the failed step does goes on after an error that
//! [people fix in Slack](ErrorName::is_fixed_in_slack), and passes it to a later step.
//!
//! Whatever somebody can fix, in Slack, in AWS or in the code, is not terminal. That includes every code that Slack
//! may add. Only a request that breaks a rule, and Slack's verdict on the message itself, stay what they are.

use std::{borrow::Cow, time::Duration};

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use crate::{ChannelName, InvalidField, Run, StepFailure};

/// The limits of a `Wait` state, which waits for whole seconds.
///
/// Source: "Wait workflow state", AWS Step Functions Developer Guide.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(99_999_999);

/// What a workflow does with an error. See the table in the [module's documentation](self).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recovery {
    Terminal,
    Transient,
    Wait,
    LookUp,
    Redrive,
}

/// Where the cause of an error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The request, or what people do and set in Slack. The step logs WARN: the workflow's alarm rings, and no release
    /// is taken back for it.
    Outside,
    /// The deployment: its token, roles, tables, load or code. The step logs ERROR, which rings the function's alarm.
    System,
}

macro_rules! error_names {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $recovery:ident, $origin:ident;)*) => {
        /// Every error name that a function can return and a state machine can match.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorName {
            $($(#[$doc])* $variant,)*
        }

        impl ErrorName {
            /// All names, in declaration order.
            pub const ALL: &[ErrorName] = &[$(ErrorName::$variant,)*];

            /// The name as ASL, `errorType` and the console show it.
            pub fn as_str(self) -> &'static str {
                match self { $(ErrorName::$variant => $name,)* }
            }

            pub fn recovery(self) -> Recovery {
                match self { $(ErrorName::$variant => Recovery::$recovery,)* }
            }

            pub fn origin(self) -> Origin {
                match self { $(ErrorName::$variant => Origin::$origin,)* }
            }

            /// Whether people in Slack must fix the cause.
            pub fn is_fixed_in_slack(self) -> bool {
                self.recovery() == Recovery::Redrive && self.origin() == Origin::Outside
            }

            /// The error with this name, if a function can return it.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|known| known.as_str() == name)
            }
        }
    };
}

error_names! {
    /// The request breaks a rule. The caller fixes it and sends a new one.
    InvalidRequest = "InvalidRequest", Terminal, Outside;
    /// The channel does not exist, or the bot can't see it. Create it or invite the bot, then redrive.
    ChannelNotFound = "Channel.NotFound", Redrive, Outside;
    /// Another channel has the name, and this request can't use that channel. Redrive when the name is free, or when
    /// the bot can use the channel.
    ChannelNameTaken = "Channel.NameTaken", Redrive, Outside;
    /// The channel is archived. A bot can't unarchive it: a person does, then redrive.
    ChannelArchived = "Channel.Archived", Redrive, Outside;
    /// The bot has not created the channel, and the request does not say that it may be archived all the same.
    ChannelNotOurs = "Channel.NotOurs", Terminal, Outside;
    /// The channel that the table knows is gone or archived. The workflow looks it up again, once; after that
    /// the step returns `Channel.NotFound` or `Channel.Archived`.
    ChannelStale = "Channel.Stale", LookUp, Outside;
    /// Slack refused the call: a workspace's setting or quota forbids it, or the channel does not allow it. The cause
    /// contains Slack's error code.
    SlackRejected = "Slack.Rejected", Redrive, Outside;
    /// Slack refused the message itself, for example its blocks. The caller fixes it and sends a new one.
    SlackMessageRejected = "Slack.MessageRejected", Terminal, Outside;
    /// The call must wait for `retryAfterSeconds`: Slack has refused it, or it is reserved for that time.
    SlackRateLimited = "Slack.RateLimited", Wait, System;
    /// The message may have been posted. The next attempt looks for it before posting again.
    SlackOutcomeUnknown = "Slack.OutcomeUnknown", Wait, System;
    /// Another attempt holds the claim on this delivery, or another delivery the lock of its sequence.
    DeliveryInProgress = "Delivery.InProgress", Wait, System;
    /// Another execution is creating a channel with this name.
    ChannelBeingCreated = "Channel.BeingCreated", Wait, System;
    /// Another execution is scanning Slack's channels, or the scan is paused by a rate limit.
    ChannelScanInProgress = "Channel.ScanInProgress", Wait, System;
    /// The step needs more time than one invocation has. The next invocation continues where it stopped.
    StepUnfinished = "Step.Unfinished", Wait, System;
    /// Slack is temporarily unavailable, and repeating the step is safe.
    SlackUnavailable = "Slack.Unavailable", Transient, System;
    /// DynamoDB or Secrets Manager throttles the call or is temporarily unavailable.
    StoreUnavailable = "Store.Unavailable", Transient, System;
    /// Slack rejects the token, or the token lacks a scope. An operator replaces the token, then redrives.
    SlackUnauthorized = "Slack.Unauthorized", Redrive, System;
    /// The queue for one of Slack's rate limits is so long that the execution would time out before this
    /// call's turn. Redrive when the load is over.
    SlackQueueTooLong = "Slack.QueueTooLong", Redrive, System;
    /// The step has used up the waits that its workflow allows. Redrive when the load is over.
    SlackWaitsExhausted = "Slack.WaitsExhausted", Redrive, System;
    /// The function can't read what the workflow sent: the two versions don't match. An operator deploys
    /// both again, then redrives.
    StepMalformed = "Step.Malformed", Redrive, System;
    /// The step broke a rule of its own. An operator deploys a fixed function, then redrives.
    StepBug = "Step.Bug", Redrive, System;
    /// DynamoDB or Secrets Manager rejected a call (access denied, no such table or secret), or a stored
    /// value can't be read. An operator fixes the cause, then redrives.
    StoreRejected = "Store.Rejected", Redrive, System;
}

impl std::fmt::Display for ErrorName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for ErrorName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A step's failure, with the details that a person needs to act on it.
///
/// `Display` and `Debug` are safe to log: see the [module's documentation](self).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    #[error(transparent)]
    InvalidRequest(#[from] InvalidField),
    #[error("channel `{channel}` was not found: {hint}")]
    ChannelNotFound { channel: String, hint: &'static str },
    #[error("the channel name `{channel}` is taken: {holder}")]
    ChannelNameTaken {
        channel: String,
        holder: &'static str,
    },
    #[error(
        "channel `{channel}` is archived; a person must unarchive it and invite the bot again, since a bot can't"
    )]
    ChannelArchived { channel: String },
    #[error(
        "the bot has not created channel `{channel}`, and it can't undo archiving it; set `evenIfNotOurs` if that is meant"
    )]
    ChannelNotOurs { channel: String },
    #[error("what was found for channel `{channel}` is out of date; it is looked up again")]
    ChannelStale { channel: String },
    #[error("Slack refused {method}: {code}{}", in_parentheses(detail.as_deref()))]
    SlackRejected {
        method: &'static str,
        code: String,
        /// What Slack says beside the code, for example which block is invalid.
        detail: Option<String>,
    },
    #[error("Slack refused the message: {code}{}", in_parentheses(detail.as_deref()))]
    SlackMessageRejected {
        code: String,
        detail: Option<String>,
    },
    #[error("{}", rate_limited(method, *retry_after, *is_certain))]
    SlackRateLimited {
        method: &'static str,
        retry_after: Duration,
        /// Whether the call is certain to be made after the wait: it is reserved, and Slack has not refused it.
        is_certain: bool,
    },
    #[error(
        "the queue for {method} is {} s long, and the execution would time out first; redrive it when the load is over",
        whole_seconds(*wait)
    )]
    SlackQueueTooLong {
        method: &'static str,
        wait: Duration,
    },
    #[error(
        "{method} may have taken effect ({reason}); the next attempt checks before it repeats the call"
    )]
    SlackOutcomeUnknown {
        method: &'static str,
        reason: String,
        retry_after: Duration,
    },
    #[error("another attempt is delivering this message, or one of its sequence; it is tried again in {} s", whole_seconds(*retry_after))]
    DeliveryInProgress { retry_after: Duration },
    #[error("another execution is creating channel `{channel}`")]
    ChannelBeingCreated {
        channel: String,
        retry_after: Duration,
    },
    #[error(
        "channel `{channel}` can't be looked up until the scan of Slack's channels has finished"
    )]
    ChannelScanInProgress {
        channel: String,
        retry_after: Duration,
    },
    #[error("the step continues with {what} in its next invocation")]
    StepUnfinished { what: &'static str },
    #[error("Slack is unavailable for {method}: {reason}")]
    SlackUnavailable {
        method: &'static str,
        reason: String,
    },
    #[error("{store} is unavailable for {operation}: {reason}")]
    StoreUnavailable {
        store: String,
        operation: &'static str,
        reason: String,
    },
    #[error("Slack does not accept the token for {method}: {code}{}", scopes.as_deref().unwrap_or_default())]
    SlackUnauthorized {
        method: &'static str,
        code: String,
        /// For `missing_scope`: which scope is needed and which the token has.
        scopes: Option<String>,
    },
    #[error("the step has used up the waits that its workflow allows; the last one was for {last}")]
    SlackWaitsExhausted { last: ErrorName },
    #[error("the workflow's payload does not fit the function: {field}: {rule}")]
    StepMalformed { field: String, rule: String },
    #[error("this is a bug of the step: {what}")]
    StepBug { what: Cow<'static, str> },
    #[error("{store} refused {operation}: {reason}")]
    StoreRejected {
        store: String,
        operation: &'static str,
        reason: String,
    },
    /// The workflow has gone on after this error, and now there is nothing left to do.
    #[error("{}", .0.reason)]
    OfEarlierStep(StepFailure),
}

fn in_parentheses(detail: Option<&str>) -> String {
    detail.map_or_else(String::new, |detail| format!(" ({detail})"))
}

/// Distinguishes a call that waits in its queue from one that Slack refused.
fn rate_limited(method: &str, retry_after: Duration, is_certain: bool) -> String {
    let seconds = whole_seconds(retry_after);
    if is_certain {
        return format!(
            "{method} is queued for Slack's rate limit; it will be called in {seconds} s"
        );
    }
    format!("Slack limits {method}; it may be called again in {seconds} s")
}

impl StepError {
    /// The error of an earlier step, without which there is nothing left to do. After a redrive the channel is looked up
    /// again: somebody may have fixed the cause.
    pub fn of_earlier_step(failure: StepFailure, channel: &ChannelName, run: &Run) -> Self {
        if run.looks_up_again_after_redrive() {
            return Self::ChannelStale {
                channel: channel.to_string(),
            };
        }
        Self::OfEarlierStep(failure)
    }

    /// A channel that is not there for a step is looked up again, if the workflow does that.
    #[must_use]
    pub fn or_look_up_again(self, run: &Run) -> Self {
        match self {
            Self::ChannelNotFound { channel, .. } | Self::ChannelArchived { channel }
                if run.may_look_up_again() =>
            {
                Self::ChannelStale { channel }
            }
            error => error,
        }
    }

    pub fn name(&self) -> ErrorName {
        match self {
            Self::InvalidRequest(_) => ErrorName::InvalidRequest,
            Self::ChannelNotFound { .. } => ErrorName::ChannelNotFound,
            Self::ChannelNameTaken { .. } => ErrorName::ChannelNameTaken,
            Self::ChannelArchived { .. } => ErrorName::ChannelArchived,
            Self::ChannelNotOurs { .. } => ErrorName::ChannelNotOurs,
            Self::ChannelStale { .. } => ErrorName::ChannelStale,
            Self::SlackRejected { .. } => ErrorName::SlackRejected,
            Self::SlackMessageRejected { .. } => ErrorName::SlackMessageRejected,
            Self::SlackRateLimited { .. } => ErrorName::SlackRateLimited,
            Self::SlackQueueTooLong { .. } => ErrorName::SlackQueueTooLong,
            Self::SlackOutcomeUnknown { .. } => ErrorName::SlackOutcomeUnknown,
            Self::DeliveryInProgress { .. } => ErrorName::DeliveryInProgress,
            Self::ChannelBeingCreated { .. } => ErrorName::ChannelBeingCreated,
            Self::ChannelScanInProgress { .. } => ErrorName::ChannelScanInProgress,
            Self::StepUnfinished { .. } => ErrorName::StepUnfinished,
            Self::SlackUnavailable { .. } => ErrorName::SlackUnavailable,
            Self::StoreUnavailable { .. } => ErrorName::StoreUnavailable,
            Self::SlackUnauthorized { .. } => ErrorName::SlackUnauthorized,
            Self::SlackWaitsExhausted { .. } => ErrorName::SlackWaitsExhausted,
            Self::StepMalformed { .. } => ErrorName::StepMalformed,
            Self::StepBug { .. } => ErrorName::StepBug,
            Self::StoreRejected { .. } => ErrorName::StoreRejected,
            Self::OfEarlierStep(failure) => {
                ErrorName::from_name(&failure.error).unwrap_or(ErrorName::StepMalformed)
            }
        }
    }

    /// For an error of [`Recovery::Wait`]: how long the workflow sleeps before it runs the step again.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::SlackRateLimited { retry_after, .. }
            | Self::SlackOutcomeUnknown { retry_after, .. }
            | Self::DeliveryInProgress { retry_after }
            | Self::ChannelBeingCreated { retry_after, .. }
            | Self::ChannelScanInProgress { retry_after, .. } => Some(*retry_after),
            Self::StepUnfinished { .. } => Some(SHORTEST_WAIT),
            _ => None,
        }
    }

    /// Whether the step is certain to go on after the wait. Such a wait never fails the step with
    /// `Slack.WaitsExhausted`, but it counts towards the limit that the next uncertain wait is checked against.
    pub fn is_certain(&self) -> bool {
        matches!(
            self,
            Self::SlackRateLimited {
                is_certain: true,
                ..
            }
        )
    }

    /// Slack's own error code, if there is one.
    pub fn slack_code(&self) -> Option<&str> {
        match self {
            Self::SlackRejected { code, .. }
            | Self::SlackMessageRejected { code, .. }
            | Self::SlackUnauthorized { code, .. } => Some(code),
            Self::OfEarlierStep(failure) => failure.slack_error.as_deref(),
            _ => None,
        }
    }

    /// The `errorMessage` that the Lambda function returns: JSON, so that ASL can read `retryAfterSeconds`
    /// from it. The value is rounded up to whole seconds and within the limits of a `Wait` state.
    pub fn cause(&self) -> Value {
        let mut cause = json!({ "message": self.to_string() });
        if let Some(retry_after) = self.retry_after() {
            cause["retryAfterSeconds"] = json!(whole_seconds(retry_after));
            // State machines older than 0.2 read it, and their executions can be redriven for 14 days.
            cause["turns"] = json!([]);
        }
        if let Self::InvalidRequest(invalid) = self {
            cause["field"] = json!(invalid.field);
        }
        if let Some(code) = self.slack_code() {
            cause["slackError"] = json!(code);
        }
        cause
    }
}

fn whole_seconds(duration: Duration) -> u64 {
    let wait = duration.clamp(SHORTEST_WAIT, LONGEST_WAIT);
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(Duration::ZERO, 1)]
    #[case(Duration::from_millis(1), 1)]
    #[case(Duration::from_secs(30), 30)]
    #[case(Duration::from_millis(30_001), 31)]
    #[case(Duration::from_secs(u64::MAX), 99_999_999)]
    #[case(Duration::MAX, 99_999_999)]
    fn a_wait_is_rounded_up_to_whole_seconds(#[case] retry_after: Duration, #[case] seconds: u64) {
        let cause = StepError::DeliveryInProgress { retry_after }.cause();
        assert_eq!(cause["retryAfterSeconds"], seconds);
    }

    #[rstest]
    #[case(false, "Slack limits chat.postMessage; it may be called again in 7 s")]
    #[case(
        true,
        "chat.postMessage is queued for Slack's rate limit; it will be called in 7 s"
    )]
    fn a_refused_call_is_distinguished_from_a_queued_one(
        #[case] is_certain: bool,
        #[case] text: &str,
    ) {
        let limited = StepError::SlackRateLimited {
            method: "chat.postMessage",
            retry_after: Duration::from_secs(7),
            is_certain,
        };
        assert_eq!(limited.to_string(), text);
    }

    #[test]
    fn the_cause_of_a_wait_contains_what_older_state_machines_read() {
        let limited = StepError::SlackRateLimited {
            method: "chat.postMessage",
            retry_after: Duration::from_secs(1),
            is_certain: true,
        };
        assert_eq!(limited.cause()["turns"], json!([]));
    }

    #[test]
    fn an_invalid_request_names_its_field_in_the_cause() {
        let cause = StepError::from(InvalidField::new("channelName", "must not be empty")).cause();
        assert_eq!(
            cause,
            json!({ "message": "channelName: must not be empty", "field": "channelName" })
        );
    }

    /// The run of a step whose workflow looks the channel up again, or of one that does not.
    fn run(looks_up_again: bool, redrive_count: u32) -> Run {
        Run {
            channel_lookups: looks_up_again.then_some(redrive_count),
            redrive_count,
            ..Run::default()
        }
    }

    #[test]
    fn a_channel_that_is_gone_is_looked_up_again_once() {
        let channel = "x".to_owned();
        let archived = StepError::ChannelArchived {
            channel: channel.clone(),
        };
        let again = StepError::ChannelStale { channel };
        assert_eq!(archived.clone().or_look_up_again(&run(true, 0)), again);
        assert_eq!(archived.clone().or_look_up_again(&run(false, 0)), archived);
        let other = StepError::StepUnfinished { what: "x" };
        assert_eq!(other.clone().or_look_up_again(&run(true, 0)), other);
    }

    #[rstest]
    #[case::first(run(true, 0), ErrorName::ChannelArchived)]
    #[case::redriven(run(true, 1), ErrorName::ChannelStale)]
    #[case::redriven_and_looked_up_again(run(false, 1), ErrorName::ChannelArchived)]
    fn an_earlier_steps_error_stays_until_a_redrive(#[case] run: Run, #[case] expected: ErrorName) {
        let archived = StepError::ChannelArchived {
            channel: "x".to_owned(),
        };
        let channel = "x".to_owned().try_into().unwrap();
        let error = StepError::of_earlier_step(StepFailure::from(&archived), &channel, &run);
        assert_eq!(error.name(), expected);
        if expected == ErrorName::ChannelArchived {
            assert_eq!(error.to_string(), archived.to_string());
        }
    }

    #[test]
    fn an_earlier_steps_error_keeps_slacks_code() {
        let refused = StepError::SlackMessageRejected {
            code: "invalid_blocks".to_owned(),
            detail: None,
        };
        let channel = "x".to_owned().try_into().unwrap();
        let error =
            StepError::of_earlier_step(StepFailure::from(&refused), &channel, &run(true, 0));
        assert_eq!(error.cause(), refused.cause());
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = ErrorName::ALL.iter().map(|name| name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ErrorName::ALL.len());
    }
}
