//! Calls that a step has reserved for later.

use apgl_contract::StepError;
use apgl_slack::quotas::{Quota, Slot};
use aws_sdk_dynamodb::types::KeysAndAttributes;

use super::{
    RateLimits, Written,
    items::{Item, expiry, gcra_of, key, number, quota_key, reservation_of},
};
use crate::gcra::Gcra;

/// Calls that a step may make at a later time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    pub slot: Slot,
    pub calls: u32,
    /// How many of the calls have been made or are being made.
    pub used: u32,
}

impl Reservation {
    pub fn left(&self) -> u32 {
        self.calls.saturating_sub(self.used)
    }
}

/// The owner of a reservation: a step of an execution. It has at most one reservation per quota.
#[derive(Debug, Clone)]
pub struct Holder {
    pub execution_id: String,
    pub step: &'static str,
}

impl Holder {
    pub(super) fn key(&self, quota: &str) -> Item {
        key(&self.execution_id, &format!("{}/{quota}", self.step))
    }
}

impl RateLimits {
    /// The state of each of these quotas, and the holder's reservation in it.
    ///
    /// # Errors
    /// The same as for [`RateLimits::take`].
    pub async fn read(
        &self,
        holder: &Holder,
        quotas: &[Quota],
    ) -> Result<Vec<(Gcra, Option<Reservation>)>, StepError> {
        let names = quotas.iter().map(|quota| quota.name.as_str());
        let keys = names.flat_map(|name| [quota_key(name), holder.key(name)]);
        let keys = KeysAndAttributes::builder()
            .set_keys(Some(keys.collect()))
            .consistent_read(true)
            .build()
            .map_err(|_| self.failed("BatchGetItem", "there are no keys"))?;
        let read = self
            .client
            .batch_get_item()
            .request_items(&self.table, keys)
            .send()
            .await
            .map_err(|error| self.error("BatchGetItem", &error))?;
        if read.unprocessed_keys.is_some_and(|keys| !keys.is_empty()) {
            return Err(self.failed(
                "BatchGetItem",
                "DynamoDB left part of the batch unprocessed",
            ));
        }
        let items: Vec<Item> = read
            .responses
            .into_iter()
            .flatten()
            .flat_map(|(_, items)| items)
            .collect();
        let with_key = |key: Item| {
            let is_it = |item: &&Item| {
                key.iter()
                    .all(|(field, value)| item.get(field) == Some(value))
            };
            items.iter().find(is_it)
        };
        let found = quotas.iter().map(|quota| {
            let gcra = with_key(quota_key(&quota.name)).map(gcra_of);
            let reservation = with_key(holder.key(&quota.name));
            let reservation = reservation.and_then(|item| reservation_of(&quota.name, item));
            (gcra.unwrap_or_default(), reservation)
        });
        Ok(found.collect())
    }

    /// Writes a reservation. It replaces any reservation that the holder has in the quota.
    ///
    /// # Errors
    /// The same as for [`RateLimits::take`].
    pub async fn reserve(
        &self,
        holder: &Holder,
        reservation: &Reservation,
    ) -> Result<(), StepError> {
        let Reservation { slot, calls, used } = reservation;
        let mut item = holder.key(&slot.quota);
        let fields = [
            ("slot", number(slot.at)),
            ("delay", number(slot.delay)),
            ("calls", number(u64::from(*calls))),
            ("used", number(u64::from(*used))),
            ("expiresAt", number(expiry())),
        ];
        item.extend(fields.map(|(field, value)| (field.to_owned(), value)));
        self.client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .send()
            .await
            .map_err(|error| self.error("PutItem", &error))?;
        Ok(())
    }

    /// Uses `calls` calls of a reservation. Returns `false` if they are no longer available, because a duplicate
    /// invocation or an earlier attempt of the Task has used them.
    ///
    /// # Errors
    /// The same as for [`RateLimits::take`].
    pub async fn use_reserved(
        &self,
        holder: &Holder,
        reservation: &Reservation,
        calls: u32,
    ) -> Result<bool, StepError> {
        let key = holder.key(&reservation.slot.quota);
        self.use_up(key, reservation, calls).await
    }

    pub(super) async fn use_up(
        &self,
        key: Item,
        reservation: &Reservation,
        calls: u32,
    ) -> Result<bool, StepError> {
        let most = reservation.calls.saturating_sub(calls);
        let update = self
            .update(key)
            .update_expression("SET used = used + :calls")
            .condition_expression("slot = :slot AND used <= :most")
            .expression_attribute_values(":calls", number(u64::from(calls)))
            .expression_attribute_values(":slot", number(reservation.slot.at))
            .expression_attribute_values(":most", number(u64::from(most)));
        Ok(matches!(self.if_it_holds(update).await?, Written::Yes(_)))
    }

    /// Returns calls that Slack has refused to their slot, so that they keep their place.
    ///
    /// # Errors
    /// The same as for [`RateLimits::take`].
    pub async fn give_back(
        &self,
        holder: &Holder,
        slot: &Slot,
        calls: u32,
    ) -> Result<(), StepError> {
        let update = self
            .update(holder.key(&slot.quota))
            .update_expression("SET used = used - :calls")
            .condition_expression("slot = :slot AND used >= :calls")
            .expression_attribute_values(":calls", number(u64::from(calls)))
            .expression_attribute_values(":slot", number(slot.at));
        if matches!(self.if_it_holds(update).await?, Written::Yes(_)) {
            return Ok(());
        }
        // The calls were made immediately, without a reservation.
        let reservation = Reservation {
            slot: slot.clone(),
            calls,
            used: 0,
        };
        self.reserve(holder, &reservation).await
    }
}
