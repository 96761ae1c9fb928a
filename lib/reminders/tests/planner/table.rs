//! Single looks.

use apgl_reminders::{
    Escalation, PersonZone, ReminderSettings, Rules, WaitingItem, escalation, is_working_time,
};
use jiff::{Timestamp, civil::Date};
use rstest::rstest;
use serde_json::{Value, json};

use crate::looker::{Looker, instant, zone};

/// An item in Berlin that is due on Friday, 27 November 2026.
fn due_on_friday() -> WaitingItem {
    WaitingItem {
        due_day: Some("2026-11-27".parse().unwrap()),
        waiting_since: instant("2026-11-16 10:00", &zone("Europe/Berlin")),
        snoozed_until: None,
    }
}

#[rstest]
#[case::too_early("", "2026-11-24 16:59", "-", "2026-11-24 17:00")]
#[case::in_time("", "2026-11-24 17:00", "due-3d", "2026-11-26 17:00")]
#[case::seconds_late("", "2026-11-24 17:00:59", "due-3d", "2026-11-26 17:00")]
#[case::too_late_today("", "2026-11-24 17:01", "-", "2026-11-25 09:00")]
#[case::the_next_day("", "2026-11-25 09:00", "due-3d", "2026-11-26 17:00")]
#[case::sent("due-3d", "2026-11-25 09:00", "-", "2026-11-26 17:00")]
#[case::another_length_was_sent("due-2d", "2026-11-25 09:00", "-", "2026-11-26 17:00")]
#[case::a_later_one_was_sent("due", "2026-11-25 09:00", "-", "2026-11-30 09:00")]
#[case::only_the_latest("", "2026-11-26 17:00", "due-24h", "2026-11-27 17:00")]
#[case::only_the_latest_after_all("", "2026-12-02 16:00", "overdue-3", "2026-12-03 09:00")]
#[case::at_night("due-24h", "2026-11-27 23:00", "-", "2026-11-30 09:00")]
#[case::the_last("overdue-4", "2026-12-04 09:00", "overdue-5", "-")]
#[case::the_last_is_late("overdue-4", "2027-01-04 16:00", "overdue-5", "-")]
#[case::the_last_is_late_at_night("overdue-4", "2027-01-02 16:00", "-", "2027-01-04 09:00")]
#[case::all_sent("overdue-5", "2026-12-04 10:00", "-", "-")]
#[case::other_stages_do_not_count("quiet-5", "2026-11-24 17:00", "due-3d", "2026-11-26 17:00")]
fn a_look_in_berlin(
    #[case] sent: &str,
    #[case] now: &str,
    #[case] due: &str,
    #[case] next_look_at: &str,
) {
    let zone = zone("Europe/Berlin");
    let mut looker = Looker::new(due_on_friday(), zone.clone());
    looker.history = sent
        .split_whitespace()
        .map(|stage| (stage.parse().unwrap(), looker.item.waiting_since))
        .collect();
    let plan = looker.plan(instant(now, &zone));
    let shown = plan.due.map_or("-".to_owned(), |stage| stage.to_string());
    let next = plan.next_look_at.map_or("-".to_owned(), |at| {
        zone.to_datetime(at).strftime("%F %H:%M").to_string()
    });
    assert_eq!((&*shown, &*next), (due, next_look_at));
}

#[rstest]
#[case::in_time("2026-11-27 17:00", "-", Some("due-24h"))]
#[case::late_at_work("2026-11-27 17:01", "-", None)]
#[case::late_at_night("2026-11-27 21:00", "-", None)]
#[case::snoozed_until_then("2026-11-26 12:00", "2026-11-27 17:01", None)]
fn a_reminder_before_the_due_time_is_not_sent_after_it(
    #[case] now: &str,
    #[case] snoozed_until: &str,
    #[case] due: Option<&str>,
) {
    let zone = zone("Europe/Berlin");
    let settings = json!({
        "atDue": false,
        "overdue": 0,
        "workingHours": { "from": "09:00", "to": "20:00" },
    });
    let settings: ReminderSettings = serde_json::from_value(settings).unwrap();
    let mut looker = Looker::new(due_on_friday(), zone.clone());
    looker.rules = settings.into();
    looker.item.snoozed_until = (snoozed_until != "-").then(|| instant(snoozed_until, &zone));
    let plan = looker.plan(instant(now, &zone));
    let due = due.map(|stage| stage.parse().unwrap());
    assert_eq!((plan.due, plan.next_look_at), (due, None));
}

#[test]
fn a_reminder_at_the_due_time_can_be_late() {
    let zone = zone("Europe/Berlin");
    let mut looker = Looker::new(due_on_friday(), zone.clone());
    looker.rules.overdue = 0;
    let at_the_weekend = looker.plan(instant("2026-11-28 12:00", &zone));
    let monday = instant("2026-11-30 09:00", &zone);
    assert_eq!(at_the_weekend.next_look_at, Some(monday));
    assert_eq!(looker.plan(monday).due, "due".parse().ok());
}

