//! When to remind, for each state of an item.
//!
//! ```json
//! {
//!   "default": { "beforeDue": ["3d", "24h"], "workingHours": { "from": "09:00", "to": "17:00" } },
//!   "states": { "in_review": { "overdue": 3 }, "published": { "off": true } }
//! }
//! ```
//!
//! Deserialising settings validates them. An error is the rule that a field breaks; [`crate::decode`] adds the field's
//! path.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::Deref,
};

use jiff::civil::{Time, Weekday};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error, Unexpected, Visitor},
};

use crate::{Item, Mentions, reminders::Lead};

const MAX_REMINDERS: u8 = 10;
const MAX_WORKING_DAYS: u8 = 30;

/// The settings of all items.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Reminders {
    /// The time zone of people whose own is unknown, by its IANA name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// What applies where a state has no settings of its own.
    pub default: ReminderSettings,
    /// What differs in a state, by the state's name.
    pub states: BTreeMap<String, ReminderSettings>,
}

impl Reminders {
    /// The rules for this item.
    pub fn of_item(&self, item: &Item) -> Rules {
        self.of(item.state.as_str(), item.reminders.as_ref())
    }

    /// The rules for an item in this state. Each field comes from the item's own settings, else from those of the
    /// state, else from the default.
    pub fn of(&self, state: &str, own: Option<&ReminderSettings>) -> Rules {
        let levels = [own, self.states.get(state), Some(&self.default)];
        let unset = ReminderSettings::default();
        let merged = levels.into_iter().flatten();
        merged.fold(unset, ReminderSettings::or).into()
    }
}

/// Settings as they are written. A field that is absent or `null` comes from more general settings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ReminderSettings {
    /// `true` for neither reminders nor escalation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub off: Option<bool>,
    /// How long before the due time to remind: at most 5 entries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before_due: Option<Leads>,
    /// Whether to remind at the due time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_due: Option<bool>,
    /// The largest number of reminders after the due time: 0 to 10.
    #[serde(
        deserialize_with = "up_to::<MAX_REMINDERS, _>",
        skip_serializing_if = "Option::is_none"
    )]
    #[cfg_attr(feature = "schema", schemars(range(max = MAX_REMINDERS)))]
    pub overdue: Option<u8>,
    /// After how many working days without movement to remind of an item without a due day: 0 to 30; 0 for never.
    #[serde(
        deserialize_with = "up_to::<MAX_WORKING_DAYS, _>",
        skip_serializing_if = "Option::is_none"
    )]
    #[cfg_attr(feature = "schema", schemars(range(max = MAX_WORKING_DAYS)))]
    pub quiet_after_working_days: Option<u8>,
    /// The largest number of reminders of an item without a due day: 0 to 10.
    #[serde(
        deserialize_with = "up_to::<MAX_REMINDERS, _>",
        skip_serializing_if = "Option::is_none"
    )]
    #[cfg_attr(feature = "schema", schemars(range(max = MAX_REMINDERS)))]
    pub quiet: Option<u8>,
    /// How many working days after the due time to escalate: 0 to 30; 0 for never.
    #[serde(
        deserialize_with = "up_to::<MAX_WORKING_DAYS, _>",
        skip_serializing_if = "Option::is_none"
    )]
    #[cfg_attr(feature = "schema", schemars(range(max = MAX_WORKING_DAYS)))]
    pub escalate_after_working_days: Option<u8>,
    /// Whom to tell then: the first of them who may be written to. At most 50.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub escalate_to: Option<Mentions>,
    /// When people work, in their own wall time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_hours: Option<WorkingHours>,
    /// The days on which people work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_days: Option<WorkingDays>,
}

impl ReminderSettings {
    /// These settings, completed by more general ones.
    #[must_use]
    pub fn or(self, general: &Self) -> Self {
        let general = general.clone();
        Self {
            off: self.off.or(general.off),
            before_due: self.before_due.or(general.before_due),
            at_due: self.at_due.or(general.at_due),
            overdue: self.overdue.or(general.overdue),
            quiet_after_working_days: self
                .quiet_after_working_days
                .or(general.quiet_after_working_days),
            quiet: self.quiet.or(general.quiet),
            escalate_after_working_days: self
                .escalate_after_working_days
                .or(general.escalate_after_working_days),
            escalate_to: self.escalate_to.or(general.escalate_to),
            working_hours: self.working_hours.or(general.working_hours),
            working_days: self.working_days.or(general.working_days),
        }
    }
}

