//! Finds a channel by its name.
//!
//! Slack has no look-up by name, so the channel table is read first. Its entry is used if Slack has confirmed it
//! recently; otherwise Slack confirms it now (`trust.rs`). That is also done if the caller can't use the channel as
//! the entry describes it: bad news must come from Slack itself.
//!
//! Slack's list of channels is scanned only for a name that the table does not know.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use apgl_contract::{
    ChannelName, ChannelRef, Invocation, SlackUserId, StepError, Visibility,
    epoch::{epoch_millis, time_of},
};
use apgl_slack::SlackClient;
use apgl_stores::{Channel, CreationClaim, Entry, List, LookUp, Members, Scanned};

use crate::{
    directory::{Directory, channel_from},
    trust::Row,
};

/// The largest difference allowed between Slack's clock and ours.
const CLOCK_MARGIN: Duration = Duration::from_mins(1);
/// The longest time that a page of members and the first call after the list take.
const TIME_FOR_A_PAGE: Duration = SlackClient::CALL_TIMEOUT.saturating_mul(2);

/// A channel with the requested name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub channel: Channel,
    /// The execution that created it, if one of ours did.
    pub created_by: Option<String>,
}

impl Found {
    pub fn is_created_by(&self, execution_id: &str) -> bool {
        self.created_by.as_deref() == Some(execution_id)
    }
}

impl Directory {
    /// The channel with this name, if the table knows it. A channel that is not `usable`, or that Slack has not
    /// confirmed recently, is confirmed first. `None` does not prove that the channel does not exist: see
    /// [`Directory::find`].
    pub async fn known(
        &self,
        name: &ChannelName,
        invocation: &Invocation,
        usable: impl Fn(&Channel) -> bool,
    ) -> Result<Option<Found>, StepError> {
        let (found, _) = self.known_or_claimed(name, invocation, usable).await?;
        Ok(found)
    }

    /// The same as [`Directory::known`], and the claim on creating a channel with this name.
    pub async fn known_or_claimed(
        &self,
        name: &ChannelName,
        invocation: &Invocation,
        usable: impl Fn(&Channel) -> bool,
    ) -> Result<(Option<Found>, Option<CreationClaim>), StepError> {
        let look_up = self.channels.look_up(name).await?;
        let found = self.confirmed(name, &look_up, invocation, usable).await?;
        Ok((found, look_up.creation))
    }

    /// The channel from the table, or as Slack shows it if the table's entry is in doubt.
    async fn confirmed(
        &self,
        name: &ChannelName,
        look_up: &LookUp,
        invocation: &Invocation,
        usable: impl Fn(&Channel) -> bool,
    ) -> Result<Option<Found>, StepError> {
        let Entry::Seen(known) = &look_up.entry else {
            return Ok(None);
        };
        let channel = if self.trusts(known.confirmed_at, &invocation.run) && usable(known) {
            Some(known.clone())
        } else {
            let row = Row {
                key: name.as_str(),
                name: &known.name,
                id: &known.id,
            };
            let shown = self.ask(row, invocation).await?;
            shown.filter(|shown| shown.name == known.name)
        };
        Ok(channel.map(|channel| Found {
            channel,
            created_by: look_up.created_by.clone(),
        }))
    }

    /// The channel with this name; `None` if the bot can't see one, according to a scan that began at `not_before` or
    /// later.
    ///
    /// # Errors
    /// [`StepError::ChannelScanInProgress`] and [`StepError::StepUnfinished`] until the required scan is complete,
    /// and the errors of Slack and of the table.
    pub async fn find(
        &self,
        name: &ChannelName,
        invocation: &Invocation,
        not_before: SystemTime,
        usable: impl Fn(&Channel) -> bool,
    ) -> Result<Option<Found>, StepError> {
        // Everything is decided from one read: between two reads another execution's scan could fill the table.
        let look_up = self.channels.look_up(name).await?;
        if let Some(found) = self.confirmed(name, &look_up, invocation, &usable).await? {
            return Ok(Some(found));
        }
        let since = match look_up.entry {
            Entry::Unknown => UNIX_EPOCH,
            Entry::Outdated { since } => since,
            // Slack has just shown that the table is wrong. A scan's beginning is kept in milliseconds.
            Entry::Seen(_) => time_of(epoch_millis(SystemTime::now())),
        };
        // A redrive looks again: somebody may have created the channel since the execution failed.
        let since = invocation.run.since_redrive(since.max(not_before));
        let tells =
            |scanned: &Scanned| scanned.began >= since && scanned.counts_at(SystemTime::now());
        if look_up.scanned.as_ref().is_some_and(tells) {
            return Ok(None);
        }
        self.scan(List::All, name.as_str(), invocation, tells)
            .await?;
        self.known(name, invocation, usable).await
    }

