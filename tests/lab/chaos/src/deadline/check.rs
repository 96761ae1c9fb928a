//! Whether people were reminded as `docs/reminders.md` promises.
//!
//! | check | compares |
//! |---|---|
//! | once | the messages in Slack with each other: their metadata, items and stages |
//! | what it says | each message with the outcome of the execution that has sent it |
//! | not after a move | each message with the versions that were recorded before its invocation began |
//! | in working hours | when each message was sent, by the calendar, with its person's clock |
//! | not missed | the stages that a pure planner finds, which knows no faults, with those that were sent |
//!
//! Each is a method that [`Evidence::findings`] calls. [`super::escalations`] checks the same of escalations.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fmt::Write as _,
};

use apgl_contract::{
    Email, ItemId,
    outcome::{EscalateOutcome, MessageOutcome, RemindOutcome},
    reminders::{Reminders, Stage},
};
use apgl_reminders::{History, PersonZone, WaitingItem, is_working_time, local_day, plan};
use apgl_stores::{Escalating, UtcHour};
use jiff::{
    SignedDuration, Timestamp,
    civil::{Date, Time},
    tz::TimeZone,
};
use sha2::{Digest, Sha256};
use slack_sandbox::{admin::ChannelState, calls::Call, workspace::Message};

use super::{
    clock::{Micros, Times},
    executions::{Done, Escalate, Remind},
    script::{Person, Version, titles},
};
use crate::people::Posting;

/// A message that was stored in working time may be posted so long after it.
const GRACE: SignedDuration = SignedDuration::from_mins(30);
/// A person hears by then of what is due on a day.
const LATEST: Time = Time::constant(17, 30, 0, 0);
/// An invocation that posts ends within this time.
const INVOCATION: Micros = 70_000_000;
/// How much later than its message a call can stand in the log.
const LOG_MARGIN: Micros = 100_000;
/// A message shows this many items at most.
const MOST_SHOWN: usize = 20;

/// What is known of a version that was published.
#[derive(Debug)]
pub(crate) struct Published {
    pub version: Version,
    /// When its execution entered and left `RecordItem`.
    pub recorded: (Micros, Micros),
    /// When it entered and left `PlanReminders`, if the item waits for somebody.
    pub planned: Option<(Micros, Micros)>,
    /// Since when it waits for whom, by their addresses, as the table says.
    pub waiting_since: BTreeMap<Email, Timestamp>,
    /// What the table says about its escalation.
    pub escalating: Option<Escalating>,
}

/// A sweep, or two at the same time.
#[derive(Debug)]
pub(crate) struct Sweep {
    pub began: Micros,
    pub calendar: Timestamp,
    /// The last hour that was swept when they had ended.
    pub swept: Option<UtcHour>,
}

/// Everything that is known of a run when it is over.
#[derive(Debug)]
pub(crate) struct Evidence {
    pub people: Vec<Person>,
    pub times: Times,
    /// The versions of each item, in order.
    pub published: BTreeMap<usize, Vec<Published>>,
    pub sweeps: Vec<Sweep>,
    /// Whose message of a day was not done when working time ended, or failed: a person by their id, or an item.
    pub held_up: BTreeSet<(String, Date)>,
    pub reminders: Vec<Done<Remind, RemindOutcome>>,
    pub escalations: Vec<Done<Escalate, EscalateOutcome>>,
    /// The direct messages, by the person's index.
    pub direct_messages: BTreeMap<usize, ChannelState>,
    /// The direct messages with those who are told of items that nobody moves, by their Slack ids.
    pub leads: BTreeMap<String, ChannelState>,
    /// The items' channels.
    pub channels: Vec<ChannelState>,
    /// The number of the last bundle of each person, by their index.
    pub bundles: BTreeMap<usize, u64>,
    pub calls: Vec<Call>,
    pub posting: Posting,
}

