//! How long a channel in the table is trusted.
//!
//! People rename, archive, convert and share channels in Slack, where we don't see it. So Slack is asked about a
//! channel (conversations.info) before the channel is used, unless Slack has confirmed it recently. Where many
//! channels are due, conversations.info reaches its rate limit. Then one execution reads all of the bot's channels
//! (users.conversations, 999 per call), and the others use what it has read.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use apgl_contract::{ChannelRef, Invocation, Run, StepError, Visibility, epoch::time_of};
use apgl_stores::{Channel, List};

use crate::directory::{Directory, OUT_OF_SIGHT};

/// A channel that the table has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row<'a> {
    /// The name that its item has as its key: the requested one.
    pub key: &'a str,
    /// The name in Slack.
    pub name: &'a str,
    pub id: &'a str,
}

/// With a shorter trust, what one execution reads is no longer trusted when the others use it.
const SHORTEST_TRUST_TO_REFRESH: Duration = Duration::from_mins(5);
/// How soon a refresh that ran out of time is continued.
const CONTINUES_AFTER: Duration = Duration::from_secs(1);

impl Directory {
    /// Whether Slack need not be asked again about what it confirmed at this time. What it confirmed before a redrive
    /// does not count: somebody may have fixed the channel in between.
    pub(crate) fn trusts(&self, confirmed_at: SystemTime, run: &Run) -> bool {
        confirmed_at >= self.trusted_since(run)
    }

    fn trusted_since(&self, run: &Run) -> SystemTime {
        let now = SystemTime::now();
        // Without any trust, not even this invocation's own answers count twice.
        let recent = now.checked_sub(self.trust).unwrap_or(UNIX_EPOCH) + Duration::from_millis(1);
        run.since_redrive(recent)
    }

    /// Since when what Slack has said counts for the whole execution, however long it runs.
    pub fn trusted_at_start(&self, run: &Run) -> SystemTime {
        let at_start = run.began_at().and_then(|at| at.checked_sub(self.trust));
        at_start.unwrap_or(UNIX_EPOCH)
    }

    /// Confirms, right before a step uses the channel, that it is still what an earlier step has found.
    ///
    /// # Errors
    /// [`StepError::ChannelNotFound`] or [`StepError::ChannelArchived`] if it is not, and the errors of Slack and of
    /// the table.
    pub async fn confirm(
        &self,
        channel: &ChannelRef,
        invocation: &Invocation,
    ) -> Result<(), StepError> {
        let confirmed_at = channel.confirmed_at.map(time_of);
        if confirmed_at.is_some_and(|at| self.trusts(at, &invocation.run)) {
            return Ok(());
        }
        let now = self.current(channel, invocation).await?;
        reason_not_to_use(channel, now.as_ref()).map_or(Ok(()), |error| {
            tracing::info!(error.reason = %error, "the channel has changed since an earlier step found it");
            Err(error)
        })
    }

    /// The channel as it is now, under whatever name; `None` if the bot can no longer see it.
    pub async fn current(
        &self,
        channel: &ChannelRef,
        invocation: &Invocation,
    ) -> Result<Option<Channel>, StepError> {
        let known = self.channels.known(&channel.name).await?;
        match known.filter(|known| known.id == channel.id) {
            Some(known) if self.trusts(known.confirmed_at, &invocation.run) => Ok(Some(known)),
            _ => {
                let known = Row {
                    key: &channel.name,
                    name: &channel.name,
                    id: &channel.id,
                };
                self.ask(known, invocation).await
            }
        }
    }

    /// Asks Slack about a channel, and writes the answer to the table.
    pub(crate) async fn ask(
        &self,
        known: Row<'_>,
        invocation: &Invocation,
    ) -> Result<Option<Channel>, StepError> {
        let Row { key, name, id } = known;
        let asked_at = SystemTime::now();
        let shown = match self.slack.conversations_info(id).await {
            Ok(info) => Some(self.channel_of(&info, asked_at).await?),
            Err(error) if error.rejected_code() == Some("channel_not_found") => None,
            Err(error) => match StepError::from(error) {
                limited @ (StepError::SlackRateLimited { .. }
                | StepError::SlackQueueTooLong { .. }) => {
                    let channel = self.ask_for_all(known, limited, invocation).await?;
                    return Ok(Some(channel));
                }
                error => return Err(error),
            },
        };
        match &shown {
            Some(channel) if channel.name == name => self.channels.remember(key, channel).await?,
            elsewhere => {
                tracing::info!(
                    channel.name = name,
                    channel.id = id,
                    channel.renamed = elsewhere.is_some(),
                    "Slack no longer shows the channel under this name"
                );
                self.channels.mark_outdated(key, id, asked_at).await?;
                if let Some(channel) = elsewhere {
                    self.channels.remember(&channel.name, channel).await?;
                }
            }
        }
        Ok(shown)
    }

