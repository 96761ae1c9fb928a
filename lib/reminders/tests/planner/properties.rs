//! What holds for every item, person and way of looking.

use std::collections::BTreeMap;

use apgl_reminders::{
    Escalation, PersonZone, Plan, ReminderSettings, Rules, Stage, WaitingItem, escalation,
    is_working_time,
};
use jiff::{
    SignedDuration, Timestamp,
    civil::{Date, DateTime, Weekday},
    tz::{self, TimeZone},
};
use proptest::prelude::*;
use serde_json::json;

use crate::looker::{Looker, Sent};

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

fn zone_names() -> Vec<String> {
    tz::db().available().map(|name| name.to_string()).collect()
}

fn zones() -> impl Strategy<Value = TimeZone> {
    prop::sample::select(zone_names()).prop_map(|name| TimeZone::get(&name).unwrap())
}

/// From 2024 to 2028.
fn days() -> impl Strategy<Value = Date> {
    (0..5 * 366 - 3_i64)
        .prop_map(|days| Date::constant(2024, 1, 1) + SignedDuration::from_hours(24 * days))
}

/// An item and the zone of the person, with wall times in minutes before and after 17:00 of a day. A snooze ends at a
/// full hour, so that who looks at full hours sees the end.
#[derive(Debug, Clone)]
struct Case {
    zone: TimeZone,
    day: Date,
    has_due_day: bool,
    since: i64,
    snooze_hours: Option<i64>,
}

impl Case {
    fn due_time(&self) -> Timestamp {
        self.instant(SignedDuration::ZERO)
    }

    fn instant(&self, after_due_time: SignedDuration) -> Timestamp {
        let wall_time: DateTime = self.day.at(17, 0, 0, 0) + after_due_time;
        self.zone.to_timestamp(wall_time).unwrap()
    }

    fn item(&self) -> WaitingItem {
        let hours = |hours| self.instant(SignedDuration::from_hours(hours));
        WaitingItem {
            due_day: self.has_due_day.then_some(self.day),
            waiting_since: self.instant(SignedDuration::from_mins(self.since)),
            snoozed_until: self.snooze_hours.map(hours),
        }
    }

    /// 30 days after all that it is about.
    fn end(&self) -> Timestamp {
        let item = self.item();
        let snoozed_until = item.snoozed_until.unwrap_or(Timestamp::MIN);
        let last = self.due_time().max(item.waiting_since).max(snoozed_until);
        last + SignedDuration::from_secs(30 * DAY)
    }

    fn looker(&self) -> Looker {
        Looker::new(self.item(), self.zone.clone())
    }
}

fn cases() -> impl Strategy<Value = Case> {
    let since = -15 * 24 * 60..15 * 24 * 60_i64;
    let snooze = prop::option::weighted(0.3, -10 * 24..15 * 24_i64);
    (zones(), days(), prop::bool::weighted(0.8), since, snooze).prop_map(
        |(zone, day, has_due_day, since, snooze_hours)| Case {
            zone,
            day,
            has_due_day,
            since,
            snooze_hours,
        },
    )
}

/// The rules for what is sent with the default settings.
fn check(case: &Case, sent: &[Sent]) {
    let due_time = case.due_time();
    for Sent { stage, at } in sent {
        let wall_time = case.zone.to_datetime(*at);
        let time = wall_time.time();
        assert!(
            time.hour() >= 9 && (time.hour(), time.minute()) <= (17, 0),
            "{stage} {wall_time}"
        );
        let weekend = [Weekday::Saturday, Weekday::Sunday];
        assert!(
            !weekend.contains(&wall_time.weekday()),
            "{stage} {wall_time}"
        );
        match stage {
            Stage::Before(_) => assert!(*at <= due_time),
            Stage::Due => assert!(at.duration_since(due_time) < SignedDuration::from_mins(1)),
            Stage::Overdue(_) => assert!(*at > due_time && wall_time.date() > case.day),
            Stage::Quiet(_) => assert!(!case.has_due_day),
        }
        assert!(*at >= case.item().waiting_since);
        assert!(case.item().snoozed_until.is_none_or(|end| *at >= end));
    }
    let mut pairs = sent.iter().zip(sent.iter().skip(1));
    assert!(
        pairs.all(|(a, b)| a.at < b.at && !a.stage.covers(b.stage)),
        "{sent:?}"
    );
    let after = sent
        .iter()
        .filter(|sent| matches!(sent.stage, Stage::Overdue(_) | Stage::Quiet(_)));
    let after = after.count();
    assert!(after <= 5 && sent.len() - after <= 3, "{sent:?}");
}

/// The last stage of all is sent, and nothing after it.
fn check_the_end(case: &Case, sent: &[Sent]) {
    let last = if case.has_due_day {
        Stage::Overdue(5)
    } else {
        Stage::Quiet(5)
    };
    assert_eq!(sent.last().map(|sent| sent.stage), Some(last));
}

