//! What a workflow returns: all outcomes share one shape, with the parts that apply.
//!
//! A caller may be older than the workflow, so unknown fields are ignored when an outcome is read. The schemas
//! allow only the fields that exist today.

use std::collections::HashMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use serde_json::Value;

use crate::{
    ChannelRef, Email, MessageTs, ReportedAddress, StepError,
    item::{CardOutcome, RecordedItem},
    reminders::RemindedOf,
};

/// The output of any workflow that succeeded.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Outcome {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<ChannelRef>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exists: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deleted: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub members: Option<ChangedMembers>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<MessageOutcome>,
    /// The person who was to be notified and was not, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<Skipped>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item: Option<RecordedItem>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub card: Option<CardOutcome>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reminded: Vec<RemindedOf>,
    #[serde(
        default,
        rename = "movedAfterSeconds",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub moved_after_seconds: Vec<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalated: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<Email>,
    #[serde(
        default,
        rename = "channelMessage",
        skip_serializing_if = "Option::is_none"
    )]
    pub channel_message: Option<MessageOutcome>,
    #[serde(
        default,
        rename = "channelNotTold",
        skip_serializing_if = "Option::is_none"
    )]
    pub channel_not_told: Option<StepFailure>,
}

/// The output of `create-channel`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(deny_unknown_fields)
)]
#[non_exhaustive]
pub struct CreateChannelOutcome {
    /// The channel that was found or created.
    pub channel: ChannelRef,
    /// The result for each person whom the request named.
    pub members: InvitedMembers,
}

/// The output of `notify-private-channel`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(deny_unknown_fields)
)]
#[non_exhaustive]
pub struct NotifyPrivateChannelOutcome {
    /// The channel that was found or created.
    pub channel: ChannelRef,
    /// The result for each person whom the request named.
    pub members: InvitedMembers,
    /// What became of the message.
    pub message: MessageOutcome,
}

/// The output of `notify-public-channel`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(deny_unknown_fields)
)]
#[non_exhaustive]
pub struct NotifyPublicChannelOutcome {
    /// The channel that was found.
    pub channel: ChannelRef,
    /// What became of the message.
    pub message: MessageOutcome,
}

/// The output of `change-channel-members`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(deny_unknown_fields)
)]
#[non_exhaustive]
pub struct ChangeChannelMembersOutcome {
    /// The channel that was found.
    pub channel: ChannelRef,
    /// The result for each person whom the request named.
    pub members: ChangedMembers,
}

/// The output of `check-channel-exists`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(deny_unknown_fields)
)]
#[non_exhaustive]
pub struct CheckChannelExistsOutcome {
    /// Whether a channel with this name exists, archived or not, as far as the bot can see. It sees public
    /// channels, and the private ones that it is a member of.
    pub exists: bool,
    /// The channel; left out if it does not exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "ChannelRef"))]
    pub channel: Option<ChannelRef>,
}

/// The output of `delete-channel`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(deny_unknown_fields)
)]
#[non_exhaustive]
pub struct DeleteChannelOutcome {
    /// Whether this execution archived the channel; `false` if it was archived already, or if the bot sees no
    /// channel with this name.
    pub deleted: bool,
    /// The channel with its current name; left out if it does not exist. If the name differs from the
    /// request's, the request's name is free again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "ChannelRef"))]
    pub channel: Option<ChannelRef>,
}

/// The output of `notify-person`: either `message`, or the person in `skipped`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(deny_unknown_fields)
)]
#[non_exhaustive]
pub struct NotifyPersonOutcome {
    /// What became of the message; left out if the person was skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "MessageOutcome"))]
    pub message: Option<MessageOutcome>,
    /// The person, if nothing was posted to them, and why. Empty otherwise.
    #[serde(default)]
    pub skipped: Vec<Skipped>,
}

/// The output of `update-item`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(deny_unknown_fields)
)]
#[non_exhaustive]
pub struct UpdateItemOutcome {
    /// The channel of the item's card; left out if the item is superseded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "ChannelRef"))]
    pub channel: Option<ChannelRef>,
    /// What became of the version.
    pub item: RecordedItem,
    /// The item's card; left out if the item is superseded, `null` if a newer version has moved to another channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<CardOutcome>"))]
    pub card: Option<CardOutcome>,
    /// For each person who had been reminded of the former state, how many seconds later the item has moved.
    #[serde(
        default,
        rename = "movedAfterSeconds",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub moved_after_seconds: Vec<u64>,
    /// Those of `waitingFor` who can't be reminded, and why.
    #[serde(default)]
    pub skipped: Vec<Skipped>,
}

