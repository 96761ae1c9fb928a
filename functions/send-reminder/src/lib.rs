//! Reminds a person with one message for everything that is due. See [`apgl_delivery::reminder`].
//!
//! What is due is read here, right before the message is posted, and not when the execution was started. That reading is
//! what cancels a reminder of an item that has moved.

mod content;
mod desk;

use std::{collections::HashMap, sync::Arc};

use apgl_contract::{
    DirectMessage, DueDate, Email, Invocation, SkipReason, Skipped, SlackUser, SlackUserId,
    StepError,
    outcome::{MessageOutcome, PostedMessage},
    reminders::{Part, RemindedOf},
};
use apgl_delivery::{
    Target, attempt_id,
    reminder::{Reminded, remind},
};
use apgl_directory::Directory;
use apgl_runtime::SettingError;
use apgl_slack::{LimitedBy, RateLimiter, SlackClient};
use apgl_stores::{Deliveries, Planner, SlackUsers};
use aws_types::SdkConfig;
use serde::{Deserialize, Serialize};

use crate::desk::{Agenda, PersonsDesk};

#[derive(Debug)]
pub struct Deps {
    pub directory: Directory,
    pub deliveries: Deliveries,
    pub planner: Planner,
    pub slack_users: SlackUsers,
}

impl Deps {
    pub fn from_env(aws: &SdkConfig, slack: SlackClient) -> Result<Self, SettingError> {
        Ok(Self {
            directory: Directory::from_env(aws, slack)?,
            deliveries: Deliveries::from_env(aws)?,
            planner: Planner::from_env(aws)?,
            slack_users: SlackUsers::from_env(aws)?,
        })
    }
}

impl LimitedBy for Deps {
    fn limited_by(&self, limiter: &Arc<dyn RateLimiter>) -> Self {
        Self {
            directory: self.directory.limited_by(limiter),
            deliveries: self.deliveries.clone(),
            planner: self.planner.clone(),
            slack_users: self.slack_users.clone(),
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Input {
    pub user_id: SlackUserId,
    pub day: DueDate,
    pub part: Part,
    /// The direct message with the person; `None` if they can't be written to.
    pub conversation: Option<DirectMessage>,
    /// To whom the addresses belong by which items wait for the person.
    pub users: Vec<SlackUser>,
    /// The addresses at which the person can't be reminded, and why.
    pub skipped: Vec<Skipped>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    pub reminded: Vec<RemindedOf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<MessageOutcome>,
    pub skipped: Vec<Skipped>,
}

pub async fn handle(
    deps: &Deps,
    invocation: &Invocation,
    input: Input,
) -> Result<Outcome, StepError> {
    // The address of a person who is gone may belong to somebody else by now.
    let of_the_person = |conversation: &&DirectMessage| conversation.user_id == input.user_id;
    let conversation = input.conversation.as_ref().filter(of_the_person);
    let agenda = agenda(deps, &input, conversation.is_some()).await?;
    let Some(conversation) = conversation else {
        let now = deps.planner.now().await?;
        agenda.read(input.part, now).await?;
        return Ok(Outcome {
            reminded: Vec::new(),
            message: None,
            skipped: input.skipped,
        });
    };
    let attempt_id = attempt_id(invocation);
    let desk = PersonsDesk {
        deps,
        invocation,
        attempt_id: &attempt_id,
        conversation,
        agenda: &agenda,
    };
    let (items, message) = (&deps.planner.items, (input.day, input.part));
    let reminded = remind(items, &deps.deliveries, &desk, &input.user_id, message);
    let (reminded, message) = match reminded.await {
        Ok(Reminded::Of(items, ts)) => {
            let posted = PostedMessage {
                channel_id: Some(conversation.id.clone()),
                ..PostedMessage::new(ts)
            };
            (items, Some(MessageOutcome::Posted(posted)))
        }
        Ok(Reminded::Before | Reminded::OfNothing) => (Vec::new(), None),
        Err(error) => {
            let target = Target::Person(conversation);
            return Err(target.step_error(&deps.directory, error).await);
        }
    };
    tracing::info!(items.reminded = reminded.len(), "reminded the person");
    Ok(Outcome {
        reminded,
        message,
        skipped: input.skipped,
    })
}

async fn agenda<'a>(
    deps: &'a Deps,
    input: &'a Input,
    is_reachable: bool,
) -> Result<Agenda<'a>, StepError> {
    let emails: Vec<Email> = input.users.iter().map(|user| user.email.clone()).collect();
    let skipped: HashMap<Email, SkipReason> = input
        .skipped
        .iter()
        .filter_map(|skipped| {
            let email = Email::try_from(skipped.email.as_str().to_owned()).ok()?;
            Some((email, skipped.reason))
        })
        .collect();
    let any_reason = || skipped.values().next().copied();
    let unreachable = (!is_reachable).then(|| any_reason().unwrap_or(SkipReason::NotInSlack));
    let owners = input.users.iter().cloned();
    let owners = owners.map(|user| (user.email, user.id));
    // Whoever opened the direct message knows best.
    let opened = input.conversation.iter().cloned();
    let opened = opened.map(|conversation| (conversation.email, conversation.user_id));
    Ok(Agenda {
        planner: &deps.planner,
        user: &input.user_id,
        day: input.day,
        zones: deps.slack_users.time_zones(&emails).await?,
        owners: owners.chain(opened).collect(),
        skipped,
        unreachable,
    })
}
