//! The times of an item's stages.

use std::iter;

use jiff::{
    SignedDuration, Timestamp,
    civil::{Date, Time},
    tz::TimeZone,
};

use crate::{Lead, Rules, Stage, WaitingItem, calendar::WorkingTime, local_day};

/// The wall time at which an item is due, on its due day.
const DUE_TIME: Time = Time::constant(17, 0, 0, 0);

/// A stage and the time, inside working time, from which it is due.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scheduled {
    pub stage: Stage,
    pub at: Timestamp,
    /// The last instant at which it makes sense.
    until: Timestamp,
}

impl Scheduled {
    fn new(stage: Stage, at: Timestamp) -> Self {
        Self {
            stage,
            at,
            until: Timestamp::MAX,
        }
    }

    pub fn makes_sense(&self, now: Timestamp) -> bool {
        now <= self.until
    }
}

/// The stages of an item that can be due, from the least urgent.
pub(crate) fn schedule(item: &WaitingItem, rules: &Rules, working: &WorkingTime) -> Vec<Scheduled> {
    let stages = match item.due_day {
        Some(day) => with_due_day(day, item.waiting_since, rules, working),
        None => quiet(item.waiting_since, rules, working),
    };
    stages
        .into_iter()
        .filter(|stage| item.waiting_since <= stage.at)
        .filter_map(|stage| after_snooze(stage, item.snoozed_until, working))
        .filter(|stage| stage.makes_sense(stage.at))
        .collect()
}

/// Whether an item that is due on this day is overdue for a person in this zone.
pub fn is_after_due_time(due_day: Date, zone: &TimeZone, now: Timestamp) -> bool {
    let due = zone.to_timestamp(due_day.to_datetime(DUE_TIME));
    due.is_ok_and(|due| now > due)
}

/// T: when an item is due, without regard to working time.
pub(crate) fn due_time(due_day: Date, working: &WorkingTime) -> Option<Timestamp> {
    working.instant(due_day, DUE_TIME)
}

/// When so many working days after T have passed, without regard to working hours. `None` for 0, which stands for
/// never.
pub(crate) fn end_of_grace(
    due_day: Date,
    working_days: u8,
    working: &WorkingTime,
) -> Option<Timestamp> {
    let due_day = local_day(due_time(due_day, working)?, working.zone);
    let days_before_the_last = usize::from(working_days).checked_sub(1)?;
    let last = working.after(due_day).nth(days_before_the_last)?;
    working.instant(last.date, DUE_TIME)
}

/// The stages of an item with a due day.
fn with_due_day(
    due_day: Date,
    waiting_since: Timestamp,
    rules: &Rules,
    working: &WorkingTime,
) -> Vec<Scheduled> {
    let Some(due) = due_time(due_day, working) else {
        return Vec::new();
    };
    let before = rules
        .before_due
        .iter()
        .filter_map(|lead| before(due_day, due, *lead, working));
    let at_due = working.at_or_before(due).filter(|_| rules.at_due);
    let at_due = at_due.map(|at| Scheduled::new(Stage::Due, at));
    before
        .chain(at_due)
        .chain(overdue(due, waiting_since, rules, working))
        .collect()
}

fn before(due_day: Date, due: Timestamp, lead: Lead, working: &WorkingTime) -> Option<Scheduled> {
    let lead_time = SignedDuration::from_hours(lead.hours().into());
    let wall_time = due_day.to_datetime(DUE_TIME).checked_sub(lead_time).ok()?;
    let at = working.instant(wall_time.date(), wall_time.time())?;
    Some(Scheduled {
        stage: Stage::Before(lead),
        at: working.at_or_before(at)?,
        until: due,
    })
}

/// One stage for each working day after T on which the item waits when work starts.
fn overdue(
    due: Timestamp,
    waiting_since: Timestamp,
    rules: &Rules,
    working: &WorkingTime,
) -> impl Iterator<Item = Scheduled> {
    let due_day = local_day(due, working.zone);
    let arrival_day = local_day(waiting_since, working.zone);
    let openings = working
        .from(arrival_day.max(due_day))
        .filter(move |day| day.date > due_day && day.opening >= waiting_since)
        .map(|day| day.opening);
    (1..=rules.overdue)
        .zip(openings)
        .map(|(n, opening)| Scheduled::new(Stage::Overdue(n), opening))
}

/// The stages of an item without a due day: each comes the same number of working days after the one before it, at
/// the wall time at which the item began to wait, or at which work started after that.
fn quiet(waiting_since: Timestamp, rules: &Rules, working: &WorkingTime) -> Vec<Scheduled> {
    let Some(days_between) = usize::from(rules.quiet_after_working_days).checked_sub(1) else {
        return Vec::new(); // 0 stands for never.
    };
    let Some(start) = working.at_or_after(waiting_since) else {
        return Vec::new();
    };
    let start = working.zone.to_datetime(start);
    let mut days = working.after(start.date());
    let days = iter::from_fn(|| days.nth(days_between));
    (1..=rules.quiet)
        .zip(days)
        .filter_map(|(n, day)| {
            let at = working.instant(day.date, start.time())?;
            Some(Scheduled::new(Stage::Quiet(n), working.at_or_after(at)?))
        })
        .collect()
}

fn after_snooze(
    stage: Scheduled,
    snoozed_until: Option<Timestamp>,
    working: &WorkingTime,
) -> Option<Scheduled> {
    match snoozed_until {
        Some(end) if stage.at < end => {
            let at = working.at_or_after(end)?;
            Some(Scheduled { at, ..stage })
        }
        _ => Some(stage),
    }
}
