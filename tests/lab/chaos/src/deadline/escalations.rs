//! Whether items that nobody moved were escalated as `docs/reminders.md` promises: once for each due date, to the right
//! person and in the channel, after the grace period, in working time, and not once they had moved.

use std::collections::{BTreeMap, BTreeSet};

use apgl_contract::reminders::{ReminderSettings, Reminders};
use apgl_reminders::{Escalation, WaitingItem, escalation, local_day, zone_named};
use apgl_stores::Escalating;
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use slack_sandbox::{admin::ChannelState, workspace::Message};

use super::{
    check::{Evidence, Findings, Published, item_of, latest_of, may_be_told, next_working_day},
    script::{Version, titles},
};

/// How each message begins that tells of an overdue item.
const OVERDUE: &str = "Overdue: ";

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum To {
    Person,
    Channel,
}

/// A message that tells of an overdue item.
#[derive(Debug)]
struct Told<'a> {
    to: To,
    /// The person's id or the channel's name.
    whom: &'a str,
    channel: &'a ChannelState,
    message: &'a Message,
    item: usize,
    version: u64,
    due: Date,
}

/// A time in which an item waits for somebody, in one state and with one due date.
#[derive(Debug)]
struct Silence<'a> {
    due: Date,
    versions: Vec<&'a Published>,
    /// The version that ended it.
    ended_by: Option<&'a Published>,
}

impl Evidence {
    pub fn check_escalations(&self, findings: &mut Findings) {
        let silences: Vec<Silence<'_>> = self
            .published
            .values()
            .flat_map(|of| silences(of))
            .collect();
        let told = self.told_of_overdue(findings);
        let mut copies: BTreeMap<(usize, Date, To), usize> = BTreeMap::new();
        for told in &told {
            let copies = copies.entry((told.item, told.due, told.to)).or_default();
            *copies += 1;
            if *copies > 1 {
                findings.twice += 1;
                findings.note_escalation("a second time", told);
            }
            match silences.iter().find(|silence| silence.has(told)) {
                Some(silence) => self.check_told(told, silence, findings),
                None => findings.is_strange("though it waits for nobody", told),
            }
        }
        findings.escalated = copies.keys().filter(|(_, _, to)| *to == To::Person).count();
        self.check_passed_over(findings);
        for silence in &silences {
            self.check_escalated(silence, &told, findings);
        }
    }

