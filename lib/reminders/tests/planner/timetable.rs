//! All reminders of an item that nobody moves, for a looker who is always in time.

use apgl_reminders::{ReminderSettings, WaitingItem};
use jiff::{Span, civil::Date};
use rstest::rstest;
use serde_json::{Value, json};

use crate::looker::{Looker, Sent, instant, zone};

/// Each reminder with its time on the person's clock. `-` stands for no due day and no snooze.
fn timetable(place: &str, due_day: &str, since: &str, snoozed_until: &str) -> Vec<String> {
    timetable_with(json!({}), place, due_day, since, snoozed_until)
}

fn timetable_with(
    settings: Value,
    place: &str,
    due_day: &str,
    since: &str,
    snoozed_until: &str,
) -> Vec<String> {
    let zone = zone(place);
    let item = WaitingItem {
        due_day: (due_day != "-").then(|| due_day.parse().unwrap()),
        waiting_since: instant(since, &zone),
        snoozed_until: (snoozed_until != "-").then(|| instant(snoozed_until, &zone)),
    };
    let settings: ReminderSettings = serde_json::from_value(settings).unwrap();
    let mut looker = Looker::new(item, zone.clone());
    looker.rules = settings.into();
    looker.follow();
    let line = |Sent { stage, at }: &Sent| {
        let at = at.to_zoned_datetime(zone.clone());
        format!("{stage} {}", at.strftime("%a %F %H:%M%:z"))
    };
    looker.sent.iter().map(line).collect()
}

/// The reminders up to the first after the due time; the others follow on the next working days.
#[rstest]
#[case::in_a_week("Europe/Berlin", "2026-11-27", &[
    "due-3d Tue 2026-11-24 17:00+01:00",
    "due-24h Thu 2026-11-26 17:00+01:00",
    "due Fri 2026-11-27 17:00+01:00",
    "overdue-1 Mon 2026-11-30 09:00+01:00",
])]
#[case::three_days_before_is_a_weekend("Asia/Kolkata", "2026-11-24", &[
    "due-3d Fri 2026-11-20 17:00+05:30",
    "due-24h Mon 2026-11-23 17:00+05:30",
    "due Tue 2026-11-24 17:00+05:30",
    "overdue-1 Wed 2026-11-25 09:00+05:30",
])]
#[case::both_before_move_to_friday("Pacific/Kiritimati", "2026-11-23", &[
    "due-24h Fri 2026-11-20 17:00+14:00",
    "due Mon 2026-11-23 17:00+14:00",
    "overdue-1 Tue 2026-11-24 09:00+14:00",
])]
#[case::due_on_a_saturday("Europe/Berlin", "2026-11-28", &[
    "due-3d Wed 2026-11-25 17:00+01:00",
    "due Fri 2026-11-27 17:00+01:00",
    "overdue-1 Mon 2026-11-30 09:00+01:00",
])]
#[case::due_on_a_sunday("Europe/Berlin", "2026-11-29", &[
    "due-3d Thu 2026-11-26 17:00+01:00",
    "due Fri 2026-11-27 17:00+01:00",
    "overdue-1 Mon 2026-11-30 09:00+01:00",
])]
#[case::far_in_the_west("Pacific/Pago_Pago", "2026-11-25", &[
    "due-3d Fri 2026-11-20 17:00-11:00",
    "due-24h Tue 2026-11-24 17:00-11:00",
    "due Wed 2026-11-25 17:00-11:00",
    "overdue-1 Thu 2026-11-26 09:00-11:00",
])]
#[case::summer_time_begins_at_the_weekend("Europe/Berlin", "2026-03-31", &[
    "due-3d Fri 2026-03-27 17:00+01:00",
    "due-24h Mon 2026-03-30 17:00+02:00",
    "due Tue 2026-03-31 17:00+02:00",
    "overdue-1 Wed 2026-04-01 09:00+02:00",
])]
#[case::summer_time_ends_at_the_weekend("America/New_York", "2026-11-02", &[
    "due-24h Fri 2026-10-30 17:00-04:00",
    "due Mon 2026-11-02 17:00-05:00",
    "overdue-1 Tue 2026-11-03 09:00-05:00",
])]
#[case::summer_time_is_half_an_hour("Australia/Lord_Howe", "2026-04-07", &[
    "due-3d Fri 2026-04-03 17:00+11:00",
    "due-24h Mon 2026-04-06 17:00+10:30",
    "due Tue 2026-04-07 17:00+10:30",
    "overdue-1 Wed 2026-04-08 09:00+10:30",
])]
#[case::offset_of_half_an_hour("America/St_Johns", "2026-03-10", &[
    "due-3d Fri 2026-03-06 17:00-03:30",
    "due-24h Mon 2026-03-09 17:00-02:30",
    "due Tue 2026-03-10 17:00-02:30",
    "overdue-1 Wed 2026-03-11 09:00-02:30",
])]
#[case::the_due_day_has_no_midnight_and_24_hours_are_23("Africa/Cairo", "2026-04-24", &[
    "due-3d Tue 2026-04-21 17:00+02:00",
    "due-24h Thu 2026-04-23 17:00+02:00",
    "due Fri 2026-04-24 17:00+03:00",
    "overdue-1 Mon 2026-04-27 09:00+03:00",
])]
#[case::sunday_has_no_midnight("Asia/Beirut", "2027-03-28", &[
    "due-3d Thu 2027-03-25 17:00+02:00",
    "due Fri 2027-03-26 17:00+02:00",
    "overdue-1 Mon 2027-03-29 09:00+03:00",
])]
#[case::sunday_has_no_midnight_in_the_south("America/Asuncion", "2024-10-08", &[
    "due-3d Fri 2024-10-04 17:00-04:00",
    "due-24h Mon 2024-10-07 17:00-03:00",
    "due Tue 2024-10-08 17:00-03:00",
    "overdue-1 Wed 2024-10-09 09:00-03:00",
])]
#[case::the_day_before_did_not_exist("Pacific/Apia", "2012-01-02", &[
    "due-24h Thu 2011-12-29 17:00-10:00",
    "due Mon 2012-01-02 17:00+14:00",
    "overdue-1 Tue 2012-01-03 09:00+14:00",
])]
#[case::the_due_day_did_not_exist("Pacific/Apia", "2011-12-30", &[
    "due-3d Tue 2011-12-27 17:00-10:00",
    "due Thu 2011-12-29 17:00-10:00",
    "overdue-1 Mon 2012-01-02 09:00+14:00",
])]
fn an_item_with_a_due_day(#[case] place: &str, #[case] due_day: &str, #[case] expected: &[&str]) {
    let due: Date = due_day.parse().unwrap();
    let since = due - Span::new().days(14);
    let sent = timetable(place, due_day, &format!("{since} 10:00"), "-");
    assert_eq!(sent[..expected.len()], *expected);
    assert_eq!(sent.len(), expected.len() + 4);
}

