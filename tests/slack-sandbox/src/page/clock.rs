//! The clock of the person who looks at the page, and Slack's formats for dates.
//!
//! Slack documents the formats for text (<https://docs.slack.dev/messaging/formatting-message-text#date-formatting>) and
//! for rich text (<https://docs.slack.dev/reference/block-kit/block-elements/date-element>). Where the two differ, the
//! page follows the former.

use jiff::{Timestamp, ToSpan, ZonedDateTime, tz::TimeZone};

/// The units of `{ago}`, in seconds.
const UNITS: [(u64, &str); 6] = [
    (31_536_000, "year"),
    (2_592_000, "month"),
    (86_400, "day"),
    (3_600, "hour"),
    (60, "minute"),
    (1, "second"),
];

/// What a clock in one time zone shows now.
pub(super) struct Clock {
    now: ZonedDateTime,
}

impl Clock {
    pub fn in_zone(zone: TimeZone) -> Self {
        Self {
            now: Timestamp::now().to_zoned_datetime(zone),
        }
    }

    /// The `ts` of a message, for example `1712345678.000200`, as a date and a time of day.
    pub fn of_message(&self, ts: &str) -> String {
        let seconds = ts
            .split('.')
            .next()
            .and_then(|seconds| seconds.parse().ok());
        let at = seconds.and_then(|seconds| self.at(seconds));
        at.map_or_else(
            || ts.to_owned(),
            |at| at.strftime("%b %-d, %H:%M:%S").to_string(),
        )
    }

    /// A time in seconds since 1970, with its date and its time zone.
    pub fn in_full(&self, seconds: i64) -> Option<String> {
        let at = self.at(seconds)?;
        Some(at.strftime("%A, %B %-d, %Y, %H:%M:%S %Z").to_string())
    }

    /// A time in seconds since 1970 in one of Slack's formats, for example `{date_short} at {time}`. `None` if the format
    /// is empty or has an unknown token, or if there is no such time.
    pub fn in_format(&self, seconds: i64, format: &str) -> Option<String> {
        if format.is_empty() {
            return None;
        }
        let at = self.at(seconds)?;
        let mut shown = String::new();
        let mut rest = format;
        while let Some((before, after)) = rest.split_once('{') {
            let (token, after) = after.split_once('}')?;
            let text = self.token(&at, token)?;
            shown.push_str(before);
            // A format's first word has a capital letter: yhatt/jsx-slack's `src/date.ts`, rjbs/Slack-BlockKit's
            // `RichText::Date`.
            shown.push_str(&if shown.is_empty() {
                capitalized(&text)
            } else {
                text
            });
            rest = after;
        }
        shown.push_str(rest);
        Some(shown)
    }

    fn at(&self, seconds: i64) -> Option<ZonedDateTime> {
        let at = Timestamp::from_second(seconds).ok()?;
        Some(at.to_zoned_datetime(self.now.time_zone().clone()))
    }

    fn token(&self, at: &ZonedDateTime, token: &str) -> Option<String> {
        let shown = match token {
            "date_num" => at.strftime("%Y-%m-%d").to_string(),
            "date_slash" => at.strftime("%d/%m/%Y").to_string(),
            "date" => self.with_year(at, month_and_day(at)),
            "date_short" => self.with_year(at, at.strftime("%b %-d").to_string()),
            "date_long" => self.with_year(at, weekday_and_day(at)),
            "date_long_full" => at.strftime("%B %-d, %Y").to_string(),
            "date_pretty" => return self.pretty(at, "date"),
            "date_short_pretty" => return self.pretty(at, "date_short"),
            "date_long_pretty" => return self.pretty(at, "date_long"),
            "day_divider_pretty" => self.day_divider(at),
            "time" => at.strftime("%-I:%M %p").to_string(),
            "time_secs" => at.strftime("%-I:%M:%S %p").to_string(),
            "ago" => self.ago(at),
            _ => return None,
        };
        Some(shown)
    }

    fn pretty(&self, at: &ZonedDateTime, otherwise: &str) -> Option<String> {
        match self.day(at) {
            Some(day) => Some(day.to_owned()),
            None => self.token(at, otherwise),
        }
    }

    fn day(&self, at: &ZonedDateTime) -> Option<&'static str> {
        match (at.date() - self.now.date()).get_days() {
            -1 => Some("yesterday"),
            0 => Some("today"),
            1 => Some("tomorrow"),
            _ => None,
        }
    }

    fn day_divider(&self, at: &ZonedDateTime) -> String {
        let day = weekday_and_day(at);
        match self.day(at) {
            Some(day) => day.to_owned(),
            None if at.year() == self.now.year() => day,
            None => format!("{day}, {}", at.year()),
        }
    }

    /// The day, with its year unless it is less than six months away.
    fn with_year(&self, at: &ZonedDateTime, day: String) -> String {
        let today = self.now.date();
        let half_a_year = 6.months();
        let is_near = today.saturating_sub(half_a_year) < at.date()
            && at.date() < today.saturating_add(half_a_year);
        if is_near {
            day
        } else {
            format!("{day}, {}", at.year())
        }
    }

    fn ago(&self, at: &ZonedDateTime) -> String {
        let seconds = self.now.timestamp().as_second() - at.timestamp().as_second();
        let distance = seconds.unsigned_abs();
        let unit = UNITS.iter().find(|(size, _)| distance >= *size);
        let Some((size, unit)) = unit else {
            return "just now".to_owned();
        };
        let count = distance / size;
        let plural = if count == 1 { "" } else { "s" };
        if seconds > 0 {
            format!("{count} {unit}{plural} ago")
        } else {
            format!("in {count} {unit}{plural}")
        }
    }
}

/// `Tuesday, February 18th`
fn weekday_and_day(at: &ZonedDateTime) -> String {
    format!("{}, {}", at.strftime("%A"), month_and_day(at))
}

/// `February 18th`
fn month_and_day(at: &ZonedDateTime) -> String {
    let suffix = match at.day() {
        1 | 21 | 31 => "st",
        2 | 22 => "nd",
        3 | 23 => "rd",
        _ => "th",
    };
    format!("{}{suffix}", at.strftime("%B %-d"))
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}
