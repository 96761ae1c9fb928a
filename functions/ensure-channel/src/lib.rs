//! The channel of a name, created if it is missing.
//!
//! Slack's conversations.create is not safe for two at once: both can succeed, with two ids. So a
//! channel's creation is claimed in the channel table first.

use std::time::{Duration, SystemTime};

use apgl_contract::{ChannelName, ChannelRef, Kind, Run, StepError, Visibility};
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
        return usable(&known, run, &input);
    }
    let claim = deps
        .directory
        .channels
        .claim_creation(&input.channel_name, &run.execution_id, CREATION_LEASE)
        .await?;
    let Creation::Mine { unfinished_since } = claim else {
        let channel = input.channel_name.to_string();
        return Err(StepError::ChannelBeingCreated {
            channel,
            retry_after: CREATION_WAIT,
        });
    };
    let outcome = create_or_adopt(deps, run, &input, unfinished_since).await;
    // A claim that stays tells the next attempt that this one may have created the channel.
    let may_have_created = outcome
        .as_ref()
        .is_err_and(|error| error.name().kind() == Kind::Passing);
    if !may_have_created {
        deps.directory
            .channels
            .release_creation(&input.channel_name, &run.execution_id)
            .await?;
    }
    outcome
}

async fn create_or_adopt(
    deps: &Deps,
    run: &Run,
    input: &Input,
    unfinished_since: Option<SystemTime>,
) -> Result<Outcome, StepError> {
    // Between the look and the claim another execution may have finished.
    if let Some(known) = deps.directory.channels.get(&input.channel_name).await? {
        return usable(&known, run, input);
    }
    let created = deps
        .directory
        .create(&input.channel_name, input.visibility, &run.execution_id)
        .await;
    match created {
        Ok(created) => usable(&created, run, input),
        // Slack does not say whose it is, and has no look-up by name.
        Err(error) if error.rejected_code() == Some("name_taken") => {
            adopt(deps, run, input, unfinished_since).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn adopt(
    deps: &Deps,
    run: &Run,
    input: &Input,
    unfinished_since: Option<SystemTime>,
) -> Result<Outcome, StepError> {
    let directory = &deps.directory;
    let Some(mut found) = directory.find_in_slack(&input.channel_name).await? else {
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
    if let Some(since) = unfinished_since {
        found = directory.recognise(found, since, &run.execution_id).await?;
    }
    usable(&found, run, input)
}

fn usable(channel: &Channel, run: &Run, input: &Input) -> Result<Outcome, StepError> {
    let taken = |holder| StepError::ChannelNameTaken {
        channel: channel.name.clone(),
        holder,
    };
    if channel.archived {
        return Err(taken(
            "by an archived channel; unarchive or rename it in Slack, or use another name",
        ));
    }
    if channel.visibility != input.visibility {
        return Err(taken(match channel.visibility {
            Visibility::Public => "by a public channel; use another name",
            Visibility::Private => "by a private channel; use another name",
        }));
    }
    Ok(Outcome {
        channel: channel.to_ref(channel.is_created_by(&run.execution_id)),
    })
}
