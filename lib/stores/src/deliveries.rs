//! One record per delivery, so that a message is posted exactly once.
//!
//! A delivery is what one execution posts. Its record is in one of these states:
//!
//! | state | means | who may go on |
//! |---|---|---|
//! | none | nothing was tried | anybody claims it |
//! | `CLAIMED` | an attempt is at work until its lease ends | nobody, until lease and settle time are over; then a new attempt takes over, *uncertain* |
//! | `RELEASED` | the last attempt ended and surely posted nothing | anybody claims it |
//! | `POSTED` | the message stands in Slack with this `ts` | nobody needs to |
//!
//! An attempt that takes over from one that did not end, or that follows one whose outcome is
//! unknown, is *uncertain since* the earliest such attempt began: it looks for the message in Slack
//! before it posts. The uncertainty stays in the record until the message is posted.
//!
//! The record outlives both the redrive window (14 days) and the time in which an execution's name
//! can't be used again (90 days).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use apgl_contract::{MessageTs, StepError};
use aws_sdk_dynamodb::{
    operation::update_item::builders::UpdateItemFluentBuilder,
    types::ReturnValuesOnConditionCheckFailure,
};
use serde::Deserialize;

use crate::table::{Item, Table, epoch_millis, epoch_seconds, number, text};

/// A request that Slack has received may still be at work after its sender gave up. Nobody looks for
/// its message before this time is over.
pub const SETTLE_TIME: Duration = Duration::from_secs(10);
const RETENTION: Duration = Duration::from_hours(105 * 24);

/// The right to post for a delivery, until `lease_ends_at`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    delivery_id: String,
    /// Tells this attempt from every other one.
    id: String,
    /// The message may have been posted since then: look before posting.
    pub uncertain_since: Option<SystemTime>,
}

/// The answer to a claim on a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    Mine(Attempt),
    /// Another attempt is at work, or its request may be. Come back after this time.
    Held(Duration),
    Posted(MessageTs),
}

/// A stored delivery; the table in the module's documentation says what each state means.
#[derive(Debug, Deserialize)]
#[serde(
    tag = "state",
    rename_all = "UPPERCASE",
    rename_all_fields = "camelCase"
)]
enum Record {
    Claimed {
        attempt: String,
        /// Milliseconds since the epoch, as all times here.
        claimed_at: u64,
        lease_ends_at: u64,
        uncertain_since: Option<u64>,
    },
    Released {
        attempt: String,
        uncertain_since: Option<u64>,
    },
    Posted {
        ts: MessageTs,
    },
}

/// The table of deliveries.
#[derive(Debug, Clone)]
pub struct Deliveries(Table);

impl Deliveries {
    pub fn new(table: Table) -> Self {
        Self(table)
    }

    /// Claims the delivery for the attempt `attempt_id`, whose process ends before `lease_ends_at`.
    pub async fn claim(
        &self,
        delivery_id: &str,
        attempt_id: &str,
        lease_ends_at: SystemTime,
    ) -> Result<Claim, StepError> {
        let now = SystemTime::now();
        let put = self
            .0
            .client
            .put_item()
            .table_name(&self.0.name)
            .item("deliveryId", text(delivery_id))
            .item("state", text("CLAIMED"))
            .item("attempt", text(attempt_id))
            .item("claimedAt", number(epoch_millis(now)))
            .item("leaseEndsAt", number(epoch_millis(lease_ends_at)))
            .item("expiresAt", number(epoch_seconds(now + RETENTION)))
            .condition_expression("attribute_not_exists(deliveryId) OR expiresAt < :now")
            .expression_attribute_values(":now", number(epoch_seconds(now)))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let attempt = |uncertain_since| Attempt {
            delivery_id: delivery_id.to_owned(),
            id: attempt_id.to_owned(),
            uncertain_since,
        };
        let Err(error) = put else {
            return Ok(Claim::Mine(attempt(None)));
        };
        let Some(item) = error.as_service_error().and_then(existing_item) else {
            return Err(self.0.error("PutItem", &error));
        };
        let record: Record =
            serde_dynamo::from_item(item).map_err(|_| self.0.unreadable("PutItem", "delivery"))?;
        let (previous, uncertain_since) = match record.next_step(now) {
            NextStep::Answer(claim) => return Ok(claim),
            NextStep::TakeOver {
                from,
                uncertain_since,
            } => (from, uncertain_since),
        };
        let attempt = attempt(uncertain_since);
        if self
            .take_over(&attempt, &previous, now, lease_ends_at)
            .await?
        {
            return Ok(Claim::Mine(attempt));
        }
        // Another attempt was faster.
        Ok(Claim::Held(SETTLE_TIME))
    }

