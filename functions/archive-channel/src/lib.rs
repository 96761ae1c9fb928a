//! Archives a channel and frees its name.
//!
//! Apps can't delete channels in Slack, an archived channel keeps its name, and a bot can't unarchive a channel. So
//! the step renames the channel first. If it stops between the two calls, the next run finishes the work.
//!
//! A bot can't undo any of this, so only a channel that the bot has created is archived, unless the request says
//! otherwise.

use std::sync::Arc;

use apgl_contract::{ChannelName, ChannelRef, Invocation, StepError};
use apgl_directory::Directory;
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

pub async fn handle(
    deps: &Deps,
    invocation: &Invocation,
    input: Input,
) -> Result<Outcome, StepError> {
    let directory = &deps.directory;
    let (id, execution_id) = (&input.channel.id, &invocation.run.execution_id);
    let current = directory.current(&input.channel, invocation).await?;
    let channel = match &current {
        Some(current) => Some(to_archive(&input, current)?),
        None => None,
    };
    // Slack removes the bot from a channel that is archived, and no longer shows it a private one.
    let has_begun = directory.channels.begin_archiving(id, execution_id).await?;
    let was_archived = || archived(input.channel.clone(), name_of_deleted(&input.channel));
    let Some(channel) = channel else {
        if has_begun {
            return Ok(was_archived());
        }
        return Err(StepError::ChannelNotFound {
            channel: input.channel.name,
            hint: "Slack no longer shows it to the bot; invite the bot if it is private",
        });
    };
    let step = Archiving {
        slack: &directory.slack,
        channel: &channel,
    };
    let name = match step.rename_and_archive().await {
        Ok(name) => name,
        Err(error) if has_begun && error.rejected_code() == Some("channel_not_found") => {
            return Ok(was_archived());
        }
        Err(error) => return Err(directory.correct_table(&channel, error).await),
    };
    let outcome = archived(channel, name);
    directory
        .archived(&input.channel_name, &outcome.channel)
        .await?;
    Ok(outcome)
}

/// The channel as it is now, if it may be archived.
fn to_archive(input: &Input, current: &Channel) -> Result<ChannelRef, StepError> {
    let found = &input.channel;
    if current.name != found.name && current.name != name_of_deleted(found) {
        return Err(StepError::ChannelNotFound {
            channel: found.name.clone(),
            hint: "it has been renamed in Slack",
        });
    }
    if current.ours != Some(true) && !input.even_if_not_ours {
        return Err(StepError::ChannelNotOurs {
            channel: found.name.clone(),
        });
    }
    // Its name is still the one that the workflow has found: the new name is derived from it.
    Ok(ChannelRef {
        name: found.name.clone(),
        ..current.to_ref(found.created)
    })
}

fn archived(channel: ChannelRef, name: String) -> Outcome {
    Outcome {
        channel: ChannelRef {
            name,
            archived: true,
            ..channel
        },
    }
}

struct Archiving<'a> {
    slack: &'a SlackClient,
    channel: &'a ChannelRef,
}

impl Archiving<'_> {
    /// Returns the channel's name after archiving.
    async fn rename_and_archive(&self) -> Result<String, SlackError> {
        let freeing = name_of_deleted(self.channel);
        let name = self.rename(&freeing).await?;
        let (slack, id) = (self.slack, &self.channel.id);
        let archived = slack
            .in_channel(self.channel, async || slack.conversations_archive(id).await)
            .await;
        match archived {
            Err(error) if error.rejected_code() == Some("already_archived") => Ok(name),
            // If the bot may not archive the channel, the channel gets its old name back.
            Err(error) if error.rejected_code().is_some() && name == freeing => {
                self.rename_back().await?;
                Err(error)
            }
            archived => {
                archived?;
                tracing::info!(channel.name = name, "archived the channel");
                Ok(name)
            }
        }
    }

    /// Renames the channel if the workspace allows it. Returns the channel's name afterwards.
    async fn rename(&self, freeing: &str) -> Result<String, SlackError> {
        let (slack, id) = (self.slack, &self.channel.id);
        let renamed = slack
            .in_channel(self.channel, async || {
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
                Ok(self.channel.name.clone())
            }
            // An earlier attempt already renamed or archived the channel.
            Some("name_taken" | "is_archived") => Ok(slack.conversations_info(id).await?.name),
            _ => Err(error),
        }
    }

    async fn rename_back(&self) -> Result<(), SlackError> {
        let (id, name) = (&self.channel.id, &self.channel.name);
        match self.slack.conversations_rename(id, name).await {
            Ok(renamed) => {
                tracing::info!(channel.name = renamed.name, "renamed the channel back");
                Ok(())
            }
            Err(error) => match error.rejected_code() {
                Some(code) => {
                    tracing::warn!(slack.error = code, "the channel keeps its new name");
                    Ok(())
                }
                None => Err(error),
            },
        }
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
