//! What a notification says about itself besides its message: when it happened, until when it matters, which
//! notification it follows, and who must act.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

use crate::{Category, Email, Mentions, Skipped, decode::null_as_absent};

const TIME_RULE: &str = "must be a time from 1970 to 9999-12-30 with seconds and an offset, such as 2026-11-25T10:00:00Z";

/// A moment, in RFC 3339 with a date, a time with seconds, and an offset: `2026-11-25T10:00:00Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(jiff::Timestamp);

impl TryFrom<String> for Timestamp {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        // The parser also accepts times without seconds, and spaces in place of the T.
        let parsed = if is_rfc3339(&text) {
            text.parse().ok()
        } else {
            None
        };
        let at_or_after_1970 = parsed.filter(|at| *at >= jiff::Timestamp::UNIX_EPOCH);
        at_or_after_1970.map(Self).ok_or(TIME_RULE)
    }
}

impl TryFrom<SystemTime> for Timestamp {
    type Error = &'static str;

    fn try_from(at: SystemTime) -> Result<Self, Self::Error> {
        let at_or_after_1970 = jiff::Timestamp::try_from(at)
            .ok()
            .filter(|at| *at >= jiff::Timestamp::UNIX_EPOCH);
        at_or_after_1970
            .map(Self)
            .ok_or("must be a time from 1970 to 9999")
    }
}

impl From<Timestamp> for String {
    fn from(Timestamp(at): Timestamp) -> Self {
        at.to_string()
    }
}

impl Timestamp {
    /// For example `12 May 2026, 09:30 UTC`.
    pub fn in_words(self) -> String {
        self.0.strftime("%-d %B %Y, %H:%M UTC").to_string()
    }

    pub fn epoch_seconds(self) -> i64 {
        self.0.as_second()
    }

    pub fn time(self) -> SystemTime {
        let seconds = u64::try_from(self.0.as_second()).unwrap_or_default();
        let nanoseconds = u32::try_from(self.0.subsec_nanosecond()).unwrap_or_default();
        UNIX_EPOCH + Duration::new(seconds, nanoseconds)
    }
}

/// Whether each character is where RFC 3339 has one of its kind.
fn is_rfc3339(text: &str) -> bool {
    const UNTIL_SECONDS: &str = "dddd-dd-ddTdd:dd:dd";
    let fits = |text: &str, form: &str| {
        text.len() == form.len()
            && text.bytes().zip(form.bytes()).all(|(c, kind)| match kind {
                b'd' => c.is_ascii_digit(),
                kind => c.eq_ignore_ascii_case(&kind),
            })
    };
    let Some((seconds, rest)) = text.split_at_checked(UNTIL_SECONDS.len()) else {
        return false;
    };
    let (fraction, offset) = rest.split_at(rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len()));
    let is_fraction = |digits: &str| {
        (1..=9).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit())
    };
    fits(seconds, UNTIL_SECONDS)
        && (fraction.is_empty() || fraction.strip_prefix('.').is_some_and(is_fraction))
        && ["Z", "+dd:dd", "-dd:dd"]
            .iter()
            .any(|form| fits(offset, form))
}

/// What a sequence is about, for example an article: 1 to 200 characters. The caller may write anything into it, so `Debug`
/// shows its size only.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct SequenceKey(String);

impl SequenceKey {
    pub const MAX_CHARACTERS: usize = 200;

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SequenceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({} characters)", self.0.chars().count())
    }
}

impl TryFrom<String> for SequenceKey {
    type Error = &'static str;

    fn try_from(key: String) -> Result<Self, Self::Error> {
        if key.trim().is_empty() {
            return Err("must not be empty");
        }
        if key.chars().count() > Self::MAX_CHARACTERS {
            return Err("must have at most 200 characters");
        }
        Ok(Self(key))
    }
}

/// A message's place in a sequence: 0 to 9,007,199,254,740,991, the largest integer that JSONata represents exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "serde_json::Number")]
pub struct SequenceNumber(u64);

impl SequenceNumber {
    pub const MAX: u64 = (1 << 53) - 1;

    pub fn get(self) -> u64 {
        self.0
    }
}

impl TryFrom<u64> for SequenceNumber {
    type Error = &'static str;

    fn try_from(number: u64) -> Result<Self, Self::Error> {
        if number > Self::MAX {
            return Err("must be an integer from 0 to 9007199254740991");
        }
        Ok(Self(number))
    }
}

impl TryFrom<serde_json::Number> for SequenceNumber {
    type Error = &'static str;

    /// JSONata may write an integer with a fraction of zero.
    fn try_from(number: serde_json::Number) -> Result<Self, Self::Error> {
        let whole = number.as_f64().filter(|float| float.fract() == 0.0);
        let float = whole.filter(|float| (0.0..=9_007_199_254_740_991.0).contains(float));
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is an integer in the range that both types represent exactly"
        )]
        let integer = number.as_u64().or(float.map(|float| float as u64));
        Self::try_from(integer.unwrap_or(u64::MAX))
    }
}

/// A message's place in a sequence. The message is posted only if none with the same key and a higher number has been
/// posted to the same channel or person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with `key` and `number`")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Sequence {
    /// What the messages of the sequence are about, for example the id of an article.
    pub key: SequenceKey,
    /// Higher for what happened later, for example the article's version.
    pub number: SequenceNumber,
}

