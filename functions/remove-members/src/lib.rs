//! Removes users from a channel, one by one, because Slack can't remove several users in one call.
//!
//! A user who can't be removed is part of the outcome and does not stop the others from being removed. The bot itself
//! is never removed, because Slack does not allow it.

mod results;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use apgl_contract::{
    ChannelRef, Email, Invocation, SkipReason, Skipped, SlackUser, SlackUserId, StepError,
};
use apgl_directory::{Directory, People, Person, Purpose};
use apgl_runtime::SettingError;
use apgl_slack::{LimitedBy, RateLimiter, SlackClient, SlackError};
use apgl_stores::{Change, Changes, Members};
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

/// 1. Confirms that the channel is still the right one, and lists its members.
/// 2. Writes down whom it removes, and removes those who are in the channel, one by one. In a large channel that is
///    unknown: then Slack says who was not there.
/// 3. Looks up again the addresses of those who were not there, if their ids are older than the execution: an address
///    can have passed to somebody who is there. Does the same for the new ids.
pub async fn handle(
    deps: &Deps,
    invocation: &Invocation,
    input: Input,
) -> Result<Outcome, StepError> {
    let Input { channel, .. } = input;
    let people = &deps.people;
    let renewed = people.renew(input.users, Purpose::Remove, invocation);
    let (mut users, skipped) = renewed.await?;
    if users.is_empty() {
        return Ok(Outcome {
            skipped,
            ..Outcome::default()
        });
    }
    deps.directory.confirm(&channel, invocation).await?;
    // Listing a larger channel would take more calls than removing everybody.
    let pages = users.len();
    let listing = deps.directory.members_in_slack(&channel, pages, invocation);
    let mut step = Removing {
        deps,
        invocation,
        channel: &channel,
        listed: listing.await?,
        present: BTreeSet::new(),
        earlier: Changes::default(),
        bot_is_there: false,
        calls: 0,
        refused: Vec::new(),
    };
    let mut results = step.remove(&users).await?;
    let corrected = step.correct_ids(&mut users, &mut results).await?;
    if !corrected.is_empty() {
        results.extend(step.remove(&corrected).await?);
    }
    if let Some(refusal) = step.refusal_of_all(&results) {
        return Err(deps.directory.correct_table(&channel, refusal).await);
    }
    let mut outcome = outcome(users, &results);
    outcome.skipped.extend(skipped);
    tracing::info!(
        members.removed = outcome.removed.len(),
        members.skipped = outcome.skipped.len(),
        "removed members"
    );
    Ok(outcome)
}

struct Removing<'a> {
    deps: &'a Deps,
    invocation: &'a Invocation,
    channel: &'a ChannelRef,
    /// The members that Slack listed when the step began. In a large channel there are others: then all users are
    /// removed, and Slack says who was not there.
    listed: Members,
    /// The users among them.
    present: BTreeSet<SlackUserId>,
    /// Whom earlier attempts have removed.
    earlier: Changes,
    /// Whether Slack has shown that the bot is in the channel.
    bot_is_there: bool,
    /// How many removals Slack has answered, and the refusals among them whose codes are not known to be about a user.
    calls: usize,
    refused: Vec<SlackError>,
}

