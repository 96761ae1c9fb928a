//! The world of the model: a person's items, two ledgers, Slack, the days, and everything that can go wrong with them.
//!
//! Each request takes effect at one instant. Before it is a point at which the attempt can be interrupted, stall or
//! crash. A read that fails is not modelled where the attempt then ends without doing anything else: that is a crash.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use apgl_contract::{
    DueDate, Email, MessageTs, SlackUserId, StepError,
    reminders::{Part, RemindedOf, Stage},
};
use apgl_delivery::{
    protocol::{Found, Outbox, Search},
    reminder::{Desk, Reminded},
};
use apgl_slack::SlackError;
use apgl_stores::{
    Bundle, BundleContent, BundleEntry, BundleLedger, BundleState, Delivery, Ledger, Place, Record,
    RecordChange, Replaced,
};
use jiff::{Timestamp, civil::Date};

use crate::choices::{Choices, pause};

const CHANNEL: &str = "D1";
/// An item that moves does so at a time of its own.
const TICK: Duration = Duration::from_millis(1);
/// How long the second day lasts, and every day after it.
const DAY: Duration = Duration::from_hours(24);

/// When the first day's executions start.
pub fn start() -> SystemTime {
    UNIX_EPOCH + DAY * 20_000
}

pub fn person() -> SlackUserId {
    SlackUserId("U1".to_owned())
}

/// The days, from 0.
pub fn day(number: u64) -> DueDate {
    let days = i64::try_from(number).unwrap();
    let first = Date::constant(2026, 11, 25);
    first.saturating_add(jiff::Span::new().days(days)).into()
}

/// A part that is removed from the protocol, to show that the model notices its absence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    Nothing,
    /// The ledger stores every bundle, whatever is stored.
    Condition,
    /// Whoever reads a bundle that does not hold drops it, without claiming its delivery.
    Drop,
    /// The desk says of every bundle that it holds.
    Holds,
    /// The bundle after a dropped one gets its number.
    Number,
    /// Only the attempt that has posted a message records it.
    Record,
    /// What is in a dropped bundle is recorded.
    Dropped,
}

/// The limits on what can go wrong in one run.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// The number of faults: bad responses, lost responses, crashes and stalls.
    pub faults: usize,
    /// How often one attempt is interrupted by another.
    pub switches: usize,
    /// How often an item moves.
    pub moves: usize,
    /// Whether all that is spread over the run. Otherwise a random run uses it up at its beginning.
    pub is_spread: bool,
    /// How long Slack can continue to process a request after its sender is gone.
    pub lateness: Duration,
    pub broken: Broken,
}

/// What the person has to do, and when.
#[derive(Debug, Clone)]
pub struct Setting {
    /// The stages of each item, and how long after the start they are due, from the least urgent.
    pub items: Vec<Vec<(Duration, Stage)>>,
    /// How long after the start the first day ends and the second one begins.
    pub day_ends_after: Duration,
    /// How long after the start Slack refuses every post.
    pub limited_for: Duration,
}

#[derive(Debug)]
struct Item {
    id: String,
    version: u64,
    /// Whether it waits for the person.
    waits: bool,
    /// How many times it has come to another state.
    state: usize,
    /// When it came to its state.
    since: SystemTime,
    stages: Vec<(SystemTime, Stage)>,
    /// What the person was told in this state, as the item's row says.
    told: BTreeSet<Stage>,
    /// The state of each version.
    states: BTreeMap<u64, usize>,
}

/// What can happen to an item.
#[derive(Debug, Clone, Copy)]
enum Move {
    /// It has a new version, and is in the same state.
    Edited,
    /// It comes to another state, and waits for the person again.
    Returned,
    /// It waits for the person no longer.
    Left,
}

/// A stage in a state of an item, of which the person is told once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    item: String,
    state: usize,
    stage: Stage,
}

impl Told {
    /// Whether the other one is not sent any more once this one was.
    fn covers(&self, other: &Self) -> bool {
        (&self.item, self.state) == (&other.item, other.state) && self.stage.covers(other.stage)
    }
}

impl Item {
    fn new(number: usize, stages: &[(Duration, Stage)]) -> Self {
        let id = char::from(b'a' + u8::try_from(number).unwrap());
        let stages = stages.iter();
        Self {
            id: id.to_string(),
            version: 1,
            waits: true,
            state: 0,
            since: start(),
            stages: stages
                .map(|(after, stage)| (start() + *after, *stage))
                .collect(),
            told: BTreeSet::new(),
            states: BTreeMap::from([(1, 0)]),
        }
    }