#[rstest]
#[case::arrives_after_the_first_stage("2026-11-27", "2026-11-25 11:00", &[
    "due-24h Thu 2026-11-26 17:00+01:00",
    "due Fri 2026-11-27 17:00+01:00",
    "overdue-1 Mon 2026-11-30 09:00+01:00",
])]
#[case::arrives_with_a_stage("2026-11-27", "2026-11-26 17:00", &[
    "due-24h Thu 2026-11-26 17:00+01:00",
    "due Fri 2026-11-27 17:00+01:00",
    "overdue-1 Mon 2026-11-30 09:00+01:00",
])]
#[case::arrives_on_the_due_day("2026-11-27", "2026-11-27 16:59", &[
    "due Fri 2026-11-27 17:00+01:00",
    "overdue-1 Mon 2026-11-30 09:00+01:00",
])]
#[case::arrives_on_the_weekend_on_which_it_is_due("2026-11-29", "2026-11-28 12:00", &[
    "overdue-1 Mon 2026-11-30 09:00+01:00",
    "overdue-2 Tue 2026-12-01 09:00+01:00",
])]
#[case::arrives_overdue("2026-11-02", "2026-11-27 12:00", &[
    "overdue-1 Mon 2026-11-30 09:00+01:00",
    "overdue-2 Tue 2026-12-01 09:00+01:00",
])]
#[case::arrives_overdue_in_the_morning("2026-11-02", "2026-11-27 08:00", &[
    "overdue-1 Fri 2026-11-27 09:00+01:00",
    "overdue-2 Mon 2026-11-30 09:00+01:00",
])]
fn an_item_that_arrives_late(
    #[case] due_day: &str,
    #[case] since: &str,
    #[case] expected: &[&str],
) {
    let sent = timetable("Europe/Berlin", due_day, since, "-");
    assert_eq!(sent[..expected.len()], *expected);
    assert!(sent.last().unwrap().starts_with("overdue-5 "));
}

