//! The messages in a channel.

use serde::Deserialize;

use crate::{
    Metadata, SlackClient, SlackError,
    page::{Page, ResponseMetadata},
};

/// A message as conversations.history and conversations.replies return it, without its text.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct HistoryMessage {
    pub ts: String,
    pub bot_id: Option<String>,
    pub metadata: Option<Metadata>,
}

#[derive(Deserialize)]
struct MessagesAnswer {
    messages: Vec<HistoryMessage>,
    #[serde(default)]
    response_metadata: Option<ResponseMetadata>,
}

impl From<MessagesAnswer> for Page<HistoryMessage> {
    fn from(answer: MessagesAnswer) -> Self {
        Page {
            items: answer.messages,
            next_cursor: ResponseMetadata::cursor(answer.response_metadata),
        }
    }
}

impl SlackClient {
    /// The messages since `oldest` with their metadata, newest first, without replies in threads, in pages as large
    /// as Slack allows.
    ///
    /// <https://docs.slack.dev/reference/methods/conversations.history>
    pub async fn conversations_history(
        &self,
        channel: &str,
        oldest: &str,
        cursor: Option<&str>,
    ) -> Result<Page<HistoryMessage>, SlackError> {
        let arguments = [
            ("channel", channel),
            ("oldest", oldest),
            ("inclusive", "true"),
            ("include_all_metadata", "true"),
            ("limit", "999"),
            ("cursor", cursor.unwrap_or_default()),
        ];
        let answer: MessagesAnswer = self.call("conversations.history", &arguments).await?;
        Ok(answer.into())
    }

    /// The messages of one thread: its parent first, then the replies since `oldest`.
    ///
    /// <https://docs.slack.dev/reference/methods/conversations.replies>
    pub async fn conversations_replies(
        &self,
        channel: &str,
        thread_ts: &str,
        oldest: &str,
        cursor: Option<&str>,
    ) -> Result<Page<HistoryMessage>, SlackError> {
        let arguments = [
            ("channel", channel),
            ("ts", thread_ts),
            ("oldest", oldest),
            ("inclusive", "true"),
            ("include_all_metadata", "true"),
            ("limit", "999"),
            ("cursor", cursor.unwrap_or_default()),
        ];
        let answer: MessagesAnswer = self.call("conversations.replies", &arguments).await?;
        Ok(answer.into())
    }
}
