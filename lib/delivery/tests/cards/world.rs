//! The world of the model: the table of cards, Slack, a clock, and everything that can go wrong with them.

use std::{
    cell::RefCell,
    rc::Rc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use apgl_contract::{MessageTs, StepError, outcome::PostedMessage};
use apgl_delivery::{
    NotDelivered,
    card::{Board, Shown},
};
use apgl_slack::SlackError;
use apgl_stores::{Card, CardLedger, CardReplaced};

use crate::choices::{Choices, pause};

const CHANNEL: &str = "C1";

/// A part that is removed from the protocol, to show that the model notices its absence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    Nothing,
    /// The table lets everybody claim the card.
    Claim,
    /// The table says that Slack shows the version of an update whose outcome is unknown.
    Doubt,
}

/// The limits on what can go wrong in one run.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// The number of faults: bad responses, lost responses, crashes, stalls, deletions.
    pub faults: usize,
    /// How often one execution is interrupted by another, or the item moves while one runs.
    pub switches: usize,
    /// How long Slack can continue to process a request after its sender is gone.
    pub lateness: Duration,
    pub broken: Broken,
}

/// A card in Slack.
#[derive(Debug)]
struct InSlack {
    number: u32,
    shows: u64,
    is_deleted: bool,
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
    stored: Option<Card>,
    in_slack: Vec<InSlack>,
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
            stored: None,
            in_slack: Vec::new(),
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
            self.version += 1;
            self.tell(format!("the item moves to version {}", self.version));
        }
        moves
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

    fn post(&mut self, number: u32, version: u64) {
        self.tell(format!("Slack posts card {number} with version {version}"));
        self.in_slack.push(InSlack {
            number,
            shows: version,
            is_deleted: false,
        });
    }

    /// Judges what an execution says at its end.
    pub fn judge_end(&mut self, own: u64, shown: &Shown<u64>) -> Result<(), String> {
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
            Some(card) if card.shows >= shown.version => Ok(()),
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
        let live: Vec<&InSlack> = self
            .in_slack
            .iter()
            .filter(|card| !card.is_deleted)
            .collect();
        match live[..] {
            [card] if card.shows == self.version => Ok(()),
            _ => Err(format!(
                "the item has version {}, Slack has {:?}",
                self.version, self.in_slack
            )),
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

/// The world as one attempt sees it.
#[derive(Debug, Clone)]
pub struct View {
    pub world: Rc<RefCell<World>>,
    pub name: String,
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
        CHANNEL
    }

    async fn read(&self) -> Result<Option<(u64, u64)>, StepError> {
        pause().await;
        let version = self.world.borrow().version;
        pause().await;
        Ok(Some((version, version)))
    }

    async fn confirm(&self) -> Result<(), StepError> {
        Ok(())
    }

    /// Exactly once, as the delivery protocol does it, whose own model shows that it does.
    async fn post(&self, number: u32, content: &u64) -> Result<PostedMessage, NotDelivered> {
        pause().await;
        let method = "chat.postMessage";
        let reason = "a fault".to_owned();
        {
            let world = &mut *self.world.borrow_mut();
            if world.in_slack.iter().any(|card| card.number == number) {
                return Ok(PostedMessage {
                    duplicate: true,
                    ..PostedMessage::new(ts_of(number))
                });
            }
            match world.fault(3) {
                1 => return Err(SlackError::Unavailable { method, reason }.into()),
                2 => return Err(NotDelivered::OutcomeUnknown { method, reason }),
                3 => {
                    world.post(number, *content);
                    return Err(NotDelivered::OutcomeUnknown { method, reason });
                }
                _ => world.post(number, *content),
            }
        }
        pause().await;
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
