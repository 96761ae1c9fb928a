//! Finds out whether a person is to be reminded of anything now or soon, and how long to wait until then.
//!
//! Nothing here is decided for good: `send-reminder` reads again what is due.

use std::collections::BTreeSet;

use apgl_contract::{DueDate, Email, SlackUserId, StepError, reminders::Part};
use apgl_runtime::SettingError;
use apgl_stores::Planner;
use aws_types::SdkConfig;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

#[derive(Debug)]
pub struct Deps {
    pub planner: Planner,
}

impl Deps {
    pub fn from_env(aws: &SdkConfig) -> Result<Self, SettingError> {
        Ok(Self {
            planner: Planner::from_env(aws)?,
        })
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Input {
    pub user_id: SlackUserId,
    pub day: DueDate,
    pub part: Part,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// The addresses by which items wait for the person with which something is due now or soon. Empty if nothing is.
    pub emails: Vec<Email>,
    /// How long to wait before looking again; 0 if something is due now, or nothing soon.
    pub wait_seconds: u64,
}

pub async fn handle(deps: &Deps, input: Input) -> Result<Outcome, StepError> {
    let Input { user_id, day, part } = input;
    let planner = &deps.planner;
    let now = planner.now().await?;
    let rows = planner.items.of_person(&user_id).await?;
    let rows = planner.items.waiting_rows(&rows).await?;
    let due = rows.iter().filter_map(|row| {
        let (at, _) = planner.first_due(row, now, (day, part))?;
        // For what is due in a later hour, that hour's sweep starts another execution.
        planner
            .is_soon(at, now)
            .then(|| (at, row.key.email.clone()))
    });
    let due: Vec<(Timestamp, Email)> = due.collect();
    let first = due.iter().map(|(at, _)| *at).min();
    let wait_seconds = match first {
        Some(at) if at > now => planner.calendar.wait_seconds(at).await?,
        _ => 0,
    };
    let emails: BTreeSet<Email> = due.into_iter().map(|(_, email)| email).collect();
    tracing::info!(
        items.waiting = rows.len(),
        wait_seconds,
        "looked for what is due"
    );
    Ok(Outcome {
        emails: emails.into_iter().collect(),
        wait_seconds,
    })
}
