//! The messages in a channel.

use serde::Deserialize;

use crate::{
    Metadata, SlackClient, SlackError,
    page::{Entries, Page, ResponseMetadata, if_readable},
};

/// A message as conversations.history and conversations.replies return it, without its text. A field of another shape
/// counts as absent: the metadata of other apps' messages can be anything, and a message that can't be read must not
/// hide that it is ours.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct HistoryMessage {
    /// Empty if it can't be read.
    #[serde(default, deserialize_with = "if_readable")]
    pub ts: String,
    #[serde(default, deserialize_with = "if_readable")]
    pub bot_id: Option<String>,
    /// The timestamp of the thread's first message; `None` if the message is in no thread.
    #[serde(default, deserialize_with = "if_readable")]
    pub thread_ts: Option<String>,
    #[serde(default, deserialize_with = "if_readable")]
    pub metadata: Option<Metadata>,
}

#[derive(Deserialize)]
struct MessagesAnswer {
    messages: Entries<HistoryMessage>,
    #[serde(default)]
    response_metadata: Option<ResponseMetadata>,
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
        self.page_of_messages("conversations.history", &arguments)
            .await
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
        self.page_of_messages("conversations.replies", &arguments)
            .await
    }

    /// The timestamp of the first message in the thread of the message `ts`; `None` if it is in no thread. Asked with
    /// the `ts` of a reply, Slack returns only that reply.
    ///
    /// <https://docs.slack.dev/reference/methods/conversations.replies>, slackapi/bolt-python#783
    pub async fn conversations_replies_thread_of(
        &self,
        channel: &str,
        ts: &str,
    ) -> Result<Option<String>, SlackError> {
        let arguments = [("channel", channel), ("ts", ts), ("limit", "1")];
        let page = self.page_of_messages("conversations.replies", &arguments);
        let messages = page.await?.items.into_iter();
        let mut named = messages.filter(|message| message.ts == ts);
        Ok(named.next().and_then(|message| message.thread_ts))
    }

    async fn page_of_messages(
        &self,
        method: &'static str,
        arguments: &[(&str, &str)],
    ) -> Result<Page<HistoryMessage>, SlackError> {
        let answer: MessagesAnswer = self.call(method, arguments).await?;
        Ok(Page::of(method, answer.messages, answer.response_metadata))
    }
}
