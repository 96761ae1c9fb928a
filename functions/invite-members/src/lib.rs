//! Invites those who are not in the channel yet, at most 100 at once.
//!
//! Who is known to be in the channel costs no Slack call: what Slack said is remembered in the
//! channel table. What happens to one user is an outcome and never stops the others.

mod fates;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use apgl_contract::{ChannelRef, Email, Invocation, Skipped, SlackUser, SlackUserId, StepError};
use apgl_directory::{Directory, People, Person};
use apgl_runtime::SettingError;
use apgl_slack::{LimitedBy, RateLimiter, SlackClient};
use apgl_stores::Look;
use aws_types::SdkConfig;
use serde::{Deserialize, Serialize};
use tokio::join;

use crate::fates::{Fate, Fates, fates_in, invited_earlier, outcome};

/// Slack's limit for one conversations.invite; it was 1,000 until 2025.
const INVITE_BATCH: usize = 100;
/// What an invitation takes at most.
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
#[serde(deny_unknown_fields)]
pub struct Input {
    pub channel: ChannelRef,
    pub users: Vec<SlackUser>,
}

#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    pub invited: Vec<Email>,
    pub already_members: Vec<Email>,
    pub skipped: Vec<Skipped>,
}

pub async fn handle(
    deps: &Deps,
    invocation: &Invocation,
    input: Input,
) -> Result<Outcome, StepError> {
    let Input { channel, mut users } = input;
    if users.is_empty() {
        return Ok(Outcome::default());
    }
    let (look, execution_id) = (Look::BeforeInviting, &invocation.run.execution_id);
    let channels = &deps.directory.channels;
    let members = channels.members(look, &channel.id, execution_id).await?;
    let known = members.present.is_some();
    let (present, first_look) = match members.present {
        // The two were read in no order: what a copy of this invocation does meanwhile may count as done by
        // somebody else.
        Some(remembered) => (remembered, FirstLook::Read(members.at_first)),
        // While Slack is asked, a copy may look, and invite.
        None => (members_by_slack(deps, &channel).await?, FirstLook::Unread),
    };
    let step = Inviting {
        deps,
        invocation,
        channel: &channel,
        present: &present,
    };
    let looked = step.look_for(users.iter().map(|user| user.id.clone()));
    let remembering = async {
        if known {
            return Ok(());
        }
        channels.remember_members(&channel.id, &present).await
    };
    let looking = step.at_first(look, first_look, &looked);
    // Both to their ends: a write that is dropped may still come, late.
    let (at_first, remembered) = join!(looking, remembering);
    remembered?;
    let mut fates = step.invite_missing(looked, at_first?).await?;
    let corrected = step.correct_ids(&fates, &mut users).await?;
    if !corrected.is_empty() {
        let look = Look::BeforeInvitingCorrected;
        let looked = step.look_for(corrected);
        let at_first = step.at_first(look, FirstLook::Unread, &looked).await?;
        fates.extend(step.invite_missing(looked, at_first).await?);
    }
    let outcome = outcome(users, &fates);
    tracing::info!(
        members.invited = outcome.invited.len(),
        members.already = outcome.already_members.len(),
        members.skipped = outcome.skipped.len(),
        "invited members"
    );
    Ok(outcome)
}

/// Who is in a channel whose members are not remembered: nobody in a new one, else those whom Slack
/// names.
async fn members_by_slack(
    deps: &Deps,
    channel: &ChannelRef,
) -> Result<BTreeSet<SlackUserId>, StepError> {
    if channel.created {
        return Ok(BTreeSet::new());
    }
    deps.directory.members_in_slack(channel).await
}

/// Whom an earlier attempt of this execution found in the channel, if one has looked.
enum FirstLook {
    Read(Option<BTreeSet<SlackUserId>>),
    Unread,
}

struct Inviting<'a> {
    deps: &'a Deps,
    invocation: &'a Invocation,
    channel: &'a ChannelRef,
    present: &'a BTreeSet<SlackUserId>,
}