/// The settings that apply to an item, complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Whether there are neither reminders nor escalation. By default no.
    pub off: bool,
    /// How long before the due time to remind.
    pub before_due: Leads,
    /// Whether to remind at the due time. By default yes.
    pub at_due: bool,
    /// The largest number of reminders after the due time. By default 5.
    pub overdue: u8,
    /// After how many working days without movement to remind of an item without a due day; 0 for never. By default 3.
    pub quiet_after_working_days: u8,
    /// The largest number of reminders of an item without a due day. By default 5.
    pub quiet: u8,
    /// How many working days after the due time to escalate; 0 for never. By default 2.
    pub escalate_after_working_days: u8,
    /// Whom to tell then: the first of them who may be written to. By default nobody.
    pub escalate_to: Mentions,
    /// When people work, in their own wall time.
    pub working_hours: WorkingHours,
    /// The days on which people work.
    pub working_days: WorkingDays,
}

impl Default for Rules {
    fn default() -> Self {
        ReminderSettings::default().into()
    }
}

/// What is not set has its default.
impl From<ReminderSettings> for Rules {
    fn from(settings: ReminderSettings) -> Self {
        Self {
            off: settings.off.unwrap_or(false),
            before_due: settings.before_due.unwrap_or_default(),
            at_due: settings.at_due.unwrap_or(true),
            overdue: settings.overdue.unwrap_or(5),
            quiet_after_working_days: settings.quiet_after_working_days.unwrap_or(3),
            quiet: settings.quiet.unwrap_or(5),
            escalate_after_working_days: settings.escalate_after_working_days.unwrap_or(2),
            escalate_to: settings.escalate_to.unwrap_or_default(),
            working_hours: settings.working_hours.unwrap_or_default(),
            working_days: settings.working_days.unwrap_or_default(),
        }
    }
}

/// How long before the due time to remind: at most 5 lengths, the longest first. By default 3 days and 24 hours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Lead>", into = "Vec<Lead>")]
pub struct Leads(Vec<Lead>);

impl Leads {
    /// The largest number of entries.
    pub const MAX: usize = 5;
}

impl Default for Leads {
    fn default() -> Self {
        Self(vec![Lead::Days(3), Lead::Hours(24)])
    }
}

impl Deref for Leads {
    type Target = [Lead];

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl TryFrom<Vec<Lead>> for Leads {
    type Error = &'static str;

    fn try_from(mut leads: Vec<Lead>) -> Result<Self, Self::Error> {
        if leads.len() > Self::MAX {
            return Err("must have at most 5 entries");
        }
        let lengths: BTreeSet<u16> = leads.iter().map(|lead| lead.hours()).collect();
        if lengths.len() < leads.len() {
            return Err("must not have two entries of the same length, such as 1d and 24h");
        }
        leads.sort_by_key(|lead| lead.hours());
        leads.reverse();
        Ok(Self(leads))
    }
}

impl From<Leads> for Vec<Lead> {
    fn from(Leads(leads): Leads) -> Self {
        leads
    }
}

/// The working hours of a day, in the person's wall time: both ends belong to them. By default 09:00 to 17:00.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "FromTo", into = "FromTo")]
pub struct WorkingHours {
    from: Time,
    to: Time,
}

impl WorkingHours {
    /// When they begin.
    pub fn from(self) -> Time {
        self.from
    }

    /// When they end: later than they begin.
    pub fn to(self) -> Time {
        self.to
    }
}

impl Default for WorkingHours {
    fn default() -> Self {
        Self {
            from: Time::constant(9, 0, 0, 0),
            to: Time::constant(17, 0, 0, 0),
        }
    }
}

/// Working hours as they are written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FromTo {
    from: TimeOfDay,
    to: TimeOfDay,
}

impl TryFrom<FromTo> for WorkingHours {
    type Error = &'static str;

    fn try_from(FromTo { from, to }: FromTo) -> Result<Self, Self::Error> {
        let hours = Self {
            from: from.0,
            to: to.0,
        };
        let in_order = hours.from < hours.to;
        in_order.then_some(hours).ok_or("must end after they begin")
    }
}

impl From<WorkingHours> for FromTo {
    fn from(WorkingHours { from, to }: WorkingHours) -> Self {
        Self {
            from: TimeOfDay(from),
            to: TimeOfDay(to),
        }
    }
}

/// A time in hours and minutes, from `00:00` to `23:59`.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct TimeOfDay(Time);

impl TryFrom<String> for TimeOfDay {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let time = text.parse().ok().map(Self);
        // The parser also accepts seconds, and other forms.
        let time = time.filter(|time| String::from(*time) == text);
        time.ok_or("must be a time of day such as 09:00")
    }
}

