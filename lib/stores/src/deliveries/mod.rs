//! One record per delivery, so that a message is posted exactly once.
//!
//! A delivery is what one execution posts. `docs/delivery.md` describes its states and what a new attempt does in
//! each, with a picture. The rules are in `record.rs`.
//!
//! An attempt that is *uncertain since* a time looks for the message in Slack before it posts. At that time, the
//! earliest attempt that may have posted the message began. The doubt lasts *until* Slack no longer processes any
//! request of such an attempt, so a search days later does not read the messages of those days. A search that runs out
//! of time is continued by the next attempt. It looks in every channel and thread in which such an attempt posted:
//! people rename and replace channels, and delete messages, meanwhile.
//!
//! A message can be one of a sequence: see `sequence.rs`. A message that has expired, or of whose sequence a later one was
//! posted, is not posted any more, which its record says for good.
//!
//! A write replaces only the record that the writer last saw: see [`Ledger::replace`]. The rules therefore do not
//! depend on a table, and the model of the protocol runs the same rules.
//!
//! The record is kept longer than the redrive window (14 days) and longer than the time for which an execution's name
//! can't be reused (90 days). An execution that reuses the name finds the record of another start, and replaces it.

mod record;
mod sequence;
mod table;

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime},
};

use apgl_aws::SettingError;
use apgl_contract::{MessageTs, StepError, outcome::NotPosted};

use self::record::NextStep;
pub use self::{
    record::{Place, Record, Searched},
    sequence::{InSequence, LockChange, SequenceState},
};
use crate::table::Table;
use aws_types::SdkConfig;

/// Slack may still process a request after its sender has given up. Attempts look for the message only after this
/// time.
pub const SETTLE_TIME: Duration = Duration::from_secs(10);
/// How many times an attempt tries to write a record that other attempts keep changing.
const MAX_CONFLICTS: usize = 4;

/// A message that is to be posted once, and the attempt that is to post it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    pub id: String,
    /// Identifies this run of the step, even among copies of the same invocation.
    pub attempt_id: String,
    /// Where this attempt posts.
    pub place: Place,
    /// When the execution was started, in milliseconds since the epoch; `None` if that is unknown. The record of an
    /// execution with another start does not count.
    pub execution_started_at: Option<u64>,
    /// After this time, the message is not posted any more.
    pub expires_at: Option<SystemTime>,
    pub in_sequence: Option<InSequence>,
    /// When Lambda ends this run.
    pub deadline: SystemTime,
}

impl Delivery {
    /// A message that belongs to no execution: whichever one posts it, it is posted once. It neither expires nor is in a
    /// sequence.
    pub fn of_no_execution(
        id: String,
        attempt_id: &str,
        place: Place,
        deadline: SystemTime,
    ) -> Self {
        Self {
            id,
            attempt_id: attempt_id.to_owned(),
            place,
            execution_started_at: None,
            expires_at: None,
            in_sequence: None,
            deadline,
        }
    }

    pub fn has_expired(&self, now: SystemTime) -> bool {
        self.expires_at.is_some_and(|expires_at| expires_at < now)
    }
}

/// The right to post for a delivery, until the lease ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    delivery_id: String,
    in_sequence: Option<InSequence>,
    /// The record that claims the delivery.
    record: Record,
}

/// The result of a claim on a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    Mine(Attempt),
    NotMine(NotMine),
}

/// Why an attempt may not post.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotMine {
    /// Another attempt, or its request to Slack, may still be in progress. Try again after this time.
    Held(Duration),
    Posted {
        ts: MessageTs,
        /// The id of the channel in which the message is. `None` if release 0.1 posted it.
        channel: Option<String>,
    },
    /// The message is not posted any more.
    NotPosted(NotPosted),
}

impl NotMine {
    const EXPIRED: Self = Self::NotPosted(NotPosted::Expired);
    const SUPERSEDED: Self = Self::NotPosted(NotPosted::Superseded);
}

/// A change of a delivery's record, and of the lock of its sequence.
#[derive(Debug, Clone, Copy)]
pub struct RecordChange<'a> {
    pub delivery_id: &'a str,
    /// What must be stored, which its attempt and state show. `None`: no record.
    pub expected: Option<&'a Record>,
    pub record: &'a Record,
    pub lock: Option<(&'a InSequence, LockChange)>,
}

