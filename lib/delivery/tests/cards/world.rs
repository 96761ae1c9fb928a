//! The world of the model: the table of cards, Slack, a clock, and everything that can go wrong with them.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use apgl_contract::{MessageTs, StepError, outcome::PostedMessage};
use apgl_delivery::{
    NotDelivered,
    card::{Board, Shown},
};
use apgl_slack::SlackError;
use apgl_stores::{Card, CardLedger, CardReplaced, Cards};

use crate::choices::{Choices, pause};

/// A part that is removed from the protocol, to show that the model notices its absence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    Nothing,
    /// The table lets everybody claim the card.
    Claim,
    /// The table says that Slack shows the version of an update whose outcome is unknown.
    Doubt,
    /// That the card was pinned is written even if another attempt has claimed the card.
    Pin,
    /// An attempt reads the item before it claims the card, not after it.
    Read,
}

/// The limits on what can go wrong in one run.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// The number of faults: bad responses, lost responses, crashes, stalls, deletions.
    pub faults: usize,
    /// How often one execution is interrupted by another, or the item moves while one runs.
    pub switches: usize,
    /// How often people replace the channel, or the item moves to another one.
    pub changes: usize,
    /// Whether the channel is the item's own, so that the card is pinned.
    pub own_channel: bool,
    /// How long Slack can continue to process a request after its sender is gone.
    pub lateness: Duration,
    pub broken: Broken,
}

/// A channel in Slack. Its id is its place in the list.
#[derive(Debug)]
struct Channel {
    name: usize,
    is_deleted: bool,
}

/// A card in Slack.
#[derive(Debug)]
struct InSlack {
    number: u32,
    channel: usize,
    shows: u64,
    is_deleted: bool,
}

/// What the delivery protocol knows about a card's post.
#[derive(Debug, Default)]
struct Post {
    is_recorded: bool,
    /// Where an earlier attempt may have posted the card.
    in_doubt: Option<usize>,
}

/// An update that Slack has received and not yet processed. Its sender is gone.
#[derive(Debug)]
struct LateUpdate {
    number: u32,
    version: u64,
    over_at: SystemTime,
}

/// A write whose sender has crashed. The table can perform it at any time, or never.
#[derive(Debug)]
struct LateWrite {
    expected: Option<Card>,
    card: Card,
}

#[derive(Debug)]
pub struct World {
    choices: Choices,
    bounds: Bounds,
    pub now: SystemTime,
    /// The item's latest version.
    pub version: u64,
    /// For each version, the name of the channel in which its card belongs.
    names: Vec<usize>,
    channels: Vec<Channel>,
    stored: Option<Card>,
    posts: BTreeMap<u32, Post>,
    in_slack: Vec<InSlack>,
    pinned: BTreeSet<u32>,
    /// The channels in which an execution has left the card up to date.
    up_to_date_in: BTreeSet<usize>,
    late_updates: Vec<LateUpdate>,
    late_writes: Vec<LateWrite>,
    /// The first rule that Slack has seen broken.
    problem: Option<String>,
    /// What happened, for the report of a bad run.
    pub story: Vec<String>,
}

impl World {
    pub fn new(choices: Choices, bounds: Bounds) -> Self {
        Self {
            choices,
            bounds,
            now: start(),
            version: 1,
            names: vec![0],
            channels: [0, 1].map(Channel::named).into(),
            stored: None,
            posts: BTreeMap::new(),
            in_slack: Vec::new(),
            pinned: BTreeSet::new(),
            up_to_date_in: BTreeSet::new(),
            late_updates: Vec::new(),
            late_writes: Vec::new(),
            problem: None,
            story: Vec::new(),
        }
    }

    pub fn into_choices(self) -> Choices {
        self.choices
    }

    pub fn tell(&mut self, event: impl Into<String>) {
        let since = self.now.duration_since(start()).unwrap_or_default();
        let line = format!("{:>6.1} s  {}", since.as_secs_f64(), event.into());
        self.story.push(line);
    }

    /// Chooses one of `count` faults. 0 means no fault.
    pub fn fault(&mut self, count: usize) -> usize {
        if self.bounds.faults == 0 {
            return 0;
        }
        let chosen = self.choices.choose(count + 1);
        self.bounds.faults -= usize::from(chosen > 0);
        chosen
    }

    /// Whether another execution runs now.
    pub fn switches(&mut self) -> bool {
        let switches = self.bounds.switches > 0 && self.choices.choose(2) == 1;
        self.bounds.switches -= usize::from(switches);
        switches
    }

    /// Whether the item moves now.
    pub fn moves(&mut self) -> bool {
        let moves = self.switches();
        if moves {
            self.next_version();
        }
        moves
    }

