//! The people of a run, its items, and how the items move: drawn from the seed before the run begins.

use std::collections::BTreeSet;

use apgl_client::Operation;
use apgl_contract::Email;
use fastrand::Rng;
use jiff::{
    Timestamp, ToSpan,
    civil::{Date, DateTime, Time, date},
    tz::TimeZone,
};
use serde_json::{Value, json};

use crate::{Error, caller::Event};

/// Some of them are not whole hours away from UTC, and some change their clocks within the ten days.
const ZONES: [&str; 7] = [
    "Etc/UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Pacific/Auckland",
    "America/St_Johns",
];
/// A Monday. America changes its clocks on the Sunday after it.
const FIRST_DAY: Date = date(2027, 3, 8);
/// Who is told of items that nobody moves. The first of them wants no messages.
const LEADS: usize = 4;
/// An address that Slack does not know.
pub(crate) const STRANGER: &str = "deadline-stranger@example.com";
/// Of so many items, nobody is told of one.
const NEVER_ESCALATED: usize = 4;
const STATES: [&str; 4] = ["in_review", "translation", "copyediting", "approved"];
/// The minutes of an hour to which the calendar is set. All zones open and close at one of the first four.
pub(crate) const MINUTES: [i64; 5] = [0, 15, 30, 45, 50];
/// Items begin and move so many minutes after each other, which is at other minutes of each hour.
const BETWEEN_MOVES: i64 = 125;
/// All items begin at one of so many times, so that some wait for days.
const FIRST_TIMES: i64 = 12;
const OPENING: Time = Time::constant(9, 0, 0, 0);
const CLOSING: Time = Time::constant(17, 0, 0, 0);

#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub email: String,
    pub user_id: String,
    pub zone_name: &'static str,
    pub zone: TimeZone,
}

impl Person {
    fn in_zone(email: String, user_id: String, zone: usize) -> Result<Self, Error> {
        let zone_name = ZONES[zone % ZONES.len()];
        let zone = TimeZone::get(zone_name);
        Ok(Self {
            email,
            user_id,
            zone_name,
            zone: zone.map_err(|error| Error::Setup(error.to_string()))?,
        })
    }

    pub fn address(&self) -> Option<Email> {
        self.email.clone().try_into().ok()
    }
}

/// An item in one of its versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Version {
    pub item: usize,
    /// From 1.
    pub number: u64,
    pub state: String,
    pub due: Option<Date>,
    /// The people, by their indexes.
    pub waiting_for: BTreeSet<usize>,
}

#[derive(Debug)]
pub(crate) struct Script {
    pub begins: Timestamp,
    pub people: Vec<Person>,
    pub leads: Vec<Person>,
    pub channels: Vec<String>,
    /// When each version of each item is to be published, in the order of time.
    pub versions: Vec<(Timestamp, Version)>,
}

impl Script {
    pub fn draw(seed: u64, items: usize, people: usize, days: i64) -> Result<Self, Error> {
        let leads = (0..LEADS).map(|n| Person::in_zone(lead_email(n), lead_id(n), n));
        let people = (0..people).map(|n| {
            let email = format!("deadline-{n}@example.com");
            Person::in_zone(email, format!("UDEADLINE{n}"), n)
        });
        let begins = instant(FIRST_DAY.at(0, 0, 0, 0), &TimeZone::UTC);
        let channels = (0..items.div_ceil(25)).map(|n| format!("deadline-{n}"));
        let mut script = Self {
            begins,
            people: people.collect::<Result<_, Error>>()?,
            leads: leads.collect::<Result<_, Error>>()?,
            channels: channels.collect(),
            versions: Vec::new(),
        };
        let mut rng = Rng::with_seed(seed);
        for item in 0..items {
            script.draw_item(&mut rng, item, days);
        }
        // Stable, so an item's versions stay in their order.
        script.versions.sort_by_key(|(at, _)| *at);
        Ok(script)
    }

    fn draw_item(&mut self, rng: &mut Rng, item: usize, days: i64) {
        let mut version = Version {
            item,
            number: 1,
            state: STATES[0].to_owned(),
            due: due(rng, days),
            waiting_for: self.draw_people(rng),
        };
        let mut at = self.draw_time_of(rng, FIRST_TIMES);
        let moves = rng.choice([0, 0, 1, 1, 2]).unwrap_or_default();
        let mut moves: Vec<Timestamp> = (0..moves)
            .map(|_| self.draw_time(rng, &version, days))
            .filter(|later| *later > at)
            .collect();
        moves.sort();
        self.versions.push((at, version.clone()));
        for later in moves {
            self.draw_move(rng, &mut version, days);
            at = at.max(later);
            self.versions.push((at, version.clone()));
        }
    }

    /// Every other time is when the person's working time begins or ends, or right before that: when the item might be
    /// due.
    fn draw_time(&self, rng: &mut Rng, version: &Version, days: i64) -> Timestamp {
        let person = rng.choice(&version.waiting_for);
        match person {
            Some(person) if rng.bool() => {
                let day = FIRST_DAY + rng.i64(0..days).days();
                let time = if rng.bool() { OPENING } else { CLOSING };
                let at = instant(day.to_datetime(time), &self.people[*person].zone);
                round(at - rng.choice([0, 10]).unwrap_or_default().minutes())
            }
            _ => self.draw_time_of(rng, days * 24 * 60 / BETWEEN_MOVES),
        }
    }

    fn draw_time_of(&self, rng: &mut Rng, times: i64) -> Timestamp {
        round(self.begins + (BETWEEN_MOVES * rng.i64(0..times)).minutes())
    }

