//! What a caller sends to a workflow.
//!
//! Reading a request checks it: a value of these types obeys every rule. An optional field that is `null` counts as
//! absent. A workflow works with the *checked* form: every field is present, addresses are trimmed, in lower case and
//! without duplicates, a leading `#` is removed, and broadcast mentions are defused unless the caller allowed them.

use std::{collections::HashSet, fmt};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    Category, ChannelName, ChannelText, DueDate, Email, InvalidField, Item, ItemId, Line, Link,
    Members, Mentions, Message, Notice, ReportedAddress, Sequence, SkipReason, Skipped,
    SlackUserId, State, Timestamp, Title, UncheckedAddresses, Visibility,
    decode::{decode, null_as_absent},
    item::Facts,
    message::{Blocks, MessageText},
    notice::SequenceNumber,
    reminders::{Part, ReminderSettings},
    size,
};

/// The operations, each with a workflow of its own; the workflow's file has the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Operation {
    CreateChannel,
    NotifyPrivateChannel,
    NotifyPublicChannel,
    ChangeChannelMembers,
    CheckChannelExists,
    DeleteChannel,
    NotifyPerson,
    UpdateItem,
    Remind,
    Escalate,
}

impl Operation {
    pub const ALL: [Self; 10] = [
        Self::CreateChannel,
        Self::NotifyPrivateChannel,
        Self::NotifyPublicChannel,
        Self::ChangeChannelMembers,
        Self::CheckChannelExists,
        Self::DeleteChannel,
        Self::NotifyPerson,
        Self::UpdateItem,
        Self::Remind,
        Self::Escalate,
    ];

    /// The workflow's file name, for example `create-channel`. The state machine's name is the deployment's
    /// prefix followed by this name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CreateChannel => "create-channel",
            Self::NotifyPrivateChannel => "notify-private-channel",
            Self::NotifyPublicChannel => "notify-public-channel",
            Self::ChangeChannelMembers => "change-channel-members",
            Self::CheckChannelExists => "check-channel-exists",
            Self::DeleteChannel => "delete-channel",
            Self::NotifyPerson => "notify-person",
            Self::UpdateItem => "update-item",
            Self::Remind => "remind",
            Self::Escalate => "escalate",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What to do about an entry that is not an e-mail address.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum OnInvalidAddress {
    /// Refuse the request.
    #[default]
    Refuse,
    /// Leave the entry out, and report it in the outcome's `skipped` as `invalid_address`.
    Skip,
}

/// The input of `create-channel`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CreateChannel {
    /// A leading `#` is dropped.
    pub channel_name: ChannelName,
    #[serde(default, deserialize_with = "null_as_absent")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<Visibility>"))]
    pub visibility: Visibility,
    /// The people who should be in the channel. Those who want Slack notifications are invited.
    #[serde(default, deserialize_with = "null_as_absent")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<Members>"))]
    pub members: Members,
    /// What to do about an entry of `members` that is not an e-mail address.
    #[serde(default, deserialize_with = "null_as_absent")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<OnInvalidAddress>"))]
    pub on_invalid_address: OnInvalidAddress,
    /// What the channel is about right now. Set only on a channel that this execution creates.
    #[serde(default)]
    pub topic: Option<ChannelText>,
    /// What the channel is for. Set only on a channel that this execution creates.
    #[serde(default)]
    pub purpose: Option<ChannelText>,
}

