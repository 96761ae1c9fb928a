//! A channel by its name.
//!
//! Slack has no look-up by name. So the channel table is asked first. What it says is taken at its
//! word while nothing speaks against it; it is confirmed by conversations.info, one call, where
//!
//! * a complete scan, later than the entry, has not seen the channel under this name,
//! * the caller could not go on with it: bad news is told only when Slack says it too.
//!
//! Only a name that the table does not know is looked for in Slack's list.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use apgl_aws::SettingError;
use apgl_contract::{ChannelName, ChannelRef, Invocation, SlackUserId, StepError, Visibility};
use apgl_slack::{Conversation, LimitedBy, RateLimiter, SlackClient, SlackError};
use apgl_stores::{Channel, Channels, CreationClaim, Entry, LookUp, Scanned};
use aws_types::SdkConfig;

/// Slack's clock and ours may differ by this much.
const CLOCK_MARGIN: Duration = Duration::from_mins(1);

#[derive(Debug, Clone)]
pub struct Directory {
    pub channels: Channels,
    pub slack: SlackClient,
}

/// A channel that has the name that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub channel: Channel,
    /// The execution that made it, if one of ours did.
    pub created_by: Option<String>,
}

impl Found {
    pub fn is_created_by(&self, execution_id: &str) -> bool {
        self.created_by.as_deref() == Some(execution_id)
    }
}

impl LimitedBy for Directory {
    fn limited_by(&self, limiter: &Arc<dyn RateLimiter>) -> Self {
        Self {
            channels: self.channels.clone(),
            slack: self.slack.limited_by(limiter),
        }
    }
}

impl Directory {
    /// With the table that `CHANNELS_TABLE` names.
    pub fn from_env(aws: &SdkConfig, slack: SlackClient) -> Result<Self, SettingError> {
        let channels = Channels::from_env(aws)?;
        Ok(Self { channels, slack })
    }

    /// The channel with this name, as far as the table knows. One that is not `usable` is confirmed
    /// first. `None` is no proof that there is none: see [`Directory::find`].
    pub async fn known(
        &self,
        name: &ChannelName,
        usable: impl Fn(&Channel) -> bool,
    ) -> Result<Option<Found>, StepError> {
        let (found, _) = self.known_or_claimed(name, usable).await?;
        Ok(found)
    }

    /// The same, with the claim on creating a channel of this name.
    pub async fn known_or_claimed(
        &self,
        name: &ChannelName,
        usable: impl Fn(&Channel) -> bool,
    ) -> Result<(Option<Found>, Option<CreationClaim>), StepError> {
        let look_up = self.channels.look_up(name).await?;
        let found = self.confirmed(name, &look_up, usable).await?;
        Ok((found, look_up.creation))
    }

    /// The channel that the table has shown, as it is, or as Slack shows it where there is doubt.
    async fn confirmed(
        &self,
        name: &ChannelName,
        look_up: &LookUp,
        usable: impl Fn(&Channel) -> bool,
    ) -> Result<Option<Found>, StepError> {
        let Entry::Seen { channel, seen_at } = &look_up.entry else {
            return Ok(None);
        };
        let missed_by_scan = look_up
            .scanned
            .as_ref()
            .is_some_and(|scanned| *seen_at < scanned.began);
        let channel = if missed_by_scan || !usable(channel) {
            self.as_slack_shows_it(name, channel).await?
        } else {
            Some(channel.clone())
        };
        Ok(channel.map(|channel| Found {
            channel,
            created_by: look_up.created_by.clone(),
        }))
    }

    /// The channel with this name; `None` where the bot sees none.
    ///
    /// # Errors
    /// Beside Slack's own: [`StepError::ChannelScanInProgress`] and [`StepError::StepUnfinished`]
    /// while the scan that will tell is not at its end.
    pub async fn find(
        &self,
        name: &ChannelName,
        invocation: &Invocation,
        usable: impl Fn(&Channel) -> bool,
    ) -> Result<Option<Found>, StepError> {
        // One look decides: between two, another execution's scan could fill the table.
        let look_up = self.channels.look_up(name).await?;
        if let Some(found) = self.confirmed(name, &look_up, &usable).await? {
            return Ok(Some(found));
        }
        let since = match look_up.entry {
            Entry::Unknown => UNIX_EPOCH,
            Entry::Outdated { since } => since,
            // Slack has just said that the table is wrong.
            Entry::Seen { .. } => SystemTime::now(),
        };
        let tells =
            |scanned: &Scanned| scanned.began >= since && scanned.counts_at(SystemTime::now());
        if look_up.scanned.as_ref().is_some_and(tells) {
            return Ok(None);
        }
        self.scan(name, invocation, tells).await?;
        self.known(name, usable).await
    }

    /// The channel with this name, by a scan that began at `since` or later.
    pub async fn find_by_scan(
        &self,
        name: &ChannelName,
        invocation: &Invocation,
        since: SystemTime,
        usable: impl Fn(&Channel) -> bool,
    ) -> Result<Option<Found>, StepError> {
        self.scan(name, invocation, |scanned| scanned.began >= since)
            .await?;
        self.known(name, usable).await
    }