impl Removing<'_> {
    /// Writes down that these users are about to be removed. Returns whom earlier attempts have removed.
    async fn begin(&self, users: &BTreeSet<SlackUserId>) -> Result<Changes, StepError> {
        let (channels, id) = (&self.deps.directory.channels, &self.channel.id);
        let execution_id = &self.invocation.run.execution_id;
        channels
            .begin_change(Change::Remove, id, execution_id, users)
            .await
    }

    /// The users who are in the channel, or may be.
    fn left(&self, ids: &BTreeSet<SlackUserId>) -> BTreeSet<SlackUserId> {
        if self.listed.is_complete {
            return self.present.clone();
        }
        let open = ids - &self.earlier.settled;
        &open | &self.present
    }

    /// Removes the users who are in the channel, or may be. Returns the result of each user, except of those who are not
    /// in it.
    async fn remove(&mut self, users: &[SlackUser]) -> Result<Results, StepError> {
        let ids: BTreeSet<_> = users.iter().map(|user| user.id.clone()).collect();
        self.present = &ids & &self.listed.ids;
        self.earlier = self.begin(&self.present).await?;
        let left = self.left(&ids);
        // This comes before the first removal, so that the table never lists a removed user as a member.
        let channels = &self.deps.directory.channels;
        channels
            .forget_members(&self.channel.id, &left, self.invocation.deadline)
            .await?;
        // An earlier attempt of this execution removed the users who need no removal now.
        let gone = &(&self.earlier.users & &ids) - &left;
        let gone = gone.into_iter().map(|id| (id, RemovalResult::Removed));
        let mut results: Results = gone.collect();
        let mut planned = left.len();
        for user in users {
            if left.contains(&user.id) && !results.contains_key(&user.id) {
                let slack = self.deps.directory.slack.planning(planned);
                let result = self.kick(&slack, user).await?;
                results.insert(user.id.clone(), result);
                planned -= 1;
            }
        }
        Ok(results)
    }

    /// Looks up again the users who are not in the channel, or whose ids Slack does not know. Returns those of their new
    /// ids that have no result yet.
    async fn correct_ids(
        &self,
        users: &mut [SlackUser],
        results: &mut Results,
    ) -> Result<Vec<SlackUser>, StepError> {
        let was_there = |result: Option<&RemovalResult>| {
            let absent = [SkipReason::NotAMember, SkipReason::NotInSlack];
            result.is_some_and(|result| !absent.map(RemovalResult::Skipped).contains(result))
        };
        let absent = users
            .iter()
            .filter(|user| !was_there(results.get(&user.id)));
        let emails: Vec<Email> = absent.map(|user| user.email.clone()).collect();
        let people = &self.deps.people;
        let owners = people.owners_since_start(&emails, self.invocation).await?;
        let mut corrected = Vec::new();
        for user in users {
            let reason = match owners.get(&user.email) {
                Some(Person::Human(id) | Person::Bot(id)) if *id != user.id => {
                    tracing::info!(slack.user = id.0, "the address has passed to this user");
                    user.id = id.clone();
                    if !results.contains_key(id) {
                        corrected.push(user.clone());
                    }
                    continue;
                }
                Some(Person::Human(_) | Person::Bot(_)) | None => continue,
                Some(Person::Absent) => SkipReason::NotInSlack,
                Some(Person::NotLookedUp) => SkipReason::CannotLookUp,
            };
            results.insert(user.id.clone(), RemovalResult::Skipped(reason));
        }
        Ok(corrected)
    }

    /// Slack's refusal, if it refuses every removal: then it is not about the users.
    fn refusal_of_all(self, results: &Results) -> Option<SlackError> {
        let is_all = self.refused.len() == self.calls;
        // An earlier attempt may have removed somebody.
        let has_removed = results
            .values()
            .any(|result| *result == RemovalResult::Removed);
        SlackError::of_all(self.refused).filter(|_| is_all && !has_removed)
    }

    async fn kick(
        &mut self,
        slack: &SlackClient,
        user: &SlackUser,
    ) -> Result<RemovalResult, StepError> {
        let channel = self.channel;
        self.invocation
            .need_time_for(TIME_FOR_A_KICK, "removing members")?;
        if !self.present.contains(&user.id) {
            self.begin(&BTreeSet::from([user.id.clone()])).await?;
        }
        let call = async || slack.conversations_kick(&channel.id, &user.id.0).await;
        let kicked = if self.bot_is_there {
            call().await
        } else {
            slack.in_channel(channel, call).await
        };
        let is_unknown = matches!(kicked, Err(SlackError::OutcomeUnknown { .. }));
        let result = self.result(user, kicked).await;
        if !self.listed.is_complete {
            self.settle(&user.id, result.as_ref().ok(), is_unknown)
                .await?;
        }
        result
    }

    async fn result(
        &mut self,
        user: &SlackUser,
        kicked: Result<(), SlackError>,
    ) -> Result<RemovalResult, StepError> {
        let Self { deps, channel, .. } = *self;
        self.calls += 1;
        let error = match kicked {
            Ok(()) => {
                tracing::info!(slack.user = user.id.0, "removed a member");
                self.bot_is_there = true;
                return Ok(RemovalResult::Removed);
            }
            Err(error) => error,
        };
        if is_absent(&error) {
            return self.after_absence(&user.id, error).await;
        }
        if error.rejected_code() == Some("user_not_found") {
            deps.people.known.forget(&user.email, &user.id).await?;
        }
        match result_of(error.clone()) {
            Ok(result) => {
                if result == RemovalResult::Skipped(SkipReason::CannotRemove) {
                    self.refused.push(error);
                }
                Ok(result)
            }
            Err(error) => Err(deps.directory.correct_table(channel, error).await),
        }
    }

    /// A user who has left since the step read the members, or since an earlier attempt, counts as removed.
    async fn after_absence(
        &mut self,
        user: &SlackUserId,
        error: SlackError,
    ) -> Result<RemovalResult, StepError> {
        let directory = &self.deps.directory;
        if !self.bot_is_there && !directory.has_bot(self.channel).await? {
            return Err(directory.correct_table(self.channel, error).await);
        }
        self.bot_is_there = true;
        if self.present.contains(user) || self.earlier.users.contains(user) {
            return Ok(RemovalResult::Removed);
        }
        Ok(RemovalResult::Skipped(SkipReason::NotAMember))
    }

    /// Writes down whether the user is gone, and whether this execution may have removed them.
    async fn settle(
        &self,
        user: &SlackUserId,
        result: Option<&RemovalResult>,
        is_unknown: bool,
    ) -> Result<(), StepError> {
        let only_if = |condition: bool| BTreeSet::from_iter(condition.then(|| user.clone()));
        let is_removed = result == Some(&RemovalResult::Removed);
        let was_absent = result == Some(&RemovalResult::Skipped(SkipReason::NotAMember));
        let may_be_removed = is_removed || is_unknown || self.earlier.users.contains(user);
        self.deps
            .directory
            .channels
            .settle_change(
                Change::Remove,
                &self.channel.id,
                &self.invocation.run.execution_id,
                &only_if(is_removed || was_absent),
                &only_if(!may_be_removed),
            )
            .await
    }
}

/// Whether the user is not in the channel. Slack returns the same errors if the bot is not in the channel.
fn is_absent(error: &SlackError) -> bool {
    matches!(
        error.rejected_code(),
        Some("not_in_channel" | "user_not_in_channel")
    )
}
