//! Notes for whom an item waits, and when to look at it next.
//!
//! The item has been recorded before. If it has moved since, what is written here is found to be out of date when
//! somebody looks at it.

use apgl_contract::{Email, Invocation, Item, SlackUser, StepError, StepFailure};
use apgl_runtime::SettingError;
use apgl_stores::{Planner, SlackUsers, Stored, despite_conflicts};
use aws_types::SdkConfig;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

#[derive(Debug)]
pub struct Deps {
    pub planner: Planner,
    pub slack_users: SlackUsers,
}

impl Deps {
    pub fn from_env(aws: &SdkConfig) -> Result<Self, SettingError> {
        Ok(Self {
            planner: Planner::from_env(aws)?,
            slack_users: SlackUsers::from_env(aws)?,
        })
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Input {
    pub item: Item,
    /// The Slack users among those for whom it waits.
    pub users: Vec<SlackUser>,
    /// The error for which the item's card is not shown. The step fails with it once it has planned.
    #[serde(default)]
    pub card_failure: Option<StepFailure>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// For how many people there is something to look at.
    pub planned: usize,
}

pub async fn handle(
    deps: &Deps,
    invocation: &Invocation,
    input: Input,
) -> Result<Outcome, StepError> {
    let Input {
        item,
        users,
        card_failure,
    } = input;
    let emails: Vec<Email> = users.iter().map(|user| user.email.clone()).collect();
    let zones = deps.slack_users.time_zones(&emails).await?;
    let now = deps.planner.now().await?;
    let zone_of = |user: &SlackUser| {
        let shown = zones.get(&user.email).map(String::as_str);
        deps.planner.zone_or_default(shown)
    };
    let rows = deps.planner.items.waiting(&item.id).await?;
    let mut planned = 0;
    for user in &users {
        let zone = zone_of(user);
        planned += usize::from(note(&deps.planner, &item, user, zone, &rows, now).await?);
    }
    let zone = users.first().map_or(deps.planner.default_zone(), zone_of);
    plan_escalation(&deps.planner, &item, zone, now).await?;
    tracing::info!(
        item.version = item.version.get(),
        people = planned,
        "planned when to remind people"
    );
    match card_failure {
        Some(failure) => Err(StepError::of_earlier_step(
            failure,
            &item.channel_name,
            &invocation.run,
        )),
        None => Ok(Outcome { planned }),
    }
}

/// Notes that the item waits for this person. `rows` are the item's. Returns whether anything will be due.
async fn note(
    planner: &Planner,
    item: &Item,
    user: &SlackUser,
    zone: &str,
    rows: &[Stored],
    now: Timestamp,
) -> Result<bool, StepError> {
    let of_user = |rows: &[Stored]| {
        let mut rows = rows.iter();
        rows.find(|row| row.waiting.email == user.email).cloned()
    };
    let mut before = of_user(rows);
    despite_conflicts(async || {
        if before
            .as_ref()
            .is_some_and(|before| before.waiting.version > item.version)
        {
            return Ok(Some(false));
        }
        let stored = before.as_ref().map(|before| &before.waiting);
        let waiting = planner.plan_waiting(item, user.clone(), zone, stored, now);
        let revision = before.as_ref().map(|before| before.revision);
        if planner.items.keep(&item.id, &waiting, revision).await? {
            return Ok(Some(waiting.next_look_at.is_some()));
        }
        before = of_user(&planner.items.waiting(&item.id).await?);
        Ok(None)
    })
    .await
}

/// Notes when somebody else is to be told, if the item still waits then.
async fn plan_escalation(
    planner: &Planner,
    item: &Item,
    zone: &str,
    now: Timestamp,
) -> Result<(), StepError> {
    let rules = planner.reminders.of_item(item);
    if item.due_date.is_none() || rules.escalate_to.as_slice().is_empty() {
        // What an older version has planned is dropped when a sweep looks at it.
        return Ok(());
    }
    despite_conflicts(async || {
        let before = planner.items.escalating(&item.id).await?;
        if before
            .as_ref()
            .is_some_and(|before| before.version > item.version)
        {
            return Ok(Some(()));
        }
        let row = planner.plan_escalation(item, zone, before.as_ref(), None, now);
        let Some(row) = row else {
            return Ok(Some(()));
        };
        let is_kept = planner.items.keep_escalating(&item.id, &row).await?;
        Ok(is_kept.then_some(()))
    })
    .await
}
