//! Posts the message exactly once.
//!
//! Slack has no idempotency key. So each attempt claims the delivery in the delivery table before it posts. If the
//! outcome of an earlier attempt is unknown, the next attempt looks for the message in Slack first.

mod outbox;
pub mod protocol;
mod text;

use std::sync::Arc;

use apgl_contract::{ChannelRef, Invocation, Message, StepError, outcome::PostedMessage};
use apgl_directory::Directory;
use apgl_runtime::SettingError;
use apgl_slack::{LimitedBy, RateLimiter, SlackClient, SlackError};
use apgl_stores::Deliveries;
use aws_types::SdkConfig;
use serde::Deserialize;
use uuid::Uuid;

use crate::{
    outbox::{SlackOutbox, place_of},
    protocol::{Delivery, NotDelivered, deliver},
};

#[derive(Debug)]
pub struct Deps {
    pub directory: Directory,
    pub deliveries: Deliveries,
}

impl Deps {
    pub fn from_env(aws: &SdkConfig, slack: SlackClient) -> Result<Self, SettingError> {
        Ok(Self {
            directory: Directory::from_env(aws, slack)?,
            deliveries: Deliveries::from_env(aws)?,
        })
    }
}

impl LimitedBy for Deps {
    fn limited_by(&self, limiter: &Arc<dyn RateLimiter>) -> Self {
        Self {
            directory: self.directory.limited_by(limiter),
            deliveries: self.deliveries.clone(),
        }
    }
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
    let delivery = Delivery {
        // An execution posts one message, and a redrive keeps the execution's id.
        id: invocation.run.execution_id.clone(),
        // Lambda can run an invocation twice with the same request id.
        attempt_id: format!("{}/{}", invocation.request_id, Uuid::new_v4().simple()),
        // Boxed, because its future is large.
        place: Box::pin(place_of(&deps.directory, &input)).await?,
        execution_started_at: invocation.run.execution_started_at(),
        deadline: invocation.deadline,
    };
    let outbox = SlackOutbox::new(&deps.directory, invocation, &input, &delivery);
    match deliver(&deps.deliveries, &outbox, &delivery).await {
        Ok(posted) => Ok(posted),
        Err(NotDelivered::Slack(error)) => match error {
            SlackError::Rejected { code, detail, .. } if is_about_the_message(&code) => {
                Err(StepError::SlackMessageRejected { code, detail })
            }
            error => Err(deps.directory.correct_table(&input.channel, error).await),
        },
        Err(error) => Err(error.into()),
    }
}

/// Whether Slack has refused the message itself: no redrive could help. Every other code, and every code that Slack
/// may add, is about something that somebody can change.
///
/// Source: the errors of <https://docs.slack.dev/reference/methods/chat.postMessage>.
fn is_about_the_message(code: &str) -> bool {
    matches!(
        code,
        "no_text"
            | "msg_too_long"
            | "msg_blocks_too_long"
            | "invalid_blocks"
            | "invalid_blocks_format"
            | "markdown_text_conflict"
            | "cannot_reply_to_message"
    )
}