impl From<TimeOfDay> for String {
    fn from(TimeOfDay(time): TimeOfDay) -> Self {
        format!("{:02}:{:02}", time.hour(), time.minute())
    }
}

/// The days of the week on which people work: at least one. By default Monday to Friday.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeSet<Day>", into = "BTreeSet<Day>")]
pub struct WorkingDays(BTreeSet<Day>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

impl WorkingDays {
    /// Whether people work on this day of the week.
    pub fn contains(&self, weekday: Weekday) -> bool {
        self.0.contains(&weekday.into())
    }
}

impl Default for WorkingDays {
    fn default() -> Self {
        Self([Day::Mon, Day::Tue, Day::Wed, Day::Thu, Day::Fri].into())
    }
}

impl TryFrom<BTreeSet<Day>> for WorkingDays {
    type Error = &'static str;

    fn try_from(days: BTreeSet<Day>) -> Result<Self, Self::Error> {
        if days.is_empty() {
            return Err("must not be empty");
        }
        Ok(Self(days))
    }
}

impl From<WorkingDays> for BTreeSet<Day> {
    fn from(WorkingDays(days): WorkingDays) -> Self {
        days
    }
}

impl From<Weekday> for Day {
    fn from(weekday: Weekday) -> Self {
        match weekday {
            Weekday::Monday => Self::Mon,
            Weekday::Tuesday => Self::Tue,
            Weekday::Wednesday => Self::Wed,
            Weekday::Thursday => Self::Thu,
            Weekday::Friday => Self::Fri,
            Weekday::Saturday => Self::Sat,
            Weekday::Sunday => Self::Sun,
        }
    }
}

/// Reads an optional integer from 0 to `MAX`.
fn up_to<'de, const MAX: u8, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<u8>, D::Error> {
    let number = Option::<UpTo<MAX>>::deserialize(deserializer)?;
    Ok(number.map(|UpTo(number)| number))
}

struct UpTo<const MAX: u8>(u8);

impl<'de, const MAX: u8> Deserialize<'de> for UpTo<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number<const MAX: u8>;

        impl<const MAX: u8> Visitor<'_> for Number<MAX> {
            type Value = UpTo<MAX>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "an integer from 0 to {MAX}")
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
                let in_range = u8::try_from(number).ok().filter(|number| *number <= MAX);
                let out_of_range = || E::invalid_value(Unexpected::Unsigned(number), &self);
                in_range.map(UpTo).ok_or_else(out_of_range)
            }
        }

        deserializer.deserialize_u8(Number::<MAX>)
    }
}

#[cfg(test)]
mod tests {
    use crate::decode;
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn read(settings: Value) -> ReminderSettings {
        decode(settings).unwrap()
    }

    fn written_out() -> Value {
        json!({
            "off": false,
            "beforeDue": ["3d", "24h"],
            "atDue": true,
            "overdue": 5,
            "quietAfterWorkingDays": 3,
            "quiet": 5,
            "escalateAfterWorkingDays": 2,
            "escalateTo": [],
            "workingHours": { "from": "09:00", "to": "17:00" },
            "workingDays": ["mon", "tue", "wed", "thu", "fri"],
        })
    }

    #[rstest]
    #[case::nothing(json!({}))]
    #[case::null(json!({ "overdue": null, "workingHours": null, "workingDays": null }))]
    #[case::all(written_out())]
    fn each_field_has_a_default(#[case] settings: Value) {
        assert_eq!(Rules::from(read(settings)), Rules::default());
    }

    #[rstest]
    #[case(json!({}))]
    #[case(json!({ "off": true, "beforeDue": [] }))]
    #[case(json!({ "workingHours": { "from": "00:00", "to": "23:59" }, "workingDays": ["sun"] }))]
    #[case(written_out())]
    fn settings_are_written_as_they_were_read(#[case] settings: Value) {
        let written = serde_json::to_value(read(settings.clone())).unwrap();
        assert_eq!(written, settings);
    }

    #[test]
    fn the_longest_lead_comes_first_and_a_day_counts_once() {
        let settings = read(
            json!({ "beforeDue": ["2h", "1d", "100h", "5d"], "workingDays": ["fri", "mon", "fri"] }),
        );
        let written =
            json!({ "beforeDue": ["5d", "100h", "1d", "2h"], "workingDays": ["mon", "fri"] });
        assert_eq!(serde_json::to_value(settings).unwrap(), written);
    }