    fn moves(&mut self, how: Move, now: SystemTime) {
        self.version += 1;
        match how {
            Move::Edited => {}
            Move::Left => self.waits = false,
            Move::Returned => {
                self.state += 1;
                self.since = now;
                self.told.clear();
                self.stages = vec![(now, Stage::Due)];
            }
        }
        self.states.insert(self.version, self.state);
    }

    /// The most urgent stage that has come, unless the person was told of it.
    fn due(&self, now: SystemTime) -> Option<Stage> {
        let is_covered = |stage: Stage| self.told.iter().any(|told| told.covers(stage));
        let mut stages = self.stages.iter().filter(|(at, _)| *at <= now);
        let (_, stage) = stages.rfind(|(_, stage)| !is_covered(*stage))?;
        Some(*stage).filter(|_| self.waits)
    }

    /// What is due, whatever the person was told.
    fn pending(&self, now: SystemTime) -> Option<Told> {
        let (_, stage) = self.stages.iter().rfind(|(at, _)| *at <= now)?;
        self.waits.then(|| Told {
            item: self.id.clone(),
            state: self.state,
            stage: *stage,
        })
    }
}

/// A message, in a request to Slack or in the person's conversation.
#[derive(Debug, Clone)]
struct Message {
    /// The id of its request.
    id: usize,
    /// Its bundle's number.
    number: u64,
    entries: Vec<BundleEntry>,
    posted_at: SystemTime,
}

/// A request to post that Slack has received and not yet answered.
#[derive(Debug)]
struct Request {
    message: Message,
    /// Why it should not have been sent.
    objection: Option<String>,
    /// The latest time at which Slack processes the request. `None` until the sender is gone.
    over_at: Option<SystemTime>,
}

/// A write whose sender has crashed. The ledger can perform it at any time, or never.
#[derive(Debug)]
enum LateWrite {
    OfDelivery {
        id: String,
        expected: Option<Record>,
        record: Record,
    },
    OfBundle {
        expected: Option<Bundle>,
        bundle: Bundle,
    },
}

#[derive(Debug)]
pub struct World {
    choices: Choices,
    pub bounds: Bounds,
    setting: Setting,
    pub now: SystemTime,
    items: Vec<Item>,
    /// The record of each delivery.
    records: BTreeMap<String, Record>,
    /// The person's last bundle.
    bundle: Option<Bundle>,
    dropped: Vec<Bundle>,
    requests: Vec<Request>,
    sent: usize,
    late_writes: Vec<LateWrite>,
    /// The messages in Slack, oldest first.
    messages: Vec<Message>,
    /// The numbers of the bundles that were recorded, and their items.
    recorded: BTreeSet<(u64, String)>,
    /// The first rule that was broken.
    problem: Option<String>,
    /// What happened, for the report of a bad run.
    pub story: Option<Vec<String>>,
}

impl World {
    pub fn new(choices: Choices, setting: &Setting, bounds: Bounds, is_told: bool) -> Self {
        let items = setting.items.iter().enumerate();
        Self {
            choices,
            bounds,
            setting: setting.clone(),
            now: start(),
            items: items
                .map(|(number, stages)| Item::new(number, stages))
                .collect(),
            records: BTreeMap::new(),
            bundle: None,
            dropped: Vec::new(),
            requests: Vec::new(),
            sent: 0,
            late_writes: Vec::new(),
            messages: Vec::new(),
            recorded: BTreeSet::new(),
            problem: None,
            story: is_told.then(Vec::new),
        }
    }

    pub fn into_choices(self) -> Choices {
        self.choices
    }

    pub fn tell(&mut self, event: impl FnOnce() -> String) {
        if let Some(story) = &mut self.story {
            let since = self.now.duration_since(start()).unwrap_or_default();
            story.push(format!("{:>8.3} s  {}", since.as_secs_f64(), event()));
        }
    }

    /// Whether something out of the ordinary may happen now.
    fn may_happen(&mut self) -> bool {
        !self.bounds.is_spread || self.choices.choose(2) == 1
    }