/// Where the records are stored: in a DynamoDB table, or in the memory of the protocol's model.
#[expect(
    async_fn_in_trait,
    reason = "a Lambda function runs on one thread, so nobody needs the futures to be Send"
)]
pub trait Ledger {
    /// Makes the change, the record and the lock together, if both may be changed.
    async fn replace(
        &self,
        change: RecordChange<'_>,
        now: SystemTime,
    ) -> Result<Replaced, StepError>;
}

/// The result of replacing a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replaced {
    Done,
    /// Nothing was written. Contains the stored record, if there is one.
    Conflict(Option<Record>),
    /// Nothing was written: the sequence does not allow it.
    Locked(SequenceState),
}

/// The deliveries in a ledger.
#[derive(Debug, Clone)]
pub struct Deliveries<L = Table>(L);

impl Deliveries {
    /// The table that `DELIVERIES_TABLE` names.
    pub fn from_env(aws: &SdkConfig) -> Result<Self, SettingError> {
        Ok(Self(Table::from_env(aws, "DELIVERIES_TABLE")?))
    }
}

impl<L: Ledger> Deliveries<L> {
    pub fn new(ledger: L) -> Self {
        Self(ledger)
    }

    /// Claims the delivery, and the lock of its sequence. No two attempts may have the same id.
    pub async fn claim(&self, delivery: &Delivery, now: SystemTime) -> Result<Claim, StepError> {
        let mine = |record| {
            Claim::Mine(Attempt {
                delivery_id: delivery.id.clone(),
                in_sequence: delivery.in_sequence.clone(),
                record,
            })
        };
        let mut stored: Option<Record> = None;
        let mut is_superseded = false;
        for _ in 0..MAX_CONFLICTS {
            let record = match Record::next_step(stored.as_ref(), delivery, now) {
                NextStep::Wait(left) => return Ok(Claim::NotMine(NotMine::Held(left))),
                NextStep::Answer(ts, channel) => {
                    return Ok(Claim::NotMine(NotMine::Posted { ts, channel }));
                }
                NextStep::AnswerNotPosted(reason) => {
                    return Ok(Claim::NotMine(NotMine::NotPosted(reason)));
                }
                NextStep::GoOn(record) => return Ok(mine(record)),
                NextStep::Claim(record) if is_superseded => record.superseded(),
                NextStep::Claim(record) | NextStep::End(record) => record,
            };
            // A delivery that is not claimed has no lock to free.
            let in_sequence = delivery.in_sequence.as_ref();
            let change = RecordChange {
                delivery_id: &delivery.id,
                expected: stored.as_ref(),
                record: &record,
                lock: in_sequence
                    .zip(record.claims_the_lock())
                    .filter(|_| !is_superseded),
            };
            match self.0.replace(change, now).await? {
                Replaced::Done => {
                    return Ok(match record {
                        Record::Expired { .. } => Claim::NotMine(NotMine::EXPIRED),
                        Record::Superseded { .. } => Claim::NotMine(NotMine::SUPERSEDED),
                        claimed => mine(claimed),
                    });
                }
                Replaced::Conflict(actual) => stored = actual,
                Replaced::Locked(sequence) => {
                    let number = in_sequence.map_or(u64::MAX, |place| place.number);
                    is_superseded = sequence.supersedes(number);
                    if !is_superseded {
                        tracing::info!(
                            delivery.holder = sequence.holder(),
                            "another delivery of the sequence may be posting"
                        );
                        let retry_after = sequence.retry_after(&delivery.id, now);
                        return Ok(Claim::NotMine(NotMine::Held(retry_after)));
                    }
                }
            }
        }
        Ok(Claim::NotMine(NotMine::Held(SETTLE_TIME)))
    }

    /// Records that the attempt ended and certainly posted nothing.
    pub async fn release(&self, attempt: &Attempt, now: SystemTime) -> Result<(), StepError> {
        self.end(attempt, attempt.record.released(), now).await
    }

    /// Records that the attempt ended and may have posted. Its lease ends now, and the settle time begins.
    pub async fn give_up(&self, attempt: &Attempt, now: SystemTime) -> Result<(), StepError> {
        self.end(attempt, attempt.record.given_up(now), now).await
    }