    /// Asks Slack for a channel that the table knows; `None` where it has the name no more, or the
    /// bot can't see it any more.
    async fn as_slack_shows_it(
        &self,
        name: &ChannelName,
        known: &Channel,
    ) -> Result<Option<Channel>, StepError> {
        let shown = match self.slack.conversations_info(&known.id).await {
            Ok(info) => Some(channel_of(&info)),
            Err(error) if error.rejected_code() == Some("channel_not_found") => None,
            Err(error) => return Err(error.into()),
        };
        match shown {
            Some(channel) if channel.name == known.name => {
                self.channels.remember(name, &channel).await?;
                Ok(Some(channel))
            }
            elsewhere => {
                tracing::info!(
                    channel.name = %name,
                    channel.id = known.id,
                    channel.renamed = elsewhere.is_some(),
                    "the channel is not to be found under this name any more"
                );
                self.channels
                    .mark_outdated(name.as_str(), &known.id)
                    .await?;
                Ok(None)
            }
        }
    }

    /// Creates the channel in Slack and writes it into the table. `None` where the name is taken; Slack does
    /// not say by which channel.
    pub async fn create(
        &self,
        name: &ChannelName,
        visibility: Visibility,
        execution_id: &str,
    ) -> Result<Option<Found>, StepError> {
        let created = self
            .slack
            .conversations_create(name.as_str(), visibility.is_private())
            .await;
        let created = match created {
            Ok(created) => channel_of(&created),
            Err(error) if error.rejected_code() == Some("name_taken") => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let found = self.remember_creator(name, created, execution_id).await?;
        Ok(Some(found))
    }

    /// Writes into the table that this execution has made the channel, where Slack says that it came
    /// into being after `since`, when an attempt began whose outcome is not known.
    pub async fn recognise(
        &self,
        name: &ChannelName,
        found: Found,
        since: SystemTime,
        execution_id: &str,
    ) -> Result<Found, StepError> {
        let info = self.slack.conversations_info(&found.channel.id).await?;
        if UNIX_EPOCH + Duration::from_secs(info.created) + CLOCK_MARGIN < since {
            return Ok(found);
        }
        self.remember_creator(name, found.channel, execution_id)
            .await
    }

    async fn remember_creator(
        &self,
        name: &ChannelName,
        channel: Channel,
        execution_id: &str,
    ) -> Result<Found, StepError> {
        tracing::info!(channel.name = %name, channel.id = channel.id, "created the channel");
        self.channels
            .remember_creator(name, &channel, execution_id)
            .await?;
        self.channels.remember(name, &channel).await?;
        Ok(Found {
            channel,
            created_by: Some(execution_id.to_owned()),
        })
    }

    /// Writes into the table that the channel, once found as `name`, is archived under the name that
    /// it has now.
    pub async fn archived(
        &self,
        name: &ChannelName,
        channel: &ChannelRef,
    ) -> Result<(), StepError> {
        let now = Channel {
            name: channel.name.clone(),
            id: channel.id.clone(),
            visibility: channel.visibility,
            archived: true,
        };
        if channel.name != name.as_str() {
            self.channels.forget(name, &channel.id).await?;
        }
        self.channels.remember_all(&[now]).await
    }

    /// Corrects the table if Slack's error says that it is wrong about the channel. Returns the step's error.
    pub async fn correct_table(&self, channel: &ChannelRef, error: SlackError) -> StepError {
        let code = error.rejected_code().unwrap_or_default().to_owned();
        let error = about_channel(error, &channel.name);
        let corrected = match error {
            StepError::ChannelNotFound { .. } => {
                self.channels
                    .mark_outdated(&channel.name, &channel.id)
                    .await
            }
            StepError::ChannelArchived { .. } => {
                self.channels
                    .mark_archived(&channel.name, &channel.id)
                    .await
            }
            _ => return error,
        };
        tracing::warn!(
            slack.error = code,
            "Slack has the channel otherwise than the table; corrected it"
        );
        match corrected {
            Ok(()) => error,
            Err(not_corrected) => not_corrected,
        }
    }

    /// Ids of everybody who is in the channel, the bot too.
    pub async fn members_in_slack(
        &self,
        channel: &ChannelRef,
    ) -> Result<BTreeSet<SlackUserId>, StepError> {
        let mut members = BTreeSet::new();
        let mut cursor = None;
        loop {
            let page = self
                .slack
                .conversations_members(&channel.id, cursor.as_deref())
                .await;
            let page = match page {
                Ok(page) => page,
                Err(error) => return Err(self.correct_table(channel, error).await),
            };
            members.extend(page.items.into_iter().map(SlackUserId));
            cursor = page.next_cursor;
            if cursor.is_none() {
                return Ok(members);
            }
        }
    }
}

/// The step's error for a call about one channel.
fn about_channel(error: SlackError, name: &str) -> StepError {
    let channel = name.to_owned();
    match error.rejected_code() {
        Some("channel_not_found" | "not_in_channel") => StepError::ChannelNotFound {
            channel,
            hint: "Slack no longer shows it to the bot; invite the bot if it is private",
        },
        Some("is_archived") => StepError::ChannelArchived { channel },
        _ => error.into(),
    }
}

pub(crate) fn channel_of(conversation: &Conversation) -> Channel {
    Channel {
        name: conversation.name.clone(),
        id: conversation.id.clone(),
        visibility: Visibility::from_is_private(conversation.is_private),
        archived: conversation.is_archived,
    }
}
