use std::{fmt, time::SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    SlackClient, SlackError,
    conversations::{Done, bool_argument},
};

pub(crate) const CHAT_POST_MESSAGE: &str = "chat.postMessage";
pub(crate) const CHAT_UPDATE: &str = "chat.update";

/// A message to post. It has no `Debug` on purpose: that would show the text.
#[derive(Clone, Copy)]
#[expect(
    missing_debug_implementations,
    reason = "it would show the message's text"
)]
pub struct Post<'a> {
    pub channel: &'a str,
    pub text: &'a str,
    pub blocks: Option<&'a [Value]>,
    pub thread_ts: Option<&'a str>,
    pub unfurl_links: bool,
    pub unfurl_media: bool,
    pub metadata: &'a Metadata,
    /// The message is not sent after this time, by this machine's clock. A message that is sent in time may still reach
    /// Slack up to [`SlackClient::CALL_TIMEOUT`] later.
    pub not_after: Option<SystemTime>,
}

/// New content for one of the bot's own messages. It has no `Debug` on purpose: that would show the text.
#[derive(Clone, Copy)]
#[expect(
    missing_debug_implementations,
    reason = "it would show the message's text"
)]
pub struct Update<'a> {
    pub channel: &'a str,
    pub ts: &'a str,
    pub text: &'a str,
    pub blocks: &'a [Value],
}

/// Metadata of a message. Every member of the channel can read it. `Debug` does not show it, because it may come
/// from another app's message.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    pub event_type: String,
    /// Slack allows only scalar values.
    pub event_payload: serde_json::Map<String, Value>,
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metadata").finish_non_exhaustive()
    }
}

/// A message that Slack has accepted.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PostedMessage {
    pub ts: String,
}

impl SlackClient {
    /// Posts a message. Not safe to repeat: Slack has no idempotency key.
    ///
    /// <https://docs.slack.dev/reference/methods/chat.postMessage>
    ///
    /// # Errors
    /// [`SlackError::TooLate`] if `not_after` has passed once the rate limiter allows the call.
    pub async fn chat_post_message(&self, post: Post<'_>) -> Result<PostedMessage, SlackError> {
        let blocks = post.blocks.map(|blocks| Value::from(blocks).to_string());
        let metadata = serde_json::json!(post.metadata).to_string();
        let mut arguments = vec![
            ("channel", post.channel),
            ("text", post.text),
            ("metadata", &metadata),
            ("unfurl_links", bool_argument(post.unfurl_links)),
            ("unfurl_media", bool_argument(post.unfurl_media)),
        ];
        arguments.extend(blocks.as_deref().map(|blocks| ("blocks", blocks)));
        arguments.extend(post.thread_ts.map(|ts| ("thread_ts", ts)));
        let slack = self.before(post.not_after);
        slack.call(CHAT_POST_MESSAGE, &arguments).await
    }

    /// Replaces a message's text and blocks. Its metadata stays. Nobody is notified. A request that Slack processes late
    /// can bring older content back: see [`SlackError::OutcomeUnknown`].
    ///
    /// <https://docs.slack.dev/reference/methods/chat.update>
    pub async fn chat_update(&self, update: Update<'_>) -> Result<(), SlackError> {
        let blocks = Value::from(update.blocks).to_string();
        let arguments = [
            ("channel", update.channel),
            ("ts", update.ts),
            ("text", update.text),
            ("blocks", &blocks),
        ];
        let Done {} = self.call(CHAT_UPDATE, &arguments).await?;
        Ok(())
    }
}