/// What the checks have found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    pub messages: usize,
    /// How many reminders of each stage were sent.
    pub by_stage: BTreeMap<Stage, usize>,
    /// A reminder, or a message, that is in Slack twice.
    pub twice: usize,
    /// Messages that belong to no bundle, or do not say what their outcome says.
    pub strange: usize,
    /// Reminders of a version when a newer one had been recorded before the invocation began.
    pub after_move: usize,
    /// The same, but an earlier invocation was still running that can have sent it.
    pub maybe_after_move: usize,
    pub outside_hours: usize,
    /// Messages of a person's day beyond the second.
    pub too_many: usize,
    /// Stages that had to be sent.
    pub expected: usize,
    /// How many of these had to be sent on the very day.
    pub expected_that_day: usize,
    pub missed: usize,
    /// Times that an item waited for a person and the table did not say so, or not since when.
    pub not_planned: usize,
    /// Items, each with a due date, of which somebody was told because nobody had moved them.
    pub escalated: usize,
    /// How many had to be escalated.
    pub expected_escalations: usize,
    /// Escalations within the grace period.
    pub too_early: usize,
    /// A line for each violation.
    pub details: Vec<String>,
}

/// A reminder of an item, in a message.
#[derive(Debug)]
struct Told {
    person: usize,
    item: usize,
    version: u64,
    /// `None` if no outcome says it.
    stage: Option<Stage>,
    ts: String,
    /// When Slack received it, by the calendar.
    at: Timestamp,
}

/// That an item waits for a person, in one state and with one due date.
#[derive(Debug)]
struct Period {
    item: usize,
    person: usize,
    state: String,
    due: Option<Date>,
    versions: (u64, u64),
    /// `None` if the table says nothing, or what can't be.
    since: Option<Timestamp>,
    planned_at: Micros,
    /// `None` if it has not ended.
    until: Option<Timestamp>,
}

impl Evidence {
    pub fn findings(&self) -> Findings {
        let mut findings = Findings::default();
        let told = self.told(&mut findings);
        let periods = self.periods();
        for stage in told.iter().filter_map(|told| told.stage) {
            *findings.by_stage.entry(stage).or_default() += 1;
        }
        self.check_once(&told, &periods, &mut findings);
        self.check_missed(&told, &periods, &mut findings);
        self.check_escalations(&mut findings);
        findings
    }

    /// Reads the messages, and checks each by itself.
    fn told(&self, findings: &mut Findings) -> Vec<Told> {
        let reminders = self.reminders.iter();
        let outcomes: HashMap<&str, _> = reminders
            .filter_map(|done| Some((ts(done.outcome.message.as_ref())?, done)))
            .collect();
        let mut all = Vec::new();
        let mut in_slack = HashSet::new();
        for (person, channel) in &self.direct_messages {
            let mut by_day: BTreeMap<Date, usize> = BTreeMap::new();
            let mut bundles = BTreeSet::new();
            for message in &channel.messages {
                findings.messages += 1;
                in_slack.insert(message.ts.as_str());
                let bundle = self.bundle_of(*person, message);
                if !bundle.is_none_or(|bundle| bundles.insert(bundle)) {
                    findings.twice += 1;
                    findings.note("posted twice", *person, message);
                }
                let outcome = outcomes.get(message.ts.as_str()).copied();
                let shown = titles(&message.text);
                let says_so = outcome.is_none_or(|outcome| {
                    let reminded = reminded(outcome);
                    let is_told = |one: &(usize, u64)| {
                        reminded
                            .iter()
                            .any(|(item, version, _)| (*item, *version) == *one)
                    };
                    let part = outcome.request.part;
                    shown.iter().all(is_told)
                        && shown.len() == reminded.len().min(MOST_SHOWN)
                        && outcome
                            .outcome
                            .reminded
                            .iter()
                            .all(|one| one.stage.belongs_in(part))
                });
                if bundle.is_none() || !says_so {
                    findings.strange += 1;
                    findings.note("of no bundle, or of another outcome", *person, message);
                }
                let sent_at = self.sent_at(&channel.id, message);
                let began = self.began(*person, sent_at);
                self.check_hours(*person, message, (began, sent_at), findings);
                let at = self.times.latest(sent_at);
                *by_day.entry(self.day_of(*person, at)).or_default() += 1;
                let reminded = match outcome {
                    Some(outcome) => reminded(outcome),
                    None => shown.iter().map(|(i, v)| (*i, *v, None)).collect(),
                };
                for (item, version, stage) in reminded {
                    self.check_moved((*person, message), (item, version), sent_at, findings);
                    all.push(Told {
                        person: *person,
                        item,
                        version,
                        stage,
                        ts: message.ts.clone(),
                        at,
                    });
                }
            }
            let beyond = by_day.values().map(|count| count.saturating_sub(2));
            findings.too_many += beyond.sum::<usize>();
        }
        for (ts, outcome) in outcomes {
            if !in_slack.contains(ts) {
                findings.strange += 1;
                let arn = &outcome.arn;
                findings
                    .details
                    .push(format!("the message {ts} of {arn} is not in Slack"));
            }
        }
        all
    }

