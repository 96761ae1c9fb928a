//! Finding a channel by its name.
//!
//! Slack has no look-up by name, and a scan of conversations.list takes minutes on a large workspace.
//! So the channel table is asked first, and Slack only when the table does not know. A scan writes
//! every channel that it sees into the table and keeps its cursor, so that it goes on where a rate
//! limit stopped it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use apgl_contract::{ChannelName, StepError, Visibility};
use apgl_slack::{Conversation, SlackClient, SlackError};
use apgl_stores::{Channel, Channels};

/// Slack's clock and ours may differ by this much.
const CLOCK_MARGIN: Duration = Duration::from_mins(1);

#[derive(Debug, Clone)]
pub struct Directory {
    pub channels: Channels,
    pub slack: SlackClient,
}

impl Directory {
    /// The channel as the table knows it; else as Slack shows it; `None` where the bot sees none.
    pub async fn find(&self, name: &ChannelName) -> Result<Option<Channel>, StepError> {
        match self.channels.get(name).await? {
            Some(known) => Ok(Some(known)),
            None => self.find_in_slack(name).await,
        }
    }

    /// Reads conversations.list from where the last scan stopped to its end, however short its pages.
    pub async fn find_in_slack(&self, name: &ChannelName) -> Result<Option<Channel>, StepError> {
        let mut cursor = self.channels.scan_cursor().await?;
        let mut pages = 0_u32;
        loop {
            let page = match self.slack.conversations_list(cursor.as_deref()).await {
                Ok(page) => page,
                // Slack forgets cursors: begin again, once.
                Err(error)
                    if error.rejected_code() == Some("invalid_cursor") && cursor.is_some() =>
                {
                    cursor = None;
                    self.channels.keep_scan_cursor(None).await?;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let channels: Vec<Channel> = page.items.iter().map(channel_of).collect();
            self.channels.remember(&channels).await?;
            cursor = page.next_cursor;
            self.channels.keep_scan_cursor(cursor.as_deref()).await?;
            pages += 1;
            if cursor.is_none() {
                break;
            }
        }
        tracing::info!(slack.pages = pages, channel.name = %name, "scanned conversations.list");
        self.channels.get(name).await
    }

    /// Creates the channel in Slack and writes it into the table.
    pub async fn create(
        &self,
        name: &ChannelName,
        visibility: Visibility,
        execution_id: &str,
    ) -> Result<Channel, SlackError> {
        let created = self
            .slack
            .conversations_create(name.as_str(), visibility.is_private())
            .await?;
        let channel = channel_of(&created);
        Ok(self.remember_creator(channel, execution_id).await?)
    }

    /// Writes into the table that this execution has made the channel, where Slack says that it came
    /// into being after `since`, when an attempt began whose outcome is not known.
    pub async fn recognise(
        &self,
        channel: Channel,
        since: SystemTime,
        execution_id: &str,
    ) -> Result<Channel, StepError> {
        let info = self.slack.conversations_info(&channel.id).await;
        let info = info.map_err(|error| error.about_channel(&channel.name))?;
        if UNIX_EPOCH + Duration::from_secs(info.created) + CLOCK_MARGIN < since {
            return Ok(channel);
        }
        self.remember_creator(channel, execution_id).await
    }

    async fn remember_creator(
        &self,
        channel: Channel,
        execution_id: &str,
    ) -> Result<Channel, StepError> {
        let channel = Channel {
            created_by: Some(execution_id.to_owned()),
            ..channel
        };
        tracing::info!(
            channel.name = channel.name,
            channel.id = channel.id,
            "created the channel"
        );
        self.channels
            .remember(std::slice::from_ref(&channel))
            .await?;
        Ok(channel)
    }
}

fn channel_of(conversation: &Conversation) -> Channel {
    Channel {
        name: conversation.name.clone(),
        id: conversation.id.clone(),
        visibility: Visibility::from_is_private(conversation.is_private),
        archived: conversation.is_archived,
        created_by: None,
    }
}
