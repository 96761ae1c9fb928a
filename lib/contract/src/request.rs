//! What a caller sends to a workflow.
//!
//! Reading a request checks it: a value of these types obeys every rule. What a workflow works on
//! is the *checked* form, in which every field is present, addresses are in lower case and there
//! once, a leading `#` is gone, and broadcast mentions are defused unless the caller allowed them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{ChannelName, Members, Message, StepError, decode};

/// The operations that a workflow can be started for, by the workflow's file name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Operation {
    NotifyPrivateChannel,
    NotifyPublicChannel,
}

/// The input of `notify-private-channel`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NotifyPrivateChannel {
    pub channel_name: ChannelName,
    pub message: Message,
    /// Who shall be in the channel.
    #[serde(default)]
    pub members: Members,
    /// Whether `<!channel>`, `<!here>` and `<!everyone>` may notify everybody.
    #[serde(default)]
    pub allow_broadcast: bool,
}

/// The input of `notify-public-channel`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NotifyPublicChannel {
    pub channel_name: ChannelName,
    pub message: Message,
    /// Whether `<!channel>`, `<!here>` and `<!everyone>` may notify everybody.
    #[serde(default)]
    pub allow_broadcast: bool,
}

/// A request that obeys every rule, as the steps work on it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum CheckedRequest {
    #[serde(rename_all = "camelCase")]
    NotifyPrivateChannel {
        channel_name: ChannelName,
        message: Message,
        members: Members,
    },
    #[serde(rename_all = "camelCase")]
    NotifyPublicChannel {
        channel_name: ChannelName,
        message: Message,
    },
}

impl CheckedRequest {
    /// Reads the input of the workflow for `operation`.
    ///
    /// # Errors
    /// [`StepError::InvalidRequest`] with the field and the rule.
    pub fn check(operation: Operation, request: Value) -> Result<Self, StepError> {
        if !request.is_object() {
            return Err(StepError::invalid("request", "must be an object"));
        }
        match operation {
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