    /// The number of the bundle to which the message belongs: its metadata has a hash of that.
    fn bundle_of(&self, person: usize, message: &Message) -> Option<u64> {
        let metadata = message.metadata.as_ref()?;
        let hash = metadata["event_payload"]["delivery"].as_str()?;
        let user = &self.people[person].user_id;
        let last = self.bundles.get(&person).copied().unwrap_or_default();
        (1..=last).find(|number| {
            let id = format!("#remind/{user}#{number}");
            base16ct::lower::encode_string(&Sha256::digest(id)) == hash
        })
    }

    /// When Slack received the request to post the message.
    pub fn sent_at(&self, channel: &str, message: &Message) -> Micros {
        let posted_at: Micros = message.ts.replace('.', "").parse().unwrap_or_default();
        let posts = self.calls.iter().filter(|call| {
            let argument = |name: &str| call.arguments.get(name).map(String::as_str);
            call.method == "chat.postMessage"
                && argument("channel") == Some(channel)
                && argument("text") == Some(message.text.as_str())
        });
        let times = posts.filter_map(|call| {
            let at: Timestamp = call.at.parse().ok()?;
            Micros::try_from(at.as_microsecond()).ok()
        });
        let until = posted_at + LOG_MARGIN;
        times
            .filter(|at| *at <= until)
            .max()
            .map_or(posted_at, |at| at.min(posted_at))
    }

    /// When the invocations for the person began that can have sent what Slack received then, the latest first.
    fn invocations(&self, person: usize, sent_at: Micros) -> Vec<Micros> {
        let user = &self.people[person].user_id;
        let its = self.reminders.iter();
        let its = its.filter(|done| done.request.user_id == *user);
        self.invocations_of(its.map(|done| done.arn.as_str()), sent_at)
    }