/// The output of `remind`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(deny_unknown_fields)
)]
#[non_exhaustive]
pub struct RemindOutcome {
    /// The items of which the message reminds the person; empty if nothing was due any more.
    #[serde(default)]
    pub reminded: Vec<RemindedOf>,
    /// The message; left out if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "MessageOutcome"))]
    pub message: Option<MessageOutcome>,
    /// The person, if they can't be reminded, and why. Empty otherwise.
    #[serde(default)]
    pub skipped: Vec<Skipped>,
}

/// The output of `escalate`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(deny_unknown_fields)
)]
#[non_exhaustive]
pub struct EscalateOutcome {
    /// Whether the item still waited for somebody, so that it was escalated.
    pub escalated: bool,
    /// Who was told by a direct message; left out if nobody was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Email"))]
    pub told: Option<Email>,
    /// The direct message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "MessageOutcome"))]
    pub message: Option<MessageOutcome>,
    /// The item's channel; left out if nothing was posted there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "ChannelRef"))]
    pub channel: Option<ChannelRef>,
    /// The message in the item's channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "MessageOutcome"))]
    pub channel_message: Option<MessageOutcome>,
    /// Why the item's channel could not be told, or may not have been; left out if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "StepFailure"))]
    pub channel_not_told: Option<StepFailure>,
    /// Those of `escalateTo` who were passed over, and why.
    #[serde(default)]
    pub skipped: Vec<Skipped>,
}

/// The result for each person to be invited. Nobody is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(deny_unknown_fields)
)]
#[non_exhaustive]
pub struct InvitedMembers {
    /// People who were not in the channel before this execution and now are.
    pub invited: Vec<Email>,
    /// People who were in the channel already.
    pub already_members: Vec<Email>,
    /// People who were not invited, and why.
    pub skipped: Vec<Skipped>,
}

/// The result for each person whom the request named. Nobody is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(deny_unknown_fields)
)]
#[non_exhaustive]
pub struct ChangedMembers {
    /// People who were not in the channel before this execution and now are.
    pub invited: Vec<Email>,
    /// People who were in the channel before this execution and no longer are.
    #[serde(default)]
    pub removed: Vec<Email>,
    /// People to be invited who were in the channel already.
    pub already_members: Vec<Email>,
    /// People who were neither invited nor removed, and why.
    pub skipped: Vec<Skipped>,
}

/// The error of a step without which the workflow has gone on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(deny_unknown_fields)
)]
pub struct StepFailure {
    /// The error's name, for example `Channel.Archived`.
    pub error: String,
    /// What has happened, for a person to read.
    pub reason: String,
    /// Slack's own error code, if Slack has refused something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub slack_error: Option<String>,
}

impl From<&StepError> for StepFailure {
    fn from(error: &StepError) -> Self {
        Self {
            error: error.name().to_string(),
            reason: error.to_string(),
            slack_error: error.slack_code().map(str::to_owned),
        }
    }
}

/// A person for whom nothing was done, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(deny_unknown_fields)
)]
pub struct Skipped {
    /// The person's address. For `invalid_address`, the text that the request has in its place, at most 254
    /// characters.
    pub email: ReportedAddress,
    /// Why nothing was done.
    pub reason: SkipReason,
}

impl Skipped {
    pub fn new(email: impl Into<ReportedAddress>, reason: SkipReason) -> Self {
        Self {
            email: email.into(),
            reason,
        }
    }
}

/// Why nothing was done for a person. All reasons are permanent: a temporary problem fails the step instead, so
/// that a retry or a redrive reaches everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub enum SkipReason {
    /// The request has something else in place of an e-mail address. Reported only if it says
    /// `"onInvalidAddress": "skip"`.
    InvalidAddress,
    /// The person does not want Slack notifications, not those of this category, or no direct messages.
    OptedOut,
    /// No user profile has this address.
    NoProfile,
    /// A preference in the profile on which this depends is something else than a boolean, NULL or an empty map.
    InvalidProfile,
    /// No active Slack user has this address.
    NotInSlack,
    /// Slack does not let this bot look up this address.
    CannotLookUp,
    /// The person is a guest, or the workspace's settings keep them out of this channel.
    Restricted,
    /// Slack does not let this bot invite this person.
    CannotInvite,
    /// The address belongs to a bot or an app. Bots and apps are not invited, and our own bot is never removed.
    Bot,
    /// The person was in the channel and is no longer, without a request to remove them: no notification invites them
    /// again.
    LeftChannel,
    /// The person was to be removed but was not in the channel.
    NotAMember,
    /// Slack does not let this bot remove this person.
    CannotRemove,
    /// Slack does not let this bot write to this person.
    CannotMessage,
    /// The message reports what the person did.
    Acted,
    /// A reason that this version of the contract does not know.
    #[serde(other)]
    #[cfg_attr(feature = "schema", schemars(skip))]
    Other,
}