    /// The item's next version. Its card may belong in another channel from now on.
    pub fn next_version(&mut self) {
        let name = self.name_of(self.version);
        let name = if name == 0 { self.change(1) } else { name };
        self.version += 1;
        self.names.push(name);
        let version = self.version;
        self.tell(format!(
            "the item moves to version {version}, in channel {name}"
        ));
    }

    /// Chooses one of `count` changes of the channel. 0 means no change.
    fn change(&mut self, count: usize) -> usize {
        if self.bounds.changes == 0 {
            return 0;
        }
        let chosen = self.choices.choose(count + 1);
        self.bounds.changes -= usize::from(chosen > 0);
        chosen
    }

    /// People may rename or delete the item's channel, and create another one with its name.
    pub fn let_people_replace_the_channel(&mut self) {
        let change = self.change(2);
        if change == 0 {
            return;
        }
        let name = self.name_of(self.version);
        let (earlier, is_deleted) = (self.channel_named(name), change == 2);
        self.channels[earlier].is_deleted = is_deleted;
        self.channels.push(Channel::named(name));
        let how = if is_deleted { "deleted" } else { "renamed" };
        self.tell(format!("channel C{earlier} is {how} and replaced"));
    }

    /// The name of the channel in which the card of this version belongs.
    pub fn name_of(&self, version: u64) -> usize {
        self.names[usize::try_from(version).unwrap() - 1]
    }

    /// The channel that has this name now.
    pub fn channel_named(&self, name: usize) -> usize {
        self.channels
            .iter()
            .rposition(|channel| channel.name == name)
            .unwrap()
    }

    /// Moves the clock. An update that Slack has not processed by its latest time is dropped.
    pub fn wait_until(&mut self, time: SystemTime) {
        self.let_requests_land();
        self.now = self.now.max(time);
        let now = self.now;
        self.late_updates.retain(|update| update.over_at > now);
    }

    /// Slack or the table processes each late request now or not yet.
    pub fn let_requests_land(&mut self) {
        for write in std::mem::take(&mut self.late_writes) {
            if self.choices.choose(2) == 1 {
                self.tell("a late write lands");
                self.write(write.expected.as_ref(), &write.card);
            } else {
                self.late_writes.push(write);
            }
        }
        for update in std::mem::take(&mut self.late_updates) {
            if self.choices.choose(2) == 1 {
                self.apply(update.number, update.version, "late");
            } else {
                self.late_updates.push(update);
            }
        }
    }

    fn write(&mut self, expected: Option<&Card>, card: &Card) -> CardReplaced {
        let is_expected = match (&self.stored, expected) {
            (None, None) => true,
            (Some(stored), Some(expected)) => stored.is(expected),
            _ => false,
        };
        if !is_expected && self.bounds.broken != Broken::Claim {
            return CardReplaced::Conflict(self.stored.clone());
        }
        self.stored = Some(card.clone());
        CardReplaced::Done
    }

    fn apply(&mut self, number: u32, version: u64, how: &str) {
        self.tell(format!(
            "Slack shows version {version} on card {number} ({how})"
        ));
        let Some(card) = self.in_slack.iter_mut().find(|card| card.number == number) else {
            return;
        };
        if version < card.shows {
            let (was, is) = (card.shows, version);
            self.problem.get_or_insert(format!(
                "card {number} went back from version {was} to {is}"
            ));
        }
        card.shows = version;
    }

    fn post(&mut self, number: u32, channel: usize, version: u64) {
        self.tell(format!(
            "Slack posts card {number} with version {version} in channel C{channel}"
        ));
        self.in_slack.push(InSlack {
            number,
            channel,
            shows: version,
            is_deleted: false,
        });
    }

    /// Looks for a card that may have been posted, as the delivery protocol does.
    fn find(&mut self, number: u32, here: usize) -> Result<Option<PostedMessage>, NotDelivered> {
        let posted = |card: &InSlack| PostedMessage {
            duplicate: true,
            channel_id: (card.channel != here).then(|| id_of(card.channel)),
            ..PostedMessage::new(ts_of(number))
        };
        let post = self.posts.entry(number).or_default();
        let card = self.in_slack.iter().find(|card| card.number == number);
        if let Some(card) = card.filter(|_| post.is_recorded) {
            return Ok(Some(posted(card)));
        }
        if self.channels[here].is_deleted {
            return Err(no_such_channel("chat.postMessage").into());
        }
        let Some(channel) = post.in_doubt else {
            return Ok(None);
        };
        if self.channels[channel].is_deleted {
            let channel = id_of(channel);
            return Err(NotDelivered::CantLook { channel });
        }
        post.in_doubt = None;
        post.is_recorded = card.is_some();
        Ok(card.map(posted))
    }