    fn draw_move(&self, rng: &mut Rng, version: &mut Version, days: i64) {
        version.number += 1;
        match rng.u32(..100) {
            0..45 => {
                let others = STATES.iter().filter(|state| **state != version.state);
                let other = rng.choice(others.collect::<Vec<_>>());
                version.state = other.map(ToString::to_string).unwrap_or_default();
                if version.waiting_for.is_empty() || rng.bool() {
                    version.waiting_for = self.draw_people(rng);
                }
            }
            45..60 => version.due = due(rng, days),
            60..75 => version.waiting_for = self.draw_people(rng),
            75..90 => {
                "published".clone_into(&mut version.state);
                version.waiting_for.clear();
            }
            // Only its title changes.
            _ => {}
        }
    }

    fn draw_people(&self, rng: &mut Rng) -> BTreeSet<usize> {
        let count = match rng.u32(..100) {
            0..5 => 0,
            5..75 => 1,
            _ => 2,
        };
        (0..count).map(|_| rng.usize(..self.people.len())).collect()
    }

    /// The event that publishes this version.
    pub fn event(&self, version: &Version) -> Event {
        let people = version.waiting_for.iter();
        let people: Vec<&str> = people.map(|n| self.people[*n].email.as_str()).collect();
        let mut request = json!({
            "itemId": version.item_id(), "version": version.number,
            "channelName": self.channels[version.item % self.channels.len()],
            "visibility": "public", "ownChannel": false,
            "title": version.title(), "state": version.state, "waitingFor": people,
        });
        if let Some(due) = version.due {
            request["dueDate"] = Value::from(due.to_string());
        }
        if let Some(reminders) = version.reminders() {
            request["reminders"] = reminders;
        }
        Event {
            operation: Operation::UpdateItem,
            key: version.title(),
            request,
        }
    }
}

impl Version {
    pub fn item_id(&self) -> String {
        format!("deadline-{}", self.item)
    }

    /// The item's own settings: when it is escalated, and to whom.
    pub fn reminders(&self) -> Option<Value> {
        let lead = lead_email(lead_of(self.item)?);
        let passed_over = self.passed_over().into_iter();
        let escalate_to: Vec<String> = passed_over.chain([lead]).collect();
        Some(json!({
            "escalateTo": escalate_to,
            "escalateAfterWorkingDays": 1 + self.item % 2,
        }))
    }

    /// The Slack id of who is told if nobody moves the item.
    pub fn lead(&self) -> Option<String> {
        lead_of(self.item).map(lead_id)
    }

    /// Those who come first, and may not be written to.
    pub fn passed_over(&self) -> BTreeSet<String> {
        if self.item.is_multiple_of(3) {
            [lead_email(0), STRANGER.to_owned()].into()
        } else {
            BTreeSet::new()
        }
    }

    /// Its title says which version of which item it is, so that a message shows this too.
    pub fn title(&self) -> String {
        title(self.item, self.number)
    }

    /// Whether the item has moved between these versions for a person for whom it waits in both.
    pub fn has_moved_since(&self, before: &Self) -> bool {
        self.state != before.state || self.due != before.due
    }
}

/// The index of who is told if nobody moves the item.
fn lead_of(item: usize) -> Option<usize> {
    (!item.is_multiple_of(NEVER_ESCALATED)).then_some(1 + item % (LEADS - 1))
}

fn lead_email(n: usize) -> String {
    format!("deadline-lead-{n}@example.com")
}

fn lead_id(n: usize) -> String {
    format!("UDEADLINELEAD{n}")
}

fn title(item: usize, version: u64) -> String {
    format!("i{item}v{version}")
}

/// The item and version of a title in a message's text.
pub(crate) fn titles(text: &str) -> BTreeSet<(usize, u64)> {
    let words = text.split_whitespace();
    let titles = words.filter_map(|word| {
        let (item, version) = word.strip_prefix('i')?.split_once('v')?;
        Some((item.parse().ok()?, version.parse().ok()?))
    });
    titles.collect()
}

/// Four of five items have a due date.
fn due(rng: &mut Rng, days: i64) -> Option<Date> {
    (rng.u32(..5) > 0).then(|| FIRST_DAY + rng.i64(0..days + 3).days())
}

/// The last instant until then to which the calendar is set.
fn round(at: Timestamp) -> Timestamp {
    let minute = at.as_second().div_euclid(60).rem_euclid(60);
    let until = MINUTES.into_iter().filter(|one| *one <= minute).max();
    at - (minute - until.unwrap_or_default()).minutes()
}

fn instant(time: DateTime, zone: &TimeZone) -> Timestamp {
    zone.to_timestamp(time).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_items() {
        let versions = |seed| Script::draw(seed, 50, 7, 10).unwrap().versions;
        assert_eq!(versions(1), versions(1));
        assert_ne!(versions(1), versions(2));
        assert!(versions(1).len() > 70);
    }

    #[test]
    fn a_message_shows_which_versions_it_is_about() {
        let text = "2 items wait for you: i17v3 (due <!date^1^{date_short}|8 March 2027>, today), i4v1 (due …)";
        assert_eq!(titles(text), [(17, 3), (4, 1)].into());
    }

    #[test]
    fn an_item_moves_when_the_calendar_is_set() {
        let at: Timestamp = "2027-03-08T03:05:00Z".parse().unwrap();
        assert_eq!(round(at).to_string(), "2027-03-08T03:00:00Z");
        let at: Timestamp = "2027-03-08T03:59:00Z".parse().unwrap();
        assert_eq!(round(at).to_string(), "2027-03-08T03:50:00Z");
    }
}
