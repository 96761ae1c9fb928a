//! An item that waits for a person, with what they have been told.

use std::collections::BTreeMap;

use apgl_contract::{
    DueDate, Email, Item, SkipReason, SlackUser, SlackUserId, State,
    notice::SequenceNumber,
    reminders::{Reminders, Stage},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{History, PersonZone, Plan, WaitingItem, plan, zone_named};

/// That an item waits for a person, as the table keeps it. The item itself decides whether it still does: see
/// [`Waiting::is_current`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Waiting {
    pub email: Email,
    pub user_id: SlackUserId,
    /// The item's version for which this was written last.
    pub version: SequenceNumber,
    pub state: State,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_date: Option<DueDate>,
    /// Since when the item waits for the person in this state and with this due date.
    pub since: Timestamp,
    /// The person's time zone, by its IANA name.
    pub zone: String,
    /// Their zone before that, and when the change was noticed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_zone: Option<(String, Timestamp)>,
    /// The reminders that were sent, and when.
    #[serde(default)]
    pub told: BTreeMap<Stage, Timestamp>,
    /// The reminders that could not be sent, and why.
    #[serde(default)]
    pub passed_over: BTreeMap<Stage, SkipReason>,
    /// When to look at it again; `None` if nothing will be due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_look_at: Option<Timestamp>,
}

impl Waiting {
    /// That the item waits for this person from now on. If it already did, in the same state and with the same due date,
    /// what they have been told still counts.
    pub fn new(
        item: &Item,
        user: SlackUser,
        zone: &str,
        before: Option<&Self>,
        now: Timestamp,
    ) -> Self {
        let mut waiting = Self {
            email: user.email,
            user_id: user.id,
            version: item.version,
            state: item.state.clone(),
            due_date: item.due_date,
            since: now,
            zone: zone.to_owned(),
            previous_zone: None,
            told: BTreeMap::new(),
            passed_over: BTreeMap::new(),
            next_look_at: None,
        };
        let Some(before) = before else {
            return waiting;
        };
        waiting.zone.clone_from(&before.zone);
        waiting.previous_zone.clone_from(&before.previous_zone);
        waiting.moves_to(zone, now);
        if before.is_about(item) {
            waiting.since = before.since;
            waiting.told.clone_from(&before.told);
            waiting.passed_over.clone_from(&before.passed_over);
        }
        waiting
    }

    /// Whether the item still waits for the person as it did. An item that was deleted waits for nobody.
    pub fn is_current(&self, item: Option<&Item>) -> bool {
        item.is_some_and(|item| {
            self.is_about(item) && item.waiting_for.as_slice().contains(&self.email)
        })
    }

    fn is_about(&self, item: &Item) -> bool {
        self.state == item.state && self.due_date == item.due_date
    }

    /// The person is in this time zone now. A change applies from their next day.
    pub fn moves_to(&mut self, zone: &str, now: Timestamp) {
        if zone == self.zone {
            return;
        }
        // After several changes on one day, the first zone still applies.
        let person = self.zone();
        let applies = person.at(now).iana_name().unwrap_or("UTC").to_owned();
        self.previous_zone = (applies != zone).then_some((applies, now));
        zone.clone_into(&mut self.zone);
    }

    /// The person's time zone.
    pub fn zone(&self) -> PersonZone {
        let current = zone_named(&self.zone);
        match &self.previous_zone {
            Some((previous, changed_at)) => {
                PersonZone::changed(current, zone_named(previous), *changed_at)
            }
            None => current.into(),
        }
    }

    /// What is due now, and when to look again.
    pub fn plan(
        &self,
        item: &Item,
        snoozed_until: Option<Timestamp>,
        reminders: &Reminders,
        now: Timestamp,
    ) -> Plan {
        let waiting = WaitingItem {
            due_day: self.due_date.map(DueDate::date),
            waiting_since: self.since,
            snoozed_until,
        };
        let rules = reminders.of_item(item);
        plan(&waiting, &rules, &self.history(), now, &self.zone())
    }

    /// A stage that could not be sent counts as well: it is over.
    fn history(&self) -> History {
        let passed_over = self.passed_over.keys().map(|stage| (*stage, self.since));
        passed_over.chain(self.told.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    fn in_berlin() -> Waiting {
        let waiting = json!({
            "email": "ana@example.com", "userId": "U1", "version": 1, "state": "in_review",
            "since": "2026-12-01T08:00:00Z", "zone": "Europe/Berlin",
        });
        from_value(waiting).unwrap()
    }

    #[test]
    fn of_several_changes_on_one_day_only_the_last_one_counts_from_the_next_day() {
        let mut waiting = in_berlin();
        let at = |time: &str| format!("2026-12-01T{time}:00Z").parse().unwrap();
        waiting.moves_to("Asia/Tokyo", at("09:00"));
        waiting.moves_to("America/Lima", at("10:00"));
        let zone = |waiting: &Waiting, now| {
            let zone = waiting.zone();
            zone.at(now).iana_name().unwrap().to_owned()
        };
        assert_eq!(zone(&waiting, at("11:00")), "Europe/Berlin");
        let next_day = "2026-12-01T23:30:00Z".parse().unwrap();
        assert_eq!(zone(&waiting, next_day), "America/Lima");

        waiting.moves_to("Europe/Berlin", at("12:00"));
        assert_eq!(waiting, in_berlin());
    }
}