    /// Judges the end of an execution that says that the card belongs in another channel.
    pub fn judge_end_elsewhere(&mut self, own: u64) -> Result<(), String> {
        self.tell(format!("v{own}: ends, the card belongs elsewhere"));
        if self.name_of(own) == self.name_of(self.version) {
            return Err(format!("the execution of version {own} does nothing"));
        }
        Ok(())
    }

    /// Judges what an execution says at its end.
    pub fn judge_end(
        &mut self,
        own: u64,
        channel: usize,
        shown: &Shown<u64>,
    ) -> Result<(), String> {
        self.up_to_date_in.insert(channel);
        self.tell(format!(
            "v{own}: ends, the card shows version {}",
            shown.version
        ));
        if shown.version < own {
            return Err(format!(
                "the execution of version {own} says {}",
                shown.version
            ));
        }
        let card = self
            .in_slack
            .iter()
            .find(|card| ts_of(card.number) == shown.at.ts);
        match card {
            Some(card)
                if card.shows >= shown.version
                    && card.channel == channel
                    && shown.at.channel == id_of(channel) =>
            {
                Ok(())
            }
            other => Err(format!(
                "it says version {}, Slack has {other:?}",
                shown.version
            )),
        }
    }

    /// Judges Slack at the end of a run.
    pub fn judge(&self) -> Result<(), String> {
        if let Some(problem) = &self.problem {
            return Err(problem.clone());
        }
        let mut numbers: Vec<u32> = self.in_slack.iter().map(|card| card.number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        if numbers.len() != self.in_slack.len() {
            return Err("a card was posted twice".to_owned());
        }
        let live_in = |channel: usize| {
            let cards = self.in_slack.iter();
            cards.filter(move |card| card.channel == channel && !card.is_deleted)
        };
        if (0..self.channels.len()).any(|channel| live_in(channel).count() > 1) {
            return Err(format!("a channel has two cards: {:?}", self.in_slack));
        }
        // What people have replaced since then is found by the next version's execution.
        let name = self.name_of(self.version);
        let mut channels = self.up_to_date_in.iter().rev();
        let last = channels.find(|channel| self.channels[**channel].name == name);
        let card = last.and_then(|channel| live_in(*channel).next());
        match card {
            Some(card) if card.shows != self.version => {}
            Some(card) if self.bounds.own_channel && !self.pinned.contains(&card.number) => {
                return Err(format!("card {} was never pinned", card.number));
            }
            Some(_) => return Ok(()),
            None => {}
        }
        Err(format!(
            "the item has version {}, Slack has {:?}",
            self.version, self.in_slack
        ))
    }
}

impl Channel {
    fn named(name: usize) -> Self {
        Self {
            name,
            is_deleted: false,
        }
    }
}

/// When the executions start.
fn start() -> SystemTime {
    UNIX_EPOCH + Duration::from_hours(24)
}

fn ts_of(number: u32) -> MessageTs {
    MessageTs::try_from(format!("{number}.000000")).unwrap()
}

fn id_of(channel: usize) -> String {
    format!("C{channel}")
}

fn no_such_channel(method: &'static str) -> SlackError {
    SlackError::Rejected {
        method,
        code: "channel_not_found".to_owned(),
        detail: None,
    }
}

/// The world as one attempt sees it.
#[derive(Debug, Clone)]
pub struct View {
    pub world: Rc<RefCell<World>>,
    pub name: String,
    /// The channel that the workflow has found, and its id.
    pub channel: usize,
    channel_id: String,
    /// The version that the attempt has read too early.
    read_early: Option<u64>,
}

impl View {
    pub fn new(world: &Rc<RefCell<World>>, name: String, channel: usize) -> Self {
        let reads_early = world.borrow().bounds.broken == Broken::Read;
        Self {
            read_early: reads_early.then(|| world.borrow().version),
            world: world.clone(),
            name,
            channel,
            channel_id: id_of(channel),
        }
    }

