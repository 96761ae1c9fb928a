//! The world of the model: a ledger, Slack, a clock, and everything that can go wrong with them.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    rc::Rc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use apgl_contract::{MessageTs, StepError};
use apgl_delivery::protocol::{Found, Outbox, Search};
use apgl_slack::SlackError;
use apgl_stores::{
    InSequence, Ledger, LockChange, Place, Record, RecordChange, Replaced, SequenceState,
};

use crate::choices::{Choices, pause};

/// When the executions start.
pub fn start() -> SystemTime {
    UNIX_EPOCH + Duration::from_hours(24)
}

/// A part that is removed from the protocol, to show that the model notices its absence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    Nothing,
    /// The ledger grants every claim.
    Claim,
    /// A search in Slack never finds the message, as if the message had no metadata.
    Search,
    /// A search looks at no message after the beginning of the doubt.
    Bound,
    /// The lock of a sequence is never held.
    Lock,
}

/// The limits on what can go wrong in one run.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// The number of faults: bad responses, lost responses, crashes and stalls.
    pub faults: usize,
    /// How often one copy is interrupted by the other; 0 if there is only one copy.
    pub switches: usize,
    /// How long Slack can continue to process a request after its sender is gone.
    pub lateness: Duration,
    pub broken: Broken,
    /// Whether people replace the channel after each attempt, so that the next one posts in another channel.
    pub moves: bool,
    /// Whether each of several executions can also have a second copy of an invocation.
    pub copies: bool,
}

/// A request to post that Slack has received and not yet answered.
#[derive(Debug)]
struct Request {
    id: usize,
    delivery: String,
    channel: String,
    /// The latest time at which Slack processes the request. `None` until the sender is gone.
    over_at: Option<SystemTime>,
}

/// A write whose sender has crashed. The ledger can perform it at any time, or never.
#[derive(Debug)]
struct LateWrite {
    delivery: String,
    expected: Option<Record>,
    record: Record,
    lock: Option<(InSequence, LockChange)>,
}

impl LateWrite {
    fn change(&self) -> RecordChange<'_> {
        RecordChange {
            delivery_id: &self.delivery,
            expected: self.expected.as_ref(),
            record: &self.record,
            lock: self.lock.as_ref().map(|(place, change)| (place, *change)),
        }
    }
}

/// A message in Slack.
#[derive(Debug, Clone)]
pub struct Message {
    /// The id of its request.
    id: usize,
    pub delivery: String,
    channel: String,
    posted_at: SystemTime,
}

#[derive(Debug)]
pub struct World {
    choices: Choices,
    bounds: Bounds,
    pub now: SystemTime,
    /// The record of each delivery.
    records: BTreeMap<String, Record>,
    /// All deliveries are in one sequence.
    sequence: SequenceState,
    requests: Vec<Request>,
    late_writes: Vec<LateWrite>,
    /// The messages in Slack, oldest first.
    pub messages: Vec<Message>,
    /// The delivery of each request to post, and when it was sent.
    pub sent: Vec<(String, SystemTime)>,
    /// What happened, for the report of a bad run.
    pub story: Vec<String>,
}

impl World {
    pub fn new(choices: Choices, bounds: Bounds) -> Self {
        Self {
            choices,
            bounds,
            now: start(),
            records: BTreeMap::new(),
            sequence: SequenceState::default(),
            requests: Vec::new(),
            late_writes: Vec::new(),
            messages: Vec::new(),
            sent: Vec::new(),
            story: Vec::new(),
        }
    }

    pub fn moves(&self) -> bool {
        self.bounds.moves
    }

    pub fn into_choices(self) -> Choices {
        self.choices
    }