    async fn take_over(
        &self,
        attempt: &Attempt,
        previous: &str,
        now: SystemTime,
        lease_ends_at: SystemTime,
    ) -> Result<bool, StepError> {
        let uncertain = attempt
            .uncertain_since
            .map(|since| number(epoch_millis(since)));
        let mut expression =
            "SET #state = :claimed, attempt = :attempt, claimedAt = :now, leaseEndsAt = :end"
                .to_owned();
        if uncertain.is_some() {
            expression.push_str(", uncertainSince = :uncertain");
        }
        let update = self
            .update(&attempt.delivery_id, &expression)
            .condition_expression("attempt = :previous AND #state <> :posted")
            .expression_attribute_values(":previous", text(previous))
            .expression_attribute_values(":claimed", text("CLAIMED"))
            .expression_attribute_values(":posted", text("POSTED"))
            .expression_attribute_values(":attempt", text(&attempt.id))
            .expression_attribute_values(":now", number(epoch_millis(now)))
            .expression_attribute_values(":end", number(epoch_millis(lease_ends_at)));
        let update = match uncertain {
            Some(uncertain) => update.expression_attribute_values(":uncertain", uncertain),
            None => update,
        };
        self.send(update).await
    }

    /// The attempt ended and surely posted nothing.
    pub async fn release(&self, attempt: &Attempt) -> Result<(), StepError> {
        let update = self
            .update(&attempt.delivery_id, "SET #state = :released")
            .condition_expression("attempt = :attempt")
            .expression_attribute_values(":attempt", text(&attempt.id))
            .expression_attribute_values(":released", text("RELEASED"));
        self.send(update).await.map(drop)
    }

    /// The attempt ended and may have posted: its lease ends now, and the settle time begins.
    pub async fn give_up(&self, attempt: &Attempt) -> Result<(), StepError> {
        let update = self
            .update(&attempt.delivery_id, "SET leaseEndsAt = :now")
            .condition_expression("attempt = :attempt AND #state = :claimed")
            .expression_attribute_values(":attempt", text(&attempt.id))
            .expression_attribute_values(":claimed", text("CLAIMED"))
            .expression_attribute_values(":now", number(epoch_millis(SystemTime::now())));
        self.send(update).await.map(drop)
    }

    /// The message stands in Slack. This holds whoever has the claim by now.
    pub async fn posted(&self, attempt: &Attempt, ts: &MessageTs) -> Result<(), StepError> {
        let update = self
            .update(&attempt.delivery_id, "SET #state = :posted, ts = :ts")
            .condition_expression("attribute_exists(deliveryId) AND #state <> :posted")
            .expression_attribute_values(":posted", text("POSTED"))
            .expression_attribute_values(":ts", text(ts.as_str()));
        self.send(update).await.map(drop)
    }

    fn update(&self, delivery_id: &str, expression: &str) -> UpdateItemFluentBuilder {
        self.0
            .update("deliveryId", delivery_id)
            .update_expression(expression)
            .expression_attribute_names("#state", "state")
    }

    /// Whether the condition held.
    async fn send(&self, update: UpdateItemFluentBuilder) -> Result<bool, StepError> {
        let updated = self.0.if_it_holds("UpdateItem", update.send().await)?;
        Ok(updated.is_some())
    }
}

