//! The directory itself: its table, its client, and how Slack's answers become entries.

use std::{
    sync::{Arc, OnceLock},
    time::{Duration, SystemTime},
};

use apgl_aws::{SettingError, seconds};
use apgl_contract::{ChannelRef, StepError, Visibility, composed};
use apgl_slack::{Conversation, LimitedBy, RateLimiter, SlackClient, SlackError};
use apgl_stores::{Channel, Channels};
use aws_types::SdkConfig;

/// What to do about a channel that the bot can't see.
pub const OUT_OF_SIGHT: &str = "Slack no longer shows it to the bot; if it is private, invite the bot to it (a \
                                person must unarchive it first if it is archived)";

#[derive(Debug, Clone)]
pub struct Directory {
    pub channels: Channels,
    pub slack: SlackClient,
    /// How long what Slack has confirmed is trusted.
    pub(crate) trust: Duration,
    /// The bot's user id, once it is known.
    bot: Arc<OnceLock<String>>,
}

impl LimitedBy for Directory {
    fn limited_by(&self, limiter: &Arc<dyn RateLimiter>) -> Self {
        Self {
            slack: self.slack.limited_by(limiter),
            ..self.clone()
        }
    }
}

impl Directory {
    /// `trust` is how long what Slack has confirmed is trusted.
    pub fn new(channels: Channels, slack: SlackClient, trust: Duration) -> Self {
        Self {
            channels,
            slack,
            trust,
            bot: Arc::default(),
        }
    }

    /// Uses the table that `CHANNELS_TABLE` names, and trusts its entries for `CHANNEL_TRUST_SECONDS`.
    pub fn from_env(aws: &SdkConfig, slack: SlackClient) -> Result<Self, SettingError> {
        let channels = Channels::from_env(aws)?;
        Ok(Self::new(
            channels,
            slack,
            seconds("CHANNEL_TRUST_SECONDS")?,
        ))
    }

    /// Converts what Slack returned when it was asked at this time.
    pub async fn channel_of(
        &self,
        conversation: &Conversation,
        asked_at: SystemTime,
    ) -> Result<Channel, StepError> {
        let ours = match &conversation.creator {
            Some(creator) => Some(creator == self.bot().await?),
            None => None,
        };
        Ok(channel_from(conversation, ours, asked_at))
    }

    /// The bot's user id. A new token does not change it.
    async fn bot(&self) -> Result<&String, StepError> {
        if let Some(bot) = self.bot.get() {
            return Ok(bot);
        }
        let bot = self.slack.auth_test().await?.user_id;
        Ok(self.bot.get_or_init(|| bot))
    }

    /// Corrects the table if Slack's error shows that its entry for the channel is wrong. Returns the step's error.
    pub async fn correct_table(&self, channel: &ChannelRef, error: SlackError) -> StepError {
        let code = error.rejected_code().unwrap_or_default().to_owned();
        let error = about_channel(error, &channel.name);
        let corrected = match error {
            StepError::ChannelNotFound { .. } => {
                self.channels
                    .mark_outdated(&channel.name, &channel.id, SystemTime::now())
                    .await
            }
            StepError::ChannelArchived { .. } => {
                self.channels
                    .mark_archived(&channel.name, &channel.id)
                    .await
            }
            _ => return error,
        };
        if let Err(not_corrected) = corrected {
            return not_corrected;
        }
        tracing::warn!(
            slack.error = code,
            "the table was wrong about the channel; corrected it"
        );
        error
    }
}

pub(crate) fn channel_from(
    conversation: &Conversation,
    ours: Option<bool>,
    asked_at: SystemTime,
) -> Channel {
    Channel {
        name: composed(&conversation.name),
        id: conversation.id.clone(),
        visibility: Visibility::from_is_private(conversation.is_private),
        archived: conversation.is_archived,
        externally_shared: conversation.is_ext_shared,
        ours,
        confirmed_at: asked_at,
    }
}

/// Converts the error of a call about one channel into the step's error.
fn about_channel(error: SlackError, name: &str) -> StepError {
    let channel = name.to_owned();
    match error.rejected_code() {
        Some("channel_not_found" | "not_in_channel") => StepError::ChannelNotFound {
            channel,
            hint: OUT_OF_SIGHT,
        },
        Some("is_archived") => StepError::ChannelArchived { channel },
        _ => error.into(),
    }
}