#[test]
fn every_zone_has_a_timetable() {
    for (n, name) in (0..).zip(zone_names()) {
        let case = Case {
            zone: TimeZone::get(&name).unwrap(),
            day: Date::constant(2024, 1, 1) + SignedDuration::from_hours(24 * (n * 37 % 1_826)),
            has_due_day: n % 4 > 0,
            since: -10 * 24 * 60,
            snooze_hours: None,
        };
        let mut looker = case.looker();
        looker.follow();
        check(&case, &looker.sent);
        check_the_end(&case, &looker.sent);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn who_looks_when_told_is_done_in_the_end(case in cases()) {
        let mut looker = case.looker();
        looker.follow();
        check(&case, &looker.sent);
        check_the_end(&case, &looker.sent);
    }

    #[test]
    fn who_looks_at_random_follows_the_rules(
        case in cases(),
        gaps in prop::collection::vec(1..3 * DAY, 20..40),
    ) {
        let mut looker = case.looker();
        looker.look_after_gaps(gaps.into_iter().map(SignedDuration::from_secs));
        check(&case, &looker.sent);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn who_looks_hourly_sends_the_same_on_the_same_days(case in cases()) {
        let mut follower = case.looker();
        follower.follow();
        let mut hourly = case.looker();
        hourly.look_hourly(case.end());
        check(&case, &hourly.sent);
        prop_assert_eq!(hourly.sent_days(), follower.sent_days());
    }
}

/// Any settings that are valid.
fn rules() -> impl Strategy<Value = Rules> {
    let leads = prop::collection::btree_map(1..200_u8, prop::bool::ANY, 0..=5).prop_map(|leads| {
        let lead = |(length, hours)| {
            if hours {
                format!("{length}h")
            } else {
                format!("{length}d")
            }
        };
        leads.into_iter().map(lead).collect::<Vec<_>>()
    });
    let hours = (0..1_439_i64, 0..1_439_i64).prop_map(|(a, b)| {
        let text = |minutes: i64| format!("{:02}:{:02}", minutes / 60, minutes % 60);
        (text(a.min(b)), text(a.max(b) + 1))
    });
    let names = vec!["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let days = prop::sample::subsequence(names, 1..=7);
    let numbers = (0..=10_u8, 0..=10_u8, 0..=10_u8, 0..=10_u8, any::<bool>());
    (leads, hours, days, numbers).prop_filter_map(
        "two leads of the same length",
        |(leads, (from, to), days, (overdue, quiet_after, quiet, escalate_after, at_due))| {
            let settings = json!({
                "beforeDue": leads,
                "atDue": at_due,
                "overdue": overdue,
                "quietAfterWorkingDays": quiet_after,
                "quiet": quiet,
                "escalateAfterWorkingDays": escalate_after,
                "workingHours": { "from": from, "to": to },
                "workingDays": days,
            });
            serde_json::from_value::<ReminderSettings>(settings)
                .ok()
                .map(Rules::from)
        },
    )
}

/// The zone of a person who may travel.
fn travels() -> impl Strategy<Value = Option<(TimeZone, i64)>> {
    prop::option::of((zones(), -20 * DAY..20 * DAY))
}

fn person(case: &Case, travel: Option<(TimeZone, i64)>) -> PersonZone {
    match travel {
        None => case.zone.clone().into(),
        Some((previous, at)) => {
            let changed_at = case.due_time() + SignedDuration::from_secs(at);
            PersonZone::changed(case.zone.clone(), previous, changed_at)
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn other_settings_and_travelling_people(
        case in cases(),
        rules in rules(),
        travel in travels(),
        gaps in prop::collection::vec(1..3 * DAY, 0..40),
    ) {
        let mut follower = Looker::new(case.item(), person(&case, travel));
        follower.rules = rules.clone();
        let mut at_random = Looker::new(case.item(), follower.zone.clone());
        at_random.rules = rules.clone();
        follower.follow();
        at_random.look_after_gaps(gaps.into_iter().map(SignedDuration::from_secs));
        for looker in [follower, at_random] {
            let mut count = BTreeMap::new();
            for Sent { stage, at } in &looker.sent {
                prop_assert!(is_working_time(*at, looker.zone.at(*at), &rules));
                *count.entry(matches!(stage, Stage::Overdue(_) | Stage::Quiet(_))).or_insert(0) += 1;
            }
            let most_after = if case.has_due_day { rules.overdue } else { rules.quiet };
            let most_before = rules.before_due.len() + usize::from(rules.at_due);
            prop_assert!(count.get(&true).is_none_or(|n| *n <= usize::from(most_after)));
            prop_assert!(count.get(&false).is_none_or(|n| *n <= most_before));
            let mut pairs = looker.sent.iter().zip(looker.sent.iter().skip(1));
            prop_assert!(pairs.all(|(a, b)| a.at < b.at && !a.stage.covers(b.stage)));
        }
    }

    #[test]
    fn nothing_changes_between_two_looks(
        case in cases(),
        rules in rules(),
        travel in travels(),
        parts in prop::collection::vec(1..100, 60),
    ) {
        let mut looker = Looker::new(case.item(), person(&case, travel));
        looker.rules = rules;
        let mut now = case.item().waiting_since;
        for part in parts {
            let next = looker.look(now);
            let Some(then) = next else { break };
            let between = now + then.duration_since(now) * part / 100;
            let plan = looker.plan(between);
            prop_assert_eq!(plan, Plan { due: None, next_look_at: next }, "{} {}", now, between);
            now = then;
        }
    }

    #[test]
    fn an_escalation_comes_once_in_working_time(case in cases(), rules in rules(), travel in travels()) {
        let person = person(&case, travel);
        let item = case.item();
        let mut now = item.waiting_since;
        let mut looks = 0;
        let escalated_at = loop {
            looks += 1;
            prop_assert!(looks < 20);
            match escalation(&item, &rules, now, &person, false) {
                None => break None,
                Some(Escalation::Due) => break Some(now),
                Some(Escalation::LookAt(next)) => {
                    prop_assert!(next > now);
                    now = next;
                }
            }
        };
        prop_assert_eq!(
            escalated_at.is_some(),
            case.has_due_day && rules.escalate_after_working_days > 0
        );
        if let Some(at) = escalated_at {
            prop_assert!(is_working_time(at, person.at(at), &rules));
            prop_assert!(item.snoozed_until.is_none_or(|end| at >= end));
            prop_assert_eq!(escalation(&item, &rules, at, &person, true), None);
        }
    }
}
