//! Posts the message to Slack and finds it again.
//!
//! The message's metadata holds a hash of the delivery's id. A search looks for this hash among the messages of our
//! own bot.

use std::time::{Duration, SystemTime};

use apgl_contract::{Invocation, MessageTs, StepError};
use apgl_directory::Directory;
use apgl_slack::{HistoryMessage, Metadata, Post, SlackClient, SlackError, Span};
use apgl_stores::{Delivery, Place};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{
    protocol::{Found, Outbox, Search},
    target::Target,
};

/// The `event_type` of our messages' metadata.
const METADATA_TYPE: &str = "apgl_delivery";
/// The longest time that it takes to read a page and to write where the search has stopped.
const TIME_FOR_A_PAGE: Duration = SlackClient::CALL_TIMEOUT.saturating_add(Duration::from_secs(5));
/// The largest expected difference between Slack's clock and ours.
const CLOCK_MARGIN: Duration = Duration::from_mins(1);

/// What is posted. It has no `Debug` on purpose: that would show the text.
#[derive(Clone, Copy)]
#[expect(
    missing_debug_implementations,
    reason = "it would show the message's text"
)]
pub struct Content<'a> {
    pub text: &'a str,
    pub blocks: Option<&'a [Value]>,
    pub unfurl_links: bool,
    pub unfurl_media: bool,
    /// Whether it mentions people, whose ids the workflow has looked up.
    pub mentions_people: bool,
}

/// One message and its target in Slack.
#[expect(
    missing_debug_implementations,
    reason = "it would show the message's text"
)]
pub struct SlackOutbox<'a> {
    directory: &'a Directory,
    invocation: &'a Invocation,
    target: Target<'a>,
    content: Content<'a>,
    delivery: &'a Delivery,
    metadata: Metadata,
}

impl<'a> SlackOutbox<'a> {
    pub fn new(
        directory: &'a Directory,
        invocation: &'a Invocation,
        target: Target<'a>,
        content: Content<'a>,
        delivery: &'a Delivery,
    ) -> Self {
        Self {
            directory,
            invocation,
            target,
            content,
            delivery,
            metadata: metadata(&delivery.id),
        }
    }

    async fn post_now(&self) -> Result<MessageTs, SlackError> {
        let Self {
            content, delivery, ..
        } = self;
        let post = Post {
            channel: self.target.id(),
            text: content.text,
            blocks: content.blocks,
            thread_ts: delivery.place.thread.as_deref(),
            unfurl_links: content.unfurl_links,
            unfurl_media: content.unfurl_media,
            metadata: &self.metadata,
            not_after: delivery.expires_at,
        };
        let posted = self.directory.slack.chat_post_message(post).await?;
        timestamp(posted.ts)
    }

    async fn page(
        &self,
        Place { channel, thread }: &Place,
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

    /// Looks for the message in exactly this place.
    async fn find_in(&self, place: &Place, search: &mut Search) -> Result<Found, SlackError> {
        let slack = &self.directory.slack;
        let bot_id = slack.auth_test().await?.bot_id;
        let ours = |message: &&HistoryMessage| {
            message.bot_id == bot_id && message.metadata.as_ref() == Some(&self.metadata)
        };
        let mut oldest = slack_time(search.since - CLOCK_MARGIN);
        // Without `latest`, Slack may begin with the messages that are closest to `oldest`.
        let until = search.until.unwrap_or_else(SystemTime::now);
        let mut latest = slack_time(until + CLOCK_MARGIN);
        // A channel's messages are listed newest first, a thread's oldest first.
        if let Some(searched_to) = search.searched.get(place) {
            let bound = if place.thread.is_some() {
                &mut oldest
            } else {
                &mut latest
            };
            searched_to.as_str().clone_into(bound);
        }
        let span = Span {
            oldest: &oldest,
            latest: Some(&latest),
        };
        let mut cursor = None;
        loop {
            let page = self
                .target
                .reach(self.directory, &place.channel, async || {
                    self.page(place, span, cursor.as_deref()).await
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
            if let Some(Ok(ts)) = end.map(|message| MessageTs::try_from(message.ts)) {
                search.searched.insert(place.clone(), ts);
            }
            if !self.invocation.has_time_for(TIME_FOR_A_PAGE) {
                return Ok(Found::OutOfTime);
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
            directory,
            invocation,
            content,
            ..
        } = self;
        let confirmed = self
            .target
            .confirm(directory, content.mentions_people, invocation);
        // Boxed, because its future is large and rarely needed.
        Box::pin(confirmed).await
    }

    async fn find(&self, place: &Place, search: &mut Search) -> Result<Found, SlackError> {
        match self.find_in(place, search).await {
            // The thread was deleted, and its messages with it. One that stands by itself is in the channel.
            Err(error) if is_gone(&error) => {
                let channel = Place::in_channel(&place.channel);
                self.find_in(&channel, search).await
            }
            found => found,
        }
    }

    async fn post(&self) -> Result<MessageTs, SlackError> {
        let Self {
            directory, target, ..
        } = self;
        target
            .reach(directory, target.id(), async || self.post_now().await)
            .await
    }
}

/// Identifies this run of a step: Lambda can run an invocation twice with the same request id.
pub fn attempt_id(invocation: &Invocation) -> String {
    format!("{}/{}", invocation.request_id, Uuid::new_v4().simple())
}

/// Where the message belongs: in the channel, or in the thread of the message `thread_ts`. A caller may name any message of
/// a thread, but conversations.replies needs the first one.
pub async fn place_of(
    directory: &Directory,
    target: Target<'_>,
    thread_ts: Option<&MessageTs>,
) -> Result<Place, SlackError> {
    let (slack, channel) = (&directory.slack, target.id());
    let mut place = Place::in_channel(channel);
    if let Some(ts) = thread_ts {
        let ts = ts.as_str();
        let thread = target
            .reach(directory, channel, async || {
                slack.conversations_replies_thread_of(channel, ts).await
            })
            .await;
        let thread = match thread {
            Ok(thread) => thread,
            // There is no such message, or the bot may not read it: Slack decides when the message is posted.
            Err(SlackError::Rejected { .. } | SlackError::Unauthorized { .. }) => None,
            Err(error) => return Err(error),
        };
        place.thread = Some(thread.unwrap_or_else(|| ts.to_owned()));
    }
    Ok(place)
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