    /// Chooses one of `count` faults. 0 means no fault.
    pub fn fault(&mut self, count: usize) -> usize {
        if self.bounds.faults == 0 || !self.may_happen() {
            return 0;
        }
        let chosen = self.choices.choose(count + 1);
        self.bounds.faults -= usize::from(chosen > 0);
        chosen
    }

    /// Chooses one of `count` other attempts that runs now. 0 means none.
    pub fn switch(&mut self, count: usize) -> usize {
        if self.bounds.switches == 0 || count == 0 {
            return 0;
        }
        let chosen = self.choices.choose(count + 1);
        if chosen > 0 {
            self.bounds.switches -= 1;
            self.let_requests_land();
        }
        chosen
    }

    /// An item may move now.
    pub fn let_an_item_move(&mut self) {
        if self.bounds.moves == 0 || !self.may_happen() {
            return;
        }
        let Some(chosen) = self.choices.choose(1 + 3 * self.items.len()).checked_sub(1) else {
            return;
        };
        self.bounds.moves -= 1;
        self.advance(self.now + TICK);
        let now = self.now;
        let how = [Move::Edited, Move::Returned, Move::Left][chosen % 3];
        let item = &mut self.items[chosen / 3];
        if item.waits {
            item.moves(how, now);
            let (id, version) = (item.id.clone(), item.version);
            self.tell(|| format!("{id} moves to version {version}: {how:?}"));
        }
    }

    /// For each request and write whose sender is gone, Slack or the ledger processes it now or not yet.
    pub fn let_requests_land(&mut self) {
        for write in std::mem::take(&mut self.late_writes) {
            if self.choices.choose(2) == 0 {
                self.late_writes.push(write);
                continue;
            }
            self.tell(|| "a late write lands".to_owned());
            match write {
                LateWrite::OfDelivery {
                    id,
                    expected,
                    record,
                } => drop(self.write(&id, expected.as_ref(), &record)),
                LateWrite::OfBundle { expected, bundle } => {
                    self.store(expected.as_ref(), &bundle);
                }
            }
        }
        for request in std::mem::take(&mut self.requests) {
            if request.over_at.is_some() && self.choices.choose(2) == 1 {
                self.land(request, "late");
            } else {
                self.requests.push(request);
            }
        }
    }

    pub fn wait_until(&mut self, time: SystemTime) {
        self.let_requests_land();
        self.advance(time);
    }

    /// Moves the clock to `time`. A request that Slack has not processed by its latest time is dropped.
    fn advance(&mut self, time: SystemTime) {
        self.now = self.now.max(time);
        let now = self.now;
        self.requests
            .retain(|request| request.over_at.is_none_or(|over_at| over_at > now));
    }

    /// When the day with this number begins.
    pub fn beginning_of(&self, number: u64) -> SystemTime {
        match number.checked_sub(1) {
            None => start(),
            Some(full) => {
                start() + self.setting.day_ends_after + DAY * u32::try_from(full).unwrap()
            }
        }
    }

    fn today(&self, now: SystemTime) -> DueDate {
        let second_day = now.duration_since(self.beginning_of(1));
        day(second_day.map_or(0, |past| 1 + past.as_secs() / DAY.as_secs()))
    }

    fn item(&self, id: &str) -> &Item {
        let mut items = self.items.iter();
        items.find(|item| item.id == id).unwrap()
    }

    fn told(&self, entry: &BundleEntry) -> Told {
        let RemindedOf {
            item_id,
            version,
            stage,
            ..
        } = &entry.of;
        let item = self.item(item_id.as_str());
        Told {
            item: item.id.clone(),
            state: item.states[&version.get()],
            stage: *stage,
        }
    }

    /// Whether a message in Slack tells of it.
    fn was_told(&self, wanted: &Told) -> bool {
        let mut entries = self.messages.iter().flat_map(|message| &message.entries);
        entries.any(|entry| self.told(entry).covers(wanted))
    }

    /// Records in the item's row that the person was told.
    fn record(&mut self, entry: &BundleEntry) {
        let id = entry.of.item_id.as_str();
        let mut items = self.items.iter_mut();
        let item = items.find(|item| item.id == id).unwrap();
        item.told.insert(entry.of.stage);
    }

    /// Why the bundle is not to be posted.
    fn objection(&self, bundle: &Bundle) -> Option<String> {
        if self.today(self.now) != bundle.day {
            return Some("posted after its day".to_owned());
        }
        let moved = bundle.entries.iter().find(|entry| {
            let item = self.item(entry.of.item_id.as_str());
            item.version != entry.of.version.get() || !item.waits
        });
        moved.map(|entry| format!("posted after {} had moved", entry.of.item_id))
    }

