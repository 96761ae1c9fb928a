//! What a workflow answers: one shape for all, with the parts that apply.
//!
//! A caller may be older than the workflow, so what a reader here does not know it passes over. The
//! schemas say no more than what there is.

use serde::{Deserialize, Serialize};

use crate::{ChannelRef, Email, MessageTs};

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
    pub message: Option<PostedMessage>,
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
    /// The channel that was found or made.
    pub channel: ChannelRef,
    /// Everybody whom the request named.
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
    /// The channel that was found or made.
    pub channel: ChannelRef,
    /// Everybody whom the request named.
    pub members: InvitedMembers,
    /// The message that was posted.
    pub message: PostedMessage,
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
    /// The message that was posted.
    pub message: PostedMessage,
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
    /// Everybody whom the request named.
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
    /// Whether a channel has this name, archived or not, as far as the bot can see. It sees public
    /// channels, and the private ones that it is a member of.
    pub exists: bool,
    /// Left out where there is none.
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
    /// Whether this execution archived the channel; `false` where it was archived already, or the bot
    /// sees no channel of this name.
    pub deleted: bool,
    /// The channel under the name that it has now; left out where there is none. A name other than
    /// the request's means that the request's name is free again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "ChannelRef"))]
    pub channel: Option<ChannelRef>,
}

/// What became of each person who was to be invited. Nobody is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(deny_unknown_fields)
)]
#[non_exhaustive]
pub struct InvitedMembers {
    /// Who was not in the channel before this execution and is now.
    pub invited: Vec<Email>,
    /// Who was in the channel already.
    pub already_members: Vec<Email>,
    /// Who was not invited, and why.
    pub skipped: Vec<Skipped>,
}

/// What became of each person whom the request named. Nobody is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(deny_unknown_fields)
)]
#[non_exhaustive]
pub struct ChangedMembers {
    /// Who was not in the channel before this execution and is now.
    pub invited: Vec<Email>,
    /// Who was in the channel before this execution and is no more.
    #[serde(default)]
    pub removed: Vec<Email>,
    /// Who was to be invited and was in the channel already.
    pub already_members: Vec<Email>,
    /// Who was neither invited nor removed, and why.
    pub skipped: Vec<Skipped>,
}

/// A person for whom nothing was done, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(deny_unknown_fields)
)]
pub struct Skipped {
    /// Who it is.
    pub email: Email,
    /// Why.
    pub reason: SkipReason,
}

/// Why nothing was done for a person. Only permanent reasons: what may pass fails the step instead,
/// so that a retry or a redrive reaches everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
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
    /// The address belongs to a bot or an app: none is invited, and our own is never removed.
    Bot,
    /// The person was to be removed and was not in the channel.
    NotAMember,
    /// Slack does not let this bot remove this person.
    CannotRemove,
    /// A reason that the workflow has and this version of the contract has not.
    #[serde(other)]
    #[cfg_attr(feature = "schema", schemars(skip))]
    Other,
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
            Self::NotAMember => "not_a_member",
            Self::CannotRemove => "cannot_remove",
            Self::Other => "other",
        }
    }
}

/// The message as it stands in Slack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(deny_unknown_fields)
)]
pub struct PostedMessage {
    /// Slack's timestamp of the message: its id within the channel, for example `1716900000.000100`.
    pub ts: MessageTs,
    /// Whether an earlier attempt of this execution had posted it already.
    pub duplicate: bool,
}
