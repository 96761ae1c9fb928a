//! The values that arguments can have. Each error is the rule that a value breaks.

use apgl_contract::{
    Category, DueDate, Email, ItemId, Sequence, Timestamp,
    decode::{decode, parse},
    notice::{SequenceKey, SequenceNumber},
    reminders::ReminderSettings,
};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use jiff::{civil::Time, tz::TimeZone};
use serde_json::Value;

/// When a day begins that is given without a time, in UTC.
const MORNING: Time = Time::constant(9, 0, 0, 0);

pub fn email(text: &str) -> Result<Email, &'static str> {
    Email::try_from(text.to_owned())
}

pub fn time(text: &str) -> Result<Timestamp, &'static str> {
    Timestamp::try_from(text.to_owned())
}

/// The same as [`time`], to calculate with.
pub fn instant(text: &str) -> Result<jiff::Timestamp, &'static str> {
    jiff::Timestamp::try_from(time(text)?.time()).map_err(|_| "must be a time from 1970 to 9999")
}

/// A date, which means 09:00 UTC of that day, or a time.
pub fn day_or_time(text: &str) -> Result<jiff::Timestamp, &'static str> {
    let Ok(day) = DueDate::try_from(text.to_owned()) else {
        let rule = "must be a date, such as 2026-11-25, or a time with seconds and an offset, such as \
                    2026-11-25T10:00:00Z";
        return instant(text).map_err(|_| rule);
    };
    let morning = TimeZone::UTC.to_timestamp(day.date().to_datetime(MORNING));
    morning.map_err(|_| "must be a day from 1970 to 9999")
}

pub fn item_id(text: &str) -> Result<ItemId, &'static str> {
    ItemId::try_from(text.to_owned())
}

/// An item's own settings for reminders, as JSON.
pub fn reminders(text: &str) -> Result<Value, String> {
    let settings: Value = parse(text.as_bytes())
        .map_err(|_| r#"must be JSON, such as {"escalateTo":["eve@example.com"]}"#)?;
    decode::<ReminderSettings>(settings.clone()).map_err(|error| error.to_string())?;
    Ok(settings)
}

/// Parses `KEY=NUMBER`; the key can contain `=`.
pub fn sequence(text: &str) -> Result<Sequence, String> {
    let parts = text.rsplit_once('=');
    let (key, number) = parts.ok_or("must be KEY=NUMBER, such as guide-42=3")?;
    let key = SequenceKey::try_from(key.to_owned()).map_err(|rule| format!("the key {rule}"))?;
    // What is not a number breaks the same rule as one that is too large.
    let number = SequenceNumber::try_from(number.parse().unwrap_or(u64::MAX))
        .map_err(|rule| format!("the number {rule}"))?;
    Ok(Sequence { key, number })
}

pub fn category() -> impl TypedValueParser<Value = Category> {
    let words = Category::ALL.map(Category::as_str);
    PossibleValuesParser::new(words).try_map(|word| category_named(&word).ok_or("is no category"))
}

pub fn category_named(word: &str) -> Option<Category> {
    let mut categories = Category::ALL.into_iter();
    categories.find(|category| category.as_str() == word)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("guide-42=3", "guide-42", 3)]
    #[case("guide=42=0", "guide=42", 0)]
    #[case("a b=9007199254740991", "a b", 9_007_199_254_740_991)]
    fn a_sequence_is_a_key_and_a_number(#[case] text: &str, #[case] key: &str, #[case] n: u64) {
        let sequence = sequence(text).unwrap();
        assert_eq!((sequence.key.as_str(), sequence.number.get()), (key, n));
    }

    #[rstest]
    #[case("2026-12-01", "2026-12-01T09:00:00Z")]
    #[case("2026-12-01T00:30:00+01:00", "2026-11-30T23:30:00Z")]
    #[case("2026-12-01T10:00:00.5Z", "2026-12-01T10:00:00.5Z")]
    fn a_day_begins_in_the_morning(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(day_or_time(text).unwrap().to_string(), expected);
    }

    #[rstest]
    #[case("tomorrow")]
    #[case("2026-11-31")]
    #[case("2026-12-01T10:00")]
    #[case("2026-12-01 10:00:00Z")]
    fn other_text_is_neither_a_day_nor_a_time(#[case] text: &str) {
        let rule = day_or_time(text).unwrap_err();
        assert!(rule.starts_with("must be a date, such as 2026-11-25, or a time"));
    }

    #[rstest]
    #[case("guide-42", "must be KEY=NUMBER, such as guide-42=3")]
    #[case("=3", "the key must not be empty")]
    #[case(
        "guide-42=",
        "the number must be an integer from 0 to 9007199254740991"
    )]
    #[case(
        "guide-42=-1",
        "the number must be an integer from 0 to 9007199254740991"
    )]
    #[case(
        "guide-42=9007199254740992",
        "the number must be an integer from 0 to 9007199254740991"
    )]
    fn other_text_is_not_a_sequence(#[case] text: &str, #[case] rule: &str) {
        assert_eq!(sequence(text).unwrap_err(), rule);
    }

    #[rstest]
    #[case("eve@example.com", "must be JSON")]
    #[case(r#"["eve@example.com"]"#, "must be an object")]
    #[case(r#"{"escalateTo":"eve@example.com"}"#, "escalateTo: must be a list")]
    #[case(r#"{"overdue":11}"#, "overdue: must be an integer from 0 to 10")]
    #[case(r#"{"overdu":1}"#, "overdu")]
    fn other_text_is_no_settings_for_reminders(#[case] text: &str, #[case] rule: &str) {
        let error = reminders(text).unwrap_err();
        assert!(error.contains(rule), "{error}");
    }
}
