//! Working hours and working days of a person.

use std::iter;

use jiff::{
    SignedDuration, Timestamp,
    civil::{Date, Time},
    tz::TimeZone,
};

use crate::{Rules, local_day};

/// Whether a person may be told something now. The minute in which the working hours end counts as working time.
pub fn is_working_time(now: Timestamp, zone: &TimeZone, rules: &Rules) -> bool {
    WorkingTime::new(rules, zone).contains(now)
}

/// The working time in a time zone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WorkingTime<'a> {
    rules: &'a Rules,
    pub zone: &'a TimeZone,
}

/// A day on which people work.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WorkingDay {
    pub date: Date,
    pub opening: Timestamp,
    /// The start of the last working minute.
    pub closing: Timestamp,
}

impl WorkingDay {
    fn contains(&self, at: Timestamp) -> bool {
        self.opening <= at && !self.is_over(at)
    }

    /// The closing minute still counts: who looks at 17:00 does so some seconds later.
    fn is_over(&self, at: Timestamp) -> bool {
        at.duration_since(self.closing) >= SignedDuration::from_mins(1)
    }
}

impl<'a> WorkingTime<'a> {
    pub fn new(rules: &'a Rules, zone: &'a TimeZone) -> Self {
        Self { rules, zone }
    }

    pub fn contains(&self, at: Timestamp) -> bool {
        let today = self.working_day(local_day(at, self.zone));
        today.is_some_and(|day| day.contains(at))
    }

    /// The instant itself if it is working time, otherwise the next opening. `None` at the end of time.
    pub fn at_or_after(&self, at: Timestamp) -> Option<Timestamp> {
        let mut days = self.from(local_day(at, self.zone));
        let day = days.find(|day| !day.is_over(at))?;
        Some(at.max(day.opening))
    }

    /// The instant itself if it is between an opening and a closing, otherwise the last closing. `None` at the
    /// beginning of time.
    pub fn at_or_before(&self, at: Timestamp) -> Option<Timestamp> {
        let today = local_day(at, self.zone);
        let mut days = iter::successors(Some(today), |day| day.yesterday().ok())
            .filter_map(|day| self.working_day(day));
        let day = days.find(|day| day.opening <= at)?;
        Some(at.min(day.closing))
    }

    /// The working days from this day on.
    pub fn from(&self, day: Date) -> impl Iterator<Item = WorkingDay> {
        iter::successors(Some(day), |day| day.tomorrow().ok())
            .filter_map(|day| self.working_day(day))
    }

    /// The working days after this day.
    pub fn after(&self, day: Date) -> impl Iterator<Item = WorkingDay> {
        let days = day.tomorrow().ok().map(|next| self.from(next));
        days.into_iter().flatten()
    }

    /// When a clock in this zone shows this time. A time that the clocks skip is later by what they skip; of a time
    /// that they show twice, it is the first.
    pub fn instant(&self, day: Date, time: Time) -> Option<Timestamp> {
        self.zone.to_timestamp(day.to_datetime(time)).ok()
    }

    /// The working hours of a day, if people work then.
    ///
    /// If the clocks skip the opening, the hours begin later, and if they skip the closing, they end earlier, each by
    /// what is skipped. If nothing remains of them, it is not a working day, such as 30 December 2011 in Samoa.
    fn working_day(&self, date: Date) -> Option<WorkingDay> {
        if !self.rules.working_days.contains(date.weekday()) {
            return None;
        }
        let hours = self.rules.working_hours;
        let opening = self.instant(date, hours.from())?;
        let closing = self
            .zone
            .to_ambiguous_timestamp(date.to_datetime(hours.to()));
        let closing = closing.earlier().ok()?;
        (opening <= closing).then_some(WorkingDay {
            date,
            opening,
            closing,
        })
    }
}
