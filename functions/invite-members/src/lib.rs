//! Invites the users who are not in the channel yet, up to 100 in one call.
//!
//! The channel table stores the channel's members, so a known member costs no Slack call. A user who can't be invited
//! is part of the outcome and does not stop the others from being invited.

mod results;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, SystemTime},
};

use apgl_contract::{
    ChannelRef, Email, Invocation, SkipReason, Skipped, SlackUser, SlackUserId, StepError,
};
use apgl_directory::{Directory, People, Person, Purpose};
use apgl_runtime::SettingError;
use apgl_slack::{LimitedBy, RateLimiter, SlackClient, SlackError};
use apgl_stores::{Change, Changes, Members, Snapshot};
use aws_types::SdkConfig;
use serde::{Deserialize, Serialize};

use crate::results::{
    InviteResult, Results, correct_by_members, credit_earlier_attempts, forget_invited, new_ids,
    outcome, results_of, those,
};

/// Slack's limit for one conversations.invite; it was 1,000 until 2025.
const INVITE_BATCH: usize = 100;
/// How many pages of members are read to find out who was not invited, if Slack does not say it.
const PAGES_TO_CORRECT: usize = 10;
/// How long a list of members is trusted to show who is gone: people come back without our knowledge.
const GONE_TRUST: Duration = Duration::from_mins(15);
/// How many new ids a state can return beside a thousand addresses. A message mentions at most 50 people.
const MOST_NEW_IDS: usize = 200;
/// How long one request to Slack takes at most. If an invitation takes longer, for example because the bot joins the
/// channel first, Lambda's time-out and the state's `Retry` handle it.
const TIME_TO_INVITE: Duration = SlackClient::CALL_TIMEOUT;

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
    /// Whether the request is about these people and not about a message: then Slack is always asked who is in the
    /// channel. A notification does not invite again somebody who was in the channel and is gone.
    #[serde(default)]
    pub explicit: bool,
}

#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    pub invited: Vec<Email>,
    pub already_members: Vec<Email>,
    pub skipped: Vec<Skipped>,
    /// The ids of members whose ids in the input are outdated, at most [`MOST_NEW_IDS`].
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub new_ids: BTreeMap<Email, SlackUserId>,
}

/// After a redrive, the workflow first goes back to look the people up again.
///
/// 1. If the request is about these people, confirms that the channel is still the right one.
/// 2. Reads the channel's members: from the table, or from Slack if the table does not have them. A channel that this
///    execution created has none. Of a large channel only some members are read, because listing all would take more
///    calls than inviting everybody: Slack says who was already there.
///    For a notification, whoever was seen in the channel and is gone stays so; before that, Slack is asked if its list
///    is not recent. Where not all members are known, they count as members: they were.
/// 3. Before the first invitation, confirms the channel, and writes down which of the users are members: the snapshot.
/// 4. Invites those who are missing, 100 per call, and remembers them after each call. If not all members are known,
///    writes down before each call whom it invites. If Slack refuses some without saying whom, and the members can't be
///    listed, invites them one by one.
/// 5. Counts as invited anyone who has joined since an earlier attempt's snapshot, or whom an earlier attempt invited.
///    Remembers for good who was seen in the channel.
/// 6. Looks up again the users whose ids Slack does not know, and does the same for their new ids, which are part of
///    the outcome: the message mentions people by them.
pub async fn handle(
    deps: &Deps,
    invocation: &Invocation,
    input: Input,
) -> Result<Outcome, StepError> {
    if !input.users.is_empty() && invocation.run.looks_up_again_after_redrive() {
        return Err(StepError::ChannelNotFound {
            channel: input.channel.id,
            hint: "those who are to be invited were looked up before the redrive",
        });
    }
    let people = &deps.people;
    let resolved = input.users.clone();
    let renewed = people.renew(input.users, Purpose::Invite, invocation);
    let (mut users, skipped) = renewed.await?;
    if users.is_empty() {
        return Ok(Outcome {
            skipped,
            ..Outcome::default()
        });
    }
    let step = Inviting {
        deps,
        invocation,
        channel: &input.channel,
        is_explicit: input.explicit,
    };
    if input.explicit {
        // The answer is about this channel, even if nobody is missing.
        deps.directory.confirm(&input.channel, invocation).await?;
    }
    let ids: BTreeSet<_> = users.iter().map(|user| user.id.clone()).collect();
    let mut members = step.members(ids.len()).await?;
    let missing = &ids - &members.present.ids;
    if !members.shows_who_is_gone && !step.gone(&missing, &members).is_empty() {
        members = step.listed_again(members, ids.len()).await?;
    }
    let mut results = step.invite(ids, Snapshot::BeforeInviting, &members).await?;
    let corrected = step.correct_ids(&mut users, &mut results).await?;
    let members = members.for_another_snapshot();
    results.extend(
        step.invite(corrected, Snapshot::BeforeInvitingCorrected, &members)
            .await?,
    );
    let new_ids = new_ids(&resolved, &users, &results);
    let mut outcome = outcome(users, &results)?;
    outcome.skipped.extend(skipped);
    outcome.new_ids = new_ids;
    log(&outcome);
    Ok(outcome)
}

