//! Posts the message exactly once: see [`apgl_delivery`].

mod addressees;
mod text;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use apgl_contract::{
    ChannelRef, DirectMessage, Invocation, Message, Notice, Skipped, SlackUser, StepError,
    Timestamp,
    decode::null_as_absent,
    outcome::{MessageOutcome, PostedMessage},
};
use apgl_delivery::{Content, SlackOutbox, Target, attempt_id, deliver, place_of};
use apgl_directory::Directory;
use apgl_runtime::SettingError;
use apgl_slack::{LimitedBy, RateLimiter, SlackClient};
use apgl_stores::{Deliveries, Delivery};
use aws_types::SdkConfig;
use serde::Deserialize;

use crate::{addressees::Addressees, text::Shown};

/// A message that is posted longer than this after what it tells of happened says when that was.
const LATE_AFTER: Duration = Duration::from_mins(10);

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

/// Where to post, `channel` or `conversation`, and what.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Input {
    #[serde(default)]
    pub channel: Option<ChannelRef>,
    #[serde(default)]
    pub conversation: Option<DirectMessage>,
    pub message: Message,
    #[serde(default, deserialize_with = "null_as_absent")]
    pub notice: Notice,
    /// The Slack users among those whom the message addresses. Others may be among them.
    #[serde(default)]
    pub users: Vec<SlackUser>,
    /// Those who are not to be mentioned, and why. Others may be among them.
    #[serde(default)]
    pub skipped: Vec<Skipped>,
    /// Tells the messages of an execution apart. The first message of a workflow for channels has none, because release
    /// 0.1 did not know it.
    #[serde(default)]
    pub purpose: Option<String>,
}

pub async fn handle(
    deps: &Deps,
    invocation: &Invocation,
    input: Input,
) -> Result<MessageOutcome, StepError> {
    let Input {
        channel,
        conversation,
        message,
        notice,
        users,
        skipped,
        purpose,
    } = &input;
    let target = Target::of(channel.as_ref(), conversation.as_ref())?;
    let directory = &deps.directory;
    let delivery = Delivery {
        id: delivery_id(invocation, purpose.as_deref()),
        attempt_id: attempt_id(invocation),
        // Boxed, because its future is large.
        place: Box::pin(place_of(directory, target, message.thread_ts.as_ref())).await?,
        execution_started_at: invocation.run.execution_started_at(),
        expires_at: notice.expires_at.map(Timestamp::time),
        in_sequence: notice
            .sequence
            .as_ref()
            .map(|sequence| target.in_sequence(sequence)),
        deadline: invocation.deadline,
    };
    let addressees = Addressees::of(notice, users, skipped);
    let shown = Shown::of(message, &addressees, late_since(notice));
    let content = Content {
        text: &shown.text,
        blocks: shown.blocks.as_deref(),
        unfurl_links: message.unfurl_links,
        unfurl_media: message.unfurl_media,
        mentions_people: !notice.mention.as_slice().is_empty(),
    };
    let outbox = SlackOutbox::new(directory, invocation, target, content, &delivery);
    match deliver(&deps.deliveries, &outbox, &delivery).await {
        Ok(MessageOutcome::Posted(posted)) => Ok(MessageOutcome::Posted(PostedMessage {
            channel_id: posted.channel_id.or(match target {
                // The outcome of a workflow for a person names no other channel.
                Target::Person(conversation) => Some(conversation.id.clone()),
                Target::Channel(_) => None,
            }),
            mentioned: addressees.mentioned,
            not_mentioned: addressees.not_mentioned,
            ..posted
        })),
        Ok(not_posted) => Ok(not_posted),
        Err(error) => Err(target.step_error(directory, error).await),
    }
}

/// A redrive keeps the execution's id.
fn delivery_id(invocation: &Invocation, purpose: Option<&str>) -> String {
    let execution = &invocation.run.execution_id;
    purpose.map_or_else(
        || execution.clone(),
        |purpose| format!("{execution}#{purpose}"),
    )
}

/// When that of which the message tells happened, if people must be told that it is late.
fn late_since(notice: &Notice) -> Option<Timestamp> {
    let occurred_at = notice.occurred_at?;
    let since = SystemTime::now().duration_since(occurred_at.time()).ok()?;
    (since > LATE_AFTER).then_some(occurred_at)
}