#[rstest]
#[case::at_work("America/New_York", "2026-11-16 11:23", &[
    "quiet-1 Thu 2026-11-19 11:23-05:00",
    "quiet-2 Tue 2026-11-24 11:23-05:00",
    "quiet-3 Fri 2026-11-27 11:23-05:00",
    "quiet-4 Wed 2026-12-02 11:23-05:00",
    "quiet-5 Mon 2026-12-07 11:23-05:00",
])]
#[case::in_the_evening("America/New_York", "2026-11-16 20:00", &[
    "quiet-1 Fri 2026-11-20 09:00-05:00",
    "quiet-2 Wed 2026-11-25 09:00-05:00",
    "quiet-3 Mon 2026-11-30 09:00-05:00",
    "quiet-4 Thu 2026-12-03 09:00-05:00",
    "quiet-5 Tue 2026-12-08 09:00-05:00",
])]
#[case::at_the_weekend_before_winter_time("Australia/Lord_Howe", "2026-04-04 12:00", &[
    "quiet-1 Thu 2026-04-09 09:00+10:30",
    "quiet-2 Tue 2026-04-14 09:00+10:30",
    "quiet-3 Fri 2026-04-17 09:00+10:30",
    "quiet-4 Wed 2026-04-22 09:00+10:30",
    "quiet-5 Mon 2026-04-27 09:00+10:30",
])]
#[case::over_a_day_that_did_not_exist("Pacific/Apia", "2011-12-28 15:00", &[
    "quiet-1 Tue 2012-01-03 15:00+14:00",
    "quiet-2 Fri 2012-01-06 15:00+14:00",
    "quiet-3 Wed 2012-01-11 15:00+14:00",
    "quiet-4 Mon 2012-01-16 15:00+14:00",
    "quiet-5 Thu 2012-01-19 15:00+14:00",
])]
fn an_item_without_a_due_day(#[case] place: &str, #[case] since: &str, #[case] expected: &[&str]) {
    assert_eq!(timetable(place, "-", since, "-"), expected);
}

#[rstest]
#[case::over_one_stage("2026-11-27", "2026-11-25 10:00", &[
    "due-3d Wed 2026-11-25 10:00+01:00",
    "due-24h Thu 2026-11-26 17:00+01:00",
])]
#[case::over_two_stages("2026-11-27", "2026-11-27 08:00", &[
    "due-24h Fri 2026-11-27 09:00+01:00",
    "due Fri 2026-11-27 17:00+01:00",
])]
#[case::until_a_stage("2026-11-27", "2026-11-26 17:00", &[
    "due-24h Thu 2026-11-26 17:00+01:00",
    "due Fri 2026-11-27 17:00+01:00",
])]
#[case::over_the_due_time("2026-11-27", "2026-11-27 18:00", &[
    "overdue-1 Mon 2026-11-30 09:00+01:00",
    "overdue-2 Tue 2026-12-01 09:00+01:00",
])]
#[case::over_overdue_stages("2026-11-27", "2026-12-02 15:30", &[
    "overdue-3 Wed 2026-12-02 15:30+01:00",
    "overdue-4 Thu 2026-12-03 09:00+01:00",
])]
#[case::over_all_stages("2026-11-27", "2026-12-19 15:30", &[
    "overdue-5 Mon 2026-12-21 09:00+01:00",
])]
#[case::over_quiet_stages("-", "2026-11-25 18:00", &[
    "quiet-2 Thu 2026-11-26 09:00+01:00",
    "quiet-3 Fri 2026-11-27 10:00+01:00",
])]
#[case::ended_before_any_stage("2026-11-27", "2026-11-17 10:00", &[
    "due-3d Tue 2026-11-24 17:00+01:00",
])]
fn a_snoozed_item(#[case] due_day: &str, #[case] until: &str, #[case] expected: &[&str]) {
    let sent = timetable("Europe/Berlin", due_day, "2026-11-16 10:00", until);
    assert_eq!(sent[..expected.len()], *expected);
}