    /// Does nothing if another attempt has taken over: what this attempt knows no longer matters.
    async fn end(
        &self,
        attempt: &Attempt,
        record: Record,
        now: SystemTime,
    ) -> Result<(), StepError> {
        self.write(attempt, Some(&attempt.record), &record, now)
            .await
            .map(drop)
    }

    /// Records that the message is not posted any more, because it has expired. Returns what has become of it: another
    /// attempt may have taken over.
    pub async fn expired(&self, attempt: &Attempt, now: SystemTime) -> Result<NotMine, StepError> {
        let record = attempt.record.expired();
        let written = self
            .write(attempt, Some(&attempt.record), &record, now)
            .await?;
        Ok(match written {
            Replaced::Conflict(Some(Record::Posted { ts, channel, .. })) => {
                NotMine::Posted { ts, channel }
            }
            Replaced::Conflict(Some(Record::Expired { .. })) | Replaced::Done => NotMine::EXPIRED,
            Replaced::Conflict(_) | Replaced::Locked(_) => NotMine::Held(SETTLE_TIME),
        })
    }

    /// Records that the message is in Slack, in this channel. This is true no matter which attempt holds the claim now.
    pub async fn posted(
        &self,
        attempt: &Attempt,
        ts: &MessageTs,
        channel: &str,
        now: SystemTime,
    ) -> Result<(), StepError> {
        let posted = attempt.record.posted(ts, channel);
        let mut stored = Some(attempt.record.clone());
        for _ in 0..MAX_CONFLICTS {
            let replaced = self.write(attempt, stored.as_ref(), &posted, now).await?;
            match replaced {
                Replaced::Done => return Ok(()),
                // The record alone is written.
                Replaced::Locked(_) => break,
                Replaced::Conflict(Some(Record::Posted { ts: other, .. })) => {
                    if other != *ts {
                        tracing::error!(
                            message.ts = ts.as_str(),
                            message.other = other.as_str(),
                            "the message was posted twice: Slack took a post after it was looked for"
                        );
                    }
                    return Ok(());
                }
                Replaced::Conflict(actual) => stored = actual,
            }
        }
        Err(StepError::StoreUnavailable {
            store: "the ledger of deliveries".to_owned(),
            operation: "PutItem",
            reason: "other attempts kept changing the delivery's record".to_owned(),
        })
    }

    /// Writes the record of an attempt that has claimed the delivery. If its sequence has moved on without it, which
    /// happens only if Slack took a post after it was looked for, the record alone is written.
    async fn write(
        &self,
        attempt: &Attempt,
        expected: Option<&Record>,
        record: &Record,
        now: SystemTime,
    ) -> Result<Replaced, StepError> {
        let lock = attempt
            .in_sequence
            .as_ref()
            .map(|in_sequence| (in_sequence, record.lock_change()));
        let change = RecordChange {
            delivery_id: &attempt.delivery_id,
            expected,
            record,
            lock,
        };
        match self.0.replace(change, now).await? {
            Replaced::Locked(_) => {
                tracing::error!("the message's sequence has moved on without it");
                let lock = None;
                self.0.replace(RecordChange { lock, ..change }, now).await
            }
            replaced => Ok(replaced),
        }
    }
}

impl Attempt {
    /// The message may have been posted since this time: look for it before posting.
    pub fn uncertain_since(&self) -> Option<SystemTime> {
        self.record.uncertain_since()
    }

    /// No earlier attempt can have posted the message after this time. `None` if release 0.1 wrote the record.
    pub fn uncertain_until(&self) -> Option<SystemTime> {
        self.record.uncertain_until()
    }

    /// Where the search for the message has stopped.
    pub fn searched_to(&self) -> Searched {
        self.record.searched_to()
    }

    /// Keeps where the search for the message has stopped, for the next attempt.
    pub fn set_searched_to(&mut self, searched: Searched) {
        self.record.set_searched_to(searched);
    }

    /// Where earlier attempts may have posted it. Release 0.1 did not write that.
    pub fn uncertain_in(&self) -> BTreeSet<Place> {
        self.record.uncertain_in()
    }

    /// The same attempt after it has looked for the message and not found it. Slack no longer processes any request
    /// of an earlier attempt, so the message was not posted.
    #[must_use]
    pub fn certain(self) -> Self {
        Self {
            record: self.record.certain(),
            ..self
        }
    }
}
