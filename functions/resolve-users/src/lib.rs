//! Finds the Slack ids of e-mail addresses: in our table, otherwise in Slack.

use std::sync::Arc;

use apgl_contract::{Email, Invocation, Skipped, SlackUser, StepError, epoch::epoch_millis};
use apgl_directory::{People, Purpose};
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
    /// The addresses of the users to invite.
    pub emails: Vec<Email>,
    /// The addresses of the users to remove.
    #[serde(default)]
    pub leaving: Vec<Email>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    pub users: Vec<SlackUser>,
    pub leaving: Vec<SlackUser>,
    pub skipped: Vec<Skipped>,
    /// When Slack was asked for the first of them, in milliseconds since the epoch. A later step resolves them again
    /// if that is too long ago.
    pub resolved_at: u64,
}

pub async fn handle(
    deps: &Deps,
    invocation: &Invocation,
    input: Input,
) -> Result<Outcome, StepError> {
    let Input { emails, leaving } = input;
    let people = &deps.people;
    let coming = people.resolve(emails, Purpose::Invite, invocation).await?;
    let leaving = people.resolve(leaving, Purpose::Remove, invocation).await?;
    let resolved_at = coming.resolved_at.min(leaving.resolved_at);
    let outcome = Outcome {
        users: coming.users,
        leaving: leaving.users,
        skipped: [coming.skipped, leaving.skipped].concat(),
        resolved_at: epoch_millis(resolved_at),
    };
    tracing::info!(
        members.resolved = outcome.users.len() + outcome.leaving.len(),
        members.skipped = outcome.skipped.len(),
        "resolved users"
    );
    Ok(outcome)
}
