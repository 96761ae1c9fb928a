//! Requests as callers build them. Starting a request checks it by the workflow's own rules.

use std::fmt;

use apgl_contract::{Visibility, request::OnInvalidAddress};
use serde::Serialize;
use serde_json::Value;

/// A value that `Debug` does not show.
#[derive(Clone, PartialEq, Serialize)]
#[serde(transparent)]
struct Confidential<T>(T);

impl<T> fmt::Debug for Confidential<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(confidential)")
    }
}

type Addresses = Confidential<Vec<String>>;

fn addresses(addresses: impl IntoIterator<Item = impl Into<String>>) -> Addresses {
    Confidential(addresses.into_iter().map(Into::into).collect())
}

/// A message: a text in Slack's mrkdwn, optionally with blocks or in a thread.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    text: Confidential<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    blocks: Option<Confidential<Vec<Value>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thread_ts: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unfurl_links: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unfurl_media: Option<bool>,
}

impl Message {
    /// A message with at most 12,000 characters. The caller must escape `&`, `<` and `>` in text that is not mrkdwn.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: Confidential(text.into()),
            blocks: None,
            thread_ts: None,
            unfurl_links: None,
            unfurl_media: None,
        }
    }

    /// Adds at most 50 Block Kit blocks, which are shown instead of the text. Notifications and screen readers still
    /// use the text, up to 4,000 characters of it.
    #[must_use]
    pub fn blocks(mut self, blocks: Vec<Value>) -> Self {
        self.blocks = Some(Confidential(blocks));
        self
    }

    /// Posts in the thread of the message with this timestamp, which is `ts` in that message's outcome.
    #[must_use]
    pub fn in_thread(mut self, thread_ts: impl Into<String>) -> Self {
        self.thread_ts = Some(thread_ts.into());
        self
    }

    /// Lets Slack show a preview of the pages that the text links to.
    #[must_use]
    pub fn unfurl_links(mut self) -> Self {
        self.unfurl_links = Some(true);
        self
    }

    /// Lets Slack show images, videos and sound that the text links to.
    #[must_use]
    pub fn unfurl_media(mut self) -> Self {
        self.unfurl_media = Some(true);
        self
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

/// Creates a channel, or invites the members that are not in it yet.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CreateChannel {
    channel_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    visibility: Option<Visibility>,
    #[serde(skip_serializing_if = "Option::is_none")]
    members: Option<Addresses>,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_invalid_address: Option<OnInvalidAddress>,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<Confidential<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    purpose: Option<Confidential<String>>,
}

impl CreateChannel {
    /// A private channel.
    pub fn new(channel_name: impl Into<String>) -> Self {
        Self {
            channel_name: channel_name.into(),
            visibility: None,
            members: None,
            on_invalid_address: None,
            topic: None,
            purpose: None,
        }
    }

    #[must_use]
    pub fn visibility(mut self, visibility: Visibility) -> Self {
        self.visibility = Some(visibility);
        self
    }

    /// The people who should be in the channel, by e-mail address, at most 1,000. Those who want Slack notifications
    /// are invited.
    #[must_use]
    pub fn members(mut self, members: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.members = Some(addresses(members));
        self
    }

    /// Leaves out entries that are not e-mail addresses, and reports them in the outcome's `skipped`. Without it, the
    /// request is refused.
    #[must_use]
    pub fn skip_invalid_addresses(mut self) -> Self {
        self.on_invalid_address = Some(OnInvalidAddress::Skip);
        self
    }

    /// What the channel is about right now, at most 250 characters. Set only on a new channel.
    #[must_use]
    pub fn topic(mut self, topic: impl Into<String>) -> Self {
        self.topic = Some(Confidential(topic.into()));
        self
    }

    /// What the channel is for, at most 250 characters. Set only on a new channel.
    #[must_use]
    pub fn purpose(mut self, purpose: impl Into<String>) -> Self {
        self.purpose = Some(Confidential(purpose.into()));
        self
    }
}

/// Posts to a private channel, which is created if it does not exist.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NotifyPrivateChannel {
    channel_name: String,
    message: Message,
    #[serde(skip_serializing_if = "Option::is_none")]
    members: Option<Addresses>,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_invalid_address: Option<OnInvalidAddress>,
    #[serde(skip_serializing_if = "Option::is_none")]
    allow_broadcast: Option<bool>,
}