    /// Replaces a delivery's record as a table does.
    fn write(&mut self, id: &str, expected: Option<&Record>, record: &Record) -> Replaced {
        let stored = self.records.get(id);
        let is_unchanged = match (stored, expected) {
            (None, None) => true,
            (Some(stored), Some(expected)) => {
                (stored.attempt(), stored.state()) == (expected.attempt(), expected.state())
            }
            _ => false,
        };
        if !is_unchanged {
            return Replaced::Conflict(stored.cloned());
        }
        self.records.insert(id.to_owned(), record.clone());
        Replaced::Done
    }

    /// Replaces the person's bundle as a table does.
    fn store(&mut self, expected: Option<&Bundle>, bundle: &Bundle) -> bool {
        let is_expected = match (&self.bundle, expected) {
            (None, None) => true,
            (Some(stored), Some(expected)) => stored.is(expected),
            _ => false,
        };
        if !is_expected && self.bounds.broken != Broken::Condition {
            return false;
        }
        let mut stored = bundle.clone();
        if self.bounds.broken == Broken::Number
            && let Some(expected) = expected
            && (expected.state, bundle.state) == (BundleState::Dropped, BundleState::Open)
        {
            stored.number = expected.number;
        }
        if stored.state == BundleState::Dropped {
            if self.bounds.broken == Broken::Dropped {
                stored.entries.iter().for_each(|entry| self.record(entry));
            }
            self.dropped.push(stored.clone());
        }
        self.tell(|| shown(&stored));
        self.bundle = Some(stored);
        true
    }

    fn land(&mut self, request: Request, how: &str) {
        let mut message = request.message;
        message.posted_at = self.now;
        self.tell(|| format!("Slack takes post {} ({how})", message.id));
        if let Some(objection) = request.objection {
            self.problem.get_or_insert(objection);
        }
        for entry in &message.entries {
            let told = self.told(entry);
            if self.was_told(&told) {
                let problem = format!("told twice of {} ({})", told.item, told.stage);
                self.problem.get_or_insert(problem);
            }
        }
        self.messages.push(message);
    }

    /// Marks the request as abandoned, because its sender is gone.
    fn abandon(&mut self, id: usize) {
        let over_at = self.now + self.bounds.lateness;
        for request in &mut self.requests {
            if request.message.id == id {
                request.over_at = Some(over_at);
            }
        }
    }

    /// What is due now in this part of a day's messages, whatever the person was told.
    pub fn pending(&self, part: Part) -> Vec<Told> {
        let pending = self.items.iter().filter_map(|item| item.pending(self.now));
        pending.filter(|told| told.stage.belongs_in(part)).collect()
    }

    /// The first of these that still is to be told, and of which Slack has no message.
    fn untold<'a>(&self, wanted: impl IntoIterator<Item = &'a Told>) -> Option<&'a Told> {
        wanted.into_iter().find(|told| {
            let item = self.item(&told.item);
            item.waits && item.state == told.state && !self.was_told(told)
        })
    }

    /// Judges what an execution says at its end. `pending` was due when it started.
    pub fn judge_end(
        &mut self,
        own: DueDate,
        pending: &[Told],
        said: &Reminded,
    ) -> Result<(), String> {
        if let Reminded::Of(items, ts) = said {
            let mut messages = self.messages.iter();
            let message = messages.find(|message| timestamp(message.id) == *ts);
            let is_of = |message: &Message| message.entries.iter().map(|entry| &entry.of).eq(items);
            if !message.is_some_and(is_of) {
                return Err("it says that it sent what is not in Slack".to_owned());
            }
        }
        match self.untold(pending) {
            Some(told) if self.today(self.now) == own => {
                Err(format!("not told of {} ({})", told.item, told.stage))
            }
            _ => Ok(()),
        }
    }

    /// Judges Slack and the rows after the last execution, which had no faults.
    pub fn judge(&self) -> Result<(), String> {
        if let Some(problem) = &self.problem {
            return Err(problem.clone());
        }
        if let Some(told) = self.untold(&self.pending(Part::First)) {
            return Err(format!("never told of {} ({})", told.item, told.stage));
        }
        let dropped = self.dropped.iter().flat_map(|bundle| &bundle.entries);
        let dropped: Vec<Told> = dropped.map(|entry| self.told(entry)).collect();
        if let Some(told) = self.untold(&dropped) {
            return Err(format!("dropped {} ({})", told.item, told.stage));
        }
        for message in &self.messages {
            for entry in &message.entries {
                let item = entry.of.item_id.as_str().to_owned();
                if !self.recorded.contains(&(message.number, item)) {
                    return Err(format!("{} was not recorded", entry.of.item_id));
                }
            }
        }
        Ok(())
    }
}

