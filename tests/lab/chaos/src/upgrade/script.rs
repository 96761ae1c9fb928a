//! The items of an update: their versions, when these are published, and what people are reminded of.

use std::collections::BTreeMap;

use apgl_client::Operation;
use serde_json::{Value, json};

use crate::{caller::Event, notifications::Audience};

pub(super) const ITEMS: usize = 20;
pub(super) const PEOPLE: usize = 4;
pub(super) const CHANNELS: usize = 2;
/// What Slack refuses in which channel while the update runs: the first items' cards can't be updated, and the others'
/// can't be posted.
pub(super) const HELD: [(usize, &str); CHANNELS] = [(0, "chat.update"), (1, "chat.postMessage")];

/// Of so many items in a row, each is of another kind, and all wait for another person.
const KINDS: usize = 5;
const TUESDAY: &str = "2027-03-02";
const WEDNESDAY: &str = "2027-03-03";
const THURSDAY: &str = "2027-03-04";
const LATER: &str = "2027-03-16";

/// When a version is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// On Monday morning, long before the update.
    Morning,
    /// On Monday evening, right before the update.
    Evening,
    /// While the update runs.
    Meanwhile,
    /// After the update.
    Afterwards,
}

/// An item in one of its versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Version {
    pub item: usize,
    /// From 1.
    pub number: u64,
    state: &'static str,
    due: Option<&'static str>,
    /// The person for whom it waits.
    person: Option<usize>,
}

/// How often a person is reminded of a version, which its title identifies.
pub(super) type Reminded = BTreeMap<(usize, String), usize>;

/// The versions that are published in this phase.
pub(super) fn versions(phase: Phase) -> Vec<Version> {
    let versions = script().into_iter().filter(|(at, _)| *at == phase);
    versions.map(|(_, version)| version).collect()
}

/// The newest version of each item.
pub(super) fn newest() -> Vec<Version> {
    let newest: BTreeMap<usize, Version> = script()
        .into_iter()
        .map(|(_, version)| (version.item, version))
        .collect();
    newest.into_values().collect()
}

/// The reminders until Wednesday, 09:00.
pub(super) fn reminders(with_those_of_monday: bool) -> Reminded {
    let mut reminders = Reminded::new();
    let mut add = |version: &Version, times| {
        if let Some(person) = version.person.filter(|_| times > 0) {
            *reminders.entry((person, version.title())).or_default() += times;
        }
    };
    if with_those_of_monday {
        for version in versions(Phase::Morning) {
            // 24 hours before, and three days before.
            let is_due = matches!(version.due, Some(TUESDAY | THURSDAY));
            add(&version, usize::from(is_due));
        }
    }
    for version in newest() {
        let times = match version.due {
            // When it is due, and the next morning.
            Some(TUESDAY) => 2,
            // 24 hours before.
            Some(WEDNESDAY) => 1,
            _ => 0,
        };
        add(&version, times);
    }
    reminders
}

/// The titles of versions in a message's text.
pub(super) fn titles_in(text: &str) -> Vec<String> {
    let titles = script().into_iter().map(|(_, version)| version.title());
    titles.filter(|title| text.contains(title)).collect()
}

/// All versions. Those of an item are in their order.
fn script() -> Vec<(Phase, Version)> {
    let mut script = Vec::new();
    for item in 0..ITEMS {
        let first = Version::first(item);
        let second = first.next();
        let phase = if first.channel() == 0 {
            Phase::Morning
        } else {
            Phase::Evening
        };
        let moved = second.moved();
        script.extend([(phase, first), (Phase::Evening, second)]);
        script.extend(moved);
    }
    script
}

impl Version {
    fn first(item: usize) -> Self {
        Self {
            item,
            number: 1,
            state: "in_review",
            due: match item % KINDS {
                0 | 4 => Some(TUESDAY),
                1 => Some(WEDNESDAY),
                2 => Some(THURSDAY),
                _ => None,
            },
            person: Some(item % PEOPLE),
        }
    }

    /// The next version, with another title and no other change.
    fn next(&self) -> Self {
        Self {
            number: self.number + 1,
            ..self.clone()
        }
    }

