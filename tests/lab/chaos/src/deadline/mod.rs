//! Reminders under faults at every seam, with a calendar that the run sets.
//!
//! Leases and settle times are real time, and the calendar is set. Each hour:
//!
//! 1. Ten minutes before it begins, the sweep is invoked, twice at the same time. Now and then nobody invokes it.
//! 2. The calendar shows each time of the hour at which something can be due. Meanwhile items move.
//! 3. Somebody redrives the executions that have failed.
//!
//! The calendar goes on while executions work, since people may be told all day. But when a person's working time ends, it
//! waits until their execution has ended. Some wait long, for the lease of an attempt that was killed: then its patience
//! ends, and the person may hear of the item on their next working day.
//!
//! | module | does |
//! |---|---|
//! | `script` | draws people, items and moves |
//! | `clock` | sets the calendar, and knows what it showed when |
//! | `publisher` | publishes the items' versions |
//! | `executions` | looks at the executions that remind and escalate |
//! | `check` | judges what was sent to those for whom items wait |
//! | `escalations` | judges what others were told |
//! | `report` | the tables |

mod check;
mod clock;
mod escalations;
mod executions;
mod publisher;
mod report;
mod script;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use apgl_contract::{ItemId, SlackUserId, reminders::Reminders};
use apgl_reminders::{is_working_time, local_day, zone_named};
use apgl_stores::{BundleLedger, Items, Table};
use fastrand::Rng;
use jiff::{Timestamp, ToSpan, civil::Date, tz::TimeZone};
use local_stack::{
    Project, StackOptions,
    invoke::{Answer, invoke},
    stack::put_profile,
};
use serde_json::json;
use slack_sandbox::{Seed, seed::ChannelSeed, workspace::User};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

pub use self::{
    check::Findings,
    report::{Report, Reports},
};
use self::{
    check::{Evidence, Published, Sweep},
    clock::{Clock, Micros, now},
    executions::{Escalate, Remind, Workflow},
    publisher::Publisher,
    script::{MINUTES, STRANGER, Script, Version},
};
use crate::{
    Error,
    dice::Seam,
    faults::{LAST_WORDS, World},
    notifications::SlackCalls,
};

/// The seams at which faults occur.
pub const SEAMS: [Seam; 6] = [
    Seam::Caller,
    Seam::Lambda,
    Seam::DynamoDb,
    Seam::SecretsManager,
    Seam::CloudWatch,
    Seam::Slack,
];
const NAME: &str = "deadline";
const ITEMS_TABLE: &str = "apgl-items";
/// An hour is swept so long before it begins.
const AHEAD_MINUTES: i64 = 10;
/// Of so many hours, one is not swept at its time.
const SKIPPED_HOUR: u32 = 40;
/// Of so many sweeps, the caller of one is killed.
const KILLED_SWEEP: u32 = 10;
/// Nobody waits longer for a sweep.
const SWEEP_AT_MOST: Duration = Duration::from_secs(6);
/// The calendar comes closer to the end of a person's working time only if no execution works for them.
const CLOSE_MINUTES: i64 = 15;
/// The most versions in flight when the calendar goes on.
const MOST_IN_FLIGHT: usize = 60;
const POLL: Duration = Duration::from_millis(200);
/// The executions that are left at the end have so long to end.
const AT_LAST: Duration = Duration::from_mins(4);

#[derive(Debug, Clone)]
pub struct Options {
    pub items: usize,
    pub people: usize,
    pub days: i64,
    pub seed: u64,
    /// The share of the calls at each seam that fail.
    pub rate: f64,
    pub seams: BTreeSet<Seam>,
    pub wait_scale: f64,
    /// How long the calendar waits at the end of a person's working time.
    pub patience: Duration,
}

/// Does the run. `chaos-bootstrap` and the functions must be built before.
pub async fn run(project: &Project, options: &Options) -> Result<Report, Error> {
    let stack = StackOptions {
        wait_scale: options.wait_scale,
        ..StackOptions::new(NAME)
    };
    let world = World::start(project, options.seed, stack).await?;
    let report = match Run::new(&world, options).await {
        Ok(run) => run.measure().await,
        Err(error) => Err(error),
    };
    world.stop(project, NAME).await;
    report
}