fn shown(bundle: &Bundle) -> String {
    let entries = bundle.entries.iter().map(|BundleEntry { of, .. }| {
        let version = of.version.get();
        format!("{} v{version} {}", of.item_id, of.stage)
    });
    let entries: Vec<String> = entries.collect();
    let Bundle { number, state, .. } = bundle;
    format!("bundle {number} is {state:?}: {}", entries.join(", "))
}

/// The world as one attempt sees it.
#[derive(Debug, Clone)]
pub struct View {
    pub world: Rc<RefCell<World>>,
    pub name: String,
    /// The day of the attempt's execution.
    pub day: DueDate,
    pub deadline: SystemTime,
    pub memory: Rc<Memory>,
}

/// What the model knows about an attempt.
#[derive(Debug, Default)]
pub struct Memory {
    /// The number of the bundle that the attempt has checked right before, and what was to be said against it.
    checked: RefCell<Option<(u64, Option<String>)>>,
    has_posted: Cell<bool>,
}

impl View {
    fn tell(&self, event: impl FnOnce() -> String) {
        let name = &self.name;
        self.world
            .borrow_mut()
            .tell(|| format!("{name}: {}", event()));
    }

    /// Waits until a request takes effect that is not the post. What was checked before it does not count any more.
    async fn pause(&self) {
        *self.memory.checked.borrow_mut() = None;
        pause().await;
    }

    /// Waits until a write takes effect. If the sender crashes, it can do so later.
    async fn send(&self, write: LateWrite) {
        let mut sent = Sent {
            world: &self.world,
            request: Some(write),
            abandon: |world, write| world.late_writes.push(write),
        };
        self.pause().await;
        sent.request = None;
    }
}

/// A request whose sender waits for the response. If the sender crashes, the request may still land.
struct Sent<'a, R> {
    world: &'a RefCell<World>,
    request: Option<R>,
    abandon: fn(&mut World, R),
}

impl<R> Drop for Sent<'_, R> {
    fn drop(&mut self) {
        if let Some(request) = self.request.take() {
            (self.abandon)(&mut self.world.borrow_mut(), request);
        }
    }
}

fn unavailable() -> StepError {
    StepError::StoreUnavailable {
        store: "a table".to_owned(),
        operation: "PutItem",
        reason: "by the model".to_owned(),
    }
}

impl Ledger for View {
    async fn replace(
        &self,
        change: RecordChange<'_>,
        _now: SystemTime,
    ) -> Result<Replaced, StepError> {
        self.send(LateWrite::OfDelivery {
            id: change.delivery_id.to_owned(),
            expected: change.expected.cloned(),
            record: change.record.clone(),
        })
        .await;
        // 1: nothing is written. 2: the record is written, but the response is lost. 3: the SDK did not get the
        // response either, wrote again, and found its own record.
        let fault = self.world.borrow_mut().fault(3);
        if fault == 1 {
            self.tell(|| "the ledger of deliveries is unavailable".to_owned());
            return Err(unavailable());
        }
        let RecordChange {
            delivery_id,
            expected,
            record,
            ..
        } = change;
        let replaced = self.world.borrow_mut().write(delivery_id, expected, record);
        self.tell(|| format!("writes {} ({fault}): {replaced:?}", record.state()));
        match (fault, &replaced) {
            (2, _) => Err(unavailable()),
            (3, Replaced::Done) => Ok(Replaced::Conflict(Some(record.clone()))),
            _ => Ok(replaced),
        }
    }
}

impl BundleLedger for View {
    async fn latest_bundle(&self, _user: &SlackUserId) -> Result<Option<Bundle>, StepError> {
        self.pause().await;
        let mut world = self.world.borrow_mut();
        if let Some(bundle) = world.bundle.clone()
            && world.bounds.broken == Broken::Drop
            && bundle.state == BundleState::Open
            && world.objection(&bundle).is_some()
        {
            world.store(Some(&bundle), &bundle.as_dropped());
        }
        Ok(world.bundle.clone())
    }

