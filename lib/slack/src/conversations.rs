use serde::Deserialize;

use crate::{
    SlackClient, SlackError,
    page::{Entries, Page, ResponseMetadata},
};

/// A channel.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Conversation {
    pub id: String,
    /// The name in Slack, which may differ from the requested name.
    pub name: String,
    #[serde(default)]
    pub is_private: bool,
    #[serde(default)]
    pub is_archived: bool,
    /// Whether another organisation can read it (Slack Connect).
    #[serde(default)]
    pub is_ext_shared: bool,
    /// Whether the bot is in it; `None` if Slack does not say.
    #[serde(default)]
    pub is_member: Option<bool>,
    /// The id of the user who created it.
    #[serde(default)]
    pub creator: Option<String>,
    /// When it was created, in seconds since the epoch; 0 if Slack does not say.
    #[serde(default)]
    pub created: u64,
}

#[derive(Deserialize)]
struct ChannelAnswer {
    channel: Conversation,
}

#[derive(Deserialize)]
struct OpenAnswer {
    channel: DirectMessage,
}

/// A direct message: unlike a channel it has no name.
#[derive(Deserialize)]
struct DirectMessage {
    id: String,
}

/// A response with nothing to read except `ok`.
#[derive(Deserialize)]
pub(crate) struct Done {}

impl SlackClient {
    /// <https://docs.slack.dev/reference/methods/conversations.create>
    pub async fn conversations_create(
        &self,
        name: &str,
        is_private: bool,
    ) -> Result<Conversation, SlackError> {
        let arguments = [("name", name), ("is_private", bool_argument(is_private))];
        let answer: ChannelAnswer = self.call("conversations.create", &arguments).await?;
        Ok(answer.channel)
    }

    /// Opens the bot's direct message with this user. Returns its id, `D…`. Safe to repeat: Slack returns the same id for
    /// a direct message that exists, open or not.
    ///
    /// <https://docs.slack.dev/reference/methods/conversations.open>
    pub async fn conversations_open(&self, user: &str) -> Result<String, SlackError> {
        let answer: OpenAnswer = self.call("conversations.open", &[("users", user)]).await?;
        Ok(answer.channel.id)
    }

    /// <https://docs.slack.dev/reference/methods/conversations.info>
    pub async fn conversations_info(&self, channel: &str) -> Result<Conversation, SlackError> {
        let answer: ChannelAnswer = self
            .call("conversations.info", &[("channel", channel)])
            .await?;
        Ok(answer.channel)
    }

    /// Public and private channels, including archived ones, in pages as large as Slack allows.
    ///
    /// <https://docs.slack.dev/reference/methods/conversations.list>
    pub async fn conversations_list(
        &self,
        cursor: Option<&str>,
    ) -> Result<Page<Conversation>, SlackError> {
        self.page_of_channels("conversations.list", cursor).await
    }

    /// The public and private channels that the bot is a member of, including archived ones, in pages as large as
    /// Slack allows.
    ///
    /// <https://docs.slack.dev/reference/methods/users.conversations>
    pub async fn users_conversations(
        &self,
        cursor: Option<&str>,
    ) -> Result<Page<Conversation>, SlackError> {
        self.page_of_channels("users.conversations", cursor).await
    }

    async fn page_of_channels(
        &self,
        method: &'static str,
        cursor: Option<&str>,
    ) -> Result<Page<Conversation>, SlackError> {
        #[derive(Deserialize)]
        struct Answer {
            channels: Entries<Conversation>,
            #[serde(default)]
            response_metadata: Option<ResponseMetadata>,
        }
        let arguments = [
            ("types", "public_channel,private_channel"),
            ("exclude_archived", "false"),
            ("limit", "999"),
            ("cursor", cursor.unwrap_or_default()),
        ];
        let answer: Answer = self.call(method, &arguments).await?;
        Ok(Page::of(method, answer.channels, answer.response_metadata))
    }

    /// Renames the channel. Only its creator or an administrator may do so; others get `not_authorized`.
    ///
    /// <https://docs.slack.dev/reference/methods/conversations.rename>
    pub async fn conversations_rename(
        &self,
        channel: &str,
        name: &str,
    ) -> Result<Conversation, SlackError> {
        let arguments = [("channel", channel), ("name", name)];
        let answer: ChannelAnswer = self.call("conversations.rename", &arguments).await?;
        Ok(answer.channel)
    }

    /// <https://docs.slack.dev/reference/methods/conversations.archive>
    pub async fn conversations_archive(&self, channel: &str) -> Result<(), SlackError> {
        let Done {} = self
            .call("conversations.archive", &[("channel", channel)])
            .await?;
        Ok(())
    }

    /// <https://docs.slack.dev/reference/methods/conversations.setTopic>
    pub async fn conversations_set_topic(
        &self,
        channel: &str,
        topic: &str,
    ) -> Result<(), SlackError> {
        let arguments = [("channel", channel), ("topic", topic)];
        let Done {} = self.call("conversations.setTopic", &arguments).await?;
        Ok(())
    }

    /// <https://docs.slack.dev/reference/methods/conversations.setPurpose>
    pub async fn conversations_set_purpose(
        &self,
        channel: &str,
        purpose: &str,
    ) -> Result<(), SlackError> {
        let arguments = [("channel", channel), ("purpose", purpose)];
        let Done {} = self.call("conversations.setPurpose", &arguments).await?;
        Ok(())
    }
}

pub(crate) fn bool_argument(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}
