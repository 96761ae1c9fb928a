//! Removes those who are in the channel, one by one, since Slack has no other way.
//!
//! What happens to one user is an outcome and never stops the others. The bot itself is never removed:
//! Slack does not let it.

mod fates;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use apgl_contract::{ChannelRef, Email, Invocation, Skipped, SlackUser, SlackUserId, StepError};
use apgl_directory::{Directory, People};
use apgl_runtime::SettingError;
use apgl_slack::{LimitedBy, RateLimiter, SlackClient, SlackError};
use apgl_stores::Look;
use aws_types::SdkConfig;
use serde::{Deserialize, Serialize};

use crate::fates::{Fate, Fates, fate_of, outcome};

/// What a kick takes at most.
const TIME_FOR_A_KICK: Duration = SlackClient::CALL_TIMEOUT;

#[derive(Debug)]
pub struct Deps {
    pub directory: Directory,
    pub people: People,
}

impl Deps {
    pub fn from_env(aws: &SdkConfig, slack: SlackClient) -> Result<Self, SettingError> {
        Ok(Self {
            directory: Directory::from_env(aws, slack.clone())?,
            people: People::from_env(aws, slack)?,
        })
    }
}

impl LimitedBy for Deps {
    fn limited_by(&self, limiter: &Arc<dyn RateLimiter>) -> Self {
        Self {
            directory: self.directory.limited_by(limiter),
            people: self.people.limited_by(limiter),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    pub channel: ChannelRef,
    pub users: Vec<SlackUser>,
}

#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Outcome {
    pub removed: Vec<Email>,
    pub skipped: Vec<Skipped>,
}

pub async fn handle(
    deps: &Deps,
    invocation: &Invocation,
    input: Input,
) -> Result<Outcome, StepError> {
    let Input { channel, users } = input;
    if users.is_empty() {
        return Ok(Outcome::default());
    }
    let present = deps.directory.members_in_slack(&channel).await?;
    let there: BTreeSet<SlackUserId> = users
        .iter()
        .map(|user| user.id.clone())
        .filter(|id| present.contains(id))
        .collect();
    let there_at_first = first_look(deps, invocation, &channel, &there).await?;
    let channels = &deps.directory.channels;
    // Before the first of them is gone: nobody counts as a member who may not be one.
    channels.take_members(&channel.id, &there).await?;
    let mut fates: Fates = there_at_first
        .difference(&there)
        .map(|id| (id.clone(), Fate::Removed))
        .collect();
    let mut left = there.len();
    for user in &users {
        if there.contains(&user.id) && !fates.contains_key(&user.id) {
            let slack = deps.directory.slack.planning(left);
            let fate = kick(deps, &slack, invocation, &channel, user).await?;
            fates.insert(user.id.clone(), fate);
            left -= 1;
        }
    }
    let outcome = outcome(users, &fates);
    tracing::info!(
        members.removed = outcome.removed.len(),
        members.skipped = outcome.skipped.len(),
        "removed members"
    );
    Ok(outcome)
}

/// Who was in the channel before this execution removed anybody.
async fn first_look(
    deps: &Deps,
    invocation: &Invocation,
    channel: &ChannelRef,
    there: &BTreeSet<SlackUserId>,
) -> Result<BTreeSet<SlackUserId>, StepError> {
    let (channels, execution_id) = (&deps.directory.channels, &invocation.run.execution_id);
    let look = Look::BeforeRemoving;
    let earlier = if there.is_empty() {
        channels.first_look(look, &channel.id, execution_id).await?
    } else {
        channels
            .keep_first_look(look, &channel.id, execution_id, there)
            .await?
    };
    Ok(earlier.unwrap_or_else(|| there.clone()))
}

async fn kick(
    deps: &Deps,
    slack: &SlackClient,
    invocation: &Invocation,
    channel: &ChannelRef,
    user: &SlackUser,
) -> Result<Fate, StepError> {
    invocation.need_time_for(TIME_FOR_A_KICK, "removing members")?;
    let kicked = slack
        .in_channel(channel, async || {
            slack.conversations_kick(&channel.id, &user.id.0).await
        })
        .await;
    match kicked {
        Ok(()) => {
            tracing::info!(slack.user = user.id.0, "removed a member");
            Ok(Fate::Removed)
        }
        Err(error) if is_absent(&error) => after_absence(deps, channel, user, error).await,
        Err(error) => {
            if error.rejected_code() == Some("user_not_found") {
                deps.people.known.forget(&user.email, &user.id).await?;
            }
            match fate_of(error) {
                Ok(fate) => Ok(fate),
                Err(error) => Err(deps.directory.learn(channel, error).await),
            }
        }
    }
}

/// What Slack says when the user is not there, and also when the bot is not.
fn is_absent(error: &SlackError) -> bool {
    matches!(
        error.rejected_code(),
        Some("not_in_channel" | "user_not_in_channel")
    )
}

/// The user was there a moment ago. If they are no more, that is what was asked for.
async fn after_absence(
    deps: &Deps,
    channel: &ChannelRef,
    user: &SlackUser,
    error: SlackError,
) -> Result<Fate, StepError> {
    let present = deps.directory.members_in_slack(channel).await?;
    if present.contains(&user.id) {
        return Err(deps.directory.learn(channel, error).await);
    }
    Ok(Fate::Removed)
}
