//! What a workflow answers. One shape for all, with the parts that apply.

use serde::{Deserialize, Serialize};

use crate::{ChannelRef, Email, MessageTs};

/// The output of a workflow that succeeded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<ChannelRef>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub members: Option<MembersOutcome>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<PostedMessage>,
}

/// What became of each person that the request named. Nobody is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MembersOutcome {
    pub invited: Vec<Email>,
    pub already_members: Vec<Email>,
    pub skipped: Vec<Skipped>,
}

/// A person who was not invited, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Skipped {
    pub email: Email,
    pub reason: SkipReason,
}

/// Why a person was not invited. Only permanent reasons: what may pass fails the step instead, so
/// that a retry or a redrive reaches everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    /// The person does not want Slack notifications.
    OptedOut,
    /// There is no user profile for the address.
    NoProfile,
    /// The profile's `notificationPreferences.slack` is not a boolean.
    InvalidProfile,
    /// Slack knows no active user with this address.
    NotInSlack,
    /// A guest, or somebody whom the workspace's settings keep out of this channel.
    Restricted,
    /// Slack does not let this bot invite this person.
    CannotInvite,
    /// The address belongs to a bot or an app.
    Bot,
}

impl SkipReason {
    /// The reason as it stands in outcomes and in the metric's dimension.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OptedOut => "opted_out",
            Self::NoProfile => "no_profile",
            Self::InvalidProfile => "invalid_profile",
            Self::NotInSlack => "not_in_slack",
            Self::Restricted => "restricted",
            Self::CannotInvite => "cannot_invite",
            Self::Bot => "bot",
        }
    }
}

/// The message as it stands in Slack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PostedMessage {
    pub ts: MessageTs,
    /// Whether an earlier attempt of this execution had posted it already.
    pub duplicate: bool,
}
