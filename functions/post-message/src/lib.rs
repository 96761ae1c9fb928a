//! Posts the message exactly once.
//!
//! Slack has no idempotency key, so a delivery is claimed in the delivery table before it is posted,
//! and an attempt that follows one whose outcome is unknown looks for the message in Slack first.
//! The states of a delivery are described with the table, in `apgl_stores::Deliveries`.

mod reconcile;

use std::time::Duration;

use apgl_contract::{
    ChannelRef, Invocation, Message, MessageTs, StepError, message::Blocks, outcome::PostedMessage,
};
use apgl_directory::Directory;
use apgl_slack::{Metadata, Post, SlackClient, SlackError};
use apgl_stores::{Attempt, Claim, Deliveries, SETTLE_TIME};
use serde::Deserialize;

use crate::reconcile::{find_posted, metadata};

/// A post, and a join and a second post where the bot is not in the channel, fit in this time.
const TIME_TO_POST: Duration = SlackClient::CALL_TIMEOUT.saturating_mul(3);

#[derive(Debug)]
pub struct Deps {
    pub directory: Directory,
    pub deliveries: Deliveries,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    pub channel: ChannelRef,
    pub message: Message,
}

pub async fn handle(
    deps: &Deps,
    invocation: &Invocation,
    input: Input,
) -> Result<PostedMessage, StepError> {
    // One execution posts one message, and a redrive keeps the execution's id.
    let delivery_id = &invocation.run.execution_id;
    let metadata = metadata(delivery_id);
    let claim = deps
        .deliveries
        .claim(delivery_id, &invocation.request_id, invocation.deadline)
        .await?;
    let attempt = match claim {
        Claim::Mine(attempt) => attempt,
        Claim::Posted(ts) => return Ok(already_posted(ts)),
        Claim::Held(retry_after) => return Err(StepError::DeliveryInProgress { retry_after }),
    };
    let posted = post_once(deps, invocation, &attempt, &input, &metadata).await;
    match posted {
        Ok(posted) => {
            deps.deliveries.posted(&attempt, &posted.ts).await?;
            Ok(posted)
        }
        Err(error) => Err(end_attempt(deps, &attempt, &input.channel, error).await?),
    }
}

async fn post_once(
    deps: &Deps,
    invocation: &Invocation,
    attempt: &Attempt,
    input: &Input,
    metadata: &Metadata,
) -> Result<PostedMessage, SlackError> {
    if let Some(since) = attempt.uncertain_since
        && let Some(ts) = find_posted(deps, input, metadata, since).await?
    {
        return Ok(already_posted(ts));
    }
    // Who is still posting after the lease could post beside the attempt that takes over.
    if !invocation.has_time_for(TIME_TO_POST) {
        return Err(SlackError::Unavailable {
            method: "chat.postMessage",
            reason: "too little time is left in this invocation".to_owned(),
        });
    }
    let ts = post(deps, input, metadata).await?;
    tracing::info!(message.ts = ts.as_str(), "posted the message");
    Ok(PostedMessage {
        ts,
        duplicate: false,
    })
}

async fn post(deps: &Deps, input: &Input, metadata: &Metadata) -> Result<MessageTs, SlackError> {
    let post = Post {
        channel: &input.channel.id,
        text: input.message.text.as_str(),
        blocks: input.message.blocks.as_ref().map(Blocks::as_slice),
        thread_ts: input.message.thread_ts.as_ref().map(MessageTs::as_str),
        metadata,
    };
    let slack = &deps.directory.slack;
    let posted = slack
        .in_channel(&input.channel, async || slack.chat_post_message(post).await)
        .await?;
    MessageTs::try_from(posted.ts).map_err(|_| SlackError::OutcomeUnknown {
        method: "chat.postMessage",
        reason: "the answer holds no timestamp".to_owned(),
    })
}

/// Ends an attempt that did not post, or may not have, and answers the step's error.
async fn end_attempt(
    deps: &Deps,
    attempt: &Attempt,
    channel: &ChannelRef,
    error: SlackError,
) -> Result<StepError, StepError> {
    if let SlackError::OutcomeUnknown {
        method: method @ "chat.postMessage",
        reason,
    } = error
    {
        deps.deliveries.give_up(attempt).await?;
        return Ok(StepError::SlackOutcomeUnknown {
            method,
            reason,
            retry_after: SETTLE_TIME,
        });
    }
    deps.deliveries.release(attempt).await?;
    Ok(deps.directory.learn(channel, error).await)
}

fn already_posted(ts: MessageTs) -> PostedMessage {
    tracing::info!(message.ts = ts.as_str(), "the message was posted already");
    PostedMessage {
        ts,
        duplicate: true,
    }
}