    fn told_of_overdue(&self, findings: &mut Findings) -> Vec<Told<'_>> {
        let people = self.leads.iter();
        let people = people.map(|(id, channel)| (To::Person, id.as_str(), channel));
        let channels = self.channels.iter();
        let channels = channels.map(|channel| (To::Channel, channel.name.as_str(), channel));
        let mut all = Vec::new();
        for (to, whom, channel) in people.chain(channels) {
            for message in &channel.messages {
                if !message.text.starts_with(OVERDUE) {
                    continue;
                }
                let named = titles(&message.text).into_iter().next();
                let due = named.and_then(|(item, version)| self.version(item, version)?.due);
                let (Some((item, version)), Some(due)) = (named, due) else {
                    findings.strange += 1;
                    let text = &message.text;
                    findings
                        .details
                        .push(format!("no version is known of: {text}"));
                    continue;
                };
                all.push(Told {
                    to,
                    whom,
                    channel,
                    message,
                    item,
                    version,
                    due,
                });
            }
        }
        all
    }

    fn version(&self, item: usize, number: u64) -> Option<&Version> {
        let versions = self.published.get(&item)?.iter();
        let mut versions = versions.map(|published| &published.version);
        versions.find(|version| version.number == number)
    }

    fn check_told(&self, told: &Told<'_>, silence: &Silence<'_>, findings: &mut Findings) {
        let sent_at = self.sent_at(&told.channel.id, told.message);
        let its = self.escalations.iter();
        let its = its.filter(|done| item_of(&done.request.item_id) == Some(told.item));
        let began = self.invocations_of(its.map(|done| done.arn.as_str()), sent_at);
        let moved_at = silence.ended_by.map(|by| by.recorded.1);
        if moved_at.is_some_and(|moved_at| findings.is_after(moved_at, &began)) {
            findings.note_escalation("after it had moved", told);
        }
        let shown = self
            .times
            .between(began.first().copied().unwrap_or(sent_at), sent_at);
        let is_early = |due: &(Timestamp, &Escalating)| shown.iter().all(|at| *at < due.0);
        if self.due(silence).is_none_or(|due| is_early(&due)) {
            findings.too_early += 1;
            findings.note_escalation(&format!("too early, at {shown:?}"), told);
        }
        if told.to == To::Channel {
            let own = &self.channels[told.item % self.channels.len()];
            if told.whom != own.name {
                findings.is_strange("though the item belongs in another channel", told);
            }
            return;
        }
        let zones = silence.rows().map(|row| zone_named(&row.zone));
        let is_working_time = |zone: TimeZone| shown.iter().any(|at| may_be_told(*at, &zone));
        if !zones.into_iter().any(is_working_time) {
            findings.outside_hours += 1;
            findings.note_escalation(&format!("outside working hours, at {shown:?}"), told);
        }
        let lead = silence.first().lead();
        if lead.as_deref() != Some(told.whom) {
            findings.is_strange(
                "to somebody else than the first who may be written to",
                told,
            );
        }
    }

    /// Whether the outcomes say who was passed over.
    fn check_passed_over(&self, findings: &mut Findings) {
        for done in self
            .escalations
            .iter()
            .filter(|done| done.outcome.told.is_some())
        {
            let item = item_of(&done.request.item_id);
            let first = item.and_then(|item| self.version(item, 1));
            let skipped = done.outcome.skipped.iter();
            let skipped: BTreeSet<String> =
                skipped.map(|one| one.email.as_str().to_owned()).collect();
            if first.map(Version::passed_over) != Some(skipped) {
                findings.strange += 1;
                let line = format!("{} does not say who was passed over", done.arn);
                findings.details.push(line);
            }
        }
    }

    /// Whether the item was escalated in time, if nobody moved it.
    fn check_escalated(&self, silence: &Silence<'_>, told: &[Told<'_>], findings: &mut Findings) {
        let first = silence.first();
        if first.reminders().is_none() {
            return;
        }
        if !self.is_planned(silence) {
            findings.not_planned += 1;
            let rows: Vec<_> = silence.rows().collect();
            findings.details.push(format!(
                "the escalation of {first:?} is not planned: {rows:?}"
            ));
            return;
        }
        let Some((at, row)) = self.due(silence) else {
            return;
        };
        let until = silence
            .ended_by
            .map_or(self.times.last(), |by| self.times.earliest(by.recorded.0));
        let latest = self.latest_escalation(silence, at, row);
        if latest >= until {
            return;
        }
        findings.expected_escalations += 1;
        for to in [To::Person, To::Channel] {
            let is_it = |told: &&Told<'_>| {
                let is_same = (told.item, told.due, told.to) == (first.item, silence.due, to);
                is_same
                    && self
                        .times
                        .latest(self.sent_at(&told.channel.id, told.message))
                        <= latest
            };
            if !told.iter().any(|told| is_it(&told)) {
                findings.missed += 1;
                findings.details.push(format!(
                    "i{} was not escalated to the {to:?} by {latest}: it was due at {at}, and waits until {until}",
                    first.item
                ));
            }
        }
    }

    /// Whether the table says of each version what it has to say.
    fn is_planned(&self, silence: &Silence<'_>) -> bool {
        let first = silence.versions[0];
        let (entered, left) = first.planned.unwrap_or_default();
        let begins = self.times.between(entered, left);
        silence.versions.iter().all(|published| {
            let version = &published.version;
            let person = version.waiting_for.first().map(|n| &self.people[*n]);
            published.escalating.as_ref().is_some_and(|row| {
                // In a state to which it returns within one due date, the item has waited since it first came there.
                let before = self.published[&version.item].iter();
                let mut before = before.take_while(|one| one.version.number < version.number);
                let is_known = before.any(|one| {
                    let known = one.escalating.as_ref();
                    !one.version.has_moved_since(version)
                        && known.is_some_and(|known| known.since == row.since)
                });
                row.state.as_str() == version.state
                    && Some(row.due_date.date()) == version.due
                    && person.is_some_and(|person| person.zone_name == row.zone)
                    && (is_known || begins.contains(&row.since))
            })
        })
    }

    /// When the item is to be escalated if nothing ever fails, and by which row of the table.
    fn due<'a>(&self, silence: &Silence<'a>) -> Option<(Timestamp, &'a Escalating)> {
        let begins: Vec<Timestamp> = silence
            .versions
            .iter()
            .map(|one| self.begins(one))
            .collect();
        for (n, published) in silence.versions.iter().enumerate() {
            let row = published.escalating.as_ref()?;
            let at = due_at(&published.version, row, begins[n])?;
            if begins.get(n + 1).is_none_or(|next| at < *next) {
                return Some((at, row));
            }
        }
        None
    }

    fn begins(&self, published: &Published) -> Timestamp {
        self.times.earliest(published.planned.unwrap_or_default().0)
    }

    /// By when somebody must have been told. What fails at the end of a day is tried again the next working day.
    fn latest_escalation(
        &self,
        silence: &Silence<'_>,
        at: Timestamp,
        row: &Escalating,
    ) -> Timestamp {
        let zone = zone_named(&row.zone);
        let id = silence.first().item_id();
        let is_held_up = |day: Date| self.held_up.contains(&(id.clone(), day));
        let mut day = local_day(at, &zone);
        let planned_at = silence.versions.iter().filter_map(|one| one.planned);
        let planned_at = planned_at.map(|(_, left)| left).max().unwrap_or_default();
        if !self.was_swept_in_time(at, planned_at) {
            day = next_working_day(day);
        }
        while is_held_up(day) {
            day = next_working_day(day);
        }
        latest_of(day, &zone)
    }
}

