//! An item that people work on, and for which somebody may have to act: an article, a bounty.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    DueDate, Line, Link, Mentions, State, Title, Visibility, channel::ChannelName,
    notice::SequenceNumber, reminders::ReminderSettings,
};

/// What identifies an item: 1 to 250 visible characters, for example `content-item:guide-42`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct ItemId(String);

impl ItemId {
    pub const MAX_CHARACTERS: usize = 250;

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ItemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for ItemId {
    type Error = &'static str;

    fn try_from(id: String) -> Result<Self, Self::Error> {
        if id.is_empty() {
            return Err("must not be empty");
        }
        if id.chars().count() > Self::MAX_CHARACTERS {
            return Err("must have at most 250 characters");
        }
        if id.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err("must contain only visible characters");
        }
        Ok(Self(id))
    }
}

/// Lines about an item: at most [`Facts::MAX`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Line>")]
pub struct Facts(Vec<Line>);

impl Facts {
    pub const MAX: usize = 10;

    pub fn as_slice(&self) -> &[Line] {
        &self.0
    }
}

impl TryFrom<Vec<Line>> for Facts {
    type Error = &'static str;

    fn try_from(facts: Vec<Line>) -> Result<Self, Self::Error> {
        if facts.len() > Self::MAX {
            return Err("must contain at most 10 lines");
        }
        Ok(Self(facts))
    }
}

/// An item in one of its versions, as the steps get it and the table keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    pub id: ItemId,
    /// Higher after each change.
    pub version: SequenceNumber,
    /// The channel in which its card is.
    pub channel_name: ChannelName,
    pub visibility: Visibility,
    /// Whether the channel is about this item alone. Then the card is pinned.
    pub own_channel: bool,
    pub title: Title,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<Link>,
    pub state: State,
    /// What the readers should do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_step: Option<Line>,
    #[serde(default)]
    pub facts: Facts,
    /// The people who must act now.
    #[serde(default)]
    pub waiting_for: Mentions,
    /// The day by which they must act.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_date: Option<DueDate>,
    /// When to remind them, where that differs from the deployment's settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reminders: Option<ReminderSettings>,
}

/// What became of an item's new version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(deny_unknown_fields)
)]
#[non_exhaustive]
pub struct RecordedItem {
    pub id: ItemId,
    /// The item's latest version.
    pub version: SequenceNumber,
    /// Whether a version that is not older was known already, so that the request changed nothing.
    pub superseded: bool,
}

impl RecordedItem {
    pub fn new(id: ItemId, version: SequenceNumber, superseded: bool) -> Self {
        Self {
            id,
            version,
            superseded,
        }
    }
}

/// The message that shows an item and is updated when the item changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(deny_unknown_fields)
)]
#[non_exhaustive]
pub struct CardOutcome {
    /// Slack's timestamp of the card.
    pub ts: crate::MessageTs,
    /// The item's version that the card shows.
    pub version: SequenceNumber,
    /// What the execution's last attempt did.
    pub change: CardChange,
    /// Whether the execution's last attempt has pinned the card, or found it pinned. Left out if an earlier attempt has
    /// tried, of this or of another execution, and if the channel is not the item's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "bool"))]
    pub pinned: Option<bool>,
    /// Slack's code, if it did not let the bot pin the card. Left out as well if Slack was not asked, because too many
    /// calls were waiting for its limits: the next update of the card tries again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub not_pinned: Option<String>,
}

impl CardOutcome {
    /// A card in a channel that is not the item's own.
    pub fn new(ts: crate::MessageTs, version: SequenceNumber, change: CardChange) -> Self {
        Self {
            ts,
            version,
            change,
            pinned: None,
            not_pinned: None,
        }
    }
}

/// What the last attempt of an execution did with a card. If an earlier attempt posted the card and failed afterwards, the
/// last one says `updated` or `unchanged`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub enum CardChange {
    /// It posted the card.
    Posted,
    /// It updated the card in place.
    Updated,
    /// It had nothing to do: the card showed this version already.
    Unchanged,
    /// A change that this version of the contract does not know.
    #[serde(other)]
    #[cfg_attr(feature = "schema", schemars(skip))]
    Other,
}
