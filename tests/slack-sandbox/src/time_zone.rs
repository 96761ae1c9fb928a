//! Time zones by their IANA names, as Slack shows them.

use jiff::{Timestamp, tz::TimeZone};

/// The time zone of a user whose seed names none.
pub const DEFAULT: &str = "Etc/UTC";
/// What the name of a time zone must be.
pub(crate) const RULE: &str = "must be the name of an IANA time zone, for example Europe/Berlin";

/// The long names that Slack shows. An abbreviation can stand for several time zones, which differ in their offset, here
/// in minutes.
const LABELS: &[(&str, i32, &str)] = &[
    ("UTC", 0, "Coordinated Universal Time"),
    ("GMT", 0, "Greenwich Mean Time"),
    ("BST", 60, "British Summer Time"),
    ("IST", 60, "Irish Standard Time"),
    ("WET", 0, "Western European Time"),
    ("WEST", 60, "Western European Summer Time"),
    ("CET", 60, "Central European Time"),
    ("CEST", 120, "Central European Summer Time"),
    ("EET", 120, "Eastern European Time"),
    ("EEST", 180, "Eastern European Summer Time"),
    ("MSK", 180, "Moscow Standard Time"),
    ("IST", 120, "Israel Standard Time"),
    ("IDT", 180, "Israel Daylight Time"),
    ("WAT", 60, "West Africa Time"),
    ("CAT", 120, "Central Africa Time"),
    ("SAST", 120, "South Africa Standard Time"),
    ("EAT", 180, "East Africa Time"),
    ("PKT", 300, "Pakistan Standard Time"),
    ("IST", 330, "India Standard Time"),
    ("CST", 480, "China Standard Time"),
    ("HKT", 480, "Hong Kong Standard Time"),
    ("AWST", 480, "Australian Western Standard Time"),
    ("JST", 540, "Japan Standard Time"),
    ("KST", 540, "Korean Standard Time"),
    ("ACST", 570, "Australian Central Standard Time"),
    ("ACDT", 630, "Australian Central Daylight Time"),
    ("AEST", 600, "Australian Eastern Standard Time"),
    ("AEDT", 660, "Australian Eastern Daylight Time"),
    ("NZST", 720, "New Zealand Standard Time"),
    ("NZDT", 780, "New Zealand Daylight Time"),
    ("NST", -210, "Newfoundland Standard Time"),
    ("NDT", -150, "Newfoundland Daylight Time"),
    ("AST", -240, "Atlantic Standard Time"),
    ("ADT", -180, "Atlantic Daylight Time"),
    ("EST", -300, "Eastern Standard Time"),
    ("EDT", -240, "Eastern Daylight Time"),
    ("CST", -360, "Central Standard Time"),
    ("CDT", -300, "Central Daylight Time"),
    ("MST", -420, "Mountain Standard Time"),
    ("MDT", -360, "Mountain Daylight Time"),
    ("PST", -480, "Pacific Standard Time"),
    ("PDT", -420, "Pacific Daylight Time"),
    ("AKST", -540, "Alaska Standard Time"),
    ("AKDT", -480, "Alaska Daylight Time"),
    ("HST", -600, "Hawaii Standard Time"),
];

/// The time zone with exactly this name, if there is one.
pub fn named(name: &str) -> Option<TimeZone> {
    // The database ignores case, but a name in another case is not the IANA name.
    let zone = TimeZone::get(name).ok()?;
    (zone.iana_name() == Some(name)).then_some(zone)
}

/// Slack's `tz_label` and `tz_offset`: the zone's long name at this time, and how many seconds it is ahead of UTC. A zone
/// without a well-known long name is named after its city, for example `Sao Paulo Time`.
pub(crate) fn label_and_offset(zone: &TimeZone, at: Timestamp) -> (String, i32) {
    let info = zone.to_offset_info(at);
    let seconds = info.offset().seconds();
    let known = LABELS
        .iter()
        .find(|(abbreviation, minutes, _)| {
            *abbreviation == info.abbreviation() && minutes * 60 == seconds
        })
        .map(|(_, _, label)| (*label).to_owned());
    (known.unwrap_or_else(|| named_after_its_city(zone)), seconds)
}

fn named_after_its_city(zone: &TimeZone) -> String {
    let name = zone.iana_name().unwrap_or_default();
    let city = name.rsplit('/').next().unwrap_or(name);
    format!("{} Time", city.replace('_', " "))
}
