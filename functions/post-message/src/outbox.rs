//! Posts the message to Slack and finds it again.
//!
//! The message's metadata holds a hash of the delivery's id. A search looks for this hash among the messages of our
//! own bot.

use std::time::{Duration, SystemTime};

use apgl_contract::{ChannelRef, Invocation, MessageTs, StepError, message::Blocks};
use apgl_directory::Directory;
use apgl_slack::{HistoryMessage, Metadata, Post, SlackClient, SlackError, Span};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::{
    Input,
    protocol::{Found, Outbox, Search},
};

/// The `event_type` of our messages' metadata.
const METADATA_TYPE: &str = "apgl_delivery";
/// The longest time that it takes to read a page and to write where the search has stopped.
const TIME_FOR_A_PAGE: Duration = SlackClient::CALL_TIMEOUT.saturating_add(Duration::from_secs(5));
/// The largest expected difference between Slack's clock and ours.
const CLOCK_MARGIN: Duration = Duration::from_mins(1);

pub(crate) struct SlackOutbox<'a> {
    directory: &'a Directory,
    invocation: &'a Invocation,
    input: &'a Input,
    metadata: Metadata,
}

impl<'a> SlackOutbox<'a> {
    pub fn new(
        directory: &'a Directory,
        invocation: &'a Invocation,
        input: &'a Input,
        delivery_id: &str,
    ) -> Self {
        Self {
            directory,
            invocation,
            input,
            metadata: metadata(delivery_id),
        }
    }

    async fn post_to_channel(&self) -> Result<MessageTs, SlackError> {
        let Input { channel, message } = self.input;
        let post = Post {
            channel: &channel.id,
            text: message.text.as_str(),
            blocks: message.blocks.as_ref().map(Blocks::as_slice),
            thread_ts: message.thread_ts.as_ref().map(MessageTs::as_str),
            metadata: &self.metadata,
        };
        let posted = self.directory.slack.chat_post_message(post).await?;
        timestamp(posted.ts)
    }

    async fn page(
        &self,
        channel: &str,
        span: Span<'_>,
        cursor: Option<&str>,
    ) -> Result<apgl_slack::Page<HistoryMessage>, SlackError> {
        let slack = &self.directory.slack;
        match &self.input.message.thread_ts {
            None => slack.conversations_history(channel, span, cursor).await,
            Some(thread) => {
                let thread = thread.as_str();
                slack
                    .conversations_replies(channel, thread, span, cursor)
                    .await
            }
        }
    }
}

impl Outbox for SlackOutbox<'_> {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    async fn confirm(&self) -> Result<(), StepError> {
        let Self {
            directory, input, ..
        } = self;
        // Boxed, because its future is large and rarely needed.
        Box::pin(directory.confirm(&input.channel, self.invocation)).await
    }

    async fn find(&self, channel: &str, search: &mut Search) -> Result<Found, SlackError> {
        let slack = &self.directory.slack;
        let bot_id = slack.auth_test().await?.bot_id;
        let ours = |message: &&HistoryMessage| {
            message.bot_id == bot_id && message.metadata.as_ref() == Some(&self.metadata)
        };
        let mut oldest = slack_time(search.since - CLOCK_MARGIN);
        let mut latest = search.until.map(|until| slack_time(until + CLOCK_MARGIN));
        // A channel's messages are listed newest first, a thread's oldest first.
        let is_thread = self.input.message.thread_ts.is_some();
        if let Some(place) = &search.place {
            if is_thread {
                place.as_str().clone_into(&mut oldest);
            } else {
                latest = Some(place.as_str().to_owned());
            }
        }
        let span = Span {
            oldest: &oldest,
            latest: latest.as_deref(),
        };
        // If somebody has removed the bot since it posted, it joins the channel again to read the history.
        let joined = ChannelRef {
            id: channel.to_owned(),
            ..self.input.channel.clone()
        };
        let mut cursor = None;
        loop {
            let page = slack
                .in_channel(&joined, async || {
                    self.page(channel, span, cursor.as_deref()).await
                })
                .await?;
            if let Some(message) = page.items.iter().find(ours) {
                return timestamp(message.ts.clone()).map(Found::Message);
            }
            cursor = page.next_cursor;
            if cursor.is_none() {
                return Ok(Found::Nothing);
            }
            // The parent of a thread comes first, whatever the span.
            let last = page
                .items
                .last()
                .filter(|last| last.ts.as_str() >= oldest.as_str());
            if let Some(last) = last {
                search.place = Some(timestamp(last.ts.clone())?);
            }
            if !self.invocation.has_time_for(TIME_FOR_A_PAGE) {
                return Ok(Found::OutOfTime);
            }
        }
    }

    async fn post(&self) -> Result<MessageTs, SlackError> {
        let channel = &self.input.channel;
        let slack = &self.directory.slack;
        let posted = slack
            .in_channel(channel, async || self.post_to_channel().await)
            .await;
        match posted {
            // If the outcome of joining the channel is unknown, the message was still not posted.
            Err(SlackError::OutcomeUnknown { method, reason }) if method != "chat.postMessage" => {
                Err(SlackError::Unavailable { method, reason })
            }
            posted => posted,
        }
    }
}

/// Every member of the channel can read a message's metadata, so it holds only a hash.
fn metadata(delivery_id: &str) -> Metadata {
    let hash = Sha256::digest(delivery_id);
    let event_payload = [(
        "delivery".to_owned(),
        json!(base16ct::lower::encode_string(&hash)),
    )]
    .into_iter()
    .collect();
    Metadata {
        event_type: METADATA_TYPE.to_owned(),
        event_payload,
    }
}

/// If Slack's response has no timestamp, the message was posted all the same.
fn timestamp(ts: String) -> Result<MessageTs, SlackError> {
    MessageTs::try_from(ts).map_err(|_| SlackError::OutcomeUnknown {
        method: "chat.postMessage",
        reason: "Slack's response has no valid message timestamp".to_owned(),
    })
}

/// Formats a time as Slack does: seconds since the epoch, with six decimals.
fn slack_time(time: SystemTime) -> String {
    let since_epoch = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    format!(
        "{}.{:06}",
        since_epoch.as_secs(),
        since_epoch.subsec_micros()
    )
}
