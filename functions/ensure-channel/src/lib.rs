//! Finds the channel with a name, and creates it if it does not exist.

pub mod protocol;
mod workspace;

use std::{sync::Arc, time::Duration};

use apgl_contract::{ChannelName, ChannelRef, ChannelText, Invocation, StepError, Visibility};
use apgl_directory::{Directory, Found};
use apgl_rate_limit::SlackClock;
use apgl_runtime::{SettingError, flag};
use apgl_slack::{LimitedBy, RateLimiter, SlackClient};
use apgl_stores::Channel;
use aws_types::SdkConfig;
use serde::{Deserialize, Serialize};

use crate::{protocol::ensure, workspace::Workspace};

/// The longest time that it takes to set a topic or a purpose.
const TIME_TO_DESCRIBE: Duration = SlackClient::CALL_TIMEOUT;

#[derive(Debug)]
pub struct Deps {
    pub directory: Directory,
    pub clock: SlackClock,
    /// Whether a message for a private channel may go to one that another organisation can read.
    pub allow_externally_shared: bool,
}

impl Deps {
    pub fn from_env(aws: &SdkConfig, slack: SlackClient) -> Result<Self, SettingError> {
        Ok(Self {
            directory: Directory::from_env(aws, slack)?,
            clock: SlackClock::from_env()?,
            allow_externally_shared: flag("ALLOW_EXTERNALLY_SHARED_CHANNELS")?,
        })
    }
}

impl LimitedBy for Deps {
    fn limited_by(&self, limiter: &Arc<dyn RateLimiter>) -> Self {
        Self {
            directory: self.directory.limited_by(limiter),
            ..*self
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Input {
    pub channel_name: ChannelName,
    /// The visibility of the channel if this execution creates it.
    pub visibility: Visibility,
    /// Whether an existing channel must have this visibility too. A message for a private channel must never go to a
    /// public channel with the same name.
    #[serde(default)]
    pub require_visibility: bool,
    /// The topic and the purpose are set only if this execution creates the channel.
    pub topic: Option<ChannelText>,
    pub purpose: Option<ChannelText>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    pub channel: ChannelRef,
}

pub async fn handle(
    deps: &Deps,
    invocation: &Invocation,
    input: Input,
) -> Result<Outcome, StepError> {
    let workspace = Workspace::new(deps, invocation, &input);
    let found = ensure(&workspace, &invocation.run.execution_id).await;
    let found = found.map_err(|error| not_found_if_not_creatable(error, &input.channel_name))?;
    // The log lines that follow name the channel.
    tracing::Span::current().record("channel.id", &found.channel.id);
    let channel = usable_channel(deps, &found, invocation, &input)?;
    if channel.created {
        describe(deps, invocation, &input, &channel).await?;
    }
    Ok(Outcome { channel })
}

impl Input {
    /// Why the request can't use the channel; `None` if it can.
    fn reason_not_to_use(
        &self,
        channel: &Channel,
        allow_externally_shared: bool,
    ) -> Option<&'static str> {
        if channel.archived {
            return Some(
                "by an archived channel; unarchive it in Slack to use or rename it, or use another name",
            );
        }
        if !self.require_visibility {
            return None;
        }
        if channel.visibility != self.visibility {
            return Some(match channel.visibility {
                Visibility::Public => "by a public channel; use another name",
                Visibility::Private => "by a private channel; use another name",
            });
        }
        (channel.externally_shared && !allow_externally_shared).then_some(
            "by a channel that another organisation can read; use another name, or allow such channels in the settings",
        )
    }
}

/// A name that the bot can't create is not taken by anybody.
fn not_found_if_not_creatable(error: StepError, name: &ChannelName) -> StepError {
    match error {
        StepError::ChannelNameTaken { channel, .. } if !name.can_be_created() => {
            StepError::ChannelNotFound {
                channel,
                hint: "create it in Slack and invite the bot: a bot can create only names of a to z, digits, - and _ (channelName)",
            }
        }
        error => error,
    }
}

fn usable_channel(
    deps: &Deps,
    found: &Found,
    invocation: &Invocation,
    input: &Input,
) -> Result<ChannelRef, StepError> {
    let channel = &found.channel;
    if let Some(holder) = input.reason_not_to_use(channel, deps.allow_externally_shared) {
        return Err(StepError::ChannelNameTaken {
            channel: channel.name.clone(),
            holder,
        });
    }
    let is_other = channel.visibility != input.visibility;
    Ok(ChannelRef {
        requested_visibility: is_other.then_some(input.visibility),
        ..channel.to_ref(found.is_created_by(&invocation.run.execution_id))
    })
}

/// Sets the topic and the purpose of the new channel. Repeating it changes nothing.
async fn describe(
    deps: &Deps,
    invocation: &Invocation,
    input: &Input,
    channel: &ChannelRef,
) -> Result<(), StepError> {
    let (directory, slack) = (&deps.directory, &deps.directory.slack);
    let what = "the channel's topic and purpose";
    if let Some(topic) = &input.topic {
        invocation.need_time_for(TIME_TO_DESCRIBE, what)?;
        let set = slack.conversations_set_topic(&channel.id, topic.as_str());
        if let Err(error) = set.await {
            return Err(directory.correct_table(channel, error).await);
        }
        tracing::info!("set the channel's topic");
    }
    if let Some(purpose) = &input.purpose {
        invocation.need_time_for(TIME_TO_DESCRIBE, what)?;
        let set = slack.conversations_set_purpose(&channel.id, purpose.as_str());
        if let Err(error) = set.await {
            return Err(directory.correct_table(channel, error).await);
        }
        tracing::info!("set the channel's purpose");
    }
    Ok(())
}