    /// When the invocations of these executions began that can have sent what Slack received then, the latest first.
    pub fn invocations_of<'a>(
        &self,
        executions: impl Iterator<Item = &'a str>,
        sent_at: Micros,
    ) -> Vec<Micros> {
        let began = executions.filter_map(|arn| self.posting.get(arn));
        let in_time = sent_at.saturating_sub(INVOCATION)..=sent_at;
        let mut began: Vec<Micros> = began
            .flatten()
            .copied()
            .filter(|began| in_time.contains(began))
            .collect();
        began.sort_unstable();
        began.reverse();
        began
    }

    fn began(&self, person: usize, sent_at: Micros) -> Micros {
        let began = self.invocations(person, sent_at);
        began.first().copied().unwrap_or(sent_at)
    }

    fn check_hours(
        &self,
        person: usize,
        message: &Message,
        (began, sent_at): (Micros, Micros),
        findings: &mut Findings,
    ) {
        let shown = self.times.between(began, sent_at);
        let zone = &self.people[person].zone;
        if !shown.iter().any(|at| may_be_told(*at, zone)) {
            findings.outside_hours += 1;
            let when = format!("sent outside working hours, at {shown:?}");
            findings.note(&when, person, message);
        }
    }

    /// Whether a newer version had been recorded before the invocation began that has sent this.
    fn check_moved(
        &self,
        (person, message): (usize, &Message),
        (item, version): (usize, u64),
        sent_at: Micros,
        findings: &mut Findings,
    ) {
        let versions = self.published.get(&item).into_iter().flatten();
        let mut newer = versions.filter(|published| published.version.number > version);
        let Some(next) = newer.next() else {
            return;
        };
        let began = self.invocations(person, sent_at);
        if findings.is_after(next.recorded.1, &began) {
            let what = format!("of i{item}v{version} after it had moved");
            findings.note(&what, person, message);
        }
    }

    fn day_of(&self, person: usize, at: Timestamp) -> Date {
        local_day(at, &self.people[person].zone)
    }

    /// The times in which items wait for people.
    fn periods(&self) -> Vec<Period> {
        let mut periods = Vec::new();
        for versions in self.published.values() {
            for person in 0..self.people.len() {
                self.add_periods(person, versions, &mut periods);
            }
        }
        periods
    }

    fn add_periods(&self, person: usize, versions: &[Published], periods: &mut Vec<Period>) {
        let mut open: Option<Period> = None;
        let mut before: Option<&Published> = None;
        for published in versions {
            let version = &published.version;
            let waits = version.waiting_for.contains(&person);
            let has_moved = before.is_some_and(|before| version.has_moved_since(&before.version));
            if let Some(mut period) = open.take() {
                if waits && !has_moved {
                    period.versions.1 = version.number;
                    open = Some(period);
                } else {
                    period.until = Some(self.times.earliest(published.recorded.0));
                    periods.push(period);
                }
            }
            if waits && open.is_none() {
                let (entered, left) = published.planned.unwrap_or_default();
                let shown = self.times.between(entered, left);
                let since = self.people[person].address();
                let since = since.and_then(|email| published.waiting_since.get(&email));
                open = Some(Period {
                    item: version.item,
                    person,
                    state: version.state.clone(),
                    due: version.due,
                    versions: (version.number, version.number),
                    since: since.copied().filter(|since| shown.contains(since)),
                    planned_at: left,
                    until: None,
                });
            }
            before = Some(published);
        }
        periods.extend(open);
    }

    fn check_once(&self, told: &[Told], periods: &[Period], findings: &mut Findings) {
        for period in periods {
            let mut stages: BTreeMap<Stage, BTreeSet<&str>> = BTreeMap::new();
            for told in told.iter().filter(|told| period.has(told)) {
                if let Some(stage) = told.stage {
                    stages.entry(stage).or_default().insert(&told.ts);
                }
            }
            for (stage, messages) in stages {
                if messages.len() > 1 {
                    findings.twice += 1;
                    let person = &self.people[period.person].user_id;
                    findings.details.push(format!(
                        "{person} was told twice that i{} is {stage}: {messages:?}",
                        period.item
                    ));
                }
            }
        }
    }

    /// Whether each stage was sent that the pure planner finds, or a more urgent one.
    fn check_missed(&self, told: &[Told], periods: &[Period], findings: &mut Findings) {
        let end = self.times.last();
        for period in periods {
            let Some(since) = period.since else {
                findings.not_planned += 1;
                findings.details.push(format!("not planned: {period:?}"));
                continue;
            };
            let until = period.until.unwrap_or(end);
            for (stage, at) in self.planned(period, since, until) {
                let (latest, is_that_day) = self.latest(period, stage, at);
                if latest >= until {
                    continue;
                }
                findings.expected += 1;
                findings.expected_that_day += usize::from(is_that_day);
                let is_it = |told: &Told| {
                    let covers = told.stage.is_none_or(|sent| sent.covers(stage));
                    period.has(told) && covers && told.at <= latest
                };
                if !told.iter().any(is_it) {
                    findings.missed += 1;
                    let line = self.missed(period, (stage, at, latest), told);
                    findings.details.push(line);
                }
            }
        }
    }

    fn missed(
        &self,
        period: &Period,
        (stage, at, latest): (Stage, Timestamp, Timestamp),
        told: &[Told],
    ) -> String {
        let Person {
            user_id, zone_name, ..
        } = &self.people[period.person];
        let mut line = format!(
            "{user_id} ({zone_name}) was not told by {latest} that i{} was {stage} at {at}; it waits since {:?} until {:?}",
            period.item, period.since, period.until
        );
        for told in told.iter().filter(|told| period.has(told)) {
            let _ = write!(line, "; {:?} was sent at {}", told.stage, told.at);
        }
        line
    }

    /// The stages of an item for a person, and when they are due, if nothing ever fails.
    fn planned(
        &self,
        period: &Period,
        since: Timestamp,
        until: Timestamp,
    ) -> Vec<(Stage, Timestamp)> {
        let item = WaitingItem {
            due_day: period.due,
            waiting_since: since,
            snoozed_until: None,
        };
        let rules = Reminders::default().of(&period.state, None);
        let zone = PersonZone::from(self.people[period.person].zone.clone());
        let mut history = History::new();
        let mut planned = Vec::new();
        let mut at = since;
        while at < until {
            let plan = plan(&item, &rules, &history, at, &zone);
            if let Some(stage) = plan.due {
                history.insert(stage, at);
                planned.push((stage, at));
            }
            match plan.next_look_at {
                Some(next) => at = next,
                None => break,
            }
        }
        planned
    }

    /// By when the person must hear of a stage that is due at `at`, and whether that is the same day.
    ///
    /// `due` and `overdue` do not wait for another day. But the sweep must have found them in time, and the execution must
    /// have had the time to send them before work ended.
    fn latest(&self, period: &Period, stage: Stage, at: Timestamp) -> (Timestamp, bool) {
        let Person { zone, user_id, .. } = &self.people[period.person];
        let day = local_day(at, zone);
        let cant_wait = matches!(stage, Stage::Due | Stage::Overdue(_));
        let is_held_up = self.held_up.contains(&(user_id.clone(), day));
        if cant_wait && !is_held_up && self.was_swept_in_time(at, period.planned_at) {
            return (latest_of(day, zone), true);
        }
        let mut next = next_working_day(day);
        while self.held_up.contains(&(user_id.clone(), next)) {
            next = next_working_day(next);
        }
        (latest_of(next, zone), false)
    }

    /// Whether the first sweep of the hour that has ended came before this time, and after the item was planned.
    pub fn was_swept_in_time(&self, at: Timestamp, planned_at: Micros) -> bool {
        let hour = UtcHour::of(at);
        let is_of_hour = |sweep: &&Sweep| sweep.swept.is_some_and(|swept| swept >= hour);
        let first = self.sweeps.iter().find(is_of_hour);
        first.is_some_and(|sweep| sweep.calendar <= at && sweep.began > planned_at)
    }
}

