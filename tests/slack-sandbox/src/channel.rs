//! A conversation: a channel or a direct message.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::message::Message;

/// What a conversation is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Kind {
    /// A public or private channel.
    #[default]
    Channel,
    /// The bot's direct message with this user.
    Direct { user: String },
    /// The bot's direct message with several users.
    Group,
}

/// What a channel was from a time on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// In microseconds since 1970, as in a message's `ts`.
    pub since: u64,
    pub name: String,
    pub is_private: bool,
    pub is_archived: bool,
    pub is_ext_shared: bool,
}

#[derive(Debug, Clone, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "these are Slack's own fields of a channel"
)]
pub struct Channel {
    pub id: String,
    pub kind: Kind,
    /// The id, for a direct message with one user.
    pub name: String,
    /// The names that the channel had before, the latest first.
    pub previous_names: Vec<String>,
    pub is_private: bool,
    pub is_archived: bool,
    /// Whether a direct message is among the open ones.
    pub is_open: bool,
    /// Shared with another organisation (Slack Connect).
    pub is_ext_shared: bool,
    /// The id of the user who created the channel: the bot or a person.
    pub creator: String,
    pub created: u64,
    pub topic: String,
    pub purpose: String,
    pub members: BTreeSet<String>,
    /// Oldest first.
    pub messages: Vec<Message>,
    /// What the channel has been, oldest first.
    pub versions: Vec<Version>,
}

impl Channel {
    /// The type by which lists select conversations.
    pub fn type_name(&self) -> &'static str {
        match self.kind {
            Kind::Channel if self.is_private => "private_channel",
            Kind::Channel => "public_channel",
            Kind::Direct { .. } => "im",
            Kind::Group => "mpim",
        }
    }

    /// Adds what the channel is now to its versions, if it has changed.
    pub fn keep_version(&mut self, now_micros: u64) {
        let version = Version {
            since: now_micros,
            name: self.name.clone(),
            is_private: self.is_private,
            is_archived: self.is_archived,
            is_ext_shared: self.is_ext_shared,
        };
        let is_same = |last: &Version| {
            let since = last.since;
            *last
                == Version {
                    since,
                    ..version.clone()
                }
        };
        if !self.versions.last().is_some_and(is_same) {
            self.versions.push(version);
        }
    }

    pub fn message(&self, ts: &str) -> Option<&Message> {
        self.messages.iter().find(|message| message.ts == ts)
    }

    pub fn message_mut(&mut self, ts: &str) -> Option<&mut Message> {
        self.messages.iter_mut().find(|message| message.ts == ts)
    }

    /// The thread of a post with this `thread_ts`: that of the reply, if it is the `ts` of a reply. Slack's page of
    /// chat.postMessage advises against it, but it works while the reply exists:
    /// discourse/discourse-chat-integration#159.
    pub fn thread_of(&self, ts: &str) -> String {
        let message = self.message(ts);
        let thread = message.and_then(|message| message.thread_ts.as_deref());
        thread.unwrap_or(ts).to_owned()
    }

    /// Deletes a message. What is left of one with replies is a placeholder.
    pub fn delete_message(&mut self, ts: &str) {
        let has_replies = self.messages.iter().any(|reply| reply.is_reply_to(ts));
        if has_replies && let Some(message) = self.message_mut(ts) {
            *message = Message {
                ts: ts.to_owned(),
                user: "USLACKBOT".to_owned(),
                subtype: Some("tombstone".to_owned()),
                text: "This message was deleted.".to_owned(),
                ..Message::default()
            };
        } else {
            self.messages.retain(|message| message.ts != ts);
        }
    }
}