    /// The next version of the item if there is a third one, and when it is published.
    fn moved(&self) -> Option<(Phase, Self)> {
        let next = self.next();
        Some(match (self.item % KINDS, self.item / KINDS) {
            (3, _) => (Phase::Meanwhile, next),
            (4, 0) => {
                let done = Self {
                    state: "published",
                    person: None,
                    ..next
                };
                (Phase::Meanwhile, done)
            }
            (4, 1) => {
                let postponed = Self {
                    due: Some(LATER),
                    ..next
                };
                (Phase::Afterwards, postponed)
            }
            (4, 2) => {
                let handed_over = Self {
                    person: self.person.map(|person| (person + 1) % PEOPLE),
                    ..next
                };
                (Phase::Meanwhile, handed_over)
            }
            (4, _) => (Phase::Afterwards, next),
            _ => return None,
        })
    }

    pub fn id(&self) -> String {
        format!("upgrade:{}", self.item)
    }

    /// What all titles of the item begin with.
    pub fn name(&self) -> String {
        format!("Item {:02},", self.item)
    }

    /// Each version has another title.
    pub fn title(&self) -> String {
        format!("{} version {}", self.name(), self.number)
    }

    fn channel(&self) -> usize {
        self.item / (ITEMS / CHANNELS)
    }

    /// The address of the person for whom it waits.
    pub fn email<'a>(&self, audience: &'a Audience) -> Option<&'a str> {
        let person = self.person?;
        audience.people.get(person).map(String::as_str)
    }

    /// The event that publishes the version.
    pub fn event(&self, audience: &Audience) -> Event {
        let mut request = json!({
            "itemId": self.id(), "version": self.number,
            "channelName": audience.public[self.channel()],
            "visibility": "public", "ownChannel": false,
            "title": self.title(), "state": self.state,
            "waitingFor": Vec::from_iter(self.email(audience)),
        });
        if let Some(due) = self.due {
            request["dueDate"] = Value::from(due);
        }
        Event {
            operation: Operation::UpdateItem,
            key: self.title(),
            request,
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn items_are_published_before_during_and_after_the_update() {
        let count = |phase| versions(phase).len();
        assert_eq!(count(Phase::Morning) + count(Phase::Evening), 2 * ITEMS);
        assert_eq!(count(Phase::Meanwhile), 6);
        assert_eq!(count(Phase::Afterwards), 2);
        assert_eq!(newest().len(), ITEMS);
    }

    #[test]
    fn everybody_has_items_of_every_kind() {
        for person in 0..PEOPLE {
            let items = (0..ITEMS).map(Version::first);
            let its = items.filter(|version| version.person == Some(person));
            let kinds: std::collections::BTreeSet<usize> =
                its.map(|version| version.item % KINDS).collect();
            assert_eq!(kinds.len(), KINDS);
        }
    }

    #[rstest]
    #[case::due_then_overdue(0, "Item 00, version 2", 2)]
    #[case::a_day_before(1, "Item 01, version 2", 1)]
    #[case::handed_over(3, "Item 14, version 3", 2)]
    #[case::by_whom_it_was_handed_over(2, "Item 14, version 2", 0)]
    #[case::only_another_title(3, "Item 19, version 3", 2)]
    #[case::postponed(1, "Item 09, version 3", 0)]
    #[case::on_monday(0, "Item 00, version 1", 1)]
    #[case::published_after_mondays_reminder(2, "Item 10, version 1", 0)]
    fn people_are_reminded_of_what_is_due(
        #[case] person: usize,
        #[case] title: &str,
        #[case] times: usize,
    ) {
        let reminder = (person, title.to_owned());
        let reminders = reminders(true);
        assert_eq!(reminders.get(&reminder).copied().unwrap_or_default(), times);
    }

    #[test]
    fn a_message_shows_which_versions_it_is_about() {
        let text =
            "2 items wait for you: Item 10, version 2 (due today), Item 01, version 1 (due …)";
        let expected = ["Item 01, version 1", "Item 10, version 2"];
        assert_eq!(titles_in(text), expected);
    }
}
