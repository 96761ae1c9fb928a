//! Whether and when somebody else is told that an item is overdue: one row for each item.

use apgl_contract::{
    DueDate, Email, Item as ContractItem, ItemId, State, StepError, notice::SequenceNumber,
};
use apgl_reminders::{Escalation, WaitingItem, escalation, local_day, zone_named};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{GET, Items, PUT, Planner};
use crate::table::Item;

pub(super) const ESCALATION_ROW: &str = "escalation";

/// That an item is to be escalated, or was, if it still waits for somebody after this due date.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Escalating {
    /// The item's version for which this was written last.
    pub version: SequenceNumber,
    pub state: State,
    /// Since when the item is in this state.
    pub since: Timestamp,
    pub due_date: DueDate,
    /// The time zone of the first person for whom the item waits, by its IANA name.
    pub zone: String,
    /// When to look at it again; `None` if nobody will be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_look_at: Option<Timestamp>,
    /// When somebody was told of this due date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalated_at: Option<Timestamp>,
    /// Who was told by a direct message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<Email>,
    /// Counts the writes; 0 for a row that is not stored yet. A write replaces only the revision that it has read.
    #[serde(default, skip_serializing)]
    pub revision: u64,
}

impl Escalating {
    /// That an item with this due date is to be escalated. `before` is what was stored.
    pub fn new(
        item: &ContractItem,
        due_date: DueDate,
        zone: &str,
        before: Option<&Self>,
        now: Timestamp,
    ) -> Self {
        // Once for each due date.
        let same_date = before.filter(|before| before.due_date == due_date);
        let same_state = same_date.filter(|before| before.state == item.state);
        Self {
            version: item.version,
            state: item.state.clone(),
            since: same_state.map_or(now, |before| before.since),
            due_date,
            zone: zone.to_owned(),
            next_look_at: None,
            escalated_at: same_date.and_then(|before| before.escalated_at),
            told: same_date.and_then(|before| before.told.clone()),
            revision: before.map_or(0, |before| before.revision),
        }
    }

    /// Whether the item still waits for somebody as this row says.
    pub fn is_current(&self, item: &ContractItem) -> bool {
        let waits = !item.waiting_for.as_slice().is_empty();
        waits && item.due_date == Some(self.due_date) && item.state == self.state
    }
}

impl Planner {
    /// Whether it is time to escalate the item. `None` if nobody will be told: it has moved, nobody is to be told, or somebody
    /// was.
    pub fn escalation(
        &self,
        row: &Escalating,
        item: &ContractItem,
        snoozed_until: Option<Timestamp>,
        now: Timestamp,
    ) -> Option<Escalation> {
        let rules = self.reminders.of_item(item);
        if !row.is_current(item) || rules.escalate_to.as_slice().is_empty() {
            return None;
        }
        let zone = zone_named(&row.zone);
        // Who got the item when it was overdue has the whole grace period as well.
        let since = local_day(row.since, &zone);
        let waiting = WaitingItem {
            due_day: Some(row.due_date.date().max(since)),
            waiting_since: row.since,
            snoozed_until,
        };
        let was_told = row.escalated_at.is_some();
        escalation(&waiting, &rules, now, &zone.into(), was_told)
    }

    /// The item's row for its present version, if there is something to write. `before` is what is stored.
    pub fn plan_escalation(
        &self,
        item: &ContractItem,
        zone: &str,
        before: Option<&Escalating>,
        snoozed_until: Option<Timestamp>,
        now: Timestamp,
    ) -> Option<Escalating> {
        let mut row = Escalating::new(item, item.due_date?, zone, before, now);
        row.next_look_at = self.look_to_escalate(&row, item, snoozed_until, now);
        let is_of_use = before.is_some() || row.next_look_at.is_some();
        (is_of_use && before != Some(&row)).then_some(row)
    }

    /// When to look at the item again, to escalate it.
    pub fn look_to_escalate(
        &self,
        row: &Escalating,
        item: &ContractItem,
        snoozed_until: Option<Timestamp>,
        now: Timestamp,
    ) -> Option<Timestamp> {
        match self.escalation(row, item, snoozed_until, now)? {
            Escalation::Due => Some(now),
            Escalation::LookAt(at) => Some(at),
        }
    }
}

impl Items {
    /// The item's row; `None` if there is none.
    pub async fn escalating(&self, id: &ItemId) -> Result<Option<Escalating>, StepError> {
        let row = self.0.row(id.as_str(), ESCALATION_ROW).await?;
        let row = row.map(serde_dynamo::from_item).transpose();
        row.map_err(|_| self.0.unreadable(GET, "escalation"))
    }

    /// Writes the row, unless somebody has changed it meanwhile. Returns whether it has.
    pub async fn keep_escalating(&self, id: &ItemId, row: &Escalating) -> Result<bool, StepError> {
        let fields = serde_dynamo::to_item(row);
        let fields: Item = fields.map_err(|_| self.0.unreadable(PUT, "escalation"))?;
        let revision = Some(row.revision).filter(|revision| *revision > 0);
        self.replace_row(id, ESCALATION_ROW, fields, row.next_look_at, revision)
            .await
    }

    /// Until when nobody is reminded of the item.
    pub async fn snoozed_until(&self, id: &ItemId) -> Result<Option<Timestamp>, StepError> {
        let row = self.0.row(id.as_str(), super::SNOOZE_ROW).await?;
        let row = row.map(serde_dynamo::from_item::<_, super::Snooze>);
        let row = row.transpose();
        let row = row.map_err(|_| self.0.unreadable(GET, "snooze"))?;
        Ok(row.map(|row| row.until))
    }
}