    async fn replace_bundle(
        &self,
        _user: &SlackUserId,
        expected: Option<&Bundle>,
        bundle: &Bundle,
    ) -> Result<bool, StepError> {
        self.send(LateWrite::OfBundle {
            expected: expected.cloned(),
            bundle: bundle.clone(),
        })
        .await;
        // As with the ledger of deliveries.
        let fault = self.world.borrow_mut().fault(3);
        if fault == 1 {
            self.tell(|| "the ledger of bundles is unavailable".to_owned());
            return Err(unavailable());
        }
        let is_stored = self.world.borrow_mut().store(expected, bundle);
        self.tell(|| format!("stores a bundle ({fault}): {is_stored}"));
        match fault {
            2 => Err(unavailable()),
            3 => Ok(false),
            _ => Ok(is_stored),
        }
    }
}

impl Desk for View {
    type Outbox<'a> = Conversation<'a>;

    async fn now(&self) -> Result<Timestamp, StepError> {
        self.pause().await;
        Ok(Timestamp::try_from(self.world.borrow().now).unwrap())
    }

    async fn due(
        &self,
        part: Part,
        now: Timestamp,
    ) -> Result<Option<(Vec<BundleEntry>, BundleContent)>, StepError> {
        self.pause().await;
        let world = self.world.borrow();
        let now = time_of(now);
        // An execution that is late does not remind on another day.
        if world.today(now) != self.day {
            return Ok(None);
        }
        let due = world.items.iter().filter_map(|item| {
            let stage = item.due(now).filter(|stage| stage.belongs_in(part))?;
            let id = item.id.clone().try_into().unwrap();
            let version = item.version.try_into().unwrap();
            Some(BundleEntry {
                email: Email::try_from("ana@example.com".to_owned()).unwrap(),
                of: RemindedOf::new(id, version, stage),
            })
        });
        let due: Vec<BundleEntry> = due.collect();
        let content = BundleContent {
            text: String::new(),
            blocks: Vec::new(),
        };
        Ok(Some((due, content)).filter(|(due, _)| !due.is_empty()))
    }

    async fn holds(&self, bundle: &Bundle) -> Result<bool, StepError> {
        self.pause().await;
        let mut world = self.world.borrow_mut();
        if world.fault(1) == 1 {
            world.tell(|| format!("{}: can't check the bundle", self.name));
            return Err(unavailable());
        }
        let objection = world.objection(bundle);
        let holds = objection.is_none() || world.bounds.broken == Broken::Holds;
        *self.memory.checked.borrow_mut() = Some((bundle.number, objection));
        world.tell(|| format!("{}: bundle {} holds: {holds}", self.name, bundle.number));
        Ok(holds)
    }

    async fn record(&self, bundle: &Bundle) -> Result<(), StepError> {
        for entry in &bundle.entries {
            self.pause().await;
            let world = &mut *self.world.borrow_mut();
            if world.bounds.broken == Broken::Record && !self.memory.has_posted.get() {
                return Ok(());
            }
            let (id, number) = (entry.of.item_id.as_str(), bundle.number);
            world.tell(|| format!("{}: records {id} of bundle {number}", self.name));
            let mut messages = world.messages.iter();
            if !messages.any(|sent| sent.number == number && sent.entries.contains(entry)) {
                let problem = format!("recorded {id}, which is not in Slack");
                world.problem.get_or_insert(problem);
            }
            world.recorded.insert((number, id.to_owned()));
            // Otherwise it has come to another state since.
            if world.item(id).since <= time_of(bundle.stored_at) {
                world.record(entry);
            }
        }
        Ok(())
    }

    fn delivery(&self, bundle: &Bundle) -> Delivery {
        Delivery {
            id: format!("#remind/U1#{}", bundle.number),
            attempt_id: self.name.clone(),
            place: Place::in_channel(CHANNEL),
            execution_started_at: None,
            expires_at: None,
            in_sequence: None,
            deadline: self.deadline,
        }
    }

    fn outbox<'a>(&'a self, bundle: &'a Bundle, _delivery: &'a Delivery) -> Conversation<'a> {
        Conversation { view: self, bundle }
    }
}