#[rstest]
#[case::at_work("2026-11-25 11:00", "2026-11-25 11:00", "due-3d")]
#[case::at_night("2026-11-25 20:00", "2026-11-26 09:00", "due-3d")]
#[case::at_the_weekend("2026-11-28 12:00", "2026-11-30 09:00", "overdue-1")]
fn a_snoozed_item_is_looked_at_when_the_snooze_ends(
    #[case] end: &str,
    #[case] next_look_at: &str,
    #[case] due: &str,
) {
    let zone = zone("Europe/Berlin");
    let mut looker = Looker::new(due_on_friday(), zone.clone());
    looker.item.snoozed_until = Some(instant(end, &zone));
    let during = looker.plan(instant("2026-11-25 10:59", &zone));
    let next_look_at = instant(next_look_at, &zone);
    assert_eq!(
        (during.due, during.next_look_at),
        (None, Some(next_look_at))
    );
    assert_eq!(looker.plan(next_look_at).due, due.parse().ok());
}

#[test]
fn a_changed_zone_counts_from_the_next_day() {
    let [berlin, lima] = ["Europe/Berlin", "America/Lima"].map(zone);
    let changed_at = instant("2026-11-24 12:00", &berlin);
    let zone = PersonZone::changed(lima.clone(), berlin.clone(), changed_at);
    let mut looker = Looker::new(due_on_friday(), zone);
    looker.follow();
    let sent: Vec<_> = looker.sent.iter().map(|sent| sent.at).collect();
    let expected = [
        instant("2026-11-24 17:00", &berlin),
        instant("2026-11-26 17:00", &lima),
        instant("2026-11-27 17:00", &lima),
    ];
    assert_eq!(sent[..3], expected);
}

#[test]
fn the_planner_looks_again_when_the_zone_changes() {
    let [berlin, seattle] = ["Europe/Berlin", "America/Los_Angeles"].map(zone);
    let now = instant("2026-11-27 17:05", &berlin);
    let person = PersonZone::changed(seattle.clone(), berlin.clone(), now);
    let mut looker = Looker::new(due_on_friday(), person);
    looker.history = [("due-24h".parse().unwrap(), now)].into();
    // In Berlin the working day is over, and in Seattle it is not.
    let midnight = instant("2026-11-28 00:00", &berlin);
    let due = instant("2026-11-27 17:00", &seattle);
    assert_eq!(looker.look(now), Some(midnight));
    assert_eq!(looker.look(midnight), Some(due));
    assert_eq!(looker.plan(due).due, "due".parse().ok());
}

#[rstest]
#[case("2026-11-27 08:59:59", false)]
#[case("2026-11-27 09:00", true)]
#[case("2026-11-27 17:00", true)]
#[case("2026-11-27 17:00:59.999", true)]
#[case("2026-11-27 17:01", false)]
#[case("2026-11-28 12:00", false)]
#[case("2026-11-29 12:00", false)]
fn working_time_includes_the_minute_at_which_it_ends(#[case] now: &str, #[case] working: bool) {
    for place in ["Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe"] {
        let zone = zone(place);
        let now = instant(now, &zone);
        assert_eq!(is_working_time(now, &zone, &Rules::default()), working);
    }
}

/// In Cairo, the clocks skip the first hour of Friday, 24 April 2026.
#[rstest]
#[case::they_begin_later("00:00", "12:00", "2026-04-23T21:59:59Z", false)]
#[case::they_begin_later("00:00", "12:00", "2026-04-23T22:00:00Z", true)]
#[case::by_what_is_skipped("00:30", "12:00", "2026-04-23T22:29:59Z", false)]
#[case::by_what_is_skipped("00:30", "12:00", "2026-04-23T22:30:00Z", true)]
#[case::nothing_remains("00:00", "00:59", "2026-04-23T22:00:00Z", false)]
#[case::nothing_remains("00:00", "00:59", "2026-04-23T22:30:00Z", false)]
fn working_hours_that_the_clocks_skip(
    #[case] from: &str,
    #[case] to: &str,
    #[case] now: Timestamp,
    #[case] working: bool,
) {
    let settings = json!({ "workingHours": { "from": from, "to": to } });
    let settings: ReminderSettings = serde_json::from_value(settings).unwrap();
    assert_eq!(
        is_working_time(now, &zone("Africa/Cairo"), &settings.into()),
        working
    );
}