/// The input of `notify-private-channel`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NotifyPrivateChannel {
    /// A leading `#` is dropped. If the channel does not exist, it is created.
    pub channel_name: ChannelName,
    /// The message to post.
    pub message: Message,
    /// The people who should be in the channel. Those who want Slack notifications are invited.
    #[serde(default, deserialize_with = "null_as_absent")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<Members>"))]
    pub members: Members,
    /// The people whom the message addresses, at most 50. Slack notifies those who want it. The message begins with them,
    /// unless its blocks have another place for them, a rich-text element `{"type": "mentions"}`. They are invited like
    /// members: only members can see a private channel.
    #[serde(default, deserialize_with = "null_as_absent")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<Mentions>"))]
    pub mention: Mentions,
    /// The person whose action the message reports. They are not mentioned.
    #[serde(default)]
    pub actor: Option<Email>,
    /// What to do about an entry of `members` or `mention` that is not an e-mail address.
    #[serde(default, deserialize_with = "null_as_absent")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<OnInvalidAddress>"))]
    pub on_invalid_address: OnInvalidAddress,
    /// What kind of message this is. People choose by it which messages they get.
    #[serde(default, deserialize_with = "null_as_absent")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<Category>"))]
    pub category: Category,
    /// When the event that the message reports happened. A message that is posted more than ten minutes later shows this
    /// time.
    #[serde(default)]
    pub occurred_at: Option<Timestamp>,
    /// The time after which the message is no longer posted. Then the outcome says `expired`.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
    /// The message's place in a sequence. If a message with the same key and a higher number has been posted to the same
    /// channel, this one is not posted, and the outcome says `superseded`.
    #[serde(default)]
    pub sequence: Option<Sequence>,
    /// Whether `<!channel>`, `<!here>` and `<!everyone>` may notify everybody.
    #[serde(default, deserialize_with = "null_as_absent")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<bool>"))]
    pub allow_broadcast: bool,
}

/// The input of `notify-public-channel`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NotifyPublicChannel {
    /// A leading `#` is dropped. The channel must exist.
    pub channel_name: ChannelName,
    /// The message to post.
    pub message: Message,
    /// The people whom the message addresses, at most 50. Slack notifies those who want it. The message begins with them,
    /// unless its blocks have another place for them, a rich-text element `{"type": "mentions"}`. Nobody is invited.
    #[serde(default, deserialize_with = "null_as_absent")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<Mentions>"))]
    pub mention: Mentions,
    /// The person whose action the message reports. They are not mentioned.
    #[serde(default)]
    pub actor: Option<Email>,
    /// What to do about an entry of `mention` that is not an e-mail address.
    #[serde(default, deserialize_with = "null_as_absent")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<OnInvalidAddress>"))]
    pub on_invalid_address: OnInvalidAddress,
    /// What kind of message this is. People choose by it which messages they get.
    #[serde(default, deserialize_with = "null_as_absent")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<Category>"))]
    pub category: Category,
    /// When the event that the message reports happened. A message that is posted more than ten minutes later shows this
    /// time.
    #[serde(default)]
    pub occurred_at: Option<Timestamp>,
    /// The time after which the message is no longer posted. Then the outcome says `expired`.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
    /// The message's place in a sequence. If a message with the same key and a higher number has been posted to the same
    /// channel, this one is not posted, and the outcome says `superseded`.
    #[serde(default)]
    pub sequence: Option<Sequence>,
    /// Whether `<!channel>`, `<!here>` and `<!everyone>` may notify everybody.
    #[serde(default, deserialize_with = "null_as_absent")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<bool>"))]
    pub allow_broadcast: bool,
}

/// The input of `change-channel-members`: `add`, `remove` or both.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(extend("anyOf" = [{ "required": ["add"] }, { "required": ["remove"] }]))
)]
pub struct ChangeChannelMembers {
    /// A leading `#` is dropped. The channel must exist.
    pub channel_name: ChannelName,
    /// The people who should be in the channel. Those who want Slack notifications are invited.
    #[serde(default)]
    pub add: Option<Members>,
    /// The people to remove from the channel, whatever their preference. No address may be in `add` as well.
    #[serde(default)]
    pub remove: Option<Members>,
    /// What to do about an entry of `add` or `remove` that is not an e-mail address.
    #[serde(default, deserialize_with = "null_as_absent")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<OnInvalidAddress>"))]
    pub on_invalid_address: OnInvalidAddress,
}

/// The input of `check-channel-exists`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CheckChannelExists {
    /// A leading `#` is dropped.
    pub channel_name: ChannelName,
}

/// The input of `delete-channel`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DeleteChannel {
    /// A leading `#` is dropped.
    pub channel_name: ChannelName,
    /// Whether to delete the channel even if the bot has not created it. A bot can't undo that.
    #[serde(default, deserialize_with = "null_as_absent")]
    pub even_if_not_ours: bool,
}

