//! A person's time zone.

use jiff::{
    Timestamp,
    civil::{Date, Time},
    tz::TimeZone,
};

/// The calendar day in a time zone, for example to tell a person at most once a day.
pub fn local_day(at: Timestamp, zone: &TimeZone) -> Date {
    zone.to_datetime(at).date()
}

/// The zone with this IANA name; UTC if there is none.
pub fn zone_named(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap_or(TimeZone::UTC)
}

/// The time zone of a person. After a change, the previous zone applies until the end of the person's day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonZone {
    current: TimeZone,
    previous: Option<PreviousZone>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct PreviousZone {
    zone: TimeZone,
    /// The first instant at which it no longer applies.
    until: Timestamp,
}

impl From<TimeZone> for PersonZone {
    fn from(current: TimeZone) -> Self {
        Self {
            current,
            previous: None,
        }
    }
}

impl PersonZone {
    /// A zone that changed at an instant. The current zone applies from the next midnight in the previous one.
    pub fn changed(current: TimeZone, previous: TimeZone, changed_at: Timestamp) -> Self {
        let next_day = local_day(changed_at, &previous).tomorrow();
        let until =
            next_day.and_then(|day| previous.to_timestamp(day.to_datetime(Time::midnight())));
        let previous = until.ok().map(|until| PreviousZone {
            zone: previous,
            until,
        });
        Self { current, previous }
    }

    /// The zone that applies at this instant.
    pub fn at(&self, now: Timestamp) -> &TimeZone {
        match &self.previous {
            Some(previous) if now < previous.until => &previous.zone,
            _ => &self.current,
        }
    }

    /// When the zone that applies changes, if that is still to come.
    pub(crate) fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        let change = self.previous.as_ref()?.until;
        (now < change).then_some(change)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).unwrap()
    }

    #[rstest]
    #[case("Pacific/Kiritimati", "2026-11-26")]
    #[case("Asia/Kolkata", "2026-11-25")]
    #[case("Pacific/Pago_Pago", "2026-11-24")]
    fn a_day_is_the_persons(#[case] name: &str, #[case] expected: &str) {
        let at = "2026-11-25T10:30:00Z".parse().unwrap();
        assert_eq!(local_day(at, &zone(name)).to_string(), expected);
    }

    #[rstest]
    #[case::on_the_same_day("2026-11-25T20:59:59Z", "Africa/Nairobi")]
    #[case::from_the_next_day("2026-11-25T21:00:00Z", "America/Lima")]
    #[case::before_the_change("2026-11-20T10:00:00Z", "Africa/Nairobi")]
    fn a_changed_zone_counts_from_the_next_day(#[case] now: Timestamp, #[case] expected: &str) {
        let changed_at = "2026-11-25T05:00:00Z".parse().unwrap();
        let person = PersonZone::changed(zone("America/Lima"), zone("Africa/Nairobi"), changed_at);
        assert_eq!(person.at(now), &zone(expected));
        let is_over = person.next_change(now).is_none();
        assert_eq!(is_over, expected == "America/Lima");
    }

    #[test]
    fn a_day_can_begin_after_midnight() {
        // In Beirut, 28 March 2027 begins at 01:00.
        let changed_at = "2027-03-27T12:00:00Z".parse().unwrap();
        let person = PersonZone::changed(TimeZone::UTC, zone("Asia/Beirut"), changed_at);
        let expected = "2027-03-27T22:00:00Z".parse().unwrap();
        assert_eq!(person.next_change(changed_at), Some(expected));
    }
}
