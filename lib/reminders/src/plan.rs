//! What is due now, and when to look again.

use std::collections::BTreeMap;

use jiff::{Timestamp, civil::Date};

use crate::{
    PersonZone, Rules, Stage,
    calendar::WorkingTime,
    schedule::{Scheduled, schedule},
};

/// An item that waits for a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitingItem {
    /// The day by which the person must act, if there is one.
    pub due_day: Option<Date>,
    /// When the item came to its present state.
    pub waiting_since: Timestamp,
    /// Until when nobody is reminded of the item.
    pub snoozed_until: Option<Timestamp>,
}

/// The stages that were sent to the person for this state and due day of the item, and when.
pub type History = BTreeMap<Stage, Timestamp>;

/// What to do about an item, and when to look at it again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Plan {
    /// The reminder to send now.
    pub due: Option<Stage>,
    /// The next instant at which the answer may change, assuming that what is due is sent. Always later than now.
    /// `None` if nothing else will be due.
    pub next_look_at: Option<Timestamp>,
}

impl Plan {
    /// When somebody must look who has planned at this time and sends nothing.
    pub fn look_at(&self, planned_at: Timestamp) -> Option<Timestamp> {
        self.due.map(|_| planned_at).or(self.next_look_at)
    }
}

/// Plans the reminders of one item for one person. The crate's documentation has the rules.
pub fn plan(
    item: &WaitingItem,
    rules: &Rules,
    history: &History,
    now: Timestamp,
    zone: &PersonZone,
) -> Plan {
    if rules.off {
        return Plan::default();
    }
    let working = WorkingTime::new(rules, zone.at(now));
    let is_covered = |stage: Stage| history.keys().any(|sent| sent.covers(stage));
    let mut stages = schedule(item, rules, &working);
    stages.retain(|scheduled| !is_covered(scheduled.stage));

    let come = stages.iter().rposition(|stage| stage.at <= now);
    let to_come = stages.split_off(come.map_or(0, |last| last + 1));
    let upcoming = to_come.iter().map(|stage| stage.at).min();
    let plan = match stages.last() {
        Some(latest) if working.contains(now) && latest.makes_sense(now) => Plan {
            due: Some(latest.stage),
            next_look_at: upcoming,
        },
        latest => Plan {
            due: None,
            next_look_at: latest
                .and_then(|missed| next_chance(missed, now, &working))
                .or(upcoming),
        },
    };
    Plan {
        next_look_at: earliest(plan.next_look_at, zone.next_change(now)),
        ..plan
    }
}

/// When a stage that was missed can be sent: as soon as work starts again, if it still makes sense then.
fn next_chance(missed: &Scheduled, now: Timestamp, working: &WorkingTime) -> Option<Timestamp> {
    let opening = working.at_or_after(now)?;
    missed.makes_sense(opening).then_some(opening)
}

/// The earlier of two instants, either of which may be missing.
pub(crate) fn earliest(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    a.into_iter().chain(b).min()
}