impl<'a> Silence<'a> {
    fn first(&self) -> &'a Version {
        &self.versions[0].version
    }

    /// The rows of the table, of each version that has one.
    fn rows(&self) -> impl Iterator<Item = &'a Escalating> {
        self.versions
            .iter()
            .filter_map(|one| one.escalating.as_ref())
    }

    fn has(&self, told: &Told<'_>) -> bool {
        let is_its =
            |one: &&Published| (one.version.item, one.version.number) == (told.item, told.version);
        self.versions.iter().any(is_its)
    }
}

impl Findings {
    fn is_strange(&mut self, what: &str, told: &Told<'_>) {
        self.strange += 1;
        self.note_escalation(what, told);
    }

    fn note_escalation(&mut self, what: &str, told: &Told<'_>) {
        let Told {
            to, whom, message, ..
        } = told;
        let Message { ts, text, .. } = message;
        self.details
            .push(format!("the {to:?} {whom} was told {what}: {ts} {text}"));
    }
}

/// The times in which an item waits for somebody and has a due date.
fn silences(versions: &[Published]) -> Vec<Silence<'_>> {
    let mut silences: Vec<Silence<'_>> = Vec::new();
    let mut before: Option<&Version> = None;
    for published in versions {
        let version = &published.version;
        let waits = !version.waiting_for.is_empty();
        let goes_on = before.is_some_and(|before| {
            waits && !before.waiting_for.is_empty() && !version.has_moved_since(before)
        });
        before = Some(version);
        match silences.last_mut() {
            Some(last) if last.ended_by.is_none() && goes_on => {
                last.versions.push(published);
                continue;
            }
            Some(last) if last.ended_by.is_none() => last.ended_by = Some(published),
            _ => {}
        }
        if let Some(due) = version.due.filter(|_| waits) {
            silences.push(Silence {
                due,
                versions: vec![published],
                ended_by: None,
            });
        }
    }
    silences
}