struct Run<'a> {
    world: &'a World,
    options: &'a Options,
    items: Items,
    script: Script,
    clock: Clock,
    publisher: Publisher,
    reminding: Workflow<Remind>,
    escalating: Workflow<Escalate>,
    rng: Rng,
    /// The versions that are still to be published, and when.
    coming: Vec<(Timestamp, Version)>,
    sweeping: JoinSet<(Micros, bool)>,
    sweeps: Vec<Sweep>,
    held_up: BTreeSet<(String, Date)>,
    report: Report,
}

impl<'a> Run<'a> {
    async fn new(world: &'a World, options: &'a Options) -> Result<Self, Error> {
        let aws = &world.stack.aws;
        let dynamodb = aws_sdk_dynamodb::Client::new(aws);
        let items = Items::new(Table::new(dynamodb, ITEMS_TABLE.to_owned()));
        let Options {
            items: count,
            people,
            days,
            seed,
            ..
        } = *options;
        let script = Script::draw(seed, count, people, days)?;
        settle(world, &script).await?;
        Ok(Self {
            world,
            options,
            clock: Clock::new(items.clone()),
            publisher: Publisher::new(aws, items.clone(), world.dice.clone())?,
            items,
            reminding: Workflow::new(aws),
            escalating: Workflow::new(aws),
            rng: Rng::with_seed(seed),
            coming: script.versions.clone(),
            sweeping: JoinSet::new(),
            sweeps: Vec::new(),
            held_up: BTreeSet::new(),
            report: Report {
                seed,
                items: count,
                people,
                moves: script.versions.len() - count,
                ..Report::default()
            },
            script,
        })
    }

    async fn measure(mut self) -> Result<Report, Error> {
        let began = Instant::now();
        let Options {
            seed, rate, seams, ..
        } = self.options;
        self.world.begin_faults(*seed, *rate, seams).await?;
        let hours = 24 * self.options.days;
        for hour in 0..hours {
            self.live_through(hour, true).await?;
        }
        self.world.end_faults().await?;
        let calm_since = Instant::now();
        self.report.tallies = self.world.dice.tallies();
        self.report.slack = SlackCalls::so_far(&self.world.sandbox).await?;
        for hour in hours..hours + 24 {
            self.live_through(hour, false).await?;
        }
        self.wait_until_all_have_ended().await?;
        sleep(LAST_WORDS.saturating_sub(calm_since.elapsed())).await;
        self.report.time = began.elapsed();
        self.judge().await
    }

    /// One hour of the calendar.
    async fn live_through(&mut self, hour: i64, with_faults: bool) -> Result<(), Error> {
        let begins = self.script.begins + hour.hours();
        let ends = begins + 1.hour();
        let is_quiet = !self.does_anybody_work(begins) && !self.does_anything_move(ends);
        if is_quiet && !self.is_any_running().await? {
            return Ok(());
        }
        self.go_on(begins - AHEAD_MINUTES.minutes()).await?;
        self.redrive_failed().await?;
        self.publish();
        if with_faults && self.rng.u32(..SKIPPED_HOUR) == 0 {
            self.report.skipped_hours += 1;
        } else {
            self.sweep().await?;
        }
        let minutes = MINUTES.into_iter().map(|minute| begins + minute.minutes());
        for at in minutes.filter(|at| *at < ends - AHEAD_MINUTES.minutes()) {
            if self.does_anything_move(at) || self.does_anybody_sleep().await? {
                self.go_on(at).await?;
                self.publish();
            }
        }
        Ok(())
    }

    /// Whether an execution waits for a time of the calendar.
    async fn does_anybody_sleep(&mut self) -> Result<bool, Error> {
        let since = self.clock.since();
        Ok(self.reminding.is_any_waiting(since).await?
            || self.escalating.is_any_waiting(since).await?)
    }

    async fn is_any_running(&self) -> Result<bool, Error> {
        Ok(self.reminding.is_any_running().await? || self.escalating.is_any_running().await?)
    }

    fn does_anybody_work(&self, begins: Timestamp) -> bool {
        let times = MINUTES.map(|minute| begins + minute.minutes());
        let people = &self.script.people;
        people
            .iter()
            .any(|person| times.iter().any(|at| works(&person.zone, *at)))
    }

    fn does_anything_move(&self, until: Timestamp) -> bool {
        self.coming.first().is_some_and(|(at, _)| *at <= until)
    }