    #[rstest]
    #[case(json!({ "overdue": 11 }), "overdue: must be an integer from 0 to 10")]
    #[case(json!({ "overdue": 300 }), "overdue: must be an integer from 0 to 10")]
    #[case(json!({ "overdue": -1 }), "overdue: must be an integer from 0 to 10")]
    #[case(json!({ "overdue": 1.5 }), "overdue: must be an integer from 0 to 10")]
    #[case(json!({ "quiet": "5" }), "quiet: must be an integer from 0 to 10")]
    #[case(json!({ "quietAfterWorkingDays": 31 }), "quietAfterWorkingDays: must be an integer from 0 to 30")]
    #[case(json!({ "escalateAfterWorkingDays": 31 }), "escalateAfterWorkingDays: must be an integer from 0 to 30")]
    #[case(json!({ "escalateTo": ["ana"] }), "escalateTo[0]: must be an e-mail address such as ana@example.com")]
    #[case(json!({ "beforeDue": ["1d", "2d", "3d", "4d", "5d", "6d"] }), "beforeDue: must have at most 5 entries")]
    #[case(json!({ "beforeDue": ["1d", "24h"] }), "beforeDue: must not have two entries of the same length, such as 1d and 24h")]
    #[case(json!({ "beforeDue": ["3d", "1w"] }), "beforeDue[1]: must be 1 to 255 days or hours, such as 3d or 24h")]
    #[case(json!({ "workingHours": { "from": "17:00", "to": "17:00" } }), "workingHours: must end after they begin")]
    #[case(json!({ "workingHours": { "from": "22:00", "to": "06:00" } }), "workingHours: must end after they begin")]
    #[case(json!({ "workingHours": { "from": "9:00", "to": "17:00" } }), "workingHours.from: must be a time of day such as 09:00")]
    #[case(json!({ "workingHours": { "from": "09:00", "to": "24:00" } }), "workingHours.to: must be a time of day such as 09:00")]
    #[case(json!({ "workingHours": { "from": "09:00", "to": "17:00:00" } }), "workingHours.to: must be a time of day such as 09:00")]
    #[case(json!({ "workingHours": { "from": "09:00" } }), "workingHours.to: is required")]
    #[case(json!({ "workingDays": [] }), "workingDays: must not be empty")]
    #[case(json!({ "workingDays": ["mon", "Tuesday"] }), "workingDays[1]: must be one of `mon`, `tue`, `wed`, `thu`, `fri`, `sat`, `sun`")]
    #[case(json!({ "off": "yes" }), "off: must be a boolean")]
    fn an_error_names_the_field_and_the_rule(#[case] settings: Value, #[case] expected: &str) {
        let invalid = decode::<ReminderSettings>(settings).unwrap_err();
        assert_eq!(invalid.to_string(), expected);
    }

    #[rstest]
    #[case(json!({ "states": { "in_review": { "overdue": 11 } } }), "states.in_review.overdue: must be an integer from 0 to 10")]
    #[case(json!({ "default": { "workingHours": { "from": "nine", "to": "17:00" } } }), "default.workingHours.from: must be a time of day such as 09:00")]
    fn an_error_names_the_state(#[case] reminders: Value, #[case] expected: &str) {
        let invalid = decode::<Reminders>(reminders).unwrap_err();
        assert_eq!(invalid.to_string(), expected);
    }

    #[rstest]
    #[case(json!({ "default": { "overDue": 1 } }), "default.overDue")]
    #[case(json!({ "state": {} }), "state")]
    fn an_unknown_field_is_refused(#[case] reminders: Value, #[case] field: &str) {
        let invalid = decode::<Reminders>(reminders).unwrap_err();
        assert_eq!(invalid.field, field);
        assert!(invalid.rule.starts_with("is not a known field"));
    }

    #[test]
    fn settings_are_merged_field_by_field() {
        let reminders: Reminders = decode(json!({
            "default": { "overdue": 4, "quiet": 4, "atDue": false, "workingDays": ["sat"] },
            "states": {
                "in_review": { "overdue": 3, "quiet": 3 },
                "published": { "off": true },
            },
        }))
        .unwrap();
        let own = read(json!({ "overdue": 2, "off": false }));

        let rules = reminders.of("in_review", Some(&own));
        assert_eq!((rules.overdue, rules.quiet, rules.at_due), (2, 3, false));
        assert_eq!(rules.before_due, Leads::default());
        assert!(rules.working_days.contains(Weekday::Saturday));
        assert!(!rules.working_days.contains(Weekday::Monday));

        assert_eq!(reminders.of("in_review", None).overdue, 3);
        assert_eq!(reminders.of("elsewhere", None).overdue, 4);
        assert!(reminders.of("published", None).off);
        assert!(!reminders.of("published", Some(&own)).off);
        assert_eq!(Reminders::default().of("any", None), Rules::default());
    }
}
