//! What operators read of all items, and the end of a snooze.

use std::collections::BTreeMap;

use apgl_contract::{DueDate, Item as ContractItem, ItemId, StepError};
use apgl_reminders::{PersonZone, Waiting, is_after_due_time};
use aws_sdk_dynamodb::types::ReturnValue;
use jiff::{Timestamp, tz::TimeZone};

use super::{
    ITEM_ID, ITEM_ROW, Items, ROW, SNOOZE_ROW, Snooze, Stored, WAITING, WaitingKey, WaitingRow,
};
use crate::table::{Item, key_of, number, text};

const SCAN: &str = "Scan";

/// An item with the rows of the people for whom it waits or has waited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemRows {
    pub item: ContractItem,
    pub waiting: Vec<Stored>,
    pub snoozed_until: Option<Timestamp>,
}

impl ItemRows {
    /// What decides whether anything is due, for each person.
    pub fn waiting_rows(&self) -> impl Iterator<Item = WaitingRow> {
        self.waiting.iter().map(|stored| WaitingRow {
            key: WaitingKey {
                item_id: self.item.id.clone(),
                email: stored.waiting.email.clone(),
            },
            stored: stored.clone(),
            item: Some(self.item.clone()),
            snoozed_until: self.snoozed_until,
        })
    }

    /// Whether the item's due time is over for somebody for whom it waits. `unknown` is the zone of people of whom nothing
    /// is planned yet.
    pub fn is_overdue(&self, unknown: &PersonZone, now: Timestamp) -> bool {
        let Some(due) = self.item.due_date else {
            return false;
        };
        self.item.waiting_for.as_slice().iter().any(|email| {
            let known = self.waiting.iter().map(|stored| &stored.waiting);
            let mut known = known.filter(|waiting| waiting.email == *email);
            let zone = known.next().map_or_else(|| unknown.clone(), Waiting::zone);
            is_after_due_time(due.date(), zone.at(now), now)
        })
    }

    /// The item with these rows; `None` if it has been deleted.
    fn read(rows: Vec<Item>) -> Result<Option<Self>, serde_dynamo::Error> {
        let (mut item, mut waiting, mut snoozed_until) = (None, Vec::new(), None);
        for row in rows {
            match key_of(&row, ROW) {
                Some(ITEM_ROW) => item = Some(serde_dynamo::from_item(row)?),
                Some(SNOOZE_ROW) => {
                    let Snooze { until } = serde_dynamo::from_item(row)?;
                    snoozed_until = Some(until);
                }
                _ => waiting.push(serde_dynamo::from_item::<_, Stored>(row)?),
            }
        }
        waiting.sort_by(|a, b| a.waiting.email.cmp(&b.waiting.email));
        Ok(item.map(|item| Self {
            item,
            waiting,
            snoozed_until,
        }))
    }
}

/// How many items wait for somebody.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Census {
    pub waiting: usize,
    /// Those of them that are overdue.
    pub overdue: usize,
}

/// All items of the table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllItems {
    /// By their ids.
    pub items: Vec<ItemRows>,
    /// The ids of items that have an unreadable row. They are not among the items.
    pub unreadable: Vec<String>,
}

impl AllItems {
    fn of(rows: Vec<Item>) -> Self {
        let mut by_id: BTreeMap<String, Vec<Item>> = BTreeMap::new();
        for row in rows {
            let id = key_of(&row, ITEM_ID).unwrap_or_default().to_owned();
            by_id.entry(id).or_default().push(row);
        }
        let mut all = Self::default();
        for (id, rows) in by_id {
            match ItemRows::read(rows) {
                Ok(Some(item)) => all.items.push(item),
                // The item was deleted.
                Ok(None) => {}
                Err(_) => all.unreadable.push(id),
            }
        }
        all
    }
}

impl Items {
    /// All items. It reads the whole table.
    pub async fn all(&self) -> Result<AllItems, StepError> {
        let table = &self.0;
        let rows = table
            .client
            .scan()
            .table_name(&table.name)
            .consistent_read(true)
            .filter_expression("#row IN (:item, :snooze) OR begins_with(#row, :waiting)")
            .expression_attribute_names("#row", ROW)
            .expression_attribute_values(":item", text(ITEM_ROW))
            .expression_attribute_values(":snooze", text(SNOOZE_ROW))
            .expression_attribute_values(":waiting", text(WAITING))
            .into_paginator()
            .items()
            .send()
            .try_collect()
            .await;
        let rows = rows.map_err(|error| table.error(SCAN, &error))?;
        Ok(AllItems::of(rows))
    }

    /// How many items wait for somebody, and how many of them are overdue in this zone. It reads the whole table, but keeps
    /// nothing of it.
    pub async fn census(&self, zone: &TimeZone, now: Timestamp) -> Result<Census, StepError> {
        let table = &self.0;
        let mut rows = table
            .client
            .scan()
            .table_name(&table.name)
            .filter_expression("#row = :item AND size(waitingFor) > :none")
            .projection_expression("dueDate")
            .expression_attribute_names("#row", ROW)
            .expression_attribute_values(":item", text(ITEM_ROW))
            .expression_attribute_values(":none", number(0))
            .into_paginator()
            .items()
            .send();
        let mut census = Census::default();
        while let Some(row) = rows.next().await {
            let row = row.map_err(|error| table.error(SCAN, &error))?;
            let due = key_of(&row, "dueDate").map(str::to_owned);
            let due = due.and_then(|due| DueDate::try_from(due).ok());
            let is_overdue = due.is_some_and(|due| is_after_due_time(due.date(), zone, now));
            census.waiting += 1;
            census.overdue += usize::from(is_overdue);
        }
        Ok(census)
    }

    /// People are reminded of the item again. Returns whether it had a snooze, which may have been over.
    pub async fn end_snooze(&self, id: &ItemId) -> Result<bool, StepError> {
        let table = &self.0;
        let deleted = table
            .client
            .delete_item()
            .table_name(&table.name)
            .key(ITEM_ID, text(id.as_str()))
            .key(ROW, text(SNOOZE_ROW))
            .return_values(ReturnValue::AllOld)
            .send()
            .await
            .map_err(|error| table.error("DeleteItem", &error))?;
        Ok(deleted.attributes.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: &str, row: &str, fields: &[(&str, &str)]) -> Item {
        let fields = [&[(ITEM_ID, id), (ROW, row)], fields].concat();
        let fields = fields.into_iter();
        fields
            .map(|(name, value)| (name.to_owned(), text(value)))
            .collect()
    }

    #[test]
    fn an_unreadable_item_is_named_and_one_that_was_deleted_is_left_out() {
        let until = [("until", "2026-12-01T09:00:00Z")];
        let all = AllItems::of(vec![
            row("broken", ITEM_ROW, &[]),
            row("deleted", SNOOZE_ROW, &until),
        ]);
        let expected = AllItems {
            items: Vec::new(),
            unreadable: vec!["broken".to_owned()],
        };
        assert_eq!(all, expected);
    }
}