#[rstest]
#[case::before_the_due_time("2026-11-27", "2026-11-20 10:00", "-", "2026-12-01 17:00")]
#[case::in_the_grace_period("2026-11-27", "2026-12-01 16:59", "-", "2026-12-01 17:00")]
#[case::after_the_grace_period("2026-11-27", "2026-12-01 17:00", "-", "due")]
#[case::at_night("2026-11-27", "2026-12-01 22:00", "-", "2026-12-02 09:00")]
#[case::long_after("2026-11-27", "2027-06-01 10:00", "-", "due")]
#[case::due_on_a_sunday("2026-11-29", "2026-11-29 10:00", "-", "2026-12-01 17:00")]
#[case::snoozed_shortly(
    "2026-11-27",
    "2026-11-30 10:00",
    "2026-12-01 10:00",
    "2026-12-01 17:00"
)]
#[case::snoozed_for_long(
    "2026-11-27",
    "2026-11-30 10:00",
    "2026-12-05 10:00",
    "2026-12-07 09:00"
)]
#[case::the_snooze_has_ended("2026-11-27", "2026-12-07 09:00", "2026-12-05 10:00", "due")]
#[case::no_due_day("-", "2026-12-01 17:00", "-", "-")]
fn an_escalation(
    #[case] due_day: &str,
    #[case] now: &str,
    #[case] snoozed_until: &str,
    #[case] expected: &str,
) {
    let zone = zone("Europe/Berlin");
    let now = instant(now, &zone);
    let item = WaitingItem {
        due_day: due_day.parse().ok(),
        snoozed_until: (snoozed_until != "-").then(|| instant(snoozed_until, &zone)),
        ..due_on_friday()
    };
    let person = PersonZone::from(zone.clone());
    let planned = escalation(&item, &Rules::default(), now, &person, false);
    let shown = match planned {
        None => "-".to_owned(),
        Some(Escalation::Due) => "due".to_owned(),
        Some(Escalation::LookAt(at)) => zone.to_datetime(at).strftime("%F %H:%M").to_string(),
    };
    assert_eq!(shown, expected);
    assert_eq!(
        escalation(&item, &Rules::default(), now, &person, true),
        None
    );
}

#[test]
fn a_grace_period_begins_after_a_due_time_that_moved() {
    // In Samoa, 17:00 of 30 December 2011 is 17:00 of the 31st, a Saturday.
    let zone = zone("Pacific/Apia");
    let item = WaitingItem {
        due_day: "2011-12-30".parse().ok(),
        ..due_on_friday()
    };
    let settings = json!({ "workingDays": ["fri", "sat", "sun"], "escalateAfterWorkingDays": 1 });
    let settings: ReminderSettings = serde_json::from_value(settings).unwrap();
    let now = instant("2011-12-31 10:00", &zone);
    let expected = Escalation::LookAt(instant("2012-01-01 17:00", &zone));
    let planned = escalation(&item, &settings.into(), now, &zone.into(), false);
    assert_eq!(planned, Some(expected));
}

#[rstest]
#[case(json!({ "off": true }))]
#[case(json!({ "escalateAfterWorkingDays": 0 }))]
fn no_escalation(#[case] settings: Value) {
    let zone = zone("Europe/Berlin");
    let now = instant("2027-06-01 10:00", &zone);
    let settings: ReminderSettings = serde_json::from_value(settings).unwrap();
    assert_eq!(
        escalation(&due_on_friday(), &settings.into(), now, &zone.into(), false),
        None
    );
}

#[test]
fn an_escalation_is_looked_at_again_when_the_zone_changes() {
    let [berlin, lima] = ["Europe/Berlin", "America/Lima"].map(zone);
    let now = instant("2026-12-01 12:00", &lima);
    let person = PersonZone::changed(berlin.clone(), lima.clone(), now);
    let look = |now| escalation(&due_on_friday(), &Rules::default(), now, &person, false);
    // In Lima the grace period ends at 17:00, which comes before midnight.
    let end_of_grace = instant("2026-12-01 17:00", &lima);
    assert_eq!(look(now), Some(Escalation::LookAt(end_of_grace)));
    // If that is missed, Berlin is next, where the day has begun already.
    let midnight = instant("2026-12-02 00:00", &lima);
    let night = instant("2026-12-01 22:00", &lima);
    assert_eq!(look(night), Some(Escalation::LookAt(midnight)));
    let opening = instant("2026-12-02 09:00", &berlin);
    assert_eq!(look(midnight), Some(Escalation::LookAt(opening)));
}

#[test]
fn dates_at_the_ends_of_time_are_planned_without_a_panic() {
    for zone in ["Pacific/Kiritimati", "Pacific/Pago_Pago"].map(zone) {
        for due_day in [None, Some(Date::MIN), Some(Date::MAX)] {
            for at in [Timestamp::MIN, Timestamp::MAX] {
                let item = WaitingItem {
                    due_day,
                    waiting_since: at,
                    snoozed_until: Some(at),
                };
                let person = PersonZone::changed(zone.clone(), zone.clone(), at);
                let looker = Looker::new(item, person.clone());
                for now in [Timestamp::MIN, Timestamp::MAX] {
                    looker.plan(now);
                    escalation(&item, &Rules::default(), now, &person, false);
                }
            }
        }
    }
}
