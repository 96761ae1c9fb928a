//! Whether it is time to tell somebody else that an item is overdue.

use jiff::Timestamp;

use crate::{
    PersonZone, Rules, WaitingItem, calendar::WorkingTime, plan::earliest, schedule::end_of_grace,
};

/// When to escalate an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escalation {
    /// Escalate it now.
    Due,
    /// Look again at this instant, which is later than now.
    LookAt(Timestamp),
}

/// Plans the escalation of an item, in the zone of the first person for whom it waits. `None` if it is never due.
///
/// An item with a due day is escalated once, at 17:00 of the last working day of its grace period, which begins after
/// T's day. A snooze delays this until its end at most. The time moves later into working time.
pub fn escalation(
    item: &WaitingItem,
    rules: &Rules,
    now: Timestamp,
    zone: &PersonZone,
    already_escalated: bool,
) -> Option<Escalation> {
    if rules.off || already_escalated {
        return None;
    }
    let working = WorkingTime::new(rules, zone.at(now));
    let grace = end_of_grace(item.due_day?, rules.escalate_after_working_days, &working)?;
    let earliest_at = item.snoozed_until.map_or(grace, |end| end.max(grace));
    let at = working.at_or_after(earliest_at.max(now))?;
    if at == now {
        return Some(Escalation::Due);
    }
    earliest(Some(at), zone.next_change(now)).map(Escalation::LookAt)
}
