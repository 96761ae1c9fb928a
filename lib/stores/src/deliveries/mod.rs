//! One record per delivery, so that a message is posted exactly once.
//!
//! A delivery is what one execution posts. Its states, and what a new attempt does about each, are
//! described in `docs/delivery.md`, with a picture; the rules are in `record.rs`.
//!
//! An attempt that is *uncertain since* a time looks for the message in Slack before it posts. That
//! time is when the earliest attempt began that may have posted it.
//!
//! Every write replaces the record that the writer has last seen and no other: [`Ledger::replace`]. So
//! the rules know of no table, and the model of the protocol runs these very rules.
//!
//! The record outlives both the redrive window (14 days) and the time in which an execution's name
//! can't be used again (90 days).

mod record;

use std::time::{Duration, SystemTime};

use apgl_aws::SettingError;
use apgl_contract::{MessageTs, StepError};
use aws_sdk_dynamodb::{
    operation::put_item::PutItemError, types::ReturnValuesOnConditionCheckFailure,
};

use self::record::NextStep;
pub use self::record::Record;
use crate::table::{Item, Table, epoch_seconds, number, text};
use aws_types::SdkConfig;

/// A request that Slack has received may still be at work after its sender gave up. Nobody looks for
/// its message before this time is over.
pub const SETTLE_TIME: Duration = Duration::from_secs(10);
const RETENTION: Duration = Duration::from_hours(105 * 24);
/// How often an attempt looks again at a record that others change at the same time.
const MAX_CONFLICTS: usize = 4;

/// The right to post for a delivery, until the lease ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    delivery_id: String,
    /// The record by which the delivery is claimed.
    record: Record,
}

/// The answer to a claim on a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    Mine(Attempt),
    /// Another attempt is at work, or its request may be. Come back after this time.
    Held(Duration),
    Posted(MessageTs),
}

/// Where the records are: a DynamoDB table, or the memory of the protocol's model.
#[expect(
    async_fn_in_trait,
    reason = "a Lambda function runs on one thread, so nobody needs the futures to be Send"
)]
pub trait Ledger {
    /// Writes `record` where `expected` still stands, as its attempt and state tell, or where nothing
    /// does for `None`.
    async fn replace(
        &self,
        delivery_id: &str,
        expected: Option<&Record>,
        record: &Record,
        now: SystemTime,
    ) -> Result<Replaced, StepError>;
}

/// What became of a record that was to be replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replaced {
    Done,
    /// Nothing was written: this stands there, or nothing does.
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

    /// Claims the delivery for the attempt `attempt_id`, whose process ends before `lease_ends_at`.
    /// No two attempts may have the same id.
    pub async fn claim(
        &self,
        delivery_id: &str,
        attempt_id: &str,
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
            let claimed = match Record::next_step(stored.as_ref(), attempt_id, now, lease_ends_at) {
                NextStep::Wait(left) => return Ok(Claim::Held(left)),
                NextStep::Answer(ts) => return Ok(Claim::Posted(ts)),
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

    /// The attempt ended and surely posted nothing.
    pub async fn release(&self, attempt: &Attempt, now: SystemTime) -> Result<(), StepError> {
        self.end(attempt, attempt.record.released(), now).await
    }

    /// The attempt ended and may have posted: its lease ends now, and the settle time begins.
    pub async fn give_up(&self, attempt: &Attempt, now: SystemTime) -> Result<(), StepError> {
        self.end(attempt, attempt.record.given_up(now), now).await
    }

    /// Where another attempt has taken over, what this one knows counts no more.
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

    /// The message stands in Slack. This holds whoever has the claim by now.
    pub async fn posted(
        &self,
        attempt: &Attempt,
        ts: &MessageTs,
        now: SystemTime,
    ) -> Result<(), StepError> {
        let posted = attempt.record.posted(ts);
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
            reason: "others changed the delivery's record again and again".to_owned(),
        })
    }
}

impl Attempt {
    /// The message may have been posted since then: look before posting.
    pub fn uncertain_since(&self) -> Option<SystemTime> {
        self.record.uncertain_since()
    }

    /// The same attempt after it has looked for the message and found none. Nothing that an earlier
    /// attempt has sent is at work any more, so the message is not there.
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