fn existing_item(error: &aws_sdk_dynamodb::operation::put_item::PutItemError) -> Option<Item> {
    use aws_sdk_dynamodb::operation::put_item::PutItemError;
    match error {
        PutItemError::ConditionalCheckFailedException(failed) => failed.item().cloned(),
        _ => None,
    }
}

#[derive(Debug, PartialEq, Eq)]
enum NextStep {
    Answer(Claim),
    TakeOver {
        from: String,
        uncertain_since: Option<SystemTime>,
    },
}

impl Record {
    /// What a new attempt does about this record.
    fn next_step(self, now: SystemTime) -> NextStep {
        match self {
            Self::Posted { ts } => NextStep::Answer(Claim::Posted(ts)),
            Self::Released {
                attempt,
                uncertain_since,
            } => NextStep::TakeOver {
                from: attempt,
                uncertain_since: uncertain_since.map(time),
            },
            Self::Claimed {
                attempt,
                claimed_at,
                lease_ends_at,
                uncertain_since,
            } => match (time(lease_ends_at) + SETTLE_TIME).duration_since(now) {
                Ok(left) if !left.is_zero() => NextStep::Answer(Claim::Held(left)),
                _ => NextStep::TakeOver {
                    from: attempt,
                    uncertain_since: Some(time(uncertain_since.unwrap_or(claimed_at))),
                },
            },
        }
    }
}

fn time(epoch_millis: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(epoch_millis)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn claimed(uncertain_since: Option<u64>) -> Record {
        Record::Claimed {
            attempt: "a".to_owned(),
            claimed_at: 1_000,
            lease_ends_at: 60_000,
            uncertain_since,
        }
    }

    fn released(uncertain_since: Option<u64>) -> Record {
        Record::Released {
            attempt: "a".to_owned(),
            uncertain_since,
        }
    }

    fn take_over(uncertain_since: Option<u64>) -> NextStep {
        NextStep::TakeOver {
            from: "a".to_owned(),
            uncertain_since: uncertain_since.map(time),
        }
    }

    fn held(seconds: u64) -> NextStep {
        NextStep::Answer(Claim::Held(Duration::from_secs(seconds)))
    }

    #[rstest]
    #[case::at_work(claimed(None), 30_000, held(40))]
    #[case::its_request_may_be_at_work(claimed(None), 69_000, held(1))]
    #[case::it_did_not_end(claimed(None), 70_000, take_over(Some(1_000)))]
    #[case::the_earliest_doubt_counts(claimed(Some(500)), 70_000, take_over(Some(500)))]
    #[case::it_posted_nothing(released(None), 2_000, take_over(None))]
    #[case::it_posted_nothing_but_an_earlier_one_may_have(
        released(Some(500)),
        2_000,
        take_over(Some(500))
    )]
    fn a_new_attempt_takes_over_when_nobody_is_at_work(
        #[case] record: Record,
        #[case] now_millis: u64,
        #[case] expected: NextStep,
    ) {
        assert_eq!(record.next_step(time(now_millis)), expected);
    }

    #[test]
    fn a_posted_delivery_is_answered_and_never_taken_over() {
        let ts = MessageTs::try_from("1.000100".to_owned()).unwrap();
        let posted = Record::Posted { ts: ts.clone() };
        assert_eq!(
            posted.next_step(time(u64::MAX / 2)),
            NextStep::Answer(Claim::Posted(ts))
        );
    }

    #[test]
    fn a_stored_record_is_read() {
        let item = Item::from([
            ("deliveryId".to_owned(), text("d")),
            ("state".to_owned(), text("CLAIMED")),
            ("attempt".to_owned(), text("a")),
            ("claimedAt".to_owned(), number(1_000)),
            ("leaseEndsAt".to_owned(), number(60_000)),
            ("expiresAt".to_owned(), number(9_999)),
        ]);
        let record: Record = serde_dynamo::from_item(item).unwrap();
        assert!(matches!(
            record,
            Record::Claimed {
                claimed_at: 1_000,
                uncertain_since: None,
                ..
            }
        ));
    }
}