/// The input of `notify-person`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NotifyPerson {
    /// The person. If they do not want direct messages, the outcome says so in `skipped`.
    pub email: Email,
    /// The message to post.
    pub message: Message,
    /// What kind of message this is. People choose by it which messages they get.
    #[serde(default, deserialize_with = "null_as_absent")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<Category>"))]
    pub category: Category,
    /// When the event that the message reports happened. A message that is posted more than ten minutes later shows this
    /// time.
    #[serde(default)]
    pub occurred_at: Option<Timestamp>,
    /// The time after which the message is no longer posted. Then the outcome says `expired`.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
    /// The message's place in a sequence. If a message with the same key and a higher number has been posted to the same
    /// person, this one is not posted, and the outcome says `superseded`.
    #[serde(default)]
    pub sequence: Option<Sequence>,
}

/// The input of `update-item`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UpdateItem {
    /// What identifies the item.
    pub item_id: ItemId,
    /// The item's version, higher after each change. A version that is not newer than a known one changes nothing.
    pub version: SequenceNumber,
    /// The channel of the item's card. A leading `#` is dropped. A private channel is created if it does not exist.
    pub channel_name: ChannelName,
    #[serde(default, deserialize_with = "null_as_absent")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<Visibility>"))]
    pub visibility: Visibility,
    /// Whether the channel is about this item alone. Then the card is pinned. Not in a public channel.
    #[serde(default, deserialize_with = "null_as_absent")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<bool>"))]
    pub own_channel: bool,
    /// What the item is called.
    pub title: Title,
    /// Where the item is worked on.
    #[serde(default)]
    pub link: Option<Link>,
    /// The state that the item is in now, for example `in_review`, which the card shows as "In review".
    pub state: State,
    /// What the readers should do next.
    #[serde(default)]
    pub next_step: Option<Line>,
    /// What else the card shows: at most 10 lines.
    #[serde(default, deserialize_with = "null_as_absent")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<Facts>"))]
    pub facts: Facts,
    /// The people who must act now, at most 50. The card names them, and mentions nobody.
    #[serde(default, deserialize_with = "null_as_absent")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<Mentions>"))]
    pub waiting_for: Mentions,
    /// The day by which they must act.
    #[serde(default)]
    pub due_date: Option<DueDate>,
    /// When to remind them, and whom to tell if they don't act, where that differs from the deployment's settings.
    #[serde(default)]
    pub reminders: Option<ReminderSettings>,
    /// What to do about an entry of `waitingFor` that is not an e-mail address.
    #[serde(default, deserialize_with = "null_as_absent")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<OnInvalidAddress>"))]
    pub on_invalid_address: OnInvalidAddress,
}

/// The input of `remind`, which the hourly sweep starts. It names a person and a day, and no item: what is due is read
/// right before the message is posted.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Remind {
    /// Slack's id of the person, for example U012AB3CD.
    pub user_id: SlackUserId,
    /// The day in the person's own time zone.
    pub day: DueDate,
    /// Which of the day's two messages this is: the second one is for what can't wait until the next working day.
    #[serde(default, deserialize_with = "null_as_absent")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<Part>"))]
    pub part: Part,
}

/// The input of `escalate`, which the hourly sweep starts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Escalate {
    /// The item that waits for somebody though its due date is over.
    pub item_id: ItemId,
    /// The due date. If the item has another one by now, nobody is told.
    pub due_date: DueDate,
}

