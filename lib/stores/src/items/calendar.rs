//! The time by which people are reminded.

use apgl_aws::{SettingError, optional_setting};
use apgl_contract::StepError;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{GET, ITEM_ID, Items, PUT, ROW};
use crate::table::{Item, text};

const CALENDAR_ID: &str = "#calendar";
const CALENDAR_ROW: &str = "now";
/// How soon somebody who waits looks again at a calendar that a test sets.
const LOOK_AGAIN_AFTER: SignedDuration = SignedDuration::from_secs(1);

/// The calendar: the system's clock, or, on a local stack, the time that a test has written into the items' table. Leases
/// and settle times never follow it, since they are about Slack and Lambda.
#[derive(Debug, Clone)]
pub enum Calendar {
    System,
    /// The table's time; the system's as long as there is none.
    Stored(Items),
}

#[derive(Serialize, Deserialize)]
struct Now {
    now: Timestamp,
}

impl Calendar {
    /// The calendar that `CALENDAR` names: `system`, the default, or `stored`.
    pub fn from_env(items: &Items) -> Result<Self, SettingError> {
        let name = optional_setting("CALENDAR");
        Self::named(name.as_deref(), items).ok_or(SettingError::Bad {
            name: "CALENDAR",
            rule: "must be system or stored",
        })
    }

    /// The calendar of this name; the system's if there is none. `None` if the name is another one.
    pub fn named(name: Option<&str>, items: &Items) -> Option<Self> {
        match name {
            None | Some("system") => Some(Self::System),
            Some("stored") => Some(Self::Stored(items.clone())),
            Some(_) => None,
        }
    }

    pub async fn now(&self) -> Result<Timestamp, StepError> {
        let stored = match self {
            Self::System => None,
            Self::Stored(items) => items.stored_now().await?,
        };
        Ok(stored.unwrap_or_else(Timestamp::now))
    }

    /// How long to wait for that time, which is later than now, in whole seconds: at least one.
    pub async fn wait_seconds(&self, at: Timestamp) -> Result<u64, StepError> {
        let left = match self {
            Self::Stored(items) if items.stored_now().await?.is_some() => LOOK_AGAIN_AFTER,
            _ => at.duration_since(Timestamp::now()),
        };
        let seconds = (left.as_millis() + 999).div_euclid(1_000);
        Ok(u64::try_from(seconds).unwrap_or_default().max(1))
    }
}

impl Items {
    async fn stored_now(&self) -> Result<Option<Timestamp>, StepError> {
        let row = self.0.row(CALENDAR_ID, CALENDAR_ROW).await?;
        let row = row.map(serde_dynamo::from_item::<_, Now>).transpose();
        let row = row.map_err(|_| self.0.unreadable(GET, "time"))?;
        Ok(row.map(|row| row.now))
    }

    /// Sets the calendar of a local stack.
    pub async fn set_calendar(&self, now: Timestamp) -> Result<(), StepError> {
        let row = serde_dynamo::to_item(Now { now });
        let mut row: Item = row.map_err(|_| self.0.unreadable(PUT, "time"))?;
        row.insert(ITEM_ID.to_owned(), text(CALENDAR_ID));
        row.insert(ROW.to_owned(), text(CALENDAR_ROW));
        self.0.put(row).await
    }
}
