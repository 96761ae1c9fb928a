//! What a caller sends to a workflow.
//!
//! Reading a request checks it: a value of these types obeys every rule. What a workflow works on
//! is the *checked* form, in which every field is present, addresses are in lower case and there
//! once, a leading `#` is gone, and broadcast mentions are defused unless the caller allowed them.

use std::{collections::HashSet, fmt};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{ChannelName, ChannelText, Email, InvalidField, Members, Message, Visibility, decode};

/// The operations that a workflow can be started for, by the workflow's file name.
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
}

impl Operation {
    pub const ALL: [Self; 6] = [
        Self::CreateChannel,
        Self::NotifyPrivateChannel,
        Self::NotifyPublicChannel,
        Self::ChangeChannelMembers,
        Self::CheckChannelExists,
        Self::DeleteChannel,
    ];

    /// The workflow's file name, for example `create-channel`. The state machine's is that with the
    /// deployment's prefix before it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CreateChannel => "create-channel",
            Self::NotifyPrivateChannel => "notify-private-channel",
            Self::NotifyPublicChannel => "notify-public-channel",
            Self::ChangeChannelMembers => "change-channel-members",
            Self::CheckChannelExists => "check-channel-exists",
            Self::DeleteChannel => "delete-channel",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The input of `create-channel`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CreateChannel {
    /// A leading `#` is dropped.
    pub channel_name: ChannelName,
    #[serde(default)]
    pub visibility: Visibility,
    /// Who shall be in the channel: those who want Slack notifications are invited.
    #[serde(default)]
    pub members: Members,
    /// What the channel is about right now. Set only on a channel that this execution makes.
    #[serde(default)]
    pub topic: Option<ChannelText>,
    /// What the channel is for. Set only on a channel that this execution makes.
    #[serde(default)]
    pub purpose: Option<ChannelText>,
}

/// The input of `notify-private-channel`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NotifyPrivateChannel {
    /// A leading `#` is dropped. The channel is made if it is missing.
    pub channel_name: ChannelName,
    /// What is posted.
    pub message: Message,
    /// Who shall be in the channel: those who want Slack notifications are invited.
    #[serde(default)]
    pub members: Members,
    /// Whether `<!channel>`, `<!here>` and `<!everyone>` may notify everybody.
    #[serde(default)]
    pub allow_broadcast: bool,
}

/// The input of `notify-public-channel`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NotifyPublicChannel {
    /// A leading `#` is dropped. The channel must be there.
    pub channel_name: ChannelName,
    /// What is posted.
    pub message: Message,
    /// Whether `<!channel>`, `<!here>` and `<!everyone>` may notify everybody.
    #[serde(default)]
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
    /// A leading `#` is dropped. The channel must be there.
    pub channel_name: ChannelName,
    /// Who shall be in the channel: those who want Slack notifications are invited.
    #[serde(default)]
    pub add: Option<Members>,
    /// Who shall not be in the channel, whatever their preference. No address of `add`.
    #[serde(default)]
    pub remove: Option<Members>,
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
}

/// A request that obeys every rule, as the steps work on it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
pub enum CheckedRequest {
    CreateChannel {
        channel_name: ChannelName,
        visibility: Visibility,
        members: Members,
        topic: Option<ChannelText>,
        purpose: Option<ChannelText>,
    },
    NotifyPrivateChannel {
        channel_name: ChannelName,
        message: Message,
        members: Members,
    },
    NotifyPublicChannel {
        channel_name: ChannelName,
        message: Message,
    },
    ChangeChannelMembers {
        channel_name: ChannelName,
        add: Members,
        remove: Members,
    },
    CheckChannelExists {
        channel_name: ChannelName,
    },
    DeleteChannel {
        channel_name: ChannelName,
    },
}

impl CheckedRequest {
    /// Reads the input of the workflow for `operation`.
    ///
    /// # Errors
    /// [`InvalidField`] with the field and the rule.
    pub fn check(operation: Operation, request: Value) -> Result<Self, InvalidField> {
        if !request.is_object() {
            return Err(InvalidField::new("request", "must be an object"));
        }
        match operation {
            Operation::CreateChannel => {
                let request: CreateChannel = decode(request)?;
                Ok(Self::CreateChannel {
                    channel_name: request.channel_name,
                    visibility: request.visibility,
                    members: request.members,
                    topic: request.topic,
                    purpose: request.purpose,
                })
            }
            Operation::NotifyPrivateChannel => {
                let request: NotifyPrivateChannel = decode(request)?;
                Ok(Self::NotifyPrivateChannel {
                    channel_name: request.channel_name,
                    message: broadcast_checked(request.message, request.allow_broadcast),
                    members: request.members,
                })
            }
            Operation::NotifyPublicChannel => {
                let request: NotifyPublicChannel = decode(request)?;
                Ok(Self::NotifyPublicChannel {
                    channel_name: request.channel_name,
                    message: broadcast_checked(request.message, request.allow_broadcast),
                })
            }
            Operation::ChangeChannelMembers => {
                let to_remove = request["remove"].clone();
                let request: ChangeChannelMembers = decode(request)?;
                if request.add.is_none() && request.remove.is_none() {
                    return Err(InvalidField::new(
                        "add",
                        "is required where `remove` is left out",
                    ));
                }
                let (add, remove) = (
                    request.add.unwrap_or_default(),
                    request.remove.unwrap_or_default(),
                );
                if let Some(place) = place_of_a_common_address(&add, to_remove) {
                    let rule = "must not stand in `add` too";
                    return Err(InvalidField::new(format!("remove[{place}]"), rule));
                }
                Ok(Self::ChangeChannelMembers {
                    channel_name: request.channel_name,
                    add,
                    remove,
                })
            }
            Operation::CheckChannelExists => {
                let CheckChannelExists { channel_name } = decode(request)?;
                Ok(Self::CheckChannelExists { channel_name })
            }
            Operation::DeleteChannel => {
                let DeleteChannel { channel_name } = decode(request)?;
                Ok(Self::DeleteChannel { channel_name })
            }
        }
    }
}

fn broadcast_checked(message: Message, allow_broadcast: bool) -> Message {
    if allow_broadcast {
        message
    } else {
        message.without_broadcasts()
    }
}

/// Where the list as the caller wrote it has an address that shall be added too.
fn place_of_a_common_address(add: &Members, to_remove: Value) -> Option<usize> {
    let added: HashSet<&Email> = add.as_slice().iter().collect();
    let to_remove: Vec<Email> = serde_json::from_value(to_remove).ok()?;
    to_remove.iter().position(|email| added.contains(email))
}
