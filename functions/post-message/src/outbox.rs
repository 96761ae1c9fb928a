//! Posts the message to Slack and finds it again.
//!
//! The message's metadata holds a hash of the delivery's id. A search looks for this hash among the messages of our
//! own bot.

use std::time::{Duration, SystemTime};

use apgl_contract::{ChannelRef, Invocation, MessageTs, StepError, Visibility};
use apgl_directory::Directory;
use apgl_slack::{HistoryMessage, Metadata, Post, SlackClient, SlackError, Span};
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;

use crate::{
    Input,
    protocol::{Found, Outbox, Search},
    text::Shown,
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
    /// The first message of the message's thread, once Slack was asked.
    thread: OnceCell<Option<String>>,
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
            thread: OnceCell::new(),
            metadata: metadata(delivery_id),
        }
    }

    /// The first message of the message's thread. Asks Slack for it once.
    async fn thread(&self) -> Result<Option<&str>, SlackError> {
        let thread = self.thread.get_or_try_init(async || {
            match &self.input.message.thread_ts {
                None => Ok(None),
                // Boxed, because its future is large and rarely needed.
                Some(ts) => Box::pin(thread_of(self.directory, self.input, ts.as_str()))
                    .await
                    .map(Some),
            }
        });
        Ok(thread.await?.as_deref())
    }

    async fn post_to_channel(&self, thread: Option<&str>) -> Result<MessageTs, SlackError> {
        let Input { channel, message } = self.input;
        let Shown { text, blocks } = Shown::of(message);
        let post = Post {
            channel: &channel.id,
            text: &text,
            blocks: blocks.as_deref(),
            thread_ts: thread,
            unfurl_links: message.unfurl_links,
            unfurl_media: message.unfurl_media,
            metadata: &self.metadata,
        };
        let posted = self.directory.slack.chat_post_message(post).await?;
        timestamp(posted.ts)
    }

    async fn page(
        &self,
        channel: &str,
        thread: Option<&str>,
        span: Span<'_>,
        cursor: Option<&str>,
    ) -> Result<apgl_slack::Page<HistoryMessage>, SlackError> {
        let slack = &self.directory.slack;
        match thread {
            None => slack.conversations_history(channel, span, cursor).await,
            Some(thread) => {
                slack
                    .conversations_replies(channel, thread, span, cursor)
                    .await
            }
        }
    }

    /// Looks for the message in this thread, or in the channel outside of threads.
    async fn find_in(
        &self,
        channel: &str,
        thread: Option<&str>,
        search: &mut Search,
    ) -> Result<Found, SlackError> {
        let slack = &self.directory.slack;
        let bot_id = slack.auth_test().await?.bot_id;
        let ours = |message: &&HistoryMessage| {
            message.bot_id == bot_id && message.metadata.as_ref() == Some(&self.metadata)
        };
        let mut oldest = slack_time(search.since - CLOCK_MARGIN);
        let mut latest = search.until.map(|until| slack_time(until + CLOCK_MARGIN));
        // A channel's messages are listed newest first, a thread's oldest first.
        let list = thread.map_or_else(|| channel.to_owned(), |ts| format!("{channel}#{ts}"));
        if let Some(place) = search.places.get(&list) {
            if thread.is_some() {
                place.as_str().clone_into(&mut oldest);
            } else {
                latest = Some(place.as_str().to_owned());
            }
        }
        let span = Span {
            oldest: &oldest,
            latest: latest.as_deref(),
        };
        let joined = self.joined(channel);
        let mut cursor = None;
        loop {
            let page = slack
                .in_channel(&joined, async || {
                    self.page(channel, thread, span, cursor.as_deref()).await
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
            let end = page.items.into_iter().next_back();
            let end = end.filter(|message| message.ts.as_str() >= oldest.as_str());
            if let Some(Ok(place)) = end.map(|message| MessageTs::try_from(message.ts)) {
                search.places.insert(list.clone(), place);
            }
            if !self.invocation.has_time_for(TIME_FOR_A_PAGE) {
                return Ok(Found::OutOfTime);
            }
        }
    }

    /// The channel that the bot joins if somebody has removed it since it posted. Whether an earlier channel is public is
    /// not known: a private one can't be joined.
    fn joined(&self, channel: &str) -> ChannelRef {
        let current = &self.input.channel;
        let visibility = if channel == current.id {
            current.visibility
        } else {
            Visibility::Public
        };
        ChannelRef {
            id: channel.to_owned(),
            visibility,
            ..current.clone()
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
        self.thread().await?;
        // Boxed, because its future is large and rarely needed.
        Box::pin(directory.confirm(&input.channel, self.invocation)).await
    }

    async fn find(&self, channel: &str, search: &mut Search) -> Result<Found, SlackError> {
        let thread = self.thread().await?;
        match self.find_in(channel, thread, search).await {
            // The thread was deleted, and its messages with it. One that stands by itself is in the channel.
            Err(error) if is_gone(&error) => self.find_in(channel, None, search).await,
            found => found,
        }
    }

    async fn post(&self) -> Result<MessageTs, SlackError> {
        let channel = &self.input.channel;
        let slack = &self.directory.slack;
        let posted = match self.thread().await {
            Ok(thread) => {
                slack
                    .in_channel(channel, async || self.post_to_channel(thread).await)
                    .await
            }
            Err(error) => Err(error),
        };
        match posted {
            // If only the outcome of another call is unknown, the message was not posted.
            Err(SlackError::OutcomeUnknown { method, reason }) if method != "chat.postMessage" => {
                Err(SlackError::Unavailable { method, reason })
            }
            posted => posted,
        }
    }
}

/// The first message of the thread to which a message belongs, which is the message itself if it is in no thread. A
/// caller may name any message of the thread; conversations.replies needs the first one.
async fn thread_of(directory: &Directory, input: &Input, ts: &str) -> Result<String, SlackError> {
    let (slack, channel) = (&directory.slack, &input.channel);
    let thread = slack
        .in_channel(channel, async || {
            slack.conversations_replies_thread_of(&channel.id, ts).await
        })
        .await;
    match thread {
        Ok(thread) => Ok(thread.unwrap_or_else(|| ts.to_owned())),
        // There is no such message, or the bot may not read it: Slack decides when the message is posted.
        Err(SlackError::Rejected { .. } | SlackError::Unauthorized { .. }) => Ok(ts.to_owned()),
        Err(error) => Err(error),
    }
}

fn is_gone(error: &SlackError) -> bool {
    error.rejected_code() == Some("thread_not_found")
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