/// When an item is to be escalated that begins to wait at `begins`.
fn due_at(version: &Version, row: &Escalating, begins: Timestamp) -> Option<Timestamp> {
    let own: Option<ReminderSettings> = serde_json::from_value(version.reminders()?).ok();
    let rules = Reminders::default().of(&version.state, own.as_ref());
    let zone = zone_named(&row.zone);
    let item = WaitingItem {
        due_day: version.due.max(Some(local_day(row.since, &zone))),
        waiting_since: row.since,
        snoozed_until: None,
    };
    let zone = zone.into();
    let mut at = begins;
    loop {
        match escalation(&item, &rules, at, &zone, false)? {
            Escalation::Due => return Some(at),
            Escalation::LookAt(next) => at = next,
        }
    }
}

#[cfg(test)]
mod tests {
    use apgl_stores::UtcHour;
    use jiff::civil::date;
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::deadline::{
        check::{
            Sweep,
            tests::{SECOND, channel, evidence, published, time},
        },
        clock::{Micros, Times},
        executions::{Done, Escalate},
    };

    /// When both messages were posted, and when the invocation began that did it.
    const SENT: Micros = 5_010 * SECOND;
    const BEGAN: Micros = 5_009 * SECOND;

    /// Who is told of the item.
    const LEAD: &str = "UDEADLINELEAD2";

    fn message() -> Message {
        Message {
            ts: format!("{}.000000", SENT / SECOND),
            text: "Overdue: i7v1 (due <!date^1^{date_short}|10 March>), waiting for ana".to_owned(),
            ..Message::default()
        }
    }

    fn told(id: &str) -> ChannelState {
        ChannelState {
            messages: vec![message()],
            ..channel(id)
        }
    }

    /// An item was due on Wednesday, nobody moved it, and on Friday at 17:00 in Berlin somebody else is told.
    fn escalated() -> Evidence {
        let mut run = evidence();
        for (at, seconds) in [
            ("2027-03-12T15:50:00Z", 4_900),
            ("2027-03-12T16:00:00Z", 5_000),
            ("2027-03-12T16:30:00Z", 6_000),
            ("2027-03-12T17:00:00Z", 7_000),
        ] {
            run.times.show(time(at), seconds * SECOND, seconds * SECOND);
        }
        run.sweeps.push(Sweep {
            began: 4_900 * SECOND,
            calendar: time("2027-03-12T15:50:00Z"),
            swept: Some(UtcHour::of(time("2027-03-12T16:00:00Z"))),
        });
        let outcome = json!({
            "escalated": true, "told": "deadline-lead-2@example.com",
            "message": { "ts": message().ts, "duplicate": false }, "skipped": [],
        });
        let item_id = "deadline-7".to_owned().try_into().unwrap();
        run.escalations = vec![Done {
            arn: "escalation".to_owned(),
            request: Escalate { item_id },
            outcome: serde_json::from_value(outcome).unwrap(),
        }];
        run.posting.insert("escalation".to_owned(), vec![BEGAN]);
        run.leads = [(LEAD.to_owned(), told("D2"))].into();
        run.channels = vec![told("C1")];
        run
    }

    fn planned(run: &mut Evidence) -> &mut Escalating {
        let versions = run.published.get_mut(&7).unwrap();
        versions[0].escalating.as_mut().unwrap()
    }

    fn found(run: &Evidence) -> Findings {
        let mut findings = Findings::default();
        run.check_escalations(&mut findings);
        findings
    }

    #[test]
    fn an_escalation_without_violations_is_found_to_have_none() {
        let expected = Findings {
            escalated: 1,
            expected_escalations: 1,
            ..Findings::default()
        };
        assert_eq!(found(&escalated()), expected);
    }

