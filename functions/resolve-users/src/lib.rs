//! Finds the Slack ids of e-mail addresses: in our table, otherwise in Slack.

use std::{collections::HashMap, sync::Arc, time::Duration};

use apgl_contract::{Email, Invocation, SkipReason, Skipped, SlackUser, StepError};
use apgl_directory::{People, Person};
use apgl_runtime::SettingError;
use apgl_slack::{LimitedBy, RateLimiter, SlackClient};
use aws_types::SdkConfig;
use serde::{Deserialize, Serialize};

/// An outdated id does no harm in an invitation, because Slack rejects it. So an id is looked up again only when its
/// entry in the table expires.
const COMING_MAX_AGE: Duration = Duration::MAX;
/// A removal with an outdated id would leave the person in the channel.
const LEAVING_MAX_AGE: Duration = Duration::from_hours(1);

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
    /// The addresses of the users to invite.
    pub emails: Vec<Email>,
    /// The addresses of the users to remove.
    #[serde(default)]
    pub leaving: Vec<Email>,
}

#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Outcome {
    pub users: Vec<SlackUser>,
    pub leaving: Vec<SlackUser>,
    pub skipped: Vec<Skipped>,
}

pub async fn handle(
    deps: &Deps,
    invocation: &Invocation,
    input: Input,
) -> Result<Outcome, StepError> {
    let coming = deps
        .people
        .resolve(&input.emails, COMING_MAX_AGE, invocation)
        .await?;
    let leaving = deps
        .people
        .resolve(&input.leaving, LEAVING_MAX_AGE, invocation)
        .await?;
    let outcome = outcome(input, &coming, &leaving);
    tracing::info!(
        members.resolved = outcome.users.len() + outcome.leaving.len(),
        members.skipped = outcome.skipped.len(),
        "resolved users"
    );
    Ok(outcome)
}

/// The outcome, in the order of the request. A bot is never invited, but it can be removed.
fn outcome(
    input: Input,
    coming: &HashMap<Email, Person>,
    leaving: &HashMap<Email, Person>,
) -> Outcome {
    let mut outcome = Outcome::default();
    for email in input.emails {
        match coming.get(&email) {
            Some(Person::Human(id)) => outcome.users.push(SlackUser {
                id: id.clone(),
                email,
            }),
            Some(Person::Bot(_)) => outcome.skipped.push(Skipped::new(email, SkipReason::Bot)),
            other => outcome.skipped.push(not_found(email, other)),
        }
    }
    for email in input.leaving {
        match leaving.get(&email) {
            Some(Person::Human(id) | Person::Bot(id)) => outcome.leaving.push(SlackUser {
                id: id.clone(),
                email,
            }),
            other => outcome.skipped.push(not_found(email, other)),
        }
    }
    outcome
}

fn not_found(email: Email, person: Option<&Person>) -> Skipped {
    let reason = match person {
        Some(Person::NotLookedUp) => SkipReason::CannotLookUp,
        _ => SkipReason::NotInSlack,
    };
    Skipped::new(email, reason)
}

#[cfg(test)]
mod tests {
    use apgl_contract::SlackUserId;

    use super::*;

    fn email(name: &str) -> Email {
        Email::try_from(format!("{name}@example.com")).unwrap()
    }

    #[test]
    fn only_people_can_join_but_bots_can_leave() {
        let id = SlackUserId("U1".to_owned());
        let people = HashMap::from([
            (email("ana"), Person::Human(id.clone())),
            (email("bot"), Person::Bot(id.clone())),
            (email("gone"), Person::Absent),
            (email("refused"), Person::NotLookedUp),
        ]);
        let all = ["ana", "bot", "gone", "refused"].map(email).to_vec();
        let input = Input {
            emails: all.clone(),
            leaving: all,
        };
        let user = |name| SlackUser {
            email: email(name),
            id: id.clone(),
        };
        let bot = Skipped::new(email("bot"), SkipReason::Bot);
        let gone = Skipped::new(email("gone"), SkipReason::NotInSlack);
        let refused = Skipped::new(email("refused"), SkipReason::CannotLookUp);
        assert_eq!(
            outcome(input, &people, &people),
            Outcome {
                users: vec![user("ana")],
                leaving: vec![user("ana"), user("bot")],
                skipped: vec![bot, gone.clone(), refused.clone(), gone, refused],
            }
        );
    }
}