    /// The channel with this name, after a scan that began at `since` or later.
    pub async fn find_by_scan(
        &self,
        name: &ChannelName,
        invocation: &Invocation,
        since: SystemTime,
        usable: impl Fn(&Channel) -> bool,
    ) -> Result<Option<Found>, StepError> {
        let since = invocation.run.since_redrive(since);
        self.scan(List::All, name.as_str(), invocation, |scanned| {
            scanned.began >= since
        })
        .await?;
        self.known(name, invocation, usable).await
    }

    /// Creates the channel in Slack and writes it to the table. `None` if the name is taken; Slack does not say
    /// by which channel.
    pub async fn create(
        &self,
        name: &ChannelName,
        visibility: Visibility,
        execution_id: &str,
    ) -> Result<Option<Found>, StepError> {
        let asked_at = SystemTime::now();
        let created = self
            .slack
            .conversations_create(name.as_str(), visibility.is_private())
            .await;
        let created = match created {
            Ok(created) => channel_from(&created, Some(true), asked_at),
            Err(error) if error.rejected_code() == Some("name_taken") => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        tracing::info!(channel.name = %name, channel.id = created.id, "created the channel");
        let found = self.remember_creator(name, created, execution_id).await?;
        Ok(Some(found))
    }

    /// Records this execution as the channel's creator if Slack says that the channel was created after `since`.
    /// An attempt of this execution with an unknown outcome began at that time.
    pub async fn recognise(
        &self,
        name: &ChannelName,
        found: Found,
        since: SystemTime,
        execution_id: &str,
    ) -> Result<Found, StepError> {
        if found.channel.ours == Some(false) {
            return Ok(found);
        }
        let info = self.slack.conversations_info(&found.channel.id).await?;
        if UNIX_EPOCH + Duration::from_secs(info.created) + CLOCK_MARGIN < since {
            return Ok(found);
        }
        let id = &found.channel.id;
        tracing::info!(channel.name = %name, channel.id = id, "an earlier attempt has created the channel");
        self.remember_creator(name, found.channel, execution_id)
            .await
    }

    async fn remember_creator(
        &self,
        name: &ChannelName,
        channel: Channel,
        execution_id: &str,
    ) -> Result<Found, StepError> {
        self.channels
            .remember_creator(name, &channel, execution_id)
            .await?;
        self.channels.remember(name.as_str(), &channel).await?;
        Ok(Found {
            channel,
            created_by: Some(execution_id.to_owned()),
        })
    }

    /// Records that the channel is archived under this name, as Slack answered when it was asked at `asked_at`.
    pub async fn archived(
        &self,
        channel: &ChannelRef,
        asked_at: SystemTime,
    ) -> Result<(), StepError> {
        let archived = Channel {
            name: channel.name.clone(),
            id: channel.id.clone(),
            visibility: channel.visibility,
            archived: true,
            externally_shared: channel.externally_shared,
            ours: channel.ours,
            confirmed_at: asked_at,
        };
        self.channels.remember(&archived.name, &archived).await
    }

    /// The ids of everyone in the channel, including the bot, if they fit on this many pages. Otherwise, or if time
    /// runs short, some of them: the caller must do without the others, because no later attempt would read more.
    pub async fn members_in_slack(
        &self,
        channel: &ChannelRef,
        most_pages: usize,
        invocation: &Invocation,
    ) -> Result<Members, StepError> {
        let mut members = Members::default();
        let mut cursor = None;
        for page in 0..most_pages {
            if page > 0 && !invocation.has_time_for(TIME_FOR_A_PAGE) {
                break;
            }
            let page = self
                .slack
                .conversations_members(&channel.id, cursor.as_deref())
                .await;
            let page = match page {
                Ok(page) => page,
                Err(error) => return Err(self.correct_table(channel, error).await),
            };
            members.ids.extend(page.items.into_iter().map(SlackUserId));
            cursor = page.next_cursor;
            if cursor.is_none() {
                members.is_complete = true;
                return Ok(members);
            }
        }
        tracing::info!(
            members.listed = members.ids.len(),
            "the channel is too large to list its members"
        );
        Ok(members)
    }

    /// Whether the bot itself is in the channel.
    pub async fn has_bot(&self, channel: &ChannelRef) -> Result<bool, StepError> {
        match self.slack.conversations_info(&channel.id).await {
            Ok(info) => Ok(info.is_member != Some(false)),
            Err(error) => Err(self.correct_table(channel, error).await),
        }
    }
}
