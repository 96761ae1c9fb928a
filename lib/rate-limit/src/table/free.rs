//! Slots that an ended execution reserved and did not use, free for others.

use std::time::{SystemTime, UNIX_EPOCH};

use apgl_contract::StepError;
use apgl_slack::quotas::{Quota, Slot};
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;

use super::{
    Holder, RateLimits, Reservation, Written,
    items::{
        Item, expiry, free_item, free_slots_of, gcra_of, is_written_after, key, number, quota_key,
        reservation_of, text, text_in,
    },
};
use crate::gcra::{FreeSlots, Gcra};

/// How many items of free slots a query reads: other executions may take the first ones at the same time.
const FREE_SLOTS_AT_ONCE: i32 = 25;

/// The result of looking for free slots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Free {
    Taken(Slot),
    /// There are free slots, but too few together, or other executions took them first.
    NoneFits,
    None,
}

impl RateLimits {
    /// Takes `calls` calls from the earliest free slots, if they are ready by `latest`. `delay` is the quota's.
    ///
    /// # Errors
    /// The same as for [`RateLimits::take`].
    pub async fn take_free(
        &self,
        quota: &Quota,
        calls: u32,
        delay: u64,
        now: u64,
        latest: u64,
    ) -> Result<Free, StepError> {
        let from = now.saturating_sub(delay);
        let to = latest.saturating_sub(delay);
        if to < from {
            return Ok(Free::NoneFits);
        }
        let query = self.client.query().table_name(&self.table);
        let found = query
            .key_condition_expression("#owner = :owner AND #item BETWEEN :from AND :to")
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_names("#item", "item")
            .expression_attribute_values(":owner", text(&quota.name))
            .expression_attribute_values(":from", text(&free_item(from)))
            .expression_attribute_values(":to", text(&free_item(to)))
            .consistent_read(true)
            .limit(FREE_SLOTS_AT_ONCE)
            .send()
            .await
            .map_err(|error| self.error("Query", &error))?;
        for item in found.items() {
            let Some(free) = free_slots_of(item) else {
                continue;
            };
            let Some((slot, left)) = free.take(quota, delay, calls, now) else {
                continue;
            };
            if self.reduce_to(&quota.name, free, left).await? {
                return Ok(Free::Taken(slot));
            }
        }
        Ok(if found.items().is_empty() {
            Free::None
        } else {
            Free::NoneFits
        })
    }

    /// Reduces these free slots to `left`. Returns `false` if they have changed in the meantime.
    async fn reduce_to(&self, quota: &str, free: FreeSlots, left: u32) -> Result<bool, StepError> {
        let key = key(quota, &free_item(free.at));
        if left > 0 {
            let update = self
                .update(key)
                .update_expression("SET calls = :left")
                .condition_expression("calls = :calls")
                .expression_attribute_values(":left", number(left.into()))
                .expression_attribute_values(":calls", number(free.calls.into()));
            return Ok(matches!(self.if_it_holds(update).await?, Written::Yes(_)));
        }
        let delete = self.client.delete_item().table_name(&self.table);
        let deleted = delete
            .set_key(Some(key))
            .condition_expression("calls = :calls")
            .expression_attribute_values(":calls", number(free.calls.into()))
            .send()
            .await;
        match deleted {
            Ok(_) => Ok(true),
            Err(error) => match error.as_service_error() {
                Some(DeleteItemError::ConditionalCheckFailedException(_)) => Ok(false),
                _ => Err(self.error("DeleteItem", &error)),
            },
        }
    }

    /// Frees the unused reservations of an execution that ended at `ended_at`. Later ones belong to a redrive.
    ///
    /// # Errors
    /// The same as for [`RateLimits::take`].
    pub async fn release(
        &self,
        execution_id: &str,
        ended_at: SystemTime,
        now: u64,
    ) -> Result<(), StepError> {
        let query = self.client.query().table_name(&self.table);
        let items = query
            .key_condition_expression("#owner = :owner")
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_values(":owner", text(execution_id))
            .consistent_read(true)
            .into_paginator()
            .items()
            .send()
            .try_collect()
            .await;
        let items: Vec<Item> = items.map_err(|error| self.error("Query", &error))?;
        for item in &items {
            let reserved_item = text_in(item, "item").unwrap_or_default();
            let Some((_, quota)) = reserved_item.split_once('/') else {
                continue;
            };
            let reservation = reservation_of(quota, item);
            let Some(reservation) = reservation.filter(|one| one.left() > 0) else {
                continue;
            };
            if is_written_after(item, ended_at) {
                continue;
            }
            // Nobody can use a slot that is over.
            if self.state(quota).await?.ready_at(&reservation.slot) >= now {
                let key = key(execution_id, reserved_item);
                self.free_reserved(key, &reservation).await?;
            }
        }
        Ok(())
    }

    async fn state(&self, quota: &str) -> Result<Gcra, StepError> {
        let read = self.client.get_item().table_name(&self.table);
        let read = read.set_key(Some(quota_key(quota))).send().await;
        let item = read.map_err(|error| self.error("GetItem", &error))?.item;
        Ok(item.as_ref().map(gcra_of).unwrap_or_default())
    }

    /// Frees the unused calls of a reservation. `false` if there are none any more.
    ///
    /// # Errors
    /// The same as for [`RateLimits::take`].
    pub async fn free(
        &self,
        holder: &Holder,
        reservation: &Reservation,
    ) -> Result<bool, StepError> {
        let key = holder.key(&reservation.slot.quota);
        self.free_reserved(key, reservation).await
    }

    /// Marks the calls as used in the reservation before it frees them, so that they are never used twice.
    async fn free_reserved(
        &self,
        reserved: Item,
        reservation: &Reservation,
    ) -> Result<bool, StepError> {
        let (slot, left) = (&reservation.slot, reservation.left());
        if left == 0 || !self.use_up(reserved, reservation, left).await? {
            return Ok(false);
        }
        let free = self
            .update(key(&slot.quota, &free_item(slot.at)))
            .update_expression("SET calls = :calls, expiresAt = :expiry")
            .expression_attribute_values(":calls", number(left.into()))
            .expression_attribute_values(":expiry", number(expiry()));
        self.if_it_holds(free).await?;
        let tell = self
            .update_quota(&slot.quota, "SET freedAt = :freedAt, expiresAt = :expiry")
            .condition_expression("attribute_exists(tat)")
            .expression_attribute_values(":freedAt", number(unique_time()));
        self.if_it_holds(tell).await?;
        Ok(true)
    }
}

/// The time in nanoseconds since the epoch, so that two releases practically never have the same.
fn unique_time() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    let nanos = since_epoch.unwrap_or_default().as_nanos();
    nanos.try_into().unwrap_or(u64::MAX)
}
