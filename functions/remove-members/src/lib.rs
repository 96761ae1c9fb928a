//! Removes users from a channel, one by one, because Slack can't remove several users in one call.
//!
//! A user who can't be removed is part of the outcome and does not stop the others from being removed. The bot itself
//! is never removed, because Slack does not allow it.

mod results;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use apgl_contract::{ChannelRef, Email, Invocation, Skipped, SlackUser, SlackUserId, StepError};
use apgl_directory::{Directory, People, Purpose};
use apgl_runtime::SettingError;
use apgl_slack::{LimitedBy, RateLimiter, SlackClient, SlackError};
use apgl_stores::Snapshot;
use aws_types::SdkConfig;
use serde::{Deserialize, Serialize};

use crate::results::{RemovalResult, Results, outcome, result_of};

/// The longest time that it takes to remove one user.
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
#[serde(rename_all = "camelCase", deny_unknown_fields)]
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
    let Input { channel, .. } = input;
    let people = &deps.people;
    let renewed = people.renew(input.users, Purpose::Remove, invocation);
    let (users, skipped) = renewed.await?;
    if users.is_empty() {
        return Ok(Outcome {
            skipped,
            ..Outcome::default()
        });
    }
    deps.directory.confirm(&channel, invocation).await?;
    let step = Removing {
        deps,
        invocation,
        channel: &channel,
    };
    let present = step.present(&users).await?;
    let before = step.before(&present).await?;
    // This comes before the first removal, so that the table never lists a removed user as a member.
    let channels = &deps.directory.channels;
    channels
        .forget_members(&channel.id, &present, invocation.deadline)
        .await?;
    let mut results = removed_earlier(&before, &present);
    step.remove(&users, &present, &mut results).await?;
    let mut outcome = outcome(users, &results);
    outcome.skipped.extend(skipped);
    tracing::info!(
        members.removed = outcome.removed.len(),
        members.skipped = outcome.skipped.len(),
        "removed members"
    );
    Ok(outcome)
}

/// An earlier attempt of this execution removed the users who were in the channel before and are gone now.
fn removed_earlier(before: &BTreeSet<SlackUserId>, present: &BTreeSet<SlackUserId>) -> Results {
    let gone = before.difference(present);
    gone.map(|id| (id.clone(), RemovalResult::Removed))
        .collect()
}

struct Removing<'a> {
    deps: &'a Deps,
    invocation: &'a Invocation,
    channel: &'a ChannelRef,
}

impl Removing<'_> {
    /// The users who are in the channel.
    async fn present(&self, users: &[SlackUser]) -> Result<BTreeSet<SlackUserId>, StepError> {
        let members = self.deps.directory.members_in_slack(self.channel).await?;
        let ids = users.iter().map(|user| user.id.clone());
        Ok(ids.filter(|id| members.contains(id)).collect())
    }

    /// The users who were in the channel before this execution removed anyone.
    async fn before(
        &self,
        present: &BTreeSet<SlackUserId>,
    ) -> Result<BTreeSet<SlackUserId>, StepError> {
        let (channels, id) = (&self.deps.directory.channels, &self.channel.id);
        let execution_id = &self.invocation.run.execution_id;
        let snapshot = Snapshot::BeforeRemoving;
        let before = if present.is_empty() {
            channels.snapshot(snapshot, id, execution_id).await?
        } else {
            let taken = channels.take_snapshot(snapshot, id, execution_id, present);
            taken.await?
        };
        Ok(before.unwrap_or_else(|| present.clone()))
    }

    /// Removes the users who are present, and adds their results.
    async fn remove(
        &self,
        users: &[SlackUser],
        present: &BTreeSet<SlackUserId>,
        results: &mut Results,
    ) -> Result<(), StepError> {
        let mut left = present.len();
        for user in users {
            if present.contains(&user.id) && !results.contains_key(&user.id) {
                let slack = self.deps.directory.slack.planning(left);
                let result = self.kick(&slack, user).await?;
                results.insert(user.id.clone(), result);
                left -= 1;
            }
        }
        Ok(())
    }

    async fn kick(
        &self,
        slack: &SlackClient,
        user: &SlackUser,
    ) -> Result<RemovalResult, StepError> {
        let Self { deps, channel, .. } = self;
        self.invocation
            .need_time_for(TIME_FOR_A_KICK, "removing members")?;
        let kicked = slack
            .in_channel(channel, async || {
                slack.conversations_kick(&channel.id, &user.id.0).await
            })
            .await;
        let error = match kicked {
            Ok(()) => {
                tracing::info!(slack.user = user.id.0, "removed a member");
                return Ok(RemovalResult::Removed);
            }
            Err(error) => error,
        };
        if is_absent(&error) {
            return self.after_absence(user, error).await;
        }
        if error.rejected_code() == Some("user_not_found") {
            deps.people.known.forget(&user.email, &user.id).await?;
        }
        match result_of(error) {
            Ok(result) => Ok(result),
            Err(error) => Err(deps.directory.correct_table(channel, error).await),
        }
    }

    /// Checks whether the user has left since the step read the members. If so, the user counts as removed.
    async fn after_absence(
        &self,
        user: &SlackUser,
        error: SlackError,
    ) -> Result<RemovalResult, StepError> {
        let directory = &self.deps.directory;
        let members = directory.members_in_slack(self.channel).await?;
        if members.contains(&user.id) {
            return Err(directory.correct_table(self.channel, error).await);
        }
        Ok(RemovalResult::Removed)
    }
}

/// Whether the user is not in the channel. Slack returns the same errors if the bot is not in the channel.
fn is_absent(error: &SlackError) -> bool {
    matches!(
        error.rejected_code(),
        Some("not_in_channel" | "user_not_in_channel")
    )
}
