//! Settings of reminders. The CDK app's tests read the same examples, because the app must refuse what the functions
//! can't read. The names of time zones are not among them: nothing here knows them.
#![allow(clippy::unwrap_used)]

use apgl_contract::{decode, reminders::Reminders};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Examples {
    good: Vec<Value>,
    bad: Vec<Bad>,
}

/// Settings that break one rule.
#[derive(Deserialize)]
struct Bad {
    /// The path of the setting that breaks it; empty for the settings as a whole.
    place: String,
    settings: Value,
}

fn examples() -> Examples {
    serde_json::from_str(include_str!("reminder_settings.json")).unwrap()
}

#[test]
fn good_settings_are_read() {
    for settings in examples().good {
        let read = decode::<Reminders>(settings.clone());
        read.unwrap_or_else(|error| panic!("{settings}: {error}"));
    }
}

#[test]
fn bad_settings_are_refused_by_their_place() {
    for Bad { place, settings } in examples().bad {
        let error = decode::<Reminders>(settings.clone()).expect_err(&settings.to_string());
        let place = if place.is_empty() { "request" } else { &place };
        // The field can be a part of the setting, such as an entry of a list.
        let rest = error.field.strip_prefix(place);
        let is_there = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']));
        assert!(is_there, "{settings}: {error}");
    }
}
