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

/// Which messages of a channel to read: from `oldest` to `latest`, both included.
#[derive(Debug, Clone, Copy)]
pub struct Span<'a> {
    pub oldest: &'a str,
    /// `None`: up to now.
    pub latest: Option<&'a str>,
}

impl Span<'static> {
    /// Every message.
    pub const ALL: Self = Self {
        oldest: "0",
        latest: None,
    };
}

impl<'a> Span<'a> {
    fn arguments(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let latest = self.latest.map(|latest| ("latest", latest));
        [("oldest", self.oldest), ("inclusive", "true")]
            .into_iter()
            .chain(latest)
    }
}

impl SlackClient {
    /// The messages with their metadata, newest first, without replies in threads, in pages as large as Slack allows.
    ///
    /// <https://docs.slack.dev/reference/methods/conversations.history>
    pub async fn conversations_history(
        &self,
        channel: &str,
        span: Span<'_>,
        cursor: Option<&str>,
    ) -> Result<Page<HistoryMessage>, SlackError> {
        let mut arguments = vec![
            ("channel", channel),
            ("include_all_metadata", "true"),
            ("limit", "999"),
            ("cursor", cursor.unwrap_or_default()),
        ];
        arguments.extend(span.arguments());
        let answer: MessagesAnswer = self.call("conversations.history", &arguments).await?;
        Ok(answer.into())
    }

    /// The messages of one thread: its parent first, then the replies, oldest first.
    ///
    /// <https://docs.slack.dev/reference/methods/conversations.replies>
    pub async fn conversations_replies(
        &self,
        channel: &str,
        thread_ts: &str,
        span: Span<'_>,
        cursor: Option<&str>,
    ) -> Result<Page<HistoryMessage>, SlackError> {
        let mut arguments = vec![
            ("channel", channel),
            ("ts", thread_ts),
            ("include_all_metadata", "true"),
            ("limit", "999"),
            ("cursor", cursor.unwrap_or_default()),
        ];
        arguments.extend(span.arguments());
        let answer: MessagesAnswer = self.call("conversations.replies", &arguments).await?;
        Ok(answer.into())
    }
}