    /// Asks Slack about all of the bot's channels, because the call about this one is `limited`.
    async fn ask_for_all(
        &self,
        Row { key, id, .. }: Row<'_>,
        limited: StepError,
        invocation: &Invocation,
    ) -> Result<Channel, StepError> {
        if self.trust < SHORTEST_TRUST_TO_REFRESH {
            return Err(limited);
        }
        let since = self.trusted_since(&invocation.run);
        let refreshed = self
            .scan(List::Joined, key, invocation, |refresh| {
                refresh.began >= since
            })
            .await;
        let refresh = match refreshed {
            Ok(refresh) => refresh,
            Err(StepError::ChannelScanInProgress { retry_after, .. }) => {
                return Err(as_rate_limit(retry_after));
            }
            Err(StepError::StepUnfinished { .. }) => return Err(as_rate_limit(CONTINUES_AFTER)),
            Err(error) => return Err(error),
        };
        // A channel that the bot is not in is not among them.
        let known = self.channels.known(key).await?;
        let known = known.filter(|known| known.id == id && known.confirmed_at >= refresh.began);
        known.ok_or(limited)
    }
}

/// The error of a step that waits until an execution has asked about all channels. Definitions have no other wait in the
/// states that use a channel.
fn as_rate_limit(retry_after: Duration) -> StepError {
    tracing::info!("all of the bot's channels are being confirmed; waiting for that");
    StepError::SlackRateLimited {
        method: "conversations.info",
        retry_after,
        is_certain: false,
    }
}

/// Why the step can't use the channel as an earlier step has found it.
fn reason_not_to_use(found: &ChannelRef, now: Option<&Channel>) -> Option<StepError> {
    let not_found = |hint| StepError::ChannelNotFound {
        channel: found.name.clone(),
        hint,
    };
    let Some(now) = now else {
        return Some(not_found(OUT_OF_SIGHT));
    };
    if now.archived {
        return Some(StepError::ChannelArchived {
            channel: now.name.clone(),
        });
    }
    if now.name != found.name {
        return Some(not_found("it has been renamed in Slack"));
    }
    if now.visibility != found.visibility {
        return Some(not_found(match now.visibility {
            Visibility::Public => "it has been made public in Slack",
            Visibility::Private => "it has been made private in Slack",
        }));
    }
    (now.externally_shared && !found.externally_shared)
        .then(|| not_found("it has been shared with another organisation"))
}

#[cfg(test)]
mod tests {
    use apgl_contract::ErrorName;
    use rstest::rstest;

    use super::*;

    fn channel() -> Channel {
        Channel {
            name: "x".to_owned(),
            id: "C1".to_owned(),
            visibility: Visibility::Private,
            archived: false,
            externally_shared: false,
            ours: None,
            confirmed_at: UNIX_EPOCH,
        }
    }

    #[test]
    fn a_channel_that_the_bot_cannot_see_may_be_an_archived_one() {
        let error = reason_not_to_use(&channel().to_ref(false), None).unwrap();
        assert!(error.to_string().contains("unarchive it first"), "{error}");
    }

    #[rstest]
    #[case::gone(None, Some(ErrorName::ChannelNotFound))]
    #[case::unchanged(Some(channel()), None)]
    #[case::archived(Some(Channel { archived: true, ..channel() }), Some(ErrorName::ChannelArchived))]
    #[case::renamed(Some(Channel { name: "y".to_owned(), ..channel() }), Some(ErrorName::ChannelNotFound))]
    #[case::made_public(Some(Channel { visibility: Visibility::Public, ..channel() }), Some(ErrorName::ChannelNotFound))]
    #[case::shared(Some(Channel { externally_shared: true, ..channel() }), Some(ErrorName::ChannelNotFound))]
    fn a_channel_that_has_changed_is_not_used(
        #[case] now: Option<Channel>,
        #[case] expected: Option<ErrorName>,
    ) {
        let error = reason_not_to_use(&channel().to_ref(false), now.as_ref());
        assert_eq!(error.map(|error| error.name()), expected);
    }
}