impl NotifyPrivateChannel {
    pub fn new(channel_name: impl Into<String>, message: impl Into<Message>) -> Self {
        Self {
            channel_name: channel_name.into(),
            message: message.into(),
            members: None,
            on_invalid_address: None,
            allow_broadcast: None,
        }
    }

    /// The people who should be in the channel, by e-mail address, at most 1,000. Those who want Slack notifications
    /// are invited.
    #[must_use]
    pub fn members(mut self, members: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.members = Some(addresses(members));
        self
    }

    /// Leaves out entries that are not e-mail addresses, and reports them in the outcome's `skipped`. Without it, the
    /// request is refused.
    #[must_use]
    pub fn skip_invalid_addresses(mut self) -> Self {
        self.on_invalid_address = Some(OnInvalidAddress::Skip);
        self
    }

    /// Lets `<!channel>`, `<!here>` and `<!everyone>` notify everybody. Without it they are plain text.
    #[must_use]
    pub fn allow_broadcast(mut self) -> Self {
        self.allow_broadcast = Some(true);
        self
    }
}

/// Posts to a public channel, which must exist.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NotifyPublicChannel {
    channel_name: String,
    message: Message,
    #[serde(skip_serializing_if = "Option::is_none")]
    allow_broadcast: Option<bool>,
}

impl NotifyPublicChannel {
    pub fn new(channel_name: impl Into<String>, message: impl Into<Message>) -> Self {
        Self {
            channel_name: channel_name.into(),
            message: message.into(),
            allow_broadcast: None,
        }
    }

    /// Lets `<!channel>`, `<!here>` and `<!everyone>` notify everybody. Without it they are plain text.
    #[must_use]
    pub fn allow_broadcast(mut self) -> Self {
        self.allow_broadcast = Some(true);
        self
    }
}

/// Invites and removes members of an existing channel.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangeChannelMembers {
    channel_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    add: Option<Addresses>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remove: Option<Addresses>,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_invalid_address: Option<OnInvalidAddress>,
}

impl ChangeChannelMembers {
    /// Needs [`add_members`](Self::add_members), [`remove_members`](Self::remove_members) or both.
    pub fn new(channel_name: impl Into<String>) -> Self {
        Self {
            channel_name: channel_name.into(),
            add: None,
            remove: None,
            on_invalid_address: None,
        }
    }

    /// The people who should be in the channel, by e-mail address, at most 1,000. Those who want Slack notifications
    /// are invited.
    #[must_use]
    pub fn add_members(mut self, add: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.add = Some(addresses(add));
        self
    }

    /// The people to remove from the channel, by e-mail address, at most 1,000, whatever their preference. Nobody may
    /// be in both lists.
    #[must_use]
    pub fn remove_members(mut self, remove: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.remove = Some(addresses(remove));
        self
    }

    /// Leaves out entries that are not e-mail addresses, and reports them in the outcome's `skipped`. Without it, the
    /// request is refused.
    #[must_use]
    pub fn skip_invalid_addresses(mut self) -> Self {
        self.on_invalid_address = Some(OnInvalidAddress::Skip);
        self
    }
}

/// Asks whether the bot sees a channel with this name, archived or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckChannelExists {
    channel_name: String,
}

impl CheckChannelExists {
    pub fn new(channel_name: impl Into<String>) -> Self {
        Self {
            channel_name: channel_name.into(),
        }
    }
}

/// Renames and archives a channel, so that its name is free again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeleteChannel {
    channel_name: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    even_if_not_ours: bool,
}

impl DeleteChannel {
    pub fn new(channel_name: impl Into<String>) -> Self {
        Self {
            channel_name: channel_name.into(),
            even_if_not_ours: false,
        }
    }

    /// Deletes the channel even if the bot has not created it. A bot can't undo that. Without it, the execution fails
    /// with `Channel.NotOurs`.
    #[must_use]
    pub fn even_if_not_ours(mut self) -> Self {
        self.even_if_not_ours = true;
        self
    }
}