impl SkipReason {
    /// The reason, as outcomes and the metric's dimension show it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidAddress => "invalid_address",
            Self::OptedOut => "opted_out",
            Self::NoProfile => "no_profile",
            Self::InvalidProfile => "invalid_profile",
            Self::NotInSlack => "not_in_slack",
            Self::CannotLookUp => "cannot_look_up",
            Self::Restricted => "restricted",
            Self::CannotInvite => "cannot_invite",
            Self::Bot => "bot",
            Self::LeftChannel => "left_channel",
            Self::NotAMember => "not_a_member",
            Self::CannotRemove => "cannot_remove",
            Self::CannotMessage => "cannot_message",
            Self::Acted => "acted",
            Self::Other => "other",
        }
    }
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub enum MessageOutcome {
    Posted(PostedMessage),
    NotPosted(NotPosted),
    /// An outcome that this version of the contract does not know.
    #[cfg_attr(feature = "schema", schemars(skip))]
    Other {},
}

impl MessageOutcome {
    /// The message, if it is in Slack.
    pub fn posted(&self) -> Option<&PostedMessage> {
        match self {
            Self::Posted(posted) => Some(posted),
            Self::NotPosted(_) | Self::Other {} => None,
        }
    }
}

/// Why a message was not posted, and never will be: an object with this field, which is `true`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotPosted {
    /// The request's `expiresAt` passed before the message could be posted.
    Expired,
    /// A message with the same key and a higher number in the request's `sequence` has been posted to the same channel
    /// or person.
    Superseded,
}

impl NotPosted {
    const ALL: [Self; 2] = [Self::Expired, Self::Superseded];

    /// The name of the outcome's field.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Superseded => "superseded",
        }
    }
}

impl Serialize for NotPosted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map([(self.as_str(), true)])
    }
}

impl<'de> Deserialize<'de> for NotPosted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fields = HashMap::<String, Value>::deserialize(deserializer)?;
        let is_true = |reason: &Self| fields.get(reason.as_str()) == Some(&Value::Bool(true));
        let reason = Self::ALL.into_iter().find(is_true);
        reason.ok_or_else(|| D::Error::custom("must say why the message was not posted"))
    }
}

/// The posted message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(deny_unknown_fields)
)]
#[serde(rename_all = "camelCase")]
pub struct PostedMessage {
    /// Slack's timestamp of the message: its id within the channel, for example `1716900000.000100`.
    pub ts: MessageTs,
    /// Whether an earlier attempt of this execution had already posted the message.
    pub duplicate: bool,
    /// The id of the channel in which the message is, if that is not the outcome's: the message went to a person, or
    /// people have renamed or replaced the channel since an earlier attempt posted there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub channel_id: Option<String>,
    /// The people whom the message mentions, so that Slack notifies them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mentioned: Vec<Email>,
    /// The people whom the message addresses by name only, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_mentioned: Vec<Skipped>,
}

impl PostedMessage {
    /// A message that was posted now, and mentions nobody.
    pub fn new(ts: MessageTs) -> Self {
        Self {
            ts,
            duplicate: false,
            channel_id: None,
            mentioned: Vec::new(),
            not_mentioned: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case(json!({ "expired": true }), MessageOutcome::NotPosted(NotPosted::Expired))]
    #[case(json!({ "superseded": true }), MessageOutcome::NotPosted(NotPosted::Superseded))]
    #[case(
        json!({ "ts": "1.0", "duplicate": false }),
        MessageOutcome::Posted(PostedMessage::new(MessageTs::try_from("1.0".to_owned()).unwrap()))
    )]
    fn what_became_of_a_message_is_written_and_read_again(
        #[case] json: Value,
        #[case] outcome: MessageOutcome,
    ) {
        assert_eq!(json!(outcome), json);
        let read: MessageOutcome = serde_json::from_value(json).unwrap();
        assert_eq!(read, outcome);
    }

    #[test]
    fn an_outcome_of_a_later_version_can_be_read() {
        let read: MessageOutcome = serde_json::from_value(json!({ "held": true })).unwrap();
        assert_eq!(read, MessageOutcome::Other {});
    }
}