    #[rstest]
    #[case::told_twice(|run: &mut Evidence| run.leads.get_mut(LEAD).unwrap().messages.push(message()), |found: &Findings| found.twice)]
    #[case::posted_twice(|run: &mut Evidence| run.channels[0].messages.push(message()), |found: &Findings| found.twice)]
    #[case::of_an_unknown_item(
        |run: &mut Evidence| run.channels[0].messages[0].text = "Overdue: i8v1".to_owned(),
        |found: &Findings| found.strange,
    )]
    #[case::to_somebody_else(
        |run: &mut Evidence| run.leads = [("UDEADLINELEAD1".to_owned(), told("D3"))].into(),
        |found: &Findings| found.strange,
    )]
    #[case::in_another_channel(
        |run: &mut Evidence| {
            let told = std::mem::replace(&mut run.channels[0], channel("C0"));
            run.channels.push(channel("C1"));
            run.channels.push(told);
            run.channels[2].name = "C2".to_owned();
        },
        |found: &Findings| found.strange,
    )]
    #[case::passed_over_without_a_word(
        |run: &mut Evidence| {
            let skipped = json!([{ "email": "deadline-lead-0@example.com", "reason": "opted_out" }]);
            run.escalations[0].outcome.skipped = serde_json::from_value(skipped).unwrap();
        },
        |found: &Findings| found.strange,
    )]
    #[case::not_the_person(|run: &mut Evidence| run.leads.clear(), |found: &Findings| found.missed)]
    #[case::not_the_channel(|run: &mut Evidence| run.channels.clear(), |found: &Findings| found.missed)]
    #[case::not_planned(
        |run: &mut Evidence| run.published.get_mut(&7).unwrap()[0].escalating = None,
        |found: &Findings| found.not_planned,
    )]
    #[case::planned_in_another_zone(
        |run: &mut Evidence| planned(run).zone = "UTC".to_owned(),
        |found: &Findings| found.not_planned,
    )]
    #[case::planned_since_another_time(
        |run: &mut Evidence| planned(run).since = time("2027-03-09T08:00:00Z"),
        |found: &Findings| found.not_planned,
    )]
    fn a_violation_is_found(
        #[case] violate: fn(&mut Evidence),
        #[case] count: fn(&Findings) -> usize,
    ) {
        let mut run = escalated();
        violate(&mut run);
        assert_eq!(count(&found(&run)), 1);
    }

    #[test]
    fn both_messages_are_too_late_after_a_move_and_too_early_within_the_grace_period() {
        let mut run = escalated();
        let versions = run.published.get_mut(&7).unwrap();
        versions.push(published(2, BEGAN - 5 * SECOND));
        assert_eq!(found(&run).after_move, 2);
        let mut run = escalated();
        run.times = Times::default();
        run.times.show(time("2027-03-08T08:00:00Z"), 0, 0);
        run.times
            .show(time("2027-03-12T10:00:00Z"), SENT - SECOND, SENT - SECOND);
        assert_eq!(found(&run).too_early, 2);
        assert_eq!(found(&run).outside_hours, 0);
    }

    #[test]
    fn only_the_person_must_not_be_told_outside_working_hours() {
        let mut run = escalated();
        run.times = Times::default();
        for (at, shown) in [
            ("2027-03-08T08:00:00Z", 0),
            ("2027-03-12T20:00:00Z", SENT - SECOND),
        ] {
            run.times.show(time(at), shown, shown);
        }
        assert_eq!(found(&run).outside_hours, 1);
    }

    #[test]
    fn what_was_held_up_may_come_on_the_next_working_day() {
        let mut run = escalated();
        run.leads.clear();
        run.channels.clear();
        let friday = date(2027, 3, 12);
        run.held_up.insert(("deadline-7".to_owned(), friday));
        assert_eq!(found(&run).missed, 0);
        run.times
            .show(time("2027-03-15T17:00:00Z"), 9_000 * SECOND, 9_000 * SECOND);
        assert_eq!(found(&run).missed, 2);
    }
}
