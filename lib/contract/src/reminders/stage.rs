//! The stages of an item: each is one reminder, sent at most once.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::reminders::Part;

const LEAD_RULE: &str = "must be 1 to 255 days or hours, such as 3d or 24h";
const STAGE_RULE: &str = "must be a stage, such as due-3d, due-24h, due, overdue-1 or quiet-1";

/// How long before the due time a reminder is sent: `3d` or `24h`. The number is at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Lead {
    /// Whole days of wall time.
    Days(u8),
    /// Hours of wall time.
    Hours(u8),
}

impl Lead {
    /// Its length in hours of wall time: a day has 24, even if the clocks change.
    pub fn hours(self) -> u16 {
        match self {
            Self::Days(days) => 24 * u16::from(days),
            Self::Hours(hours) => hours.into(),
        }
    }
}

impl fmt::Display for Lead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Days(days) => write!(f, "{days}d"),
            Self::Hours(hours) => write!(f, "{hours}h"),
        }
    }
}

impl FromStr for Lead {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let days = text.strip_suffix('d').and_then(number).map(Self::Days);
        let hours = || text.strip_suffix('h').and_then(number).map(Self::Hours);
        days.or_else(hours).ok_or(LEAD_RULE)
    }
}

/// A reminder of an item. Its text is stable, because it is stored with what was sent.
///
/// The derived order has no meaning; see [`Stage::covers`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Stage {
    /// The item is due soon: `due-3d`.
    Before(Lead),
    /// The item is due: `due`.
    Due,
    /// The n-th reminder of an item that is overdue, from 1: `overdue-1`.
    Overdue(u8),
    /// The n-th reminder of an item without a due day that has not moved, from 1: `quiet-1`.
    Quiet(u8),
}

impl Stage {
    /// Whether the other stage is not sent any more once this one was, because it is the same or less urgent.
    pub fn covers(self, other: Self) -> bool {
        let both_or_none_quiet = matches!(self, Self::Quiet(_)) == matches!(other, Self::Quiet(_));
        both_or_none_quiet && self.urgency() >= other.urgency()
    }

    /// Whether it may be in this part of a day's messages. Only that the item is due now can't wait until the next day.
    pub fn belongs_in(self, part: Part) -> bool {
        part == Part::First || self == Self::Due
    }

    /// How urgent it is: higher is more urgent.
    pub fn urgency(self) -> i32 {
        match self {
            Self::Before(lead) => -i32::from(lead.hours()),
            Self::Due => 0,
            Self::Overdue(n) | Self::Quiet(n) => n.into(),
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Before(lead) => write!(f, "due-{lead}"),
            Self::Due => f.write_str("due"),
            Self::Overdue(n) => write!(f, "overdue-{n}"),
            Self::Quiet(n) => write!(f, "quiet-{n}"),
        }
    }
}

impl FromStr for Stage {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let stage = match text.split_once('-') {
            None if text == "due" => Some(Self::Due),
            Some(("due", lead)) => lead.parse().map(Self::Before).ok(),
            Some(("overdue", n)) => number(n).map(Self::Overdue),
            Some(("quiet", n)) => number(n).map(Self::Quiet),
            _ => None,
        };
        stage.ok_or(STAGE_RULE)
    }
}

/// A number from 1 to 255, without a sign or leading zeros.
fn number(text: &str) -> Option<u8> {
    let number = text.parse::<u8>().ok()?;
    (number > 0 && number.to_string() == text).then_some(number)
}

impl TryFrom<String> for Lead {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Lead> for String {
    fn from(lead: Lead) -> Self {
        lead.to_string()
    }
}

impl TryFrom<String> for Stage {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Stage> for String {
    fn from(stage: Stage) -> Self {
        stage.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case("due-3d", Stage::Before(Lead::Days(3)))]
    #[case("due-24h", Stage::Before(Lead::Hours(24)))]
    #[case("due", Stage::Due)]
    #[case("overdue-1", Stage::Overdue(1))]
    #[case("quiet-10", Stage::Quiet(10))]
    fn a_stage_is_kept_as_text(#[case] text: &str, #[case] stage: Stage) {
        assert_eq!(text.parse(), Ok(stage));
        assert_eq!(serde_json::to_value(stage).unwrap(), json!(text));
        assert_eq!(serde_json::from_value::<Stage>(json!(text)).unwrap(), stage);
    }

    #[rstest]
    #[case("")]
    #[case("Due")]
    #[case("due-")]
    #[case("due-d")]
    #[case("due-0d")]
    #[case("due-03d")]
    #[case("due-+3d")]
    #[case("due-256h")]
    #[case("due-3")]
    #[case("due-3d-1")]
    #[case("overdue")]
    #[case("overdue-0")]
    #[case("overdue-01")]
    #[case("quiet--1")]
    #[case("quiet- 1")]
    #[case("quiet-1é")]
    fn other_text_is_not_a_stage(#[case] text: &str) {
        assert_eq!(text.parse::<Stage>(), Err(STAGE_RULE));
    }

    #[rstest]
    #[case("due", "due-24h", true)]
    #[case("due-24h", "due-3d", true)]
    #[case("due-24h", "due-1d", true)]
    #[case("due-1d", "due-24h", true)]
    #[case("due-3d", "due-24h", false)]
    #[case("due-24h", "due", false)]
    #[case("overdue-1", "due", true)]
    #[case("overdue-2", "overdue-2", true)]
    #[case("overdue-2", "overdue-3", false)]
    #[case("quiet-2", "quiet-1", true)]
    #[case("quiet-1", "quiet-2", false)]
    #[case("quiet-1", "due-3d", false)]
    #[case("overdue-5", "quiet-1", false)]
    fn a_stage_covers_what_is_less_urgent(
        #[case] sent: &str,
        #[case] other: &str,
        #[case] covers: bool,
    ) {
        let [sent, other] = [sent, other].map(|text| text.parse::<Stage>().unwrap());
        assert_eq!(sent.covers(other), covers);
    }

    fn stages() -> impl Strategy<Value = Stage> {
        let number = 1..=u8::MAX;
        prop_oneof![
            number.clone().prop_map(|n| Stage::Before(Lead::Days(n))),
            number.clone().prop_map(|n| Stage::Before(Lead::Hours(n))),
            Just(Stage::Due),
            number.clone().prop_map(Stage::Overdue),
            number.prop_map(Stage::Quiet),
        ]
    }

    proptest! {
        #[test]
        fn a_stage_is_read_as_it_was_written(stage in stages()) {
            prop_assert_eq!(stage.to_string().parse(), Ok(stage));
        }

        #[test]
        fn only_canonical_text_is_a_stage(text in "(due|overdue|quiet)(-[0-9+]{0,3}[dh]?)?") {
            if let Ok(stage) = text.parse::<Stage>() {
                prop_assert_eq!(stage.to_string(), text);
            }
        }
    }
}