/// The direct message with the person.
#[derive(Debug)]
pub struct Conversation<'a> {
    view: &'a View,
    bundle: &'a Bundle,
}

impl Conversation<'_> {
    /// Why the bundle should not be posted now, as far as the attempt could know.
    fn objection(&self) -> Option<String> {
        match self.view.memory.checked.borrow_mut().take() {
            Some((number, objection)) if number == self.bundle.number => objection,
            _ => Some("posted without a check right before".to_owned()),
        }
    }
}

impl Outbox for Conversation<'_> {
    fn now(&self) -> SystemTime {
        self.view.world.borrow().now
    }

    async fn find(&self, _place: &Place, search: &mut Search) -> Result<Found, SlackError> {
        let Self { view, bundle } = self;
        view.pause().await;
        let (found, is_out_of_time) = {
            let mut world = view.world.borrow_mut();
            let fault = world.fault(2);
            if fault == 1 {
                world.tell(|| format!("{}: can't look", view.name));
                return Err(SlackError::Unavailable {
                    method: "conversations.history",
                    reason: "by the model".to_owned(),
                });
            }
            let span = search.since..=search.until.unwrap_or(world.now);
            let mut messages = world.messages.iter();
            let found = messages.find(|message| {
                message.number == bundle.number && span.contains(&message.posted_at)
            });
            (found.map(|message| message.id), fault == 2)
        };
        // A message that Slack accepts while the pages are read is on none of them.
        view.pause().await;
        view.tell(|| format!("finds {found:?}"));
        Ok(match found {
            _ if is_out_of_time => Found::OutOfTime,
            Some(id) => Found::Message(timestamp(id)),
            None => Found::Nothing,
        })
    }

    async fn confirm(&self) -> Result<(), StepError> {
        Ok(())
    }

    async fn post(&self) -> Result<MessageTs, SlackError> {
        let method = "chat.postMessage";
        let Self { view, bundle } = self;
        pause().await;
        let sent = {
            let mut world = view.world.borrow_mut();
            let rejected = |code: &str| SlackError::Rejected {
                method,
                code: code.to_owned(),
                detail: None,
            };
            let limited = |seconds| SlackError::RateLimited {
                method,
                retry_after: Duration::from_secs(seconds),
                is_certain: false,
            };
            let is_limited = world.now < start() + world.setting.limited_for;
            let refusal = match world.fault(3) {
                1 => Some(limited(1)),
                // An operator fixes it, and redrives the execution.
                2 => Some(rejected("restricted_action")),
                // The execution fails for good.
                3 => Some(rejected("invalid_blocks")),
                _ => is_limited.then(|| limited(30)),
            };
            if let Some(refusal) = refusal {
                world.tell(|| format!("{}: {refusal}", view.name));
                return Err(refusal);
            }
            world.sent += 1;
            let id = world.sent;
            world.tell(|| format!("{}: sends post {id}: {}", view.name, shown(bundle)));
            let message = Message {
                id,
                number: bundle.number,
                entries: bundle.entries.clone(),
                posted_at: world.now,
            };
            world.requests.push(Request {
                message,
                objection: self.objection(),
                over_at: None,
            });
            Sent {
                world: &view.world,
                request: Some(id),
                abandon: World::abandon,
            }
        };
        pause().await;
        let id = sent.request.unwrap_or_default();
        // 0: Slack accepts the post and answers. 1: it accepts the post, but the answer is lost.
        // 2: there is no answer, and Slack accepts the post later or never.
        let fault = {
            let mut world = view.world.borrow_mut();
            let fault = world.fault(2);
            if fault < 2 {
                let mut requests = world.requests.extract_if(.., |one| one.message.id == id);
                let request = requests.next();
                drop(requests);
                if let Some(request) = request {
                    world.land(request, "at once");
                }
            }
            fault
        };
        drop(sent);
        if fault > 0 {
            view.tell(|| "gets no answer".to_owned());
            return Err(SlackError::OutcomeUnknown {
                method,
                reason: "by the model".to_owned(),
            });
        }
        view.memory.has_posted.set(true);
        Ok(timestamp(id))
    }
}

fn timestamp(id: usize) -> MessageTs {
    MessageTs::try_from(format!("{id}.000000")).unwrap()
}

fn time_of(at: Timestamp) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(at.as_millisecond().try_into().unwrap())
}
