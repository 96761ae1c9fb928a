//! The channel of a name, created if it is missing.
//!
//! Slack's conversations.create is not safe for two at once: both can succeed, with two ids. So a
//! channel's creation is claimed in the channel table first.

use std::time::Duration;

use apgl_contract::{ChannelName, ChannelRef, Run, StepError, Visibility};
use apgl_directory::Directory;
use apgl_stores::{Channel, Creation};
use serde::{Deserialize, Serialize};

/// How long a creation may take: longer than the function's own time-out, so that nobody else
/// creates the channel while this one may still be at it.
const CREATION_LEASE: Duration = Duration::from_secs(45);
/// How long an execution sleeps before it looks for the channel that another one is creating.
const CREATION_WAIT: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub struct Deps {
    pub directory: Directory,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Input {
    pub channel_name: ChannelName,
    /// The channel must be of this visibility: what is meant for a private channel never goes to a
    /// public one of the same name.
    pub visibility: Visibility,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    pub channel: ChannelRef,
}

pub async fn handle(deps: &Deps, run: &Run, input: Input) -> Result<Outcome, StepError> {
    if let Some(known) = deps.directory.channels.get(&input.channel_name).await? {
        return usable(known, input.visibility, false);
    }
    let claim = deps
        .directory
        .channels
        .claim_creation(&input.channel_name, &run.execution_id, CREATION_LEASE)
        .await?;
    if let Creation::Theirs = claim {
        let channel = input.channel_name.to_string();
        return Err(StepError::ChannelBeingCreated {
            channel,
            retry_after: CREATION_WAIT,
        });
    }
    let outcome = create_or_adopt(deps, &input).await;
    deps.directory
        .channels
        .release_creation(&input.channel_name, &run.execution_id)
        .await?;
    outcome
}

async fn create_or_adopt(deps: &Deps, input: &Input) -> Result<Outcome, StepError> {
    // Between the look and the claim another execution may have finished.
    if let Some(known) = deps.directory.channels.get(&input.channel_name).await? {
        return usable(known, input.visibility, false);
    }
    match deps
        .directory
        .create(&input.channel_name, input.visibility)
        .await
    {
        Ok(created) => {
            tracing::info!(
                channel.name = created.name,
                channel.id = created.id,
                "created the channel"
            );
            usable(created, input.visibility, true)
        }
        // Slack does not say whose it is, and has no look-up by name.
        Err(error) if error.rejected_code() == Some("name_taken") => adopt(deps, input).await,
        Err(error) => Err(error.into()),
    }
}

async fn adopt(deps: &Deps, input: &Input) -> Result<Outcome, StepError> {
    let Some(found) = deps.directory.find_in_slack(&input.channel_name).await? else {
        return Err(StepError::ChannelNameTaken {
            channel: input.channel_name.to_string(),
            holder: "by a private channel that the bot is not a member of; invite the bot to it, or use another name",
        });
    };
    tracing::info!(
        channel.name = found.name,
        channel.id = found.id,
        "found the channel in Slack"
    );
    usable(found, input.visibility, false)
}

fn usable(channel: Channel, wanted: Visibility, created: bool) -> Result<Outcome, StepError> {
    if channel.archived {
        return Err(StepError::ChannelNameTaken {
            channel: channel.name,
            holder: "by an archived channel; unarchive or rename it in Slack, or use another name",
        });
    }
    if channel.visibility != wanted {
        return Err(StepError::ChannelNameTaken {
            channel: channel.name,
            holder: match channel.visibility {
                Visibility::Public => "by a public channel; use another name",
                Visibility::Private => "by a private channel; use another name",
            },
        });
    }
    Ok(Outcome {
        channel: channel.to_ref(created),
    })
}
