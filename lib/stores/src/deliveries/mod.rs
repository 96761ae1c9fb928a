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
//! A write replaces only the record that the writer last saw: see [`Ledger::replace`]. The rules therefore do not
//! depend on a table, and the model of the protocol runs the same rules.
//!
//! The record is kept longer than the redrive window (14 days) and longer than the time for which an execution's name
//! can't be reused (90 days). An execution that reuses the name finds the record of another start, and replaces it.

mod record;

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime},
};

use apgl_aws::SettingError;
use apgl_contract::{MessageTs, StepError};
use aws_sdk_dynamodb::{
    operation::put_item::PutItemError, types::ReturnValuesOnConditionCheckFailure,
};

use self::record::NextStep;
pub use self::record::{Place, Record, Searched};
use crate::table::{Item, Table, epoch_seconds, number, text};
use aws_types::SdkConfig;

/// Slack may still process a request after its sender has given up. Attempts look for the message only after this
/// time.
pub const SETTLE_TIME: Duration = Duration::from_secs(10);
const RETENTION: Duration = Duration::from_hours(105 * 24);
/// How many times an attempt tries to write a record that other attempts keep changing.
const MAX_CONFLICTS: usize = 4;

/// The right to post for a delivery, until the lease ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    delivery_id: String,
    /// The record that claims the delivery.
    record: Record,
}

/// The result of a claim on a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    Mine(Attempt),
    /// Another attempt, or its request to Slack, may still be in progress. Try again after this time.
    Held(Duration),
    Posted {
        ts: MessageTs,
        /// The id of the channel in which the message is. `None` if release 0.1 posted it.
        channel: Option<String>,
    },
}

/// Where the records are stored: in a DynamoDB table, or in the memory of the protocol's model.
#[expect(
    async_fn_in_trait,
    reason = "a Lambda function runs on one thread, so nobody needs the futures to be Send"
)]
pub trait Ledger {
    /// Writes `record` if `expected` is still stored, which its attempt and state show. For `None`, writes it if no
    /// record is stored.
    async fn replace(
        &self,
        delivery_id: &str,
        expected: Option<&Record>,
        record: &Record,
        now: SystemTime,
    ) -> Result<Replaced, StepError>;
}

/// The result of replacing a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replaced {
    Done,
    /// Nothing was written. Contains the stored record, if there is one.
    Conflict(Option<Record>),
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

    /// Claims the delivery for the attempt `attempt_id`, which posts in `place` and whose process ends before
    /// `lease_ends_at`. No two attempts may have the same id. The record of an execution with another start does not
    /// count.
    pub async fn claim(
        &self,
        delivery_id: &str,
        attempt_id: &str,
        place: &Place,
        execution_started_at: Option<u64>,
        now: SystemTime,
        lease_ends_at: SystemTime,
    ) -> Result<Claim, StepError> {
        let mine = |record| {
            Claim::Mine(Attempt {
                delivery_id: delivery_id.to_owned(),
                record,
            })
        };
        let mut stored: Option<Record> = None;
        for _ in 0..MAX_CONFLICTS {
            let claimed = match Record::next_step(
                stored.as_ref(),
                attempt_id,
                place,
                execution_started_at,
                now,
                lease_ends_at,
            ) {
                NextStep::Wait(left) => return Ok(Claim::Held(left)),
                NextStep::Answer(ts, channel) => return Ok(Claim::Posted { ts, channel }),
                NextStep::GoOn(record) => return Ok(mine(record)),
                NextStep::Claim(record) => record,
            };
            let replaced = self
                .0
                .replace(delivery_id, stored.as_ref(), &claimed, now)
                .await?;
            match replaced {
                Replaced::Done => return Ok(mine(claimed)),
                Replaced::Conflict(actual) => stored = actual,
            }
        }
        Ok(Claim::Held(SETTLE_TIME))
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
        self.0
            .replace(&attempt.delivery_id, Some(&attempt.record), &record, now)
            .await
            .map(drop)
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
            let replaced = self
                .0
                .replace(&attempt.delivery_id, stored.as_ref(), &posted, now)
                .await?;
            match replaced {
                Replaced::Done => return Ok(()),
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

impl Ledger for Table {
    async fn replace(
        &self,
        delivery_id: &str,
        expected: Option<&Record>,
        record: &Record,
        now: SystemTime,
    ) -> Result<Replaced, StepError> {
        let item: Item =
            serde_dynamo::to_item(record).map_err(|_| self.unreadable("PutItem", "delivery"))?;
        let put = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(item))
            .item("deliveryId", text(delivery_id))
            .item("expiresAt", number(epoch_seconds(now + RETENTION)))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let put = match expected {
            None => put
                .condition_expression("attribute_not_exists(deliveryId) OR expiresAt < :now")
                .expression_attribute_values(":now", number(epoch_seconds(now))),
            Some(expected) => put
                .condition_expression("attempt = :attempt AND #state = :state")
                .expression_attribute_names("#state", "state")
                .expression_attribute_values(":attempt", text(expected.attempt()))
                .expression_attribute_values(":state", text(expected.state())),
        };
        let Err(error) = put.send().await else {
            return Ok(Replaced::Done);
        };
        let Some(PutItemError::ConditionalCheckFailedException(failed)) = error.as_service_error()
        else {
            return Err(self.error("PutItem", &error));
        };
        let stored = failed.item().cloned().map(serde_dynamo::from_item);
        stored
            .transpose()
            .map(Replaced::Conflict)
            .map_err(|_| self.unreadable("PutItem", "delivery"))
    }
}