/// A request that obeys every rule, in the form that the steps work with.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
pub enum CheckedRequest {
    CreateChannel {
        channel_name: ChannelName,
        visibility: Visibility,
        members: Members,
        topic: Option<ChannelText>,
        purpose: Option<ChannelText>,
        /// The entries that are not addresses.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        skipped: Vec<Skipped>,
    },
    NotifyPrivateChannel {
        channel_name: ChannelName,
        message: Message,
        /// The request's members and those whom the message addresses.
        members: Members,
        notice: Notice,
        /// The entries that are not addresses.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        skipped: Vec<Skipped>,
    },
    NotifyPublicChannel {
        channel_name: ChannelName,
        message: Message,
        notice: Notice,
    },
    ChangeChannelMembers {
        channel_name: ChannelName,
        add: Members,
        remove: Members,
        /// The entries that are not addresses.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        skipped: Vec<Skipped>,
    },
    CheckChannelExists {
        channel_name: ChannelName,
    },
    DeleteChannel {
        channel_name: ChannelName,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        even_if_not_ours: bool,
    },
    NotifyPerson {
        email: Email,
        message: Message,
        notice: Notice,
    },
    UpdateItem {
        item: Item,
        /// The entries that are not addresses.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        skipped: Vec<Skipped>,
    },
    Remind {
        user_id: SlackUserId,
        day: DueDate,
        part: Part,
    },
    Escalate {
        item_id: ItemId,
        due_date: DueDate,
    },
}

impl CheckedRequest {
    /// The entries that were left out because they are not addresses.
    pub fn skipped(&self) -> &[Skipped] {
        match self {
            Self::CreateChannel { skipped, .. }
            | Self::NotifyPrivateChannel { skipped, .. }
            | Self::ChangeChannelMembers { skipped, .. }
            | Self::UpdateItem { skipped, .. } => skipped,
            Self::NotifyPublicChannel { .. }
            | Self::CheckChannelExists { .. }
            | Self::DeleteChannel { .. }
            | Self::NotifyPerson { .. }
            | Self::Remind { .. }
            | Self::Escalate { .. } => &[],
        }
    }

    /// `None` for a request that is about no channel.
    pub fn channel_name(&self) -> Option<&ChannelName> {
        match self {
            Self::CreateChannel { channel_name, .. }
            | Self::NotifyPrivateChannel { channel_name, .. }
            | Self::NotifyPublicChannel { channel_name, .. }
            | Self::ChangeChannelMembers { channel_name, .. }
            | Self::CheckChannelExists { channel_name }
            | Self::DeleteChannel { channel_name, .. } => Some(channel_name),
            Self::UpdateItem { item, .. } => Some(&item.channel_name),
            Self::NotifyPerson { .. } | Self::Remind { .. } | Self::Escalate { .. } => None,
        }
    }

    /// Reads the input of the workflow for `operation`.
    ///
    /// # Errors
    /// [`InvalidField`] names the field and the rule.
    pub fn check(operation: Operation, request: Value) -> Result<Self, InvalidField> {
        let checked = Self::read(operation, request)?;
        size::check(&checked)?;
        Ok(checked)
    }

    fn read(operation: Operation, mut request: Value) -> Result<Self, InvalidField> {
        if !request.is_object() {
            return Err(InvalidField::new("request", "must be an object"));
        }
        let to_remove = request["remove"].clone();
        let text_field = match request["message"] {
            Value::String(_) => "message",
            _ => "message.text",
        };
        let Invalid {
            skipped,
            not_mentioned,
        } = skip_invalid_addresses(operation, &mut request)?;
        match operation {
            Operation::CreateChannel => {
                let request: CreateChannel = decode(request)?;
                if !request.channel_name.can_be_created() {
                    let rule = "must contain only a to z, digits, - and _: a bot can create no other names";
                    return Err(InvalidField::new("channelName", rule));
                }
                Ok(Self::CreateChannel {
                    channel_name: request.channel_name,
                    visibility: request.visibility,
                    members: request.members,
                    topic: request.topic,
                    purpose: request.purpose,
                    skipped,
                })
            }
            Operation::NotifyPrivateChannel => {
                Self::notify_private_channel(request, text_field, skipped, not_mentioned)
            }
            Operation::NotifyPublicChannel => {
                Self::notify_public_channel(request, text_field, not_mentioned)
            }
            Operation::ChangeChannelMembers => {
                let request: ChangeChannelMembers = decode(request)?;
                if request.add.is_none() && request.remove.is_none() {
                    return Err(InvalidField::new(
                        "add",
                        "is required if `remove` is not given",
                    ));
                }
                let (add, remove) = (
                    request.add.unwrap_or_default(),
                    request.remove.unwrap_or_default(),
                );
                if let Some(place) = place_of_a_common_address(&add, &to_remove) {
                    let rule = "must not be in `add` as well";
                    return Err(InvalidField::new(format!("remove[{place}]"), rule));
                }
                Ok(Self::ChangeChannelMembers {
                    channel_name: request.channel_name,
                    add,
                    remove,
                    skipped,
                })
            }
            Operation::CheckChannelExists => {
                let CheckChannelExists { channel_name } = decode(request)?;
                Ok(Self::CheckChannelExists { channel_name })
            }
            Operation::DeleteChannel => {
                let request: DeleteChannel = decode(request)?;
                Ok(Self::DeleteChannel {
                    channel_name: request.channel_name,
                    even_if_not_ours: request.even_if_not_ours,
                })
            }
            Operation::NotifyPerson => Self::notify_person(request, text_field),
            Operation::UpdateItem => Self::update_item(request, skipped),
            Operation::Remind => {
                let Remind { user_id, day, part } = decode(request)?;
                if !user_id.is_valid() {
                    let rule = "must be Slack's id of a user, such as U012AB3CD";
                    return Err(InvalidField::new("userId", rule));
                }
                Ok(Self::Remind { user_id, day, part })
            }
            Operation::Escalate => {
                let Escalate { item_id, due_date } = decode(request)?;
                Ok(Self::Escalate { item_id, due_date })
            }
        }
    }

