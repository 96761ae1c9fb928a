//! Finds out whether an item is to be escalated now, and whom to tell.
//!
//! Nothing here is decided for good: `send-escalation` looks again right before it posts.

use apgl_contract::{ChannelName, DueDate, Email, ItemId, StepError, Visibility};
use apgl_reminders::Escalation;
use apgl_runtime::SettingError;
use apgl_stores::Planner;
use aws_types::SdkConfig;
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
    pub item_id: ItemId,
    pub due_date: DueDate,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// Whom to tell: the first of them who may be written to. Empty if nobody is to be told now.
    pub people: Vec<Email>,
    /// The channel in which the item's card is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel_name: Option<ChannelName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub visibility: Option<Visibility>,
    /// How long to wait before looking again; 0 if it is to be escalated now or not at all.
    pub wait_seconds: u64,
}

impl Outcome {
    const NOTHING: Self = Self {
        people: Vec::new(),
        channel_name: None,
        visibility: None,
        wait_seconds: 0,
    };
}

pub async fn handle(deps: &Deps, input: Input) -> Result<Outcome, StepError> {
    let Input { item_id, due_date } = input;
    let planner = &deps.planner;
    let items = &planner.items;
    let (row, item) = (
        items.escalating(&item_id).await?,
        items.latest(&item_id).await?,
    );
    let (Some(row), Some(item)) = (row.filter(|row| row.due_date == due_date), item) else {
        return Ok(Outcome::NOTHING);
    };
    let (now, until) = (planner.now().await?, items.snoozed_until(&item_id).await?);
    let as_of = planner.as_of(row.next_look_at, now);
    let wait_seconds = match planner.escalation(&row, &item, until, as_of) {
        Some(Escalation::Due) => 0,
        Some(Escalation::LookAt(at)) if planner.is_soon(at, now) => {
            planner.calendar.wait_seconds(at).await?
        }
        Some(Escalation::LookAt(_)) | None => {
            tracing::info!("the item is not to be escalated now");
            return Ok(Outcome::NOTHING);
        }
    };
    let rules = planner.reminders.of_item(&item);
    Ok(Outcome {
        people: rules.escalate_to.as_slice().to_vec(),
        channel_name: Some(item.channel_name),
        visibility: Some(item.visibility),
        wait_seconds,
    })
}