impl Period {
    fn has(&self, told: &Told) -> bool {
        let (first, last) = self.versions;
        (told.person, told.item) == (self.person, self.item)
            && (first..=last).contains(&told.version)
    }
}

impl Findings {
    /// Whether a message came after this move: the invocation that sent it began later. `began` are the invocations that
    /// can have sent it, the latest first.
    pub fn is_after(&mut self, moved_at: Micros, began: &[Micros]) -> bool {
        if began.first().is_none_or(|began| *began <= moved_at) {
            return false;
        }
        if began.iter().any(|began| *began <= moved_at) {
            self.maybe_after_move += 1;
            return false;
        }
        self.after_move += 1;
        true
    }

    fn note(&mut self, what: &str, person: usize, message: &Message) {
        let Message { ts, text, .. } = message;
        self.details.push(format!(
            "the message {ts} to person {person} {what}: {text}"
        ));
    }
}

/// The items of which an execution has reminded.
fn reminded(done: &Done<Remind, RemindOutcome>) -> Vec<(usize, u64, Option<Stage>)> {
    let reminded = done.outcome.reminded.iter().filter_map(|one| {
        let item = item_of(&one.item_id)?;
        Some((item, one.version.get(), Some(one.stage)))
    });
    reminded.collect()
}

pub(crate) fn item_of(id: &ItemId) -> Option<usize> {
    id.as_str().rsplit_once('-')?.1.parse().ok()
}

/// The `ts` of a message that is in Slack.
fn ts(message: Option<&MessageOutcome>) -> Option<&str> {
    Some(message?.posted()?.ts.as_str())
}

/// Whether somebody with this clock may be told something. The settings are the defaults.
pub(crate) fn may_be_told(at: Timestamp, zone: &TimeZone) -> bool {
    let rules = Reminders::default().of("", None);
    let times = [at, at - GRACE];
    times.iter().any(|at| is_working_time(*at, zone, &rules))
}

/// By when somebody hears of what is due on that day.
pub(crate) fn latest_of(day: Date, zone: &TimeZone) -> Timestamp {
    instant(day, LATEST, zone)
}