    /// Pins the card as `update-card` does: the attempt has released its claim.
    pub async fn pin(&self, shown: &Shown<u64>) -> Result<(), NotDelivered> {
        let card = &shown.card;
        if !self.world.borrow().bounds.own_channel || card.pin_tried {
            return Ok(());
        }
        pause().await;
        self.world.borrow_mut().pinned.insert(card.number);
        let cards = Cards::new(self.clone());
        let tried = card.pin_was_tried();
        if self.world.borrow().bounds.broken == Broken::Pin {
            self.world.borrow_mut().stored = Some(tried);
            return Ok(());
        }
        cards.write("item", card, &tried, self.now()).await?;
        Ok(())
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

impl CardLedger for View {
    async fn replace(
        &self,
        _item_id: &str,
        expected: Option<&Card>,
        card: &Card,
        _now: SystemTime,
    ) -> Result<CardReplaced, StepError> {
        pause().await;
        let mut sent = Sent {
            world: &self.world,
            request: Some(LateWrite {
                expected: expected.cloned(),
                card: card.clone(),
            }),
            abandon: |world, write| world.late_writes.push(write),
        };
        pause().await;
        sent.request = None;
        let world = &mut *self.world.borrow_mut();
        let unavailable = || StepError::StoreUnavailable {
            store: "cards".to_owned(),
            operation: "PutItem",
            reason: "a fault".to_owned(),
        };
        let name = &self.name;
        match world.fault(2) {
            1 => {
                world.tell(format!("{name}: the table is unavailable"));
                Err(unavailable())
            }
            2 => {
                world.tell(format!("{name}: the table's response is lost"));
                world.write(expected, card);
                Err(unavailable())
            }
            _ => Ok(world.write(expected, card)),
        }
    }
}

impl Board for View {
    type Content = u64;

    fn now(&self) -> SystemTime {
        self.world.borrow().now
    }

    fn channel(&self) -> &str {
        &self.channel_id
    }

    async fn read(&self) -> Result<Option<(u64, u64)>, StepError> {
        pause().await;
        let version = {
            let world = self.world.borrow();
            let version = self.read_early.unwrap_or(world.version);
            let is_here = world.name_of(version) == world.channels[self.channel].name;
            is_here.then_some((version, version))
        };
        pause().await;
        Ok(version)
    }

    async fn confirm(&self) -> Result<(), StepError> {
        let world = self.world.borrow();
        let name = world.channels[self.channel].name;
        if world.channel_named(name) == self.channel {
            return Ok(());
        }
        Err(StepError::ChannelNotFound {
            channel: self.channel_id.clone(),
            hint: "people have replaced it",
        })
    }

    /// Exactly once, as the delivery protocol does it, whose own model shows that it does.
    async fn post(&self, number: u32, content: &u64) -> Result<PostedMessage, NotDelivered> {
        pause().await;
        let method = "chat.postMessage";
        let reason = "a fault".to_owned();
        {
            let world = &mut *self.world.borrow_mut();
            if let Some(posted) = world.find(number, self.channel)? {
                return Ok(posted);
            }
            let fault = world.fault(3);
            if fault == 1 {
                return Err(SlackError::Unavailable { method, reason }.into());
            }
            world.posts.entry(number).or_default().in_doubt = Some(self.channel);
            if fault != 2 {
                world.post(number, self.channel, *content);
            }
            if fault > 0 {
                return Err(NotDelivered::OutcomeUnknown { method, reason });
            }
        }
        pause().await;
        let world = &mut *self.world.borrow_mut();
        world.posts.entry(number).or_default().is_recorded = true;
        Ok(PostedMessage::new(ts_of(number)))
    }

    async fn update(&self, ts: &MessageTs, content: &u64) -> Result<(), SlackError> {
        pause().await;
        let (method, reason) = ("chat.update", "a fault".to_owned());
        let number: u32 = ts.as_str().split('.').next().unwrap().parse().unwrap();
        let over_at = self.world.borrow().now + self.world.borrow().bounds.lateness;
        let late = || LateUpdate {
            number,
            version: *content,
            over_at,
        };
        let mut sent = Sent {
            world: &self.world,
            request: Some(late()),
            abandon: |world, update| world.late_updates.push(update),
        };
        pause().await;
        sent.request = None;
        let world = &mut *self.world.borrow_mut();
        if world.channels[self.channel].is_deleted {
            return Err(no_such_channel(method));
        }
        let fault = world.fault(5);
        if fault == 5 {
            world.tell(format!("somebody deletes card {number}"));
            let card = world.in_slack.iter_mut().find(|card| card.number == number);
            card.unwrap().is_deleted = true;
        }
        let card = world.in_slack.iter().find(|card| card.number == number);
        if card.is_none_or(|card| card.is_deleted) {
            let code = "message_not_found".to_owned();
            return Err(SlackError::Rejected {
                method,
                code,
                detail: None,
            });
        }
        match fault {
            1 => return Err(SlackError::Unavailable { method, reason }),
            2 => return Err(SlackError::OutcomeUnknown { method, reason }),
            3 => {
                world.apply(number, *content, "without a response");
                return Err(SlackError::OutcomeUnknown { method, reason });
            }
            4 => {
                world.late_updates.push(late());
                world.tell(format!("{}: the update is late", self.name));
                if world.bounds.broken == Broken::Doubt {
                    return Ok(());
                }
                return Err(SlackError::OutcomeUnknown { method, reason });
            }
            _ => world.apply(number, *content, "updated"),
        }
        Ok(())
    }
}
