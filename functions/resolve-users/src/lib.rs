//! Slack's ids of e-mail addresses: from our table, else from Slack, one look-up a person.
//!
//! Every id is remembered as soon as Slack has said it, so a step that a rate limit stops goes on
//! where it was.

use std::collections::HashMap;

use apgl_contract::{Email, SkipReason, Skipped, SlackUser, SlackUserId, StepError};
use apgl_slack::{SlackClient, User};
use apgl_stores::SlackUsers;
use serde::{Deserialize, Serialize};

#[derive(Debug)]
pub struct Deps {
    pub slack: SlackClient,
    pub known: SlackUsers,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    pub emails: Vec<Email>,
}

#[derive(Debug, Serialize)]
pub struct Outcome {
    pub users: Vec<SlackUser>,
    pub skipped: Vec<Skipped>,
}

pub async fn handle(deps: &Deps, input: Input) -> Result<Outcome, StepError> {
    let known: HashMap<Email, SlackUserId> = deps.known.ids(&input.emails).await?;
    let looked_up = input.emails.len() - known.len();
    let mut outcome = Outcome {
        users: Vec::new(),
        skipped: Vec::new(),
    };
    for email in input.emails {
        if let Some(id) = known.get(&email) {
            outcome.users.push(SlackUser {
                id: id.clone(),
                email,
            });
            continue;
        }
        match person(deps.slack.users_lookup_by_email(email.as_str()).await?) {
            Ok(id) => {
                deps.known.remember(&email, &id).await?;
                outcome.users.push(SlackUser { id, email });
            }
            Err(reason) => outcome.skipped.push(Skipped { email, reason }),
        }
    }
    let (resolved, skipped) = (outcome.users.len(), outcome.skipped.len());
    tracing::info!(
        members.resolved = resolved,
        members.skipped = skipped,
        slack.lookups = looked_up,
        "resolved users"
    );
    Ok(outcome)
}

/// Whether what Slack knows by an address is a person who can be invited.
fn person(user: Option<User>) -> Result<SlackUserId, SkipReason> {
    match user {
        None => Err(SkipReason::NotInSlack),
        Some(user) if user.deleted => Err(SkipReason::NotInSlack),
        Some(user) if user.is_bot => Err(SkipReason::Bot),
        Some(user) => Ok(SlackUserId(user.id)),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn user(deleted: bool, is_bot: bool) -> User {
        User {
            id: "U1".to_owned(),
            deleted,
            is_bot,
        }
    }

    #[rstest]
    #[case(None, Err(SkipReason::NotInSlack))]
    #[case(Some(user(true, false)), Err(SkipReason::NotInSlack))]
    #[case(Some(user(false, true)), Err(SkipReason::Bot))]
    #[case(Some(user(false, false)), Ok(SlackUserId("U1".to_owned())))]
    fn only_an_active_person_is_resolved(
        #[case] user: Option<User>,
        #[case] expected: Result<SlackUserId, SkipReason>,
    ) {
        assert_eq!(person(user), expected);
    }
}