/// Which of the users are in the channel, and which are not.
struct Looked {
    there: BTreeSet<SlackUserId>,
    missing: Vec<SlackUserId>,
}

impl Inviting<'_> {
    fn look_for(&self, users: impl IntoIterator<Item = SlackUserId>) -> Looked {
        let users: BTreeSet<SlackUserId> = users.into_iter().collect();
        let (there, missing): (BTreeSet<_>, BTreeSet<_>) =
            users.into_iter().partition(|id| self.present.contains(id));
        Looked {
            there,
            missing: missing.into_iter().collect(),
        }
    }

    /// Whom this execution found in the channel when it first looked; `None` where that is now. It is kept
    /// before the first invitation, for the attempts that may have to go on.
    async fn at_first(
        &self,
        look: Look,
        first_look: FirstLook,
        looked: &Looked,
    ) -> Result<Option<BTreeSet<SlackUserId>>, StepError> {
        let channels = &self.deps.directory.channels;
        let (channel_id, execution_id) = (&self.channel.id, &self.invocation.run.execution_id);
        match first_look {
            FirstLook::Read(Some(kept)) => Ok(Some(kept)),
            _ if !looked.missing.is_empty() => {
                channels
                    .keep_first_look(look, channel_id, execution_id, &looked.there)
                    .await
            }
            FirstLook::Read(None) => Ok(None),
            FirstLook::Unread => channels.first_look(look, channel_id, execution_id).await,
        }
    }

    /// Invites those who are not there, and says what became of each user.
    async fn invite_missing(
        &self,
        looked: Looked,
        at_first: Option<BTreeSet<SlackUserId>>,
    ) -> Result<Fates, StepError> {
        let Looked { there, missing } = looked;
        let mut fates: Fates = there
            .into_iter()
            .map(|id| (id, Fate::AlreadyMember))
            .collect();
        for batch in missing.chunks(INVITE_BATCH) {
            fates.extend(self.invite(batch).await?);
        }
        if let Some(there_at_first) = at_first {
            invited_earlier(&mut fates, &there_at_first);
        }
        Ok(fates)
    }

    async fn invite(&self, users: &[SlackUserId]) -> Result<Fates, StepError> {
        self.invocation
            .need_time_for(TIME_TO_INVITE, "inviting members")?;
        let ids: Vec<String> = users.iter().map(|user| user.0.clone()).collect();
        let (directory, channel) = (&self.deps.directory, self.channel);
        let invited = directory
            .slack
            .in_channel(channel, async || {
                directory
                    .slack
                    .conversations_invite(&channel.id, &ids)
                    .await
            })
            .await;
        let errors = match invited {
            Ok(invited) => invited.errors,
            Err(error) => return Err(directory.learn(channel, error).await),
        };
        let fates = fates_in(users, &errors)?;
        let members = fates
            .iter()
            .filter(|(_, fate)| matches!(fate, Fate::Invited | Fate::AlreadyMember));
        let members = members.map(|(id, _)| id.clone()).collect();
        directory
            .channels
            .add_members(&channel.id, &members)
            .await?;
        Ok(fates)
    }

    /// Looks those up again whom Slack does not know by the ids that our table has, and answers the
    /// new ids of those who have one.
    async fn correct_ids(
        &self,
        fates: &Fates,
        users: &mut [SlackUser],
    ) -> Result<BTreeSet<SlackUserId>, StepError> {
        let mut corrected = BTreeSet::new();
        let unknown = users
            .iter_mut()
            .filter(|user| fates.get(&user.id) == Some(&Fate::NotInSlack));
        for user in unknown {
            let person = self
                .deps
                .people
                .corrected(&user.email, &user.id, self.invocation)
                .await?;
            if let Person::Human(id) | Person::Bot(id) = person {
                corrected.insert(id.clone());
                user.id = id;
            }
        }
        Ok(corrected)
    }
}