pub(crate) fn next_working_day(day: Date) -> Date {
    let rules = Reminders::default().of("", None);
    let later = day.series(jiff::Span::new().days(1)).skip(1);
    let mut working = later.filter(|day| rules.working_days.contains(day.weekday()));
    working.next().unwrap_or(Date::MAX)
}

fn instant(day: Date, time: Time, zone: &TimeZone) -> Timestamp {
    let at = zone.to_timestamp(day.to_datetime(time));
    at.unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
pub(super) mod tests {
    use apgl_contract::reminders::Part;
    use jiff::civil::date;
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    pub const SECOND: Micros = 1_000_000;
    /// When Slack received the message, and when the invocation began that sent it.
    const SENT: Micros = 3_010 * SECOND;
    const BEGAN: Micros = 3_009 * SECOND;

    pub fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    pub fn published(number: u64, recorded: Micros) -> Published {
        let email = "ana@example.com".to_owned().try_into().unwrap();
        let escalating = json!({
            "version": number, "state": format!("state-{number}"), "since": "2027-03-08T08:00:00Z",
            "dueDate": "2027-03-10", "zone": "Europe/Berlin",
        });
        Published {
            version: Version {
                item: 7,
                number,
                state: format!("state-{number}"),
                due: Some(date(2027, 3, 10)),
                waiting_for: [0].into(),
            },
            recorded: (recorded, recorded + SECOND),
            planned: Some((recorded + 2 * SECOND, recorded + 3 * SECOND)),
            waiting_since: [(email, time("2027-03-08T08:00:00Z"))].into(),
            escalating: serde_json::from_value(escalating).unwrap(),
        }
    }

    fn message() -> Message {
        let hash = base16ct::lower::encode_string(&Sha256::digest("#remind/U1#1"));
        Message {
            ts: format!("{}.{:06}", SENT / SECOND, SENT % SECOND),
            text: "An item waits for you: i7v1 (due 10 March)".to_owned(),
            metadata: Some(json!({ "event_payload": { "delivery": hash } })),
            ..Message::default()
        }
    }

    pub fn channel(id: &str) -> ChannelState {
        let channel = json!({
            "id": id, "name": id, "is_private": true, "is_archived": false, "is_ext_shared": false,
            "creator": "", "topic": "", "purpose": "", "members": [], "emails": [], "messages": [],
            "versions": [],
        });
        serde_json::from_value(channel).unwrap()
    }

    fn call() -> Call {
        let arguments = [("channel", "D1"), ("text", &message().text)];
        let at = Timestamp::from_microsecond(i64::try_from(SENT).unwrap());
        Call {
            seq: 1,
            at: at.unwrap().to_string(),
            method: "chat.postMessage".to_owned(),
            token_end: None,
            arguments: arguments.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
            status: 200,
            error: None,
            fault: None,
        }
    }

    /// An item is due on Wednesday, and somebody in Berlin is told so a day before, at 17:00.
    pub fn evidence() -> Evidence {
        let zone_name = "Europe/Berlin";
        let mut times = Times::default();
        for (at, seconds) in [
            ("2027-03-08T08:00:00Z", 1_000),
            ("2027-03-09T15:50:00Z", 2_000),
            ("2027-03-09T16:00:00Z", 3_000),
            ("2027-03-10T17:00:00Z", 4_000),
        ] {
            times.show(time(at), seconds * SECOND, seconds * SECOND);
        }
        let outcome = json!({
            "reminded": [{ "itemId": "deadline-7", "version": 1, "stage": "due-24h" }],
            "message": { "ts": message().ts, "duplicate": false },
        });
        Evidence {
            people: vec![Person {
                email: "ana@example.com".to_owned(),
                user_id: "U1".to_owned(),
                zone_name,
                zone: TimeZone::get(zone_name).unwrap(),
            }],
            times,
            published: [(7, vec![published(1, 1_000 * SECOND)])].into(),
            sweeps: vec![Sweep {
                began: 2_001 * SECOND,
                calendar: time("2027-03-09T15:50:00Z"),
                swept: Some(UtcHour::of(time("2027-03-09T16:00:00Z"))),
            }],
            held_up: BTreeSet::new(),
            reminders: vec![Done {
                arn: "execution".to_owned(),
                request: Remind {
                    user_id: "U1".to_owned(),
                    day: date(2027, 3, 9),
                    part: Part::First,
                },
                outcome: serde_json::from_value(outcome).unwrap(),
            }],
            escalations: Vec::new(),
            leads: BTreeMap::new(),
            channels: Vec::new(),
            direct_messages: [(
                0,
                ChannelState {
                    messages: vec![message()],
                    ..channel("D1")
                },
            )]
            .into(),
            bundles: [(0, 1)].into(),
            calls: vec![call()],
            posting: [("execution".to_owned(), vec![BEGAN])].into(),
        }
    }

    #[test]
    fn a_run_without_violations_is_found_to_have_none() {
        let stage: Stage = "due-24h".parse().unwrap();
        let expected = Findings {
            messages: 1,
            by_stage: [(stage, 1)].into(),
            expected: 1,
            ..Findings::default()
        };
        assert_eq!(evidence().findings(), expected);
    }

    fn messages(evidence: &mut Evidence) -> &mut Vec<Message> {
        &mut evidence.direct_messages.get_mut(&0).unwrap().messages
    }

    #[rstest]
    #[case::posted_twice(
        |run: &mut Evidence| messages(run).push(Message { ts: "3020.000000".to_owned(), ..message() }),
        |found: &Findings| found.twice,
    )]
    #[case::of_no_bundle(|run: &mut Evidence| run.bundles.clear(), |found: &Findings| found.strange)]
    #[case::of_another_item(|run: &mut Evidence| messages(run)[0].text = "i8v1 (due …)".to_owned(), |found: &Findings| found.strange)]
    #[case::not_in_slack(|run: &mut Evidence| messages(run).clear(), |found: &Findings| found.strange)]
    #[case::of_a_former_version(
        |run: &mut Evidence| run.published.get_mut(&7).unwrap().push(published(2, BEGAN - 5 * SECOND)),
        |found: &Findings| found.after_move,
    )]
    #[case::out_of_hours(
        |run: &mut Evidence| {
            let mut times = Times::default();
            times.show(time("2027-03-08T08:00:00Z"), 0, 0);
            times.show(time("2027-03-09T18:00:00Z"), 3_000 * SECOND, 3_000 * SECOND);
            run.times = times;
        },
        |found: &Findings| found.outside_hours,
    )]
    #[case::never_sent(
        |run: &mut Evidence| { messages(run).clear(); run.reminders.clear(); },
        |found: &Findings| found.missed,
    )]
    #[case::never_planned(
        |run: &mut Evidence| run.published.get_mut(&7).unwrap()[0].waiting_since.clear(),
        |found: &Findings| found.not_planned,
    )]
    fn a_violation_is_found(
        #[case] violate: fn(&mut Evidence),
        #[case] count: fn(&Findings) -> usize,
    ) {
        let mut evidence = evidence();
        violate(&mut evidence);
        assert_eq!(count(&evidence.findings()), 1);
    }

    #[test]
    fn an_item_that_moves_right_before_the_post_may_still_be_in_the_message() {
        let mut evidence = evidence();
        let versions = evidence.published.get_mut(&7).unwrap();
        versions.push(published(2, BEGAN));
        assert_eq!(evidence.findings().after_move, 0);
    }

    #[test]
    fn an_overdue_item_does_not_wait_for_the_next_day_unless_its_person_is_held_up() {
        let mut run = evidence();
        let at = time("2027-03-11T08:00:00Z");
        run.times
            .show(time("2027-03-11T07:50:00Z"), 5_000 * SECOND, 5_000 * SECOND);
        run.times
            .show(time("2027-03-11T20:00:00Z"), 6_000 * SECOND, 6_000 * SECOND);
        let missed = |run: &Evidence| run.findings().missed;
        // The sweep of the due time was missed, so people hear of it on Thursday.
        assert_eq!(missed(&run), 1);
        run.sweeps.push(Sweep {
            began: 5_001 * SECOND,
            calendar: time("2027-03-11T07:50:00Z"),
            swept: Some(UtcHour::of(at)),
        });
        assert_eq!(missed(&run), 2);
        run.held_up.insert(("U1".to_owned(), date(2027, 3, 11)));
        assert_eq!(missed(&run), 0);
    }
}
