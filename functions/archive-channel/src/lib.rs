//! Archives a channel and frees its name.
//!
//! Apps can't delete channels in Slack, an archived channel keeps its name, and a bot can't unarchive a channel. So
//! the step renames the channel first. If it stops between the two calls, the next run finishes the work.
//!
//! A bot can't undo any of this, so only a channel that the bot has created is archived, unless the request says
//! otherwise.

use std::{sync::Arc, time::SystemTime};

use apgl_contract::{ChannelName, ChannelRef, Invocation, StepError};
use apgl_directory::{Directory, OUT_OF_SIGHT};
use apgl_runtime::SettingError;
use apgl_slack::{LimitedBy, RateLimiter, SlackClient, SlackError};
use apgl_stores::Channel;
use aws_types::SdkConfig;
use serde::{Deserialize, Serialize};

#[derive(Debug)]
pub struct Deps {
    pub directory: Directory,
}

impl Deps {
    pub fn from_env(aws: &SdkConfig, slack: SlackClient) -> Result<Self, SettingError> {
        Ok(Self {
            directory: Directory::from_env(aws, slack)?,
        })
    }
}

impl LimitedBy for Deps {
    fn limited_by(&self, limiter: &Arc<dyn RateLimiter>) -> Self {
        Self {
            directory: self.directory.limited_by(limiter),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Input {
    /// The name to free.
    pub channel_name: ChannelName,
    pub channel: ChannelRef,
    /// Whether to archive a channel that the bot has not created.
    #[serde(default)]
    pub even_if_not_ours: bool,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// The archived channel, with its new name.
    pub channel: ChannelRef,
}

/// 1. Asks what the channel is now, and whether it may be archived.
/// 2. Renames it, and forgets its old name.
/// 3. Writes down that this execution archives it, and under which name, and archives it. Slack removes the bot from a
///    channel that is archived, and no longer shows it a private one: a later attempt knows by this record that it is
///    done.
/// 4. If Slack refuses that, deletes the record and gives the channel its old name back.
pub async fn handle(
    deps: &Deps,
    invocation: &Invocation,
    input: Input,
) -> Result<Outcome, StepError> {
    let directory = &deps.directory;
    let current = directory.current(&input.channel, invocation).await?;
    let step = Archiving {
        directory,
        input: &input,
        execution_id: &invocation.run.execution_id,
    };
    let channel = match current {
        Some(current) => step.rename_and_archive(&current).await?,
        None => step.archived_earlier(out_of_sight(&input.channel)).await?,
    };
    Ok(Outcome { channel })
}

fn out_of_sight(channel: &ChannelRef) -> StepError {
    StepError::ChannelNotFound {
        channel: channel.name.clone(),
        hint: OUT_OF_SIGHT,
    }
}

struct Archiving<'a> {
    directory: &'a Directory,
    input: &'a Input,
    execution_id: &'a str,
}

impl Archiving<'_> {
    async fn rename_and_archive(&self, current: &Channel) -> Result<ChannelRef, StepError> {
        self.check(current)?;
        let freeing = name_of_deleted(&self.input.channel);
        let name = match self.rename(&freeing).await {
            Ok(name) => name,
            Err(error) => return self.failed(error).await,
        };
        if name == freeing {
            let Input { channel_name, .. } = self.input;
            let channels = &self.directory.channels;
            channels.forget(channel_name, &current.id).await?;
        }
        let asked_at = SystemTime::now();
        match self.archive(&name).await? {
            Ok(()) => {
                let channel = archived(current.to_ref(self.input.channel.created), name);
                self.directory.archived(&channel, asked_at).await?;
                Ok(channel)
            }
            Err(error) => {
                // If the bot may not archive the channel, the channel gets its old name back.
                if error.rejected_code().is_some() && name == freeing {
                    self.rename_back().await?;
                }
                self.failed(error).await
            }
        }
    }

    /// Whether the channel may be archived as it is now.
    fn check(&self, current: &Channel) -> Result<(), StepError> {
        let found = &self.input.channel;
        if current.name != found.name && current.name != name_of_deleted(found) {
            return Err(StepError::ChannelNotFound {
                channel: found.name.clone(),
                hint: "it has been renamed in Slack",
            });
        }
        if current.ours != Some(true) && !self.input.even_if_not_ours {
            return Err(StepError::ChannelNotOurs {
                channel: found.name.clone(),
            });
        }
        Ok(())
    }

    /// The channel, if an earlier attempt of this execution has archived it. Otherwise the error.
    async fn archived_earlier(&self, error: StepError) -> Result<ChannelRef, StepError> {
        let channel = &self.input.channel;
        let channels = &self.directory.channels;
        let name = channels.archived_as(&channel.id, self.execution_id).await?;
        name.map(|name| archived(channel.clone(), name))
            .ok_or(error)
    }

    async fn failed(&self, error: SlackError) -> Result<ChannelRef, StepError> {
        let is_out_of_sight = error.rejected_code() == Some("channel_not_found");
        let channel = &self.input.channel;
        let error = self.directory.correct_table(channel, error).await;
        if is_out_of_sight {
            return self.archived_earlier(error).await;
        }
        Err(error)
    }

    /// Archives the channel, which has this name now. Slack's refusal leaves no record of it.
    async fn archive(&self, name: &str) -> Result<Result<(), SlackError>, StepError> {
        let Directory {
            slack, channels, ..
        } = self.directory;
        let channel = &self.input.channel;
        let id = &channel.id;
        let has_begun = channels
            .begin_archiving(id, self.execution_id, name)
            .await?;
        let archived = slack
            .in_channel(channel, async || slack.conversations_archive(id).await)
            .await;
        Ok(match archived {
            Ok(()) => {
                tracing::info!("archived the channel");
                Ok(())
            }
            Err(error) => match error.rejected_code() {
                // Slack removes the bot from a public channel that it archives, and says `is_archived` when the bot joins.
                Some("already_archived" | "is_archived") => Ok(()),
                // An earlier attempt may have archived it.
                Some("channel_not_found") if has_begun => Err(error),
                None => Err(error),
                Some(_) => {
                    channels.end_archiving(id, self.execution_id).await?;
                    Err(error)
                }
            },
        })
    }

    /// Renames the channel if the workspace allows it. Returns the channel's name afterwards.
    async fn rename(&self, freeing: &str) -> Result<String, SlackError> {
        let slack = &self.directory.slack;
        let channel = &self.input.channel;
        let id = &channel.id;
        let renamed = slack
            .in_channel(channel, async || {
                slack.conversations_rename(id, freeing).await
            })
            .await;
        let error = match renamed {
            Ok(renamed) => {
                tracing::info!(channel.name = renamed.name, "renamed the channel");
                return Ok(renamed.name);
            }
            Err(error) => error,
        };
        match error.rejected_code() {
            // Only the creator of a channel may rename it, and a workspace may forbid even that.
            Some(code @ ("restricted_action" | "not_authorized")) => {
                tracing::info!(
                    slack.error = code,
                    "the bot may not rename the channel; its name stays taken"
                );
                Ok(channel.name.clone())
            }
            // An earlier attempt already renamed or archived the channel.
            Some("name_taken" | "is_archived") => Ok(slack.conversations_info(id).await?.name),
            _ => Err(error),
        }
    }

    async fn rename_back(&self) -> Result<(), StepError> {
        let ChannelRef { id, name, .. } = &self.input.channel;
        let directory = self.directory;
        let asked_at = SystemTime::now();
        match directory.slack.conversations_rename(id, name).await {
            Ok(renamed) => {
                tracing::info!(channel.name = renamed.name, "renamed the channel back");
                let channel = directory.channel_of(&renamed, asked_at).await?;
                let key = self.input.channel_name.as_str();
                directory.channels.remember(key, &channel).await
            }
            Err(error) => match error.rejected_code() {
                Some(code) => {
                    tracing::warn!(slack.error = code, "the channel keeps its new name");
                    Ok(())
                }
                None => Err(error.into()),
            },
        }
    }
}

fn archived(channel: ChannelRef, name: String) -> ChannelRef {
    ChannelRef {
        name,
        archived: true,
        ..channel
    }
}

/// The name of a deleted channel: its old name, `-deleted-`, and its id, which makes the name unique.
fn name_of_deleted(channel: &ChannelRef) -> String {
    let suffix = format!("-deleted-{}", channel.id.to_lowercase());
    let room = ChannelName::MAX_CHARACTERS.saturating_sub(suffix.len());
    // Slack's documented rule for a new name, also where people have given the channel a name in another script.
    let kept: String = channel
        .name
        .chars()
        .filter(char::is_ascii)
        .take(room)
        .collect();
    (kept + &suffix).trim_start_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use apgl_contract::Visibility;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("project-x".to_owned(), "project-x-deleted-c012ab3cd".to_owned())]
    #[case("x".repeat(80), "x".repeat(62) + "-deleted-c012ab3cd")]
    #[case("équipe".to_owned(), "quipe-deleted-c012ab3cd".to_owned())]
    #[case("お知らせ".to_owned(), "deleted-c012ab3cd".to_owned())]
    fn a_deleted_channels_name_is_unique_and_obeys_slacks_rules(
        #[case] name: String,
        #[case] expected: String,
    ) {
        let channel = ChannelRef {
            id: "C012AB3CD".to_owned(),
            name,
            visibility: Visibility::Private,
            requested_visibility: None,
            archived: false,
            created: false,
            ours: Some(true),
            externally_shared: false,
            confirmed_at: None,
        };
        assert_eq!(name_of_deleted(&channel), expected);
        assert!(ChannelName::try_from(expected).is_ok());
    }
}
