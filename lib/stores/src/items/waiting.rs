//! For whom items wait, and when to look at them next.
//!
//! A row is in the index of its hour, in UTC, until somebody has looked at it. So the hourly sweep reads no more than what
//! is due, and finds again what it has missed.

use std::{collections::BTreeMap, fmt};

use apgl_contract::{
    Email, Item as ContractItem, ItemId, SlackUserId, StepError, reminders::Reminders,
};
use apgl_reminders::Waiting;
use jiff::{Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};

use super::{ITEM_ID, ITEM_ROW, Items, PUT, ROW, escalation::ESCALATION_ROW, expiry_after};
use crate::table::{Item, key_of, number, text};

pub(super) const WAITING: &str = "waiting/";
pub(super) const SNOOZE_ROW: &str = "snooze";
/// The indexes.
const BY_HOUR: &str = "byHour";
const BY_PERSON: &str = "byPerson";
const HOUR: &str = "lookHour";
const REVISION: &str = "revision";

/// An hour in UTC, which an index has as text such as `2026-12-01T09Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UtcHour(i64);

impl UtcHour {
    const SECONDS: i64 = 60 * 60;

    pub fn of(at: Timestamp) -> Self {
        Self(at.as_second().div_euclid(Self::SECONDS))
    }

    /// The first instant of the hour.
    pub fn start(self) -> Timestamp {
        Timestamp::from_second(self.0 * Self::SECONDS).unwrap_or(Timestamp::MAX)
    }

    /// The hours from this one to the other one, both included.
    pub fn to(self, last: Self) -> impl Iterator<Item = Self> {
        (self.0..=last.0).map(Self)
    }

    #[must_use]
    pub fn before(self) -> Self {
        Self(self.0 - 1)
    }

    #[must_use]
    pub fn after(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for UtcHour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = TimeZone::UTC.to_datetime(self.start());
        time.strftime("%Y-%m-%dT%HZ").fmt(f)
    }
}

/// The key of a row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WaitingKey {
    pub item_id: ItemId,
    pub email: Email,
}

impl WaitingKey {
    fn row(&self) -> String {
        format!("{WAITING}{}", self.email.as_str())
    }

    fn of(row: &Item) -> Option<Self> {
        let item_id = key_of(row, ITEM_ID)?.to_owned();
        let email = key_of(row, ROW)?.strip_prefix(WAITING)?.to_owned();
        Some(Self {
            item_id: item_id.try_into().ok()?,
            email: email.try_into().ok()?,
        })
    }
}

/// What is to be looked at in an hour.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InHour {
    /// For whom items wait.
    pub waiting: Vec<WaitingKey>,
    /// The items that may be escalated.
    pub escalating: Vec<ItemId>,
}

/// A row as it is stored. A write replaces only the revision that it has read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    #[serde(flatten)]
    pub waiting: Waiting,
    pub revision: u64,
}

/// A row, with what decides whether anything is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingRow {
    pub key: WaitingKey,
    pub stored: Stored,
    /// The item's latest version; `None` if it was deleted.
    pub item: Option<ContractItem>,
    pub snoozed_until: Option<Timestamp>,
}

impl Items {
    /// The rows of an item, one for each person. One that somebody has made unreadable is left out.
    pub async fn waiting(&self, id: &ItemId) -> Result<Vec<Stored>, StepError> {
        let table = &self.0;
        let rows = table
            .client
            .query()
            .table_name(&table.name)
            .consistent_read(true)
            .key_condition_expression("itemId = :id AND begins_with(#row, :waiting)")
            .expression_attribute_names("#row", ROW)
            .expression_attribute_values(":id", text(id.as_str()))
            .expression_attribute_values(":waiting", text(WAITING))
            .into_paginator()
            .items()
            .send()
            .try_collect()
            .await;
        let rows: Vec<Item> = rows.map_err(|error| table.error("Query", &error))?;
        let read = |row| match serde_dynamo::from_item(row) {
            Ok(stored) => Some(stored),
            Err(error) => {
                log_unreadable(id, &error);
                None
            }
        };
        Ok(rows.into_iter().filter_map(read).collect())
    }