    /// Publishes the versions whose time has come, unless the item's version before is still being published.
    fn publish(&mut self) {
        let now = self.clock.time();
        let mut waiting = BTreeSet::new();
        let mut still_coming = Vec::new();
        for (at, version) in std::mem::take(&mut self.coming) {
            let item = version.item;
            if at > now || waiting.contains(&item) || self.publisher.is_publishing(item) {
                waiting.insert(item);
                still_coming.push((at, version));
            } else {
                let event = self.script.event(&version);
                self.publisher.publish(version, event);
            }
        }
        self.coming = still_coming;
    }

    /// The hourly schedule fires, twice. The calendar goes on as soon as one sweep has succeeded.
    async fn sweep(&mut self) -> Result<(), Error> {
        let began = now();
        let is_killed = self.rng.u32(..KILLED_SWEEP) == 0;
        let killed_after = Duration::from_millis(self.rng.u64(..150));
        let first = if is_killed {
            killed_after
        } else {
            SWEEP_AT_MOST
        };
        self.report.sweeps += 2;
        for at_most in [first, SWEEP_AT_MOST] {
            let aws = self.world.stack.aws.clone();
            self.sweeping.spawn(async move {
                let nothing = json!({});
                let swept = timeout(at_most, invoke(&aws, "sweep-reminders", &nothing)).await;
                (began, matches!(swept, Ok(Ok(Answer::Outcome(_)))))
            });
        }
        while let Some(swept) = self.sweeping.join_next().await {
            let (of, succeeded) = swept.unwrap_or_default();
            self.report.lost_sweeps += usize::from(!succeeded);
            if succeeded && of == began {
                break;
            }
        }
        let swept = self.items.swept().await?;
        self.sweeps.push(Sweep {
            began,
            calendar: self.clock.time(),
            swept: swept.map(|swept| swept.last),
        });
        Ok(())
    }

    /// Redrives what has failed, as an operator does. Returns how many executions.
    async fn redrive_failed(&mut self) -> Result<usize, Error> {
        let reminders = self.reminding.redrive_failed().await?;
        let escalations = self.escalating.redrive_failed().await?;
        let redriven = reminders.len() + escalations.len();
        self.report.redriven += redriven;
        for Remind { user_id, day, .. } in reminders {
            self.held_up.insert((user_id, day));
        }
        for Escalate { item_id, .. } in escalations {
            let day = local_day(self.clock.time(), &self.zone_of(&item_id).await?);
            self.held_up.insert((item_id.to_string(), day));
        }
        Ok(redriven)
    }

    /// Sets the calendar to that time, when everything has happened that had to happen before.
    async fn go_on(&mut self, next: Timestamp) -> Result<(), Error> {
        let began = Instant::now();
        loop {
            let pressed = self.pressed(next).await?;
            let is_patient = !pressed.is_subset(&self.held_up);
            let is_patient = is_patient && began.elapsed() < self.options.patience;
            if !is_patient && self.publisher.in_flight() <= MOST_IN_FLIGHT {
                self.held_up.extend(pressed);
                return self.clock.set(next).await;
            }
            sleep(POLL).await;
        }
    }

    /// Whose message, of which day, has to be sent before that time of the calendar: working time ends then, or soon after.
    async fn pressed(&mut self, next: Timestamp) -> Result<BTreeSet<(String, Date)>, Error> {
        let (now, since) = (self.clock.time(), self.clock.since());
        let does_work_end =
            |zone: &TimeZone| works(zone, now) && !works(zone, next + CLOSE_MINUTES.minutes());
        let mut pressed = BTreeSet::new();
        for Remind { user_id, day, .. } in self.reminding.awake(since).await? {
            let mut people = self.script.people.iter();
            let person = people.find(|one| one.user_id == user_id);
            if person.is_some_and(|person| does_work_end(&person.zone)) {
                pressed.insert((user_id, day));
            }
        }
        for Escalate { item_id, .. } in self.escalating.awake(since).await? {
            let zone = self.zone_of(&item_id).await?;
            if does_work_end(&zone) {
                pressed.insert((item_id.to_string(), local_day(now, &zone)));
            }
        }
        Ok(pressed)
    }