    pub fn tell(&mut self, event: impl Into<String>) {
        let since = self.now.duration_since(start()).unwrap_or_default();
        let seconds = since.as_secs_f64();
        self.story
            .push(format!("{seconds:>6.1} s  {}", event.into()));
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

    /// Whether another copy runs now.
    pub fn switches(&mut self) -> bool {
        let switches = self.bounds.switches > 0 && self.choices.choose(2) == 1;
        self.bounds.switches -= usize::from(switches);
        switches
    }

    /// For each request and write whose sender is gone, Slack or the ledger processes it now or not yet.
    pub fn let_requests_land(&mut self) {
        for write in std::mem::take(&mut self.late_writes) {
            if self.choices.choose(2) == 1 {
                let replaced = self.write(write.change());
                self.tell(format!(
                    "a late write of {} lands: {replaced:?}",
                    write.record.state()
                ));
            } else {
                self.late_writes.push(write);
            }
        }
        let requests = std::mem::take(&mut self.requests);
        for request in requests {
            if request.over_at.is_some() && self.choices.choose(2) == 1 {
                self.land(request, "late");
            } else {
                self.requests.push(request);
            }
        }
    }

    /// Moves the clock to `time`. A request that Slack has not processed by its latest time is dropped.
    pub fn wait_until(&mut self, time: SystemTime) {
        self.let_requests_land();
        self.now = self.now.max(time);
        let now = self.now;
        self.requests
            .retain(|request| request.over_at.is_none_or(|over_at| over_at > now));
    }

    /// Makes the change as a table does.
    fn write(&mut self, change: RecordChange<'_>) -> Replaced {
        let stored = self.records.get(change.delivery_id);
        let is_unchanged = match (stored, change.expected) {
            (None, None) => true,
            (Some(stored), Some(expected)) => {
                (stored.attempt(), stored.state()) == (expected.attempt(), expected.state())
            }
            _ => false,
        };
        if !is_unchanged && self.bounds.broken != Broken::Claim {
            return Replaced::Conflict(stored.cloned());
        }
        if let Some((in_sequence, lock)) = change.lock
            && self.bounds.broken != Broken::Lock
        {
            let after = self
                .sequence
                .after(lock, change.delivery_id, in_sequence.number);
            match after {
                Some(after) => self.sequence = after,
                None => return Replaced::Locked(self.sequence.clone()),
            }
        }
        let record = change.record.clone();
        self.records.insert(change.delivery_id.to_owned(), record);
        Replaced::Done
    }

    /// Marks the request as abandoned, because its sender is gone.
    fn abandon(&mut self, id: usize) {
        let over_at = self.now + self.bounds.lateness;
        for request in &mut self.requests {
            if request.id == id {
                request.over_at = Some(over_at);
            }
        }
    }

    fn land(&mut self, request: Request, how: &str) {
        let Request {
            id,
            delivery,
            channel,
            ..
        } = request;
        self.tell(format!("Slack takes post {id} to {channel} ({how})"));
        self.messages.push(Message {
            id,
            delivery,
            channel,
            posted_at: self.now,
        });
    }
}

/// The world as one copy of the function sees it.
#[derive(Debug, Clone)]
pub struct View {
    pub world: Rc<RefCell<World>>,
    pub copy: String,
    pub delivery: String,
    /// The channel in which the copy posts.
    pub channel: String,
    pub expires_at: Option<SystemTime>,
}

impl View {
    fn tell(&self, event: &str) {
        let line = format!("{}: {event}", self.copy);
        self.world.borrow_mut().tell(line);
    }
}

/// Marks its request as abandoned when the sender stops waiting, for example after a crash.
struct Sent<'a> {
    view: &'a View,
    id: usize,
}

impl Drop for Sent<'_> {
    fn drop(&mut self) {
        self.view.world.borrow_mut().abandon(self.id);
    }
}

/// Turns its write into a late write if the sender crashes before it gets the response.
struct SentWrite<'a> {
    view: &'a View,
    write: Option<LateWrite>,
}

impl Drop for SentWrite<'_> {
    fn drop(&mut self) {
        if let Some(write) = self.write.take() {
            self.view.world.borrow_mut().late_writes.push(write);
        }
    }
}

impl Ledger for View {
    async fn replace(
        &self,
        change: RecordChange<'_>,
        _now: SystemTime,
    ) -> Result<Replaced, StepError> {
        let mut sent = SentWrite {
            view: self,
            write: None,
        };
        pause().await;
        sent.write = Some(LateWrite {
            delivery: change.delivery_id.to_owned(),
            expected: change.expected.cloned(),
            record: change.record.clone(),
            lock: change
                .lock
                .map(|(in_sequence, lock)| (in_sequence.clone(), lock)),
        });
        pause().await;
        sent.write = None;
        let world = &mut *self.world.borrow_mut();
        let unavailable = || StepError::StoreUnavailable {
            store: "deliveries".to_owned(),
            operation: "PutItem",
            reason: "by the model".to_owned(),
        };
        // 1: nothing is written. 2: the record is written, but the response is lost. 3: the SDK did not get the response
        // either, wrote again, and found its own record.
        let fault = world.fault(3);
        if fault == 1 {
            world.tell(format!("{}: the ledger is unavailable", self.copy));
            return Err(unavailable());
        }
        let replaced = world.write(change);
        let state = change.record.state();
        world.tell(format!("{}: writes {state}: {replaced:?}", self.copy));
        match (fault, &replaced) {
            (2, _) => {
                world.tell(format!("{}: gets no answer from the ledger", self.copy));
                Err(unavailable())
            }
            (3, Replaced::Done) => Ok(Replaced::Conflict(Some(change.record.clone()))),
            _ => Ok(replaced),
        }
    }
}

impl Outbox for View {
    fn now(&self) -> SystemTime {
        self.world.borrow().now
    }

    async fn confirm(&self) -> Result<(), StepError> {
        pause().await;
        let mut world = self.world.borrow_mut();
        if world.bounds.moves && world.fault(1) == 1 {
            world.tell(format!("{}: can't confirm the channel", self.copy));
            return Err(StepError::SlackUnavailable {
                method: "conversations.info",
                reason: "by the model".to_owned(),
            });
        }
        Ok(())
    }