    /// Writes the row if the stored one is still of this revision, or if there is none and it is `None`. Returns whether
    /// it has.
    pub async fn keep(
        &self,
        id: &ItemId,
        waiting: &Waiting,
        revision: Option<u64>,
    ) -> Result<bool, StepError> {
        let row = serde_dynamo::to_item(waiting);
        let row: Item = row.map_err(|_| self.0.unreadable(PUT, "row of a person"))?;
        let key = format!("{WAITING}{}", waiting.email.as_str());
        self.replace_row(id, &key, row, waiting.next_look_at, revision)
            .await
    }

    /// Writes a row of an item, and the hour in which to look at it, if the stored one is still of this revision, or if
    /// there is none and it is `None`. Returns whether it has.
    pub(super) async fn replace_row(
        &self,
        id: &ItemId,
        key: &str,
        row: Item,
        next_look_at: Option<Timestamp>,
        revision: Option<u64>,
    ) -> Result<bool, StepError> {
        let table = &self.0;
        let put = table
            .client
            .put_item()
            .table_name(&table.name)
            .set_item(Some(row))
            .item(ITEM_ID, text(id.as_str()))
            .item(ROW, text(key))
            .item(REVISION, number(revision.unwrap_or_default() + 1))
            .item("expiresAt", expiry_after(Timestamp::now()));
        let put = match next_look_at {
            Some(at) => put.item(HOUR, text(&UtcHour::of(at).to_string())),
            None => put,
        };
        let put = match revision {
            None => put.condition_expression("attribute_not_exists(itemId)"),
            Some(revision) => put
                .condition_expression("revision = :revision")
                .expression_attribute_values(":revision", number(revision)),
        };
        let written = table.if_it_holds(PUT, put.send().await)?;
        Ok(written.is_some())
    }

    /// Forgets that the item waits for the person, unless somebody has changed the row meanwhile.
    pub async fn forget(&self, id: &ItemId, stored: &Stored) -> Result<(), StepError> {
        let table = &self.0;
        let row = format!("{WAITING}{}", stored.waiting.email.as_str());
        let delete = table
            .client
            .delete_item()
            .table_name(&table.name)
            .key(ITEM_ID, text(id.as_str()))
            .key(ROW, text(&row))
            .condition_expression("revision = :revision")
            .expression_attribute_values(":revision", number(stored.revision));
        table
            .if_it_holds("DeleteItem", delete.send().await)
            .map(drop)
    }

    /// What is to be looked at in this hour.
    pub async fn in_hour(&self, hour: UtcHour) -> Result<InHour, StepError> {
        let rows = self.indexed(BY_HOUR, HOUR, &hour.to_string()).await?;
        let escalating = rows
            .iter()
            .filter(|row| key_of(row, ROW) == Some(ESCALATION_ROW))
            .filter_map(|row| key_of(row, ITEM_ID)?.to_owned().try_into().ok());
        Ok(InHour {
            waiting: rows.iter().filter_map(WaitingKey::of).collect(),
            escalating: escalating.collect(),
        })
    }

    /// The rows of this Slack user.
    pub async fn of_person(&self, user: &SlackUserId) -> Result<Vec<WaitingKey>, StepError> {
        let rows = self.indexed(BY_PERSON, "userId", &user.0).await?;
        Ok(rows.iter().filter_map(WaitingKey::of).collect())
    }

    async fn indexed(&self, index: &str, field: &str, value: &str) -> Result<Vec<Item>, StepError> {
        let table = &self.0;
        let rows = table
            .client
            .query()
            .table_name(&table.name)
            .index_name(index)
            .key_condition_expression(format!("{field} = :value"))
            .expression_attribute_values(":value", text(value))
            .into_paginator()
            .items()
            .send()
            .try_collect()
            .await;
        rows.map_err(|error| table.error("Query", &error))
    }