/// The checked form of what a request says about its notification, as the steps get it.
///
/// Unknown fields are ignored, since a definition can be newer than a function. A field that is absent or `null` has its
/// default: definitions before 0.2 pass none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Notice {
    #[serde(default, deserialize_with = "null_as_absent")]
    pub category: Category,
    /// When the event that the message reports happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub occurred_at: Option<Timestamp>,
    /// The time after which the message is no longer posted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<Sequence>,
    /// The people whom the message addresses.
    #[serde(default, deserialize_with = "null_as_absent")]
    pub mention: Mentions,
    /// Entries of the request's `mention` that are not addresses.
    #[serde(
        default,
        deserialize_with = "null_as_absent",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub not_mentioned: Vec<Skipped>,
    /// The person whose action the message reports: nobody is notified of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<Email>,
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    #[rstest]
    #[case("2026-11-25T10:00:00Z", "2026-11-25T10:00:00Z")]
    #[case("2026-11-25t10:00:00z", "2026-11-25T10:00:00Z")]
    #[case("2026-11-25T10:00:00.25+01:00", "2026-11-25T09:00:00.25Z")]
    #[case("2024-02-29T23:59:59-00:30", "2024-03-01T00:29:59Z")]
    fn a_time_is_kept_in_utc(#[case] text: &str, #[case] expected: &str) {
        let at = Timestamp::try_from(text.to_owned()).unwrap();
        assert_eq!(String::from(at), expected);
    }

    #[rstest]
    #[case("1970-01-01T00:00:00.5Z", Duration::from_millis(500))]
    #[case("3000-01-01T00:00:00Z", Duration::from_hours(9_028_800))]
    #[case("9999-01-01T00:00:00Z", Duration::from_hours(70_380_768))]
    fn a_time_that_stands_for_never_is_in_the_future(
        #[case] text: &str,
        #[case] since_epoch: Duration,
    ) {
        let at = Timestamp::try_from(text.to_owned()).unwrap();
        assert_eq!(at.time(), UNIX_EPOCH + since_epoch);
    }

    #[test]
    fn a_time_is_shown_as_people_write_it() {
        let at = Timestamp::try_from("2026-05-02T09:30:59+01:00".to_owned()).unwrap();
        assert_eq!(at.in_words(), "2 May 2026, 08:30 UTC");
    }

    #[rstest]
    #[case(0, "1970-01-01T00:00:00Z")]
    #[case(1_795_600_800_500, "2026-11-25T10:00:00.5Z")]
    fn a_system_time_is_a_time(#[case] milliseconds: u64, #[case] expected: &str) {
        let time = UNIX_EPOCH + Duration::from_millis(milliseconds);
        let at = Timestamp::try_from(time).unwrap();
        assert_eq!(String::from(at), expected);
        assert_eq!(at.time(), time);
    }

    #[rstest]
    #[case(UNIX_EPOCH - Duration::from_secs(1))]
    #[case(UNIX_EPOCH + Duration::from_secs(1 << 40))]
    fn a_system_time_that_rfc_3339_cannot_express_is_refused(#[case] time: SystemTime) {
        let refused = Timestamp::try_from(time);
        assert_eq!(refused, Err("must be a time from 1970 to 9999"));
    }

    #[rstest]
    #[case("")]
    #[case("tomorrow")]
    #[case("2026-11-25")]
    #[case("2026-11-25T10:00:00")]
    #[case("2026-11-25T10:00Z")]
    #[case("2026-11-25 10:00:00Z")]
    #[case("2026-02-29T10:00:00Z")]
    #[case("2026-11-25T25:00:00Z")]
    #[case("2026-11-25T10:00:00.Z")]
    #[case("2026-11-25T10:00:00+0100")]
    #[case("2026-11-25T10:00:00Z[Europe/Rome]")]
    #[case("1969-12-31T23:59:59Z")]
    #[case("1969-12-31T23:59:59.5Z")]
    #[case("2026-11-25T10:00:0é")]
    fn other_text_is_not_a_time(#[case] text: &str) {
        assert_eq!(Timestamp::try_from(text.to_owned()), Err(TIME_RULE));
    }

    #[rstest]
    #[case(json!(0), Some(0))]
    #[case(json!(7.0), Some(7))]
    #[case(json!(9_007_199_254_740_991_u64), Some(9_007_199_254_740_991))]
    #[case(json!(9_007_199_254_740_992_u64), None)]
    #[case(json!(1e300), None)]
    #[case(json!(-1), None)]
    #[case(json!(1.5), None)]
    #[case(json!("1"), None)]
    fn a_sequence_number_is_an_integer_that_jsonata_keeps(
        #[case] number: Value,
        #[case] expected: Option<u64>,
    ) {
        let read = serde_json::from_value::<SequenceNumber>(number);
        assert_eq!(read.ok().map(SequenceNumber::get), expected);
    }

    #[test]
    fn debug_does_not_show_the_key_of_a_sequence() {
        let key = SequenceKey::try_from("ana@example.com".to_owned()).unwrap();
        assert_eq!(format!("{key:?}"), "(15 characters)");
    }

    #[test]
    fn a_definition_that_says_nothing_is_about_an_act_that_never_expires() {
        let notice: Notice =
            serde_json::from_value(json!({ "category": null, "later": 1 })).unwrap();
        assert_eq!(notice, Notice::default());
        assert_eq!(notice.category, Category::Action);
    }
}
