//! Opens the direct message with a person: with the first of several who can be written to.
//!
//! The table of Slack users knows the direct messages of earlier executions, so that a person who has been written to
//! before costs no Slack call. A person to whom the bot can't write is an outcome and not an error.

use std::sync::Arc;

use apgl_contract::{
    DirectMessage, Invocation, Run, SkipReason, Skipped, SlackUser, SlackUserId, StepError,
};
use apgl_directory::{People, Person, Purpose};
use apgl_runtime::SettingError;
use apgl_slack::{LimitedBy, RateLimiter, SlackClient};
use aws_types::SdkConfig;
use serde::{Deserialize, Serialize};

#[derive(Debug)]
pub struct Deps {
    pub people: People,
}

impl Deps {
    pub fn from_env(aws: &SdkConfig, slack: SlackClient) -> Result<Self, SettingError> {
        Ok(Self {
            people: People::from_env(aws, slack)?,
        })
    }
}

impl LimitedBy for Deps {
    fn limited_by(&self, limiter: &Arc<dyn RateLimiter>) -> Self {
        Self {
            people: self.people.limited_by(limiter),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The people of whom the first who can be written to gets the message. Nobody, if an earlier step has skipped them.
    pub users: Vec<SlackUser>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// `None` if there is nobody to write to.
    pub conversation: Option<DirectMessage>,
    /// Those before them whom this step has skipped, or all.
    pub skipped: Vec<Skipped>,
}

/// 1. Resolves the people again if their ids are no longer trusted.
/// 2. Takes the direct message with the first of them from the table, or opens it in Slack.
/// 3. If Slack does not know the id, looks the address up again and does the same for its new id.
/// 4. If the bot can't write to this person, goes on with the next one.
pub async fn handle(
    deps: &Deps,
    invocation: &Invocation,
    input: Input,
) -> Result<Outcome, StepError> {
    let people = &deps.people;
    let renewed = people.renew(input.users, Purpose::Invite, invocation);
    let (users, mut skipped) = renewed.await?;
    for user in users {
        match open_with(people, user, invocation).await? {
            Ok(conversation) => {
                return Ok(Outcome {
                    conversation: Some(conversation),
                    skipped,
                });
            }
            Err(unreachable) => skipped.push(unreachable),
        }
    }
    Ok(Outcome {
        conversation: None,
        skipped,
    })
}

/// The direct message with this person, or why there is none.
async fn open_with(
    people: &People,
    mut user: SlackUser,
    invocation: &Invocation,
) -> Result<Result<DirectMessage, Skipped>, StepError> {
    let mut opened = open(people, &user.id, invocation).await?;
    if opened == Opened::UnknownId {
        let person = people.corrected(&user.email, &user.id, invocation);
        match person.await? {
            Person::Human(id) if id != user.id => {
                user.id = id;
                opened = open(people, &user.id, invocation).await?;
            }
            Person::Human(_) | Person::Absent => {}
            Person::Bot(_) => opened = Opened::Refused(SkipReason::Bot),
            Person::NotLookedUp => opened = Opened::Refused(SkipReason::CannotLookUp),
        }
    }
    let SlackUser { email, id: user_id } = user;
    let skipped = match opened {
        Opened::As(id) => return Ok(Ok(DirectMessage { id, email, user_id })),
        Opened::UnknownId => Skipped::new(email, SkipReason::NotInSlack),
        Opened::Refused(reason) => Skipped::new(email, reason),
    };
    tracing::info!(
        slack.user = user_id.0,
        reason = skipped.reason.as_str(),
        "there is no direct message with the person"
    );
    Ok(Err(skipped))
}

#[derive(Debug, PartialEq, Eq)]
enum Opened {
    /// The direct message has this id.
    As(String),
    /// Slack knows no active user with this id.
    UnknownId,
    Refused(SkipReason),
}

/// Takes the direct message with this user from the table, or opens it in Slack.
async fn open(
    people: &People,
    user: &SlackUserId,
    invocation: &Invocation,
) -> Result<Opened, StepError> {
    if !must_ask_slack(&invocation.run)
        && let Some(id) = people.known.direct_message(user).await?
    {
        return Ok(Opened::As(id));
    }
    invocation.need_time_for(SlackClient::CALL_TIMEOUT, "opening the direct message")?;
    match people.slack.conversations_open(&user.0).await {
        Ok(id) => {
            people.known.remember_direct_message(user, &id).await?;
            tracing::info!(
                slack.user = user.0,
                channel.id = id,
                "opened the direct message"
            );
            Ok(Opened::As(id))
        }
        Err(error) => error
            .rejected_code()
            .and_then(refusal)
            .ok_or_else(|| error.into()),
    }
}

/// Slack is asked again if it did not know the direct message, and after a redrive: the id in the table may be what has
/// failed.
fn must_ask_slack(run: &Run) -> bool {
    run.redrive_count > 0 || run.channel_lookups.is_some_and(|used| used > 0)
}

/// What a code says about the user. `None` if it is not known to be about the user: then the step fails.
///
/// Source: the errors of <https://docs.slack.dev/reference/methods/conversations.open>, and those of
/// conversations.invite that are about a user. Slack returns `cannot_dm_bot` without documenting it.
fn refusal(code: &str) -> Option<Opened> {
    Some(match code {
        "user_not_found" | "user_disabled" => Opened::UnknownId,
        "cannot_dm_bot" => Opened::Refused(SkipReason::Bot),
        "user_not_visible"
        | "invalid_user_combination"
        | "user_is_restricted"
        | "org_user_not_in_team" => Opened::Refused(SkipReason::CannotMessage),
        _ => return None,
    })
}