#[rstest]
#[case::nothing_after_the_due_time(json!({ "overdue": 0 }), "2026-11-27", &[
    "due-3d Tue 2026-11-24 17:00+01:00",
    "due-24h Thu 2026-11-26 17:00+01:00",
    "due Fri 2026-11-27 17:00+01:00",
])]
#[case::only_at_the_due_time(json!({ "beforeDue": [], "overdue": 0 }), "2026-11-27", &[
    "due Fri 2026-11-27 17:00+01:00",
])]
#[case::not_at_the_due_time(json!({ "atDue": false, "overdue": 1 }), "2026-11-27", &[
    "due-3d Tue 2026-11-24 17:00+01:00",
    "due-24h Thu 2026-11-26 17:00+01:00",
    "overdue-1 Mon 2026-11-30 09:00+01:00",
])]
#[case::hours_before(json!({ "beforeDue": ["2h", "8h", "9h", "30h"], "overdue": 0 }), "2026-11-27", &[
    "due-30h Thu 2026-11-26 11:00+01:00",
    "due-9h Thu 2026-11-26 17:00+01:00",
    "due-8h Fri 2026-11-27 09:00+01:00",
    "due-2h Fri 2026-11-27 15:00+01:00",
    "due Fri 2026-11-27 17:00+01:00",
])]
#[case::work_ends_before_the_due_time(
    json!({ "workingHours": { "from": "07:30", "to": "15:30" }, "overdue": 1 }), "2026-11-27", &[
    "due-3d Tue 2026-11-24 15:30+01:00",
    "due-24h Thu 2026-11-26 15:30+01:00",
    "due Fri 2026-11-27 15:30+01:00",
    "overdue-1 Mon 2026-11-30 07:30+01:00",
])]
#[case::work_begins_after_the_due_time(
    json!({ "workingHours": { "from": "18:00", "to": "22:00" }, "overdue": 1 }), "2026-11-27", &[
    "due-3d Mon 2026-11-23 22:00+01:00",
    "due-24h Wed 2026-11-25 22:00+01:00",
    "due Thu 2026-11-26 22:00+01:00",
    "overdue-1 Mon 2026-11-30 18:00+01:00",
])]
#[case::work_from_sunday_to_thursday(
    json!({ "workingDays": ["sun", "mon", "tue", "wed", "thu"], "overdue": 2 }), "2026-11-27", &[
    "due-3d Tue 2026-11-24 17:00+01:00",
    "due Thu 2026-11-26 17:00+01:00",
    "overdue-1 Sun 2026-11-29 09:00+01:00",
    "overdue-2 Mon 2026-11-30 09:00+01:00",
])]
#[case::each_working_day_without_movement(json!({ "quietAfterWorkingDays": 1, "quiet": 2 }), "-", &[
    "quiet-1 Tue 2026-11-17 10:00+01:00",
    "quiet-2 Wed 2026-11-18 10:00+01:00",
])]
#[case::never_without_movement(json!({ "quietAfterWorkingDays": 0 }), "-", &[])]
#[case::never_without_movement_either(json!({ "quiet": 0 }), "-", &[])]
#[case::off(json!({ "off": true }), "2026-11-27", &[])]
#[case::off_without_a_due_day(json!({ "off": true }), "-", &[])]
fn other_settings(#[case] settings: Value, #[case] due_day: &str, #[case] expected: &[&str]) {
    let sent = timetable_with(settings, "Europe/Berlin", due_day, "2026-11-16 10:00", "-");
    assert_eq!(sent, expected);
}

#[test]
fn nothing_is_overdue_before_a_due_time_that_moved() {
    // In Samoa, 17:00 of 30 December 2011 is 17:00 of the 31st, a Saturday.
    let settings = json!({ "workingDays": ["fri", "sat", "sun"], "overdue": 1 });
    let sent = timetable_with(
        settings,
        "Pacific/Apia",
        "2011-12-30",
        "2011-12-29 10:00",
        "-",
    );
    let expected = [
        "due Sat 2011-12-31 17:00+14:00",
        "overdue-1 Sun 2012-01-01 09:00+14:00",
    ];
    assert_eq!(sent[sent.len() - 2..], expected);
}
