//! The ledger in a DynamoDB table: one item for each delivery, and one for each sequence.
//!
//! A change of a delivery's record and of its sequence's lock is one transaction.

use std::time::{Duration, SystemTime};

use apgl_contract::StepError;
use aws_sdk_dynamodb::{
    operation::{put_item::PutItemError, transact_write_items::TransactWriteItemsError},
    types::{
        CancellationReason, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update,
        builders::{PutBuilder, UpdateBuilder},
    },
};
use serde::de::DeserializeOwned;

use super::{InSequence, Ledger, LockChange, RecordChange, Replaced, sequence::abandoned_before};
use crate::table::{Item, Table, epoch_seconds, number, pause_before, text};

/// Longer than an execution's name is reserved, and than an execution can be redriven.
const RETENTION: Duration = Duration::from_hours(105 * 24);
/// How many times a transaction is attempted while others change the same items. The pauses add up to about 3 s.
const TRANSACTION_ATTEMPTS: u32 = 6;
const PUT: &str = "PutItem";
const RETURN_ITEM: ReturnValuesOnConditionCheckFailure =
    ReturnValuesOnConditionCheckFailure::AllOld;

impl Ledger for Table {
    async fn replace(
        &self,
        change: RecordChange<'_>,
        now: SystemTime,
    ) -> Result<Replaced, StepError> {
        let put = self.record_put(change, now)?;
        let lock = change.lock.and_then(|(in_sequence, lock)| {
            self.lock_update(change.delivery_id, in_sequence, lock, now)
        });
        match lock {
            None => self.put_alone(put).await,
            Some(update) => self.put_and_update(put, update).await,
        }
    }
}

impl Table {
    /// The write of the record, if what it replaces is still stored.
    fn record_put(
        &self,
        change: RecordChange<'_>,
        now: SystemTime,
    ) -> Result<PutBuilder, StepError> {
        let record = serde_dynamo::to_item(change.record);
        let record: Item = record.map_err(|_| self.unreadable(PUT, "delivery"))?;
        let put = Put::builder()
            .table_name(&self.name)
            .set_item(Some(record))
            .item("deliveryId", text(change.delivery_id))
            .item("expiresAt", number(epoch_seconds(now + RETENTION)))
            .return_values_on_condition_check_failure(RETURN_ITEM);
        Ok(match change.expected {
            None => put
                .condition_expression("attribute_not_exists(deliveryId) OR expiresAt < :now")
                .expression_attribute_values(":now", number(epoch_seconds(now))),
            Some(expected) => put
                .condition_expression("attempt = :attempt AND #state = :state")
                .expression_attribute_names("#state", "state")
                .expression_attribute_values(":attempt", text(expected.attempt()))
                .expression_attribute_values(":state", text(expected.state())),
        })
    }

    /// The change of the lock, if the sequence allows it; `None` if nothing changes. `SequenceState::after` has the same rules.
    fn lock_update(
        &self,
        delivery_id: &str,
        in_sequence: &InSequence,
        lock: LockChange,
        now: SystemTime,
    ) -> Option<UpdateBuilder> {
        const IS_FREE_OR_MINE: &str = "(attribute_not_exists(holder) OR holder = :me)";
        const IS_LATEST: &str = "(attribute_not_exists(highest) OR highest <= :number)";
        let InSequence {
            sequence_id,
            number: in_order,
        } = in_sequence;
        let update = Update::builder()
            .table_name(&self.name)
            .key("deliveryId", text(&format!("#sequence/{sequence_id}")))
            .expression_attribute_values(":me", text(delivery_id))
            .expression_attribute_values(":expires", number(epoch_seconds(now + RETENTION)))
            .return_values_on_condition_check_failure(RETURN_ITEM);
        let with_number = |update: UpdateBuilder| {
            update.expression_attribute_values(":number", number(*in_order))
        };
        Some(match lock {
            LockChange::Keep => return None,
            LockChange::Take { now, lease_ends_at } => with_number(update)
                .update_expression(
                    "SET holder = :me, leaseEndsAt = :leaseEndsAt, expiresAt = :expires",
                )
                .condition_expression(format!(
                    "holder = :me OR \
                     ((attribute_not_exists(holder) OR leaseEndsAt < :abandoned) AND {IS_LATEST})"
                ))
                .expression_attribute_values(":leaseEndsAt", number(lease_ends_at))
                .expression_attribute_values(":abandoned", number(abandoned_before(now))),
            LockChange::Free => update
                .update_expression("SET expiresAt = :expires REMOVE holder, leaseEndsAt")
                .condition_expression(IS_FREE_OR_MINE),
            LockChange::Advance => with_number(update)
                .update_expression(
                    "SET highest = :number, expiresAt = :expires REMOVE holder, leaseEndsAt",
                )
                .condition_expression(format!("{IS_FREE_OR_MINE} AND {IS_LATEST}")),
        })
    }