    /// Whose clock tells when the item is escalated.
    async fn zone_of(&self, item: &ItemId) -> Result<TimeZone, Error> {
        let row = self.items.escalating(item).await?;
        Ok(row.map_or(TimeZone::UTC, |row| zone_named(&row.zone)))
    }

    async fn wait_until_all_have_ended(&mut self) -> Result<(), Error> {
        let deadline = Instant::now() + AT_LAST;
        loop {
            let redriven = self.redrive_failed().await?;
            let since = self.clock.since();
            let awake = self.reminding.awake(since).await?.len()
                + self.escalating.awake(since).await?.len();
            let unfinished = awake + redriven;
            if unfinished == 0 {
                return Ok(());
            }
            if Instant::now() >= deadline {
                self.report.unfinished = unfinished;
                return Ok(());
            }
            sleep(POLL).await;
        }
    }

    /// Collects what is known, and checks it.
    async fn judge(mut self) -> Result<Report, Error> {
        let mut published: BTreeMap<usize, Vec<Published>> = BTreeMap::new();
        for done in self.publisher.finish().await? {
            self.report.redriven += done.redriven;
            let states = self.reminding.states(&done.arn).await?;
            let state = |name: &str| states.get(name).copied();
            let of_item = published.entry(done.version.item).or_default();
            of_item.push(Published {
                recorded: state("RecordItem").unwrap_or_default(),
                planned: state("PlanReminders"),
                waiting_since: done.waiting_since,
                escalating: done.escalating,
                version: done.version,
            });
        }
        for versions in published.values_mut() {
            versions.sort_by_key(|published| published.version.number);
        }
        let (mut direct_messages, mut bundles) = (BTreeMap::new(), BTreeMap::new());
        for (n, person) in self.script.people.iter().enumerate() {
            let id = &person.user_id;
            if let Some(channel) = self.world.sandbox.direct_message(id).await? {
                direct_messages.insert(n, channel);
            }
            let bundle = self.items.latest_bundle(&SlackUserId(id.clone())).await?;
            bundles.insert(n, bundle.map_or(0, |bundle| bundle.number));
        }
        let mut leads = BTreeMap::new();
        for lead in &self.script.leads {
            let id = &lead.user_id;
            if let Some(channel) = self.world.sandbox.direct_message(id).await? {
                leads.insert(id.clone(), channel);
            }
        }
        let mut channels = Vec::new();
        for channel in &self.script.channels {
            channels.extend(self.world.sandbox.channel(channel).await?);
        }
        let reminders = self.reminding.done().await?;
        let escalations = self.escalating.done().await?;
        self.report.executions = reminders.len() + escalations.len();
        let evidence = Evidence {
            people: self.script.people,
            times: self.clock.times,
            published,
            sweeps: self.sweeps,
            held_up: self.held_up,
            reminders,
            escalations,
            direct_messages,
            leads,
            channels,
            bundles,
            calls: self.world.sandbox.calls().await?,
            posting: self.world.people.posting().await,
        };
        self.report.held_up = evidence.held_up.len();
        self.report.findings = evidence.findings();
        Ok(self.report)
    }
}

/// Adds the people and channels to Slack, and the people's profiles to the table.
async fn settle(world: &World, script: &Script) -> Result<(), Error> {
    let everybody = script.people.iter().chain(&script.leads);
    let users = everybody.clone().map(|person| User {
        id: person.user_id.clone(),
        name: person.email.replace("@example.com", ""),
        email: Some(person.email.clone()),
        tz: person.zone_name.to_owned(),
        ..User::default()
    });
    let channels = script.channels.iter().map(|name| ChannelSeed {
        name: name.clone(),
        ..ChannelSeed::default()
    });
    let seed = Seed {
        users: users.collect(),
        channels: channels.collect(),
        ..Seed::default()
    };
    world.sandbox.seed(&seed).await?;
    let everybody = everybody.map(|person| person.email.as_str());
    for email in everybody.chain([STRANGER]) {
        let wants_slack = email != script.leads[0].email;
        let table = world.stack.user_profiles_table();
        put_profile(&world.stack.aws, table, email, Some(wants_slack)).await?;
    }
    Ok(())
}

/// Whether this is working time by that clock. The settings are the defaults.
fn works(zone: &TimeZone, at: Timestamp) -> bool {
    let rules = Reminders::default().of("", None);
    is_working_time(at, zone, &rules)
}