    /// Reads these rows, their items and the items' snoozes, all consistently. A row that no longer exists, or that
    /// somebody has made unreadable, is left out.
    pub async fn waiting_rows(&self, keys: &[WaitingKey]) -> Result<Vec<WaitingRow>, StepError> {
        let table = &self.0;
        let mut wanted: BTreeMap<(String, String), Item> = BTreeMap::new();
        for key in keys {
            for row in [key.row(), ITEM_ROW.to_owned(), SNOOZE_ROW.to_owned()] {
                let id = key.item_id.as_str();
                let fields = [(ITEM_ID, text(id)), (ROW, text(&row))];
                let fields = fields.map(|(field, value)| (field.to_owned(), value));
                wanted.insert((id.to_owned(), row), fields.into());
            }
        }
        let found = table.get_items_consistently(wanted.into_values().collect());
        let mut found: BTreeMap<(String, String), Item> = found
            .await?
            .into_iter()
            .filter_map(|row| {
                let at = |field| key_of(&row, field).map(str::to_owned);
                Some(((at(ITEM_ID)?, at(ROW)?), row))
            })
            .collect();
        let mut rows = Vec::new();
        for key in keys {
            let at = |row: &str| (key.item_id.as_str().to_owned(), row.to_owned());
            let Some(row) = found.remove(&at(&key.row())) else {
                continue;
            };
            let (item, snooze) = (found.get(&at(ITEM_ROW)), found.get(&at(SNOOZE_ROW)));
            match WaitingRow::read(key, row, item, snooze) {
                Ok(read) => rows.push(read),
                // The others are not held up.
                Err(error) => log_unreadable(&key.item_id, &error),
            }
        }
        Ok(rows)
    }

    /// Nobody is reminded of the item until then.
    pub async fn snooze(&self, id: &ItemId, until: Timestamp) -> Result<(), StepError> {
        let table = &self.0;
        let row = serde_dynamo::to_item(Snooze { until });
        let mut row: Item = row.map_err(|_| table.unreadable(PUT, "snooze"))?;
        row.insert(ITEM_ID.to_owned(), text(id.as_str()));
        row.insert(ROW.to_owned(), text(SNOOZE_ROW));
        row.insert("expiresAt".to_owned(), expiry_after(until));
        table.put(row).await
    }
}

impl WaitingRow {
    fn read(
        key: &WaitingKey,
        row: Item,
        item: Option<&Item>,
        snooze: Option<&Item>,
    ) -> Result<Self, serde_dynamo::Error> {
        let item = item.cloned().map(serde_dynamo::from_item).transpose()?;
        let snooze = snooze.cloned().map(serde_dynamo::from_item::<_, Snooze>);
        Ok(Self {
            key: key.clone(),
            stored: serde_dynamo::from_item(row)?,
            item,
            snoozed_until: snooze.transpose()?.map(|snooze| snooze.until),
        })
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct Snooze {
    pub until: Timestamp,
}

fn log_unreadable(id: &ItemId, error: &serde_dynamo::Error) {
    tracing::error!(item.id = id.as_str(), %error, "a row of this item is unreadable");
}

/// How far the sweeps have come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Swept {
    /// The last hour that was swept.
    pub last: UtcHour,
    /// The first hour in which rows may be left.
    pub from: UtcHour,
    /// The settings by which everything is planned.
    #[serde(default)]
    pub reminders: Reminders,
}

const SWEEP_ID: &str = "#sweep";
const SWEEP_ROW: &str = "swept";

impl Items {
    /// How far the sweeps have come; `None` before the first one.
    pub async fn swept(&self) -> Result<Option<Swept>, StepError> {
        let row = self.0.row(SWEEP_ID, SWEEP_ROW).await?;
        let row = row.map(serde_dynamo::from_item).transpose();
        row.map_err(|_| self.0.unreadable(super::GET, "hour"))
    }

    /// Records how far a sweep has come, unless a later one has.
    pub async fn record_sweep(&self, swept: &Swept) -> Result<(), StepError> {
        let table = &self.0;
        let row = serde_dynamo::to_item(swept);
        let row: Item = row.map_err(|_| table.unreadable(PUT, "hour"))?;
        let put = table
            .client
            .put_item()
            .table_name(&table.name)
            .set_item(Some(row))
            .item(ITEM_ID, text(SWEEP_ID))
            .item(ROW, text(SWEEP_ROW))
            .condition_expression("attribute_not_exists(itemId) OR #last <= :last")
            .expression_attribute_names("#last", "last")
            .expression_attribute_values(
                ":last",
                serde_dynamo::to_attribute_value(swept.last)
                    .map_err(|_| table.unreadable(PUT, "hour"))?,
            );
        table.if_it_holds(PUT, put.send().await).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_is_written_as_people_read_it() {
        let at: Timestamp = "2026-12-01T09:59:59.9Z".parse().unwrap();
        let hour = UtcHour::of(at);
        assert_eq!(hour.to_string(), "2026-12-01T09Z");
        assert_eq!(hour.start().to_string(), "2026-12-01T09:00:00Z");
        assert_eq!(hour.before().to(hour.after()).count(), 3);
    }
}