    async fn put_alone(&self, put: PutBuilder) -> Result<Replaced, StepError> {
        let written = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(put.get_item().clone())
            .set_condition_expression(put.get_condition_expression().clone())
            .set_expression_attribute_names(put.get_expression_attribute_names().clone())
            .set_expression_attribute_values(put.get_expression_attribute_values().clone())
            .return_values_on_condition_check_failure(RETURN_ITEM)
            .send()
            .await;
        let Err(error) = written else {
            return Ok(Replaced::Done);
        };
        match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(failed)) => self
                .read(PUT, failed.item(), "delivery")
                .map(Replaced::Conflict),
            _ => Err(self.error(PUT, &error)),
        }
    }

    async fn put_and_update(
        &self,
        put: PutBuilder,
        update: UpdateBuilder,
    ) -> Result<Replaced, StepError> {
        const OPERATION: &str = "TransactWriteItems";
        let unreadable = |_| self.unreadable(OPERATION, "delivery");
        let put = put.build().map_err(unreadable)?;
        let update = update.build().map_err(unreadable)?;
        let writes = [
            TransactWriteItem::builder().put(put).build(),
            TransactWriteItem::builder().update(update).build(),
        ];
        for attempt in 0..TRANSACTION_ATTEMPTS {
            pause_before(attempt).await;
            let transaction = self.client.transact_write_items();
            let transaction = transaction.set_transact_items(Some(writes.to_vec()));
            let Err(error) = transaction.send().await else {
                return Ok(Replaced::Done);
            };
            let reasons = match error.as_service_error() {
                Some(TransactWriteItemsError::TransactionCanceledException(canceled)) => {
                    canceled.cancellation_reasons()
                }
                _ => return Err(self.error(OPERATION, &error)),
            };
            let [put, update] = reasons else {
                return Err(self.error(OPERATION, &error));
            };
            if has_failed(put) {
                return self
                    .read(OPERATION, put.item(), "delivery")
                    .map(Replaced::Conflict);
            }
            if has_failed(update) {
                let sequence = self.read(OPERATION, update.item(), "sequence")?;
                return Ok(Replaced::Locked(sequence.unwrap_or_default()));
            }
            if ![put, update].into_iter().any(is_transient) {
                return Err(self.error(OPERATION, &error));
            }
        }
        Err(StepError::StoreUnavailable {
            store: self.name.clone(),
            operation: OPERATION,
            reason: "other transactions kept changing the same items".to_owned(),
        })
    }

    fn read<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        item: Option<&Item>,
        what: &str,
    ) -> Result<Option<T>, StepError> {
        let item = item.filter(|item| !item.is_empty()).cloned();
        let read = item.map(serde_dynamo::from_item).transpose();
        read.map_err(|_| self.unreadable(operation, what))
    }
}

fn has_failed(reason: &CancellationReason) -> bool {
    reason.code() == Some("ConditionalCheckFailed")
}

/// Source: `TransactionCanceledException`, "Cancellation Codes", Amazon DynamoDB API Reference.
fn is_transient(reason: &CancellationReason) -> bool {
    matches!(
        reason.code(),
        Some("TransactionConflict" | "ThrottlingError" | "ProvisionedThroughputExceeded")
    )
}
