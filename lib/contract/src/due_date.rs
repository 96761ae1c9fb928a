//! Due dates.

use std::fmt;

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde::{Deserialize, Serialize};

/// A calendar date without a time or time zone, read from the extended ISO 8601 format, for example `2026-11-25`.
///
/// Displayed as `25 November 2026`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DueDate(Date);

impl fmt::Display for DueDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.strftime("%-d %B %Y").fmt(f)
    }
}

impl From<Date> for DueDate {
    fn from(date: Date) -> Self {
        Self(date)
    }
}

impl DueDate {
    pub fn date(self) -> Date {
        self.0
    }

    /// The instant at which every clock from Hawaii (UTC−10) to New Zealand (UTC+13) shows this day, in seconds since
    /// the epoch. A date that Slack shows in the reader's time zone is then the same for all of them.
    pub fn epoch_seconds(self) -> i64 {
        const HOUR_UTC: i8 = 10;
        let at = TimeZone::UTC.to_timestamp(self.0.at(HOUR_UTC, 0, 0, 0));
        at.map_or(0, Timestamp::as_second)
    }
}

/// As it is read, for example `2026-11-25`.
impl From<DueDate> for String {
    fn from(DueDate(date): DueDate) -> Self {
        date.to_string()
    }
}

impl TryFrom<String> for DueDate {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match text.parse::<Date>() {
            // The parser also accepts a date with a time, and years outside 0 to 9999.
            Ok(date) if text.len() == "2026-11-25".len() && date.to_string() == text => {
                Ok(Self(date))
            }
            _ => Err("must be a date such as 2026-11-25"),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("2026-11-25", "25 November 2026")]
    #[case("2028-02-29", "29 February 2028")]
    #[case("2027-01-01", "1 January 2027")]
    fn a_date_is_shown_as_people_write_it(#[case] date: &str, #[case] expected: &str) {
        assert_eq!(
            DueDate::try_from(date.to_owned()).unwrap().to_string(),
            expected
        );
    }

    #[rstest]
    #[case("")]
    #[case("tomorrow")]
    #[case("20261125")]
    #[case("2026-1-5")]
    #[case("25.11.2026")]
    #[case("2026-W48-3")]
    #[case("2026-02-29")]
    #[case("2026-11-25T10:00")]
    #[case("-002026-11-25")]
    fn other_text_is_rejected(#[case] text: &str) {
        assert_eq!(
            DueDate::try_from(text.to_owned()),
            Err("must be a date such as 2026-11-25")
        );
    }
}