    async fn find(&self, place: &Place, search: &mut Search) -> Result<Found, SlackError> {
        pause().await;
        let channel = &place.channel;
        let (found, is_out_of_time) = {
            let mut world = self.world.borrow_mut();
            if *channel != self.channel && world.fault(1) == 1 {
                world.tell(format!("{}: can't see {channel}", self.copy));
                return Err(SlackError::Rejected {
                    method: "conversations.history",
                    code: "channel_not_found".to_owned(),
                    detail: None,
                });
            }
            let until = match world.bounds.broken {
                Broken::Bound => search.since,
                _ => search.until.unwrap_or(world.now),
            };
            let until = search.searched.get(place).map_or(until, time_of);
            // A fault 2: only the newer half is looked at.
            let fault = world.fault(2);
            let since = match fault {
                2 => search.since + until.duration_since(search.since).unwrap_or_default() / 2,
                _ => search.since,
            };
            if fault == 1 {
                world.tell(format!("{}: can't look", self.copy));
                return Err(SlackError::Unavailable {
                    method: "conversations.history",
                    reason: "by the model".to_owned(),
                });
            }
            let searches = world.bounds.broken != Broken::Search;
            let mut messages = world.messages.iter();
            let found = messages.find(|message| {
                message.delivery == self.delivery
                    && message.channel == *channel
                    && (since..=until).contains(&message.posted_at)
            });
            let found = found.map(|message| message.id).filter(|_| searches);
            if fault == 2 {
                search.searched.insert(place.clone(), ts_at(since));
            }
            (found, fault == 2)
        };
        // A message that Slack accepts while the pages are read is on none of them.
        pause().await;
        self.tell(if found.is_some() {
            "finds the message"
        } else {
            "finds no message"
        });
        Ok(match found {
            Some(id) => Found::Message(timestamp(id)),
            None if is_out_of_time => Found::OutOfTime,
            None => Found::Nothing,
        })
    }

    async fn post(&self) -> Result<MessageTs, SlackError> {
        let method = "chat.postMessage";
        pause().await;
        let sent = {
            let mut world = self.world.borrow_mut();
            let refusal = match world.fault(4) {
                1 => Some(SlackError::RateLimited {
                    method,
                    retry_after: Duration::from_secs(1),
                    is_certain: false,
                }),
                2 => Some(SlackError::Unavailable {
                    method,
                    reason: "by the model".to_owned(),
                }),
                3 => Some(SlackError::Rejected {
                    method,
                    code: "restricted_action".to_owned(),
                    detail: None,
                }),
                4 => Some(SlackError::Unauthorized {
                    method,
                    code: "token_revoked".to_owned(),
                    scopes: None,
                }),
                _ => None,
            };
            if let Some(refusal) = refusal {
                world.tell(format!("{}: {refusal}", self.copy));
                return Err(refusal);
            }
            if self.expires_at.is_some_and(|time| world.now > time) {
                world.tell(format!("{}: is too late to post", self.copy));
                return Err(SlackError::TooLate { method });
            }
            let now = world.now;
            world.sent.push((self.delivery.clone(), now));
            let id = world.sent.len();
            world.tell(format!("{}: sends post {id}", self.copy));
            world.requests.push(Request {
                id,
                delivery: self.delivery.clone(),
                channel: self.channel.clone(),
                over_at: None,
            });
            Sent { view: self, id }
        };
        pause().await;
        let mut world = self.world.borrow_mut();
        // 0: Slack accepts the post and answers. 1: it accepts the post, but the answer is lost.
        // 2: there is no answer, and Slack accepts the post later or never.
        let id = sent.id;
        let fault = world.fault(2);
        if fault < 2 {
            let mut requests = world.requests.extract_if(.., |request| request.id == id);
            let request = requests.next();
            drop(requests);
            if let Some(request) = request {
                world.land(request, "at once");
            }
        }
        if fault > 0 {
            world.tell(format!("{}: gets no answer", self.copy));
        }
        drop(world);
        drop(sent);
        if fault > 0 {
            return Err(SlackError::OutcomeUnknown {
                method,
                reason: "by the model".to_owned(),
            });
        }
        Ok(timestamp(id))
    }
}

/// The timestamp of a message that was posted at this time.
fn ts_at(time: SystemTime) -> MessageTs {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let ts = format!("{}.{:06}", since.as_secs(), since.subsec_micros());
    MessageTs::try_from(ts).expect("digits on both sides of the point")
}

fn time_of(ts: &MessageTs) -> SystemTime {
    let (seconds, micros) = ts.as_str().split_once('.').expect("it has a point");
    let number = |digits: &str| digits.parse::<u64>().expect("they are digits");
    UNIX_EPOCH + Duration::from_secs(number(seconds)) + Duration::from_micros(number(micros))
}

fn timestamp(id: usize) -> MessageTs {
    MessageTs::try_from(format!("{id}.000000")).expect("digits on both sides of the point")
}