struct Inviting<'a> {
    deps: &'a Deps,
    invocation: &'a Invocation,
    channel: &'a ChannelRef,
    is_explicit: bool,
}

/// The channel's members when the step began.
struct ChannelMembers {
    present: Members,
    /// Who was ever seen in it.
    seen: BTreeSet<SlackUserId>,
    /// Whether whoever was seen and is not among the present ones is gone, as far as that can be known.
    shows_who_is_gone: bool,
    /// Since when the present ones may have changed.
    asked_at: SystemTime,
    earlier: EarlierSnapshot,
    /// Whom earlier attempts have invited without knowing all members.
    invited: Changes,
}

/// The snapshot of an earlier attempt of this execution.
enum EarlierSnapshot {
    /// It was read together with the members. `None` if there was no earlier attempt.
    Read(Option<BTreeSet<SlackUserId>>),
    Unread,
}

impl ChannelMembers {
    fn for_another_snapshot(self) -> Self {
        let earlier = EarlierSnapshot::Unread;
        Self { earlier, ..self }
    }
}

impl Inviting<'_> {
    /// The members in the table. If it has none, or if the request is explicit, stores those that Slack lists on as many
    /// pages as there would be calls to invite this many users.
    async fn members(&self, users: usize) -> Result<ChannelMembers, StepError> {
        let (directory, channel) = (&self.deps.directory, self.channel);
        let must_be_asked = self.is_explicit;
        let began_at = SystemTime::now();
        let known = directory
            .channels
            .members(Snapshot::BeforeInviting, &channel.id, self.execution_id())
            .await?;
        let is_known = known.present.is_some();
        if let Some(present) = known.present.filter(|_| !must_be_asked) {
            let invited = if present.is_complete {
                Changes::default()
            } else {
                self.invited_earlier().await?
            };
            // Whoever was seen after the list is not in it.
            let is_recent = known.listed_at.is_some_and(|listed_at| {
                listed_at + GONE_TRUST > began_at && known.seen_at < Some(listed_at)
            });
            return Ok(ChannelMembers {
                present,
                seen: known.seen,
                shows_who_is_gone: is_recent,
                asked_at: began_at,
                earlier: EarlierSnapshot::Read(known.before),
                invited,
            });
        }
        let asked_at = SystemTime::now();
        let present = if channel.created {
            Members {
                is_complete: true,
                ..Members::default()
            }
        } else {
            self.listed(users).await?
        };
        // A part of the members does not replace the members in the table.
        if present.is_complete || !is_known {
            directory
                .channels
                .remember_members(&channel.id, &present, asked_at)
                .await?;
        }
        let invited = if must_be_asked || !present.is_complete {
            self.invited_earlier().await?
        } else {
            Changes::default()
        };
        Ok(ChannelMembers {
            present,
            seen: known.seen,
            shows_who_is_gone: !channel.created,
            asked_at,
            // Read the snapshot again: a copy of this invocation may have taken it in the meantime.
            earlier: EarlierSnapshot::Unread,
            invited,
        })
    }

    /// The members as Slack lists them now, if it lists all of them; otherwise `members`, unchanged.
    async fn listed_again(
        &self,
        members: ChannelMembers,
        users: usize,
    ) -> Result<ChannelMembers, StepError> {
        let asked_at = SystemTime::now();
        let present = self.listed(users).await?;
        if !present.is_complete {
            return Ok(members);
        }
        let channels = &self.deps.directory.channels;
        channels
            .remember_members(&self.channel.id, &present, asked_at)
            .await?;
        Ok(ChannelMembers {
            present,
            asked_at,
            ..members
        })
    }

    /// The members that Slack lists on as many pages as there would be calls to invite this many users.
    async fn listed(&self, users: usize) -> Result<Members, StepError> {
        let pages = users.div_ceil(INVITE_BATCH);
        let directory = &self.deps.directory;
        directory
            .members_in_slack(self.channel, pages, self.invocation)
            .await
    }

    async fn invited_earlier(&self) -> Result<Changes, StepError> {
        let (channels, id) = (&self.deps.directory.channels, &self.channel.id);
        channels
            .changes(Change::Invite, id, self.execution_id())
            .await
    }

    /// Invites the users who are missing. Returns the result of each user.
    async fn invite(
        &self,
        users: BTreeSet<SlackUserId>,
        snapshot: Snapshot,
        members: &ChannelMembers,
    ) -> Result<Results, StepError> {
        if users.is_empty() {
            return Ok(Results::new());
        }
        let all_known = members.present.is_complete;
        let is_member = |id: &SlackUserId| {
            members.present.ids.contains(id) || !all_known && members.invited.settled.contains(id)
        };
        let (present, missing): (BTreeSet<_>, BTreeSet<_>) = users.into_iter().partition(is_member);
        let gone = self.gone(&missing, members);
        let missing = &missing - &gone;
        if !missing.is_empty() {
            let directory = &self.deps.directory;
            directory.confirm(self.channel, self.invocation).await?;
        }
        // A snapshot says who is missing, so it needs all members.
        let takes_snapshot = all_known && !missing.is_empty();
        let before = self
            .snapshot(snapshot, &members.earlier, &present, takes_snapshot)
            .await?;
        let of_gone = if all_known {
            InviteResult::Skipped(SkipReason::LeftChannel)
        } else {
            InviteResult::AlreadyMember
        };
        let present = present
            .into_iter()
            .map(|id| (id, InviteResult::AlreadyMember));
        let gone = gone.into_iter().map(|id| (id, of_gone));
        let mut results: Results = present.chain(gone).collect();
        let missing: Vec<SlackUserId> = missing.into_iter().collect();
        let batches = missing.chunks(INVITE_BATCH);
        let mut left = batches.len();
        let earlier = (!all_known).then_some(&members.invited.users);
        for batch in batches {
            let slack = self.deps.directory.slack.planning(left);
            let invited = self.invite_batch(&slack, batch, earlier).await?;
            let open = batch.iter().filter(|id| !invited.contains_key(*id));
            let open: BTreeSet<_> = open.cloned().collect();
            results.extend(invited);
            results.extend(self.invite_each(open, earlier).await?);
            left -= 1;
        }
        let there = &members.present.ids | &those(&results, InviteResult::is_member);
        let channels = &self.deps.directory.channels;
        channels
            .remember_seen(&self.channel.id, &there, &members.seen, members.asked_at)
            .await?;
        credit_earlier_attempts(&mut results, before.as_ref(), &members.invited.users);
        Ok(results)
    }

    /// Those of the missing users who were in the channel, and whom only an explicit request invites again. Those whom
    /// this execution has invited are not among them.
    fn gone(
        &self,
        missing: &BTreeSet<SlackUserId>,
        members: &ChannelMembers,
    ) -> BTreeSet<SlackUserId> {
        if self.is_explicit {
            return BTreeSet::new();
        }
        &(missing & &members.seen) - &members.invited.users
    }

    /// The snapshot of an earlier attempt, if there was one. Otherwise `takes` the snapshot, for later attempts.
    async fn snapshot(
        &self,
        snapshot: Snapshot,
        earlier: &EarlierSnapshot,
        present: &BTreeSet<SlackUserId>,
        takes: bool,
    ) -> Result<Option<BTreeSet<SlackUserId>>, StepError> {
        let (channels, id) = (&self.deps.directory.channels, &self.channel.id);
        let execution_id = self.execution_id();
        match earlier {
            EarlierSnapshot::Read(Some(earlier)) => Ok(Some(earlier.clone())),
            _ if takes => {
                channels
                    .take_snapshot(snapshot, id, execution_id, present)
                    .await
            }
            EarlierSnapshot::Read(None) => Ok(None),
            EarlierSnapshot::Unread => channels.snapshot(snapshot, id, execution_id).await,
        }
    }

    /// Invites, one by one, the users who have no result, because Slack has refused some of them without saying whom. The
    /// refusal of a single invitation is about its user, unless Slack refuses all of them alike.
    async fn invite_each(
        &self,
        users: BTreeSet<SlackUserId>,
        earlier: Option<&BTreeSet<SlackUserId>>,
    ) -> Result<Results, StepError> {
        // Whoever is a member now was invited together with the others.
        let earlier = earlier.map(|earlier| earlier | &users);
        let mut results = Results::new();
        let mut refusals = Vec::new();
        let mut left = users.len();
        for user in &users {
            let slack = self.deps.directory.slack.planning(left);
            let single = std::slice::from_ref(user);
            match self.invite_batch(&slack, single, earlier.as_ref()).await {
                Ok(invited) => results.extend(invited),
                Err(refusal @ StepError::SlackRejected { .. }) => {
                    results.insert(
                        user.clone(),
                        InviteResult::Skipped(SkipReason::CannotInvite),
                    );
                    refusals.push(refusal);
                }
                Err(error) => return Err(error),
            }
            left -= 1;
        }
        if let Some(refusal) = refusals.pop()
            && refusals.len() + 1 == users.len()
            && !refusals.is_empty()
            && refusals.iter().all(|other| *other == refusal)
        {
            return Err(refusal);
        }
        credit_earlier_attempts(&mut results, None, &users);
        Ok(results)
    }

    /// If some users may be members already, writes down whom it invites; an `earlier` call may have invited these
    /// users. Returns no result for those of whom Slack does not say whether they were invited.
    async fn invite_batch(
        &self,
        slack: &SlackClient,
        users: &[SlackUserId],
        earlier: Option<&BTreeSet<SlackUserId>>,
    ) -> Result<Results, StepError> {
        self.invocation
            .need_time_for(TIME_TO_INVITE, "inviting members")?;
        let ids: Vec<String> = users.iter().map(|user| user.0.clone()).collect();
        let (directory, channel) = (&self.deps.directory, self.channel);
        let channels = &directory.channels;
        let new: BTreeSet<_> = users.iter().cloned().collect();
        if earlier.is_some() {
            channels
                .begin_change(Change::Invite, &channel.id, self.execution_id(), &new)
                .await?;
        }
        let asked_at = SystemTime::now();
        let invited = slack
            .in_channel(channel, async || {
                slack.conversations_invite(&channel.id, &ids).await
            })
            .await;
        let errors = match invited {
            Ok(invited) => invited.errors,
            Err(error) => {
                let had_no_effect = !matches!(error, SlackError::OutcomeUnknown { .. });
                if let Some(earlier) = earlier.filter(|_| had_no_effect) {
                    self.settle(&BTreeSet::new(), &new - earlier).await?;
                }
                return Err(directory.correct_table(channel, error).await);
            }
        };
        let (mut results, failed) = results_of(users, &errors);
        if failed.is_none() && errors.iter().any(|error| error.user.is_none()) {
            let listed = directory.members_in_slack(channel, PAGES_TO_CORRECT, self.invocation);
            let present = listed.await?;
            if present.is_complete {
                correct_by_members(&mut results, &present.ids);
            } else {
                forget_invited(&mut results);
            }
        }
        let present = those(&results, InviteResult::is_member);
        channels
            .add_members(&channel.id, &present, asked_at)
            .await?;
        if let Some(earlier) = earlier {
            let already = those(&results, |result| result == InviteResult::AlreadyMember);
            self.settle(&present, &already - earlier).await?;
        }
        // What is known about the others is stored first: Slack would call those whom it has just invited members.
        failed.map_or(Ok(results), Err)
    }

    /// Writes down who is in the channel now, and whom this execution did not invite.
    async fn settle(
        &self,
        present: &BTreeSet<SlackUserId>,
        not_invited: BTreeSet<SlackUserId>,
    ) -> Result<(), StepError> {
        let (channels, id) = (&self.deps.directory.channels, &self.channel.id);
        channels
            .settle_change(
                Change::Invite,
                id,
                self.execution_id(),
                present,
                &not_invited,
            )
            .await
    }

    /// Looks up again the users whose ids Slack does not know. Returns those of their new ids that have no result yet.
    async fn correct_ids(
        &self,
        users: &mut [SlackUser],
        results: &mut Results,
    ) -> Result<BTreeSet<SlackUserId>, StepError> {
        let mut corrected = BTreeSet::new();
        for user in users {
            if results.get(&user.id) != Some(&InviteResult::UnknownId) {
                continue;
            }
            let people = &self.deps.people;
            let person = people.corrected(&user.email, &user.id, self.invocation);
            match person.await? {
                Person::Human(id) => {
                    if !results.contains_key(&id) {
                        corrected.insert(id.clone());
                    }
                    user.id = id;
                }
                // A bot is never invited.
                Person::Bot(_) => {
                    let skipped = InviteResult::Skipped(SkipReason::Bot);
                    results.insert(user.id.clone(), skipped);
                }
                Person::NotLookedUp => {
                    let skipped = InviteResult::Skipped(SkipReason::CannotLookUp);
                    results.insert(user.id.clone(), skipped);
                }
                Person::Absent => {}
            }
        }
        Ok(corrected)
    }

    fn execution_id(&self) -> &str {
        &self.invocation.run.execution_id
    }
}

fn log(outcome: &Outcome) {
    tracing::info!(
        members.invited = outcome.invited.len(),
        members.already = outcome.already_members.len(),
        members.skipped = outcome.skipped.len(),
        "invited members"
    );
}
