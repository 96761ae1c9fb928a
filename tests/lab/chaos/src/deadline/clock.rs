//! The calendar of a run, and what it showed when.

use std::time::{SystemTime, UNIX_EPOCH};

use apgl_stores::Items;
use jiff::Timestamp;

use crate::Error;

/// Microseconds since 1970, by the system's clock.
pub(crate) type Micros = u64;

pub(crate) fn now() -> Micros {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since_epoch.unwrap_or_default().as_micros()).unwrap_or(Micros::MAX)
}

/// The calendar. It only goes forward.
#[derive(Debug)]
pub(crate) struct Clock {
    items: Items,
    pub times: Times,
}

/// What a calendar has shown.
#[derive(Debug, Default)]
pub(crate) struct Times(Vec<Shown>);

/// A time that the calendar has shown.
#[derive(Debug, Clone, Copy)]
struct Shown {
    time: Timestamp,
    /// No earlier than this.
    from: Micros,
    /// From then on for certain.
    certain_from: Micros,
}

impl Clock {
    pub fn new(items: Items) -> Self {
        Self {
            items,
            times: Times::default(),
        }
    }

    pub async fn set(&mut self, time: Timestamp) -> Result<(), Error> {
        if self.time() < time {
            let from = now();
            self.items.set_calendar(time).await?;
            self.times.show(time, from, now());
        }
        Ok(())
    }

    /// What it shows.
    pub fn time(&self) -> Timestamp {
        self.times.last()
    }

    /// Since when it has shown that.
    pub fn since(&self) -> Micros {
        self.times.0.last().map_or(0, |last| last.certain_from)
    }
}

impl Times {
    pub fn show(&mut self, time: Timestamp, from: Micros, certain_from: Micros) {
        self.0.push(Shown {
            time,
            from,
            certain_from,
        });
    }

    pub fn last(&self) -> Timestamp {
        self.0.last().map_or(Timestamp::MIN, |last| last.time)
    }

    /// What the calendar may have shown between these two moments.
    pub fn between(&self, from: Micros, to: Micros) -> Vec<Timestamp> {
        let until = self.0.partition_point(|shown| shown.from <= to);
        let is_certain = |shown: &Shown| shown.certain_from <= from;
        let since = self.0[..until].iter().rposition(is_certain);
        let shown = &self.0[since.unwrap_or_default()..until];
        shown.iter().map(|shown| shown.time).collect()
    }

    /// What it showed at that moment, at the earliest.
    pub fn earliest(&self, at: Micros) -> Timestamp {
        let shown = self.between(at, at);
        shown.first().copied().unwrap_or(Timestamp::MIN)
    }

    /// What it showed at that moment, at the latest.
    pub fn latest(&self, at: Micros) -> Timestamp {
        let shown = self.between(at, at);
        shown.last().copied().unwrap_or(Timestamp::MIN)
    }
}
