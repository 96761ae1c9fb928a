//! Plans reminders: given an item that waits for a person, it says which reminder is due now and when to look again.
//!
//! * [`plan()`]: the reminder that is due, and the next time to look.
//! * [`escalation()`]: whether it is time to tell somebody else.
//! * [`Waiting`]: that an item waits for a person, and what they have been told.
//! * [`PersonZone`], [`local_day`], [`is_working_time`]: a person's time zone, calendar day and working time.
//!
//! Everything here is a pure function of its arguments: there is no clock, no I/O and no randomness.
//!
//! # Rules
//!
//! An item's *due time* T is 17:00 of its due day in the person's time zone. With the default settings:
//!
//! | stage | time | outside working time |
//! |---|---|---|
//! | `due-3d`, `due-24h` | T − 3 days, T − 24 hours | moves earlier |
//! | `due` | T | moves earlier |
//! | `overdue-1` … `overdue-5` | the start of each working day after T's day | – |
//! | `quiet-1` … `quiet-5`, without a due day | every 3 working days without movement | moves later |
//!
//! * Wall time: a stage before T has the wall time of T minus so many days or hours. `24h` before 17:00 is 17:00
//!   of the day before, even if the clocks change in between and 23 or 25 hours pass.
//! * One reminder at a time: if the time of several stages has come, only the most urgent is due. It covers the
//!   others: they are never sent.
//! * A stage whose time lies before the item began to wait is dropped, since the person has just been told. This
//!   includes `due`: its time is the last working time up to T, so none remains between the arrival and T.
//! * Overdue reminders are counted from the first start of a working day at which the item both waits and is
//!   overdue. An item that is overdue when it arrives therefore has all of them.
//! * A reminder that announces T is never sent after T.
//! * Nobody is reminded outside their working time. A stage that was missed is due when work starts again, unless a
//!   more urgent stage is due by then.
//! * During a snooze nothing is due. Stages that fall into it move to its end, and from there later into working
//!   time.
//! * A changed time zone applies from the person's next day.

mod calendar;
mod escalation;
mod plan;
mod schedule;
mod waiting;
mod zone;

use apgl_contract::{InvalidField, decode, decode::parse};
use jiff::tz::TimeZone;

pub use apgl_contract::reminders::{Lead, ReminderSettings, Reminders, Rules, Stage};
pub use calendar::is_working_time;
pub use escalation::{Escalation, escalation};
pub use plan::{History, Plan, WaitingItem, plan};
pub use schedule::is_after_due_time;
pub use waiting::Waiting;
pub use zone::{PersonZone, local_day, zone_named};

/// Reads the settings from JSON.
///
/// # Errors
/// [`InvalidField`] names the field and the rule.
pub fn read_settings(json: &str) -> Result<Reminders, InvalidField> {
    let reminders =
        parse(json.as_bytes()).map_err(|_| InvalidField::new("reminders", "must be JSON"))?;
    let reminders: Reminders = decode(reminders)?;
    if let Some(zone) = &reminders.time_zone {
        let rule = "must be the IANA name of a time zone, such as Europe/Berlin";
        TimeZone::get(zone).map_err(|_| InvalidField::new("timeZone", rule))?;
    }
    Ok(reminders)
}