    fn notify_private_channel(
        request: Value,
        text_field: &str,
        skipped: Vec<Skipped>,
        not_mentioned: Vec<Skipped>,
    ) -> Result<Self, InvalidField> {
        let request: NotifyPrivateChannel = decode(request)?;
        Ok(Self::NotifyPrivateChannel {
            channel_name: request.channel_name,
            message: checked_message(request.message, request.allow_broadcast, text_field)
                .and_then(|message| with_room_for(&request.mention, message, text_field))?,
            members: request.members.with(&request.mention),
            notice: Notice {
                category: request.category,
                occurred_at: request.occurred_at,
                expires_at: request.expires_at,
                sequence: request.sequence,
                mention: request.mention,
                not_mentioned,
                actor: request.actor,
            },
            skipped,
        })
    }

    fn notify_public_channel(
        request: Value,
        text_field: &str,
        not_mentioned: Vec<Skipped>,
    ) -> Result<Self, InvalidField> {
        let request: NotifyPublicChannel = decode(request)?;
        Ok(Self::NotifyPublicChannel {
            channel_name: request.channel_name,
            message: checked_message(request.message, request.allow_broadcast, text_field)
                .and_then(|message| with_room_for(&request.mention, message, text_field))?,
            notice: Notice {
                category: request.category,
                occurred_at: request.occurred_at,
                expires_at: request.expires_at,
                sequence: request.sequence,
                mention: request.mention,
                not_mentioned,
                actor: request.actor,
            },
        })
    }

    fn notify_person(request: Value, text_field: &str) -> Result<Self, InvalidField> {
        let request: NotifyPerson = decode(request)?;
        Ok(Self::NotifyPerson {
            email: request.email,
            message: checked_message(request.message, false, text_field)?,
            notice: Notice {
                category: request.category,
                occurred_at: request.occurred_at,
                expires_at: request.expires_at,
                sequence: request.sequence,
                ..Notice::default()
            },
        })
    }

    fn update_item(request: Value, skipped: Vec<Skipped>) -> Result<Self, InvalidField> {
        let request: UpdateItem = decode(request)?;
        if request.own_channel && !request.visibility.is_private() {
            let rule = "must not be true for a public channel";
            return Err(InvalidField::new("ownChannel", rule));
        }
        Ok(Self::UpdateItem {
            item: Item {
                id: request.item_id,
                version: request.version,
                channel_name: request.channel_name,
                visibility: request.visibility,
                own_channel: request.own_channel,
                title: request.title,
                link: request.link,
                state: request.state,
                next_step: request.next_step,
                facts: request.facts,
                waiting_for: request.waiting_for,
                due_date: request.due_date,
                reminders: request.reminders,
            },
            skipped,
        })
    }
}

fn checked_message(
    message: Message,
    allow_broadcast: bool,
    text_field: &str,
) -> Result<Message, InvalidField> {
    let length = message.text.as_str().chars().count();
    if message.blocks.is_none() && length > MessageText::MAX_WITHOUT_BLOCKS {
        let rule = "must have at most 12,000 characters without blocks";
        return Err(InvalidField::new(text_field, rule));
    }
    if allow_broadcast {
        return Ok(message);
    }
    Ok(message.without_broadcasts())
}

/// Blocks that leave no place for mentions get one more, and a text begins with the people.
fn with_room_for(
    mention: &Mentions,
    message: Message,
    text_field: &str,
) -> Result<Message, InvalidField> {
    let people = mention.as_slice().len();
    let Some(blocks) = &message.blocks else {
        let length = message.text.as_str().chars().count();
        if length + people * CHARACTERS_FOR_PERSON > MessageText::MAX_WITHOUT_BLOCKS {
            let rule = "must have at most 12,000 characters without blocks, where each person in `mention` counts 70";
            return Err(InvalidField::new(text_field, rule));
        }
        return Ok(message);
    };
    let is_full = blocks.as_slice().len() == Blocks::MAX;
    if is_full && people > 0 && !message.has_place_for_mentions() {
        let rule = "must contain at most 49 blocks if `mention` is given, or leave a place for the mentions";
        return Err(InvalidField::new("message.blocks", rule));
    }
    Ok(message)
}

/// The part of an address before the `@` has at most 64 characters. Source: RFC 5321, section 4.5.3.1.1.
const CHARACTERS_FOR_PERSON: usize = 70;

/// The fields of a request that are lists of addresses.
fn address_fields(operation: Operation) -> &'static [&'static str] {
    match operation {
        Operation::CreateChannel => &["members"],
        Operation::NotifyPrivateChannel => &["members", MENTION],
        Operation::NotifyPublicChannel => &[MENTION],
        Operation::ChangeChannelMembers => &["add", "remove"],
        Operation::UpdateItem => &["waitingFor"],
        Operation::CheckChannelExists
        | Operation::DeleteChannel
        | Operation::NotifyPerson
        | Operation::Remind
        | Operation::Escalate => &[],
    }
}

/// The field that lists whom a message addresses.
const MENTION: &str = "mention";

/// The entries of a request that are not addresses.
#[derive(Default)]
struct Invalid {
    /// Those of the lists of members.
    skipped: Vec<Skipped>,
    /// Those of `mention`.
    not_mentioned: Vec<Skipped>,
}

/// Takes the entries that are not addresses out of the request, if the request says so.
fn skip_invalid_addresses(
    operation: Operation,
    request: &mut Value,
) -> Result<Invalid, InvalidField> {
    let mut found = Invalid::default();
    if request["onInvalidAddress"] != json!(OnInvalidAddress::Skip) {
        return Ok(found);
    }
    for field in address_fields(operation) {
        // Something that is not a list is an error of its own.
        let Some(list) = request.get_mut(field).filter(|list| list.is_array()) else {
            continue;
        };
        let addresses = decode(list.take()).map_err(|invalid| invalid.within(field));
        let addresses: UncheckedAddresses = addresses?;
        let (valid, invalid) = addresses.divided();
        *list = json!(valid);
        let entries = if *field == MENTION {
            &mut found.not_mentioned
        } else {
            &mut found.skipped
        };
        entries.extend(invalid.iter().map(|text| {
            let reported = ReportedAddress::of_invalid(text);
            Skipped::new(reported, SkipReason::InvalidAddress)
        }));
    }
    Ok(found)
}

/// The position, in the caller's own list, of an address that is to be added as well.
fn place_of_a_common_address(add: &Members, to_remove: &Value) -> Option<usize> {
    let added: HashSet<&Email> = add.as_slice().iter().collect();
    let is_added = |entry: &Value| {
        let email = entry.as_str().map(|text| Email::try_from(text.to_owned()));
        email.is_some_and(|email| email.is_ok_and(|email| added.contains(&email)))
    };
    to_remove.as_array()?.iter().position(is_added)
}
