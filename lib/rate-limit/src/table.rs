//! The DynamoDB table with the state of the quotas and the reservations, shared by all executions.
//!
//! | `owner` | `item` | content |
//! |---|---|---|
//! | a quota's name | `quota` | the quota's [`Gcra`]: `tat`, `delay`; `hasFree` if it may have free slots |
//! | a quota's name | `free/`, a slot | [`FreeSlots`] that an execution no longer needs: `calls` |
//! | an execution's ARN | a step's name, `/`, a quota's name | a [`Reservation`]: `slot`, `delay`, `calls`, `used` |
//!
//! A call that does not have to wait costs one conditional update, however many executions call at once.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use apgl_contract::StepError;
use apgl_slack::quotas::{Quota, Slot, quota_named};
use aws_sdk_dynamodb::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    operation::{
        delete_item::DeleteItemError,
        update_item::{UpdateItemError, builders::UpdateItemFluentBuilder},
    },
    types::{AttributeValue, KeysAndAttributes, ReturnValue, ReturnValuesOnConditionCheckFailure},
};

use crate::gcra::{FreeSlots, Gcra, interval};

type Item = HashMap<String, AttributeValue>;

/// The sort key of a quota's state.
const QUOTA: &str = "quota";
/// The prefix of the sort key of free slots.
const FREE: &str = "free/";

/// How many items of free slots a query reads: other executions may take the first ones at the same time.
const FREE_SLOTS_AT_ONCE: i32 = 25;

/// How long an unused quota is kept; channels come and go. Longer than an execution may run, so that no
/// reservation outlives its quota's delay.
const RETENTION: Duration = Duration::from_hours(3 * 24);
/// How many times a conditional write is attempted while other executions keep changing the item.
const MAX_CONFLICTS: usize = 8;

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
    fn key(&self, quota: &str) -> Item {
        key(&self.execution_id, &format!("{}/{quota}", self.step))
    }
}

/// The result of taking calls from a quota.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// The calls are taken from the quota, and may be made when their slot is ready.
    Calls { slot: Slot, ready_at: u64 },
    /// The calls would be ready at `ready_at`, which is too late. Nothing is taken.
    TooLate { ready_at: u64 },
}

impl Taken {
    fn calls(slot: Slot, state: Gcra) -> Self {
        let ready_at = state.ready_at(&slot);
        Self::Calls { slot, ready_at }
    }
}

/// The result of looking for free slots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Free {
    Taken(Slot),
    /// There are free slots, but too few together, or other executions took them first.
    NoneFits,
    None,
    /// Nothing has looked for free slots yet.
    Unknown,
}

/// The queue of calls that wait for a quota.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// The quota's name.
    pub quota: String,
    /// How long one more call would wait.
    pub wait: Duration,
    /// The number of reserved calls that are not used yet.
    pub reserved: u32,
}

#[derive(Debug)]
pub struct RateLimits {
    client: Client,
    table: String,
    /// The quotas that were busy the last time. This decides which of two updates is tried first.
    busy: Mutex<HashSet<String>>,
}

impl RateLimits {
    pub fn new(client: Client, table: String) -> Self {
        Self {
            client,
            table,
            busy: Mutex::default(),
        }
    }

    /// Takes `calls` calls from a quota, if they are ready by `latest`.
    ///
    /// # Errors
    /// [`StepError::StoreUnavailable`] and [`StepError::StoreRejected`].
    pub async fn take(
        &self,
        quota: &Quota,
        calls: u32,
        now: u64,
        latest: Option<u64>,
    ) -> Result<Taken, StepError> {
        let latest = latest.unwrap_or(u64::MAX / 2);
        let latest_tat = Gcra::latest_tat(quota, calls, latest);
        let mut is_busy = self.busy().contains(&quota.name);
        let mut free = Free::Unknown;
        for _ in 0..MAX_CONFLICTS {
            let update = if is_busy {
                self.add_to_queue(quota, calls, latest_tat, &free)
            } else {
                self.begin_queue(quota, calls, now)
            };
            let update = update.expression_attribute_values(":now", number(now));
            let item = match self.if_it_holds(update).await? {
                Written::Yes(item) => {
                    self.remember_whether_busy(&quota.name, is_busy);
                    let state = gcra_of(&item);
                    return Ok(Taken::calls(state.last_slot(quota), state));
                }
                Written::No(item) => item,
            };
            let state = gcra_of(&item);
            is_busy = state.tat > now;
            if free == Free::Unknown && is_busy && item.contains_key("hasFree") {
                free = self.take_free(quota, calls, state, now, latest).await?;
                if let Free::Taken(slot) = free {
                    return Ok(Taken::calls(slot, state));
                }
            } else if state.tat > latest_tat.max(now) {
                let after = state.after(quota, calls, now);
                let ready_at = after.ready_at(&after.last_slot(quota));
                return Ok(Taken::TooLate { ready_at });
            }
        }
        Err(self.others_were_faster())
    }

    /// Takes calls from a busy quota: others wait for it, or have just used it.
    fn add_to_queue(
        &self,
        quota: &Quota,
        calls: u32,
        latest_tat: u64,
        free: &Free,
    ) -> UpdateItemFluentBuilder {
        let added = interval(quota) * u64::from(calls);
        let (forget, unless) = match free {
            Free::Unknown => ("", " AND attribute_not_exists(hasFree)"),
            Free::None => (" REMOVE hasFree", ""),
            Free::NoneFits | Free::Taken(_) => ("", ""),
        };
        let set = format!("SET tat = tat + :added, expiresAt = :expiry{forget}");
        self.update_quota(&quota.name, &set)
            .condition_expression(format!("tat > :now AND tat <= :latest{unless}"))
            .expression_attribute_values(":added", number(added))
            .expression_attribute_values(":latest", number(latest_tat))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
    }

    /// Takes calls from an idle quota. Any free slots that it had are in the past.
    fn begin_queue(&self, quota: &Quota, calls: u32, now: u64) -> UpdateItemFluentBuilder {
        let tat = now + interval(quota) * u64::from(calls);
        self.update_quota(
            &quota.name,
            "SET tat = :tat, expiresAt = :expiry REMOVE hasFree",
        )
        .condition_expression("attribute_not_exists(tat) OR tat <= :now")
        .expression_attribute_values(":tat", number(tat))
        .return_values(ReturnValue::AllNew)
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
    }

    /// Takes `calls` calls from the earliest free slots, if they are ready by `latest`.
    ///
    /// # Errors
    /// The same as for [`RateLimits::take`].
    pub async fn take_free(
        &self,
        quota: &Quota,
        calls: u32,
        state: Gcra,
        now: u64,
        latest: u64,
    ) -> Result<Free, StepError> {
        let from = now.saturating_sub(state.delay);
        let to = latest.saturating_sub(state.delay);
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
            let Some((slot, left)) = free.take(quota, state, calls, now) else {
                continue;
            };
            if self.leave(&quota.name, free, left).await? {
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
    async fn leave(&self, quota: &str, free: FreeSlots, left: u32) -> Result<bool, StepError> {
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

    /// Frees the unused reservations of an execution that has ended.
    ///
    /// # Errors
    /// The same as for [`RateLimits::take`].
    pub async fn release(&self, execution_id: &str, now: u64) -> Result<(), StepError> {
        let query = self.client.query().table_name(&self.table);
        let items = query
            .key_condition_expression("#owner = :owner")
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_values(":owner", text(execution_id))
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
            let to_come = |slot: &Slot| slot.at + slot.delay >= now;
            if let Some(reservation) = reservation.filter(|one| to_come(&one.slot)) {
                let key = key(execution_id, reserved_item);
                self.free_reserved(key, &reservation).await?;
            }
        }
        Ok(())
    }

    /// Frees the unused calls of a reservation.
    ///
    /// # Errors
    /// The same as for [`RateLimits::take`].
    pub async fn free(&self, holder: &Holder, reservation: &Reservation) -> Result<(), StepError> {
        let key = holder.key(&reservation.slot.quota);
        self.free_reserved(key, reservation).await
    }

    /// Marks the calls as used in the reservation before it frees them, so that they are never used twice.
    async fn free_reserved(&self, key: Item, reservation: &Reservation) -> Result<(), StepError> {
        let (slot, left) = (&reservation.slot, reservation.left());
        if left == 0 || !self.use_up(key, reservation, left).await? {
            return Ok(());
        }
        let free = self
            .update(self::key(&slot.quota, &free_item(slot.at)))
            .update_expression("SET calls = :calls, expiresAt = :expiry")
            .expression_attribute_values(":calls", number(left.into()))
            .expression_attribute_values(":expiry", number(expiry()));
        self.if_it_holds(free).await?;
        let tell = self
            .update_quota(&slot.quota, "SET hasFree = :true, expiresAt = :expiry")
            .condition_expression("attribute_exists(tat)")
            .expression_attribute_values(":true", AttributeValue::Bool(true));
        self.if_it_holds(tell).await?;
        Ok(())
    }

    /// Delays the whole quota so that a refused call is ready at `until`. Returns the call's slot and the new
    /// state. A call without a slot, made while the table could not be reached, gets a slot at `now`.
    ///
    /// # Errors
    /// The same as for [`RateLimits::take`].
    pub async fn penalize(
        &self,
        quota: &str,
        slot: Option<&Slot>,
        now: u64,
        until: u64,
    ) -> Result<(Slot, Gcra), StepError> {
        // The delay when the slot was taken. Usually it has not changed since.
        let mut delay = slot.map_or(0, |slot| slot.delay);
        for _ in 0..MAX_CONFLICTS {
            let slot_of_now = || Slot {
                quota: quota.to_owned(),
                at: now.saturating_sub(delay),
                delay,
            };
            let slot = slot.cloned().unwrap_or_else(slot_of_now);
            let before = Gcra { tat: 0, delay };
            let longer = before.penalized(&slot, until).delay - delay;
            let unchanged = if delay == 0 {
                "attribute_not_exists(delay) OR delay = :delay"
            } else {
                "delay = :delay"
            };
            let update = self
                .update_quota(
                    quota,
                    "SET tat = if_not_exists(tat, :ready) + :longer, delay = :longest, expiresAt = :expiry",
                )
                .condition_expression(unchanged)
                .expression_attribute_values(":ready", number(before.ready_at(&slot)))
                .expression_attribute_values(":longer", number(longer))
                .expression_attribute_values(":longest", number(delay + longer))
                .expression_attribute_values(":delay", number(delay))
                .return_values(ReturnValue::AllNew)
                .return_values_on_condition_check_failure(
                    ReturnValuesOnConditionCheckFailure::AllOld,
                );
            match self.if_it_holds(update).await? {
                Written::Yes(item) => return Ok((slot, gcra_of(&item))),
                Written::No(item) => delay = gcra_of(&item).delay,
            }
        }
        Err(self.others_were_faster())
    }

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

    async fn use_up(
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

    /// The quotas for which a call has to wait, longest queue first. Scans the whole table, so it is meant for
    /// operators only.
    ///
    /// # Errors
    /// The same as for [`RateLimits::take`].
    pub async fn queues(&self, now: u64) -> Result<Vec<Queue>, StepError> {
        let scan = self.client.scan().table_name(&self.table);
        let items = scan.into_paginator().items().send().try_collect().await;
        let items: Vec<Item> = items.map_err(|error| self.error("Scan", &error))?;
        let mut reserved: HashMap<&str, u32> = HashMap::new();
        for item in &items {
            let quota = text_in(item, "item").and_then(|item| item.split_once('/'));
            let Some((_, quota)) = quota.filter(|(step, _)| !FREE.starts_with(step)) else {
                continue;
            };
            let left = reservation_of(quota, item).map_or(0, |reservation| reservation.left());
            *reserved.entry(quota).or_default() += left;
        }
        let quotas = items
            .iter()
            .filter(|item| text_in(item, "item") == Some(QUOTA));
        let mut queues: Vec<Queue> = quotas
            .filter_map(|item| {
                let name = text_in(item, "owner")?;
                let quota = quota_named(name);
                let after = gcra_of(item).after(&quota, 1, now);
                let wait = after.ready_at(&after.last_slot(&quota)).checked_sub(now)?;
                (wait > 0).then(|| Queue {
                    quota: name.to_owned(),
                    wait: Duration::from_millis(wait),
                    reserved: reserved.get(name).copied().unwrap_or_default(),
                })
            })
            .collect();
        queues.sort_by_key(|queue| std::cmp::Reverse(queue.wait));
        Ok(queues)
    }

    /// Clears a quota's queue, so that the next call is ready now. Reserved calls keep their slots. Returns `false`
    /// if the quota does not exist.
    ///
    /// # Errors
    /// The same as for [`RateLimits::take`].
    pub async fn reset(&self, quota: &str, now: u64) -> Result<bool, StepError> {
        let update = self
            .update_quota(quota, "SET tat = :now, expiresAt = :expiry REMOVE hasFree")
            .condition_expression("attribute_exists(tat)")
            .expression_attribute_values(":now", number(now));
        Ok(matches!(self.if_it_holds(update).await?, Written::Yes(_)))
    }

    fn update_quota(&self, quota: &str, expression: &str) -> UpdateItemFluentBuilder {
        self.update(quota_key(quota))
            .update_expression(expression)
            .expression_attribute_values(":expiry", number(expiry()))
    }

    fn update(&self, key: Item) -> UpdateItemFluentBuilder {
        let update = self.client.update_item();
        update.table_name(&self.table).set_key(Some(key))
    }

    async fn if_it_holds(&self, update: UpdateItemFluentBuilder) -> Result<Written, StepError> {
        match update.send().await {
            Ok(updated) => Ok(Written::Yes(updated.attributes.unwrap_or_default())),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(refused)) => {
                    Ok(Written::No(refused.item.clone().unwrap_or_default()))
                }
                _ => Err(self.error("UpdateItem", &error)),
            },
        }
    }

    fn remember_whether_busy(&self, quota: &str, is_busy: bool) {
        if is_busy {
            self.busy().insert(quota.to_owned());
        } else {
            self.busy().remove(quota);
        }
    }

    fn busy(&self) -> MutexGuard<'_, HashSet<String>> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn error<E: ProvideErrorMetadata>(
        &self,
        operation: &'static str,
        error: &SdkError<E>,
    ) -> StepError {
        apgl_aws::step_error(&self.table, operation, error)
    }

    fn others_were_faster(&self) -> StepError {
        self.failed("UpdateItem", "other executions kept changing the item")
    }

    fn failed(&self, operation: &'static str, reason: &str) -> StepError {
        StepError::StoreUnavailable {
            store: self.table.clone(),
            operation,
            reason: reason.to_owned(),
        }
    }
}

/// Whether the condition of an update held, with the current item.
enum Written {
    Yes(Item),
    No(Item),
}

fn gcra_of(item: &Item) -> Gcra {
    Gcra {
        tat: whole_number(item, "tat").unwrap_or_default(),
        delay: whole_number(item, "delay").unwrap_or_default(),
    }
}

/// `None` if the item can't be read; the calls are then taken from the quota again.
fn reservation_of(quota: &str, item: &Item) -> Option<Reservation> {
    let calls = |field| u32::try_from(whole_number(item, field)?).ok();
    Some(Reservation {
        slot: Slot {
            quota: quota.to_owned(),
            at: whole_number(item, "slot")?,
            delay: whole_number(item, "delay")?,
        },
        calls: calls("calls")?,
        used: calls("used")?,
    })
}

fn free_slots_of(item: &Item) -> Option<FreeSlots> {
    let calls = whole_number(item, "calls")?;
    Some(FreeSlots {
        at: text_in(item, "item")?.strip_prefix(FREE)?.parse().ok()?,
        calls: calls.try_into().ok()?,
    })
}

/// The sort key of free slots, which sorts by time.
fn free_item(at: u64) -> String {
    format!("{FREE}{at:020}")
}

fn quota_key(quota: &str) -> Item {
    key(quota, QUOTA)
}

fn key(owner: &str, item: &str) -> Item {
    let fields = [("owner", text(owner)), ("item", text(item))];
    fields
        .map(|(field, value)| (field.to_owned(), value))
        .into()
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

fn number(value: u64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

fn text_in<'a>(item: &'a Item, field: &str) -> Option<&'a str> {
    item.get(field)?.as_s().ok().map(String::as_str)
}

fn whole_number(item: &Item, field: &str) -> Option<u64> {
    item.get(field)?.as_n().ok()?.parse().ok()
}

fn expiry() -> u64 {
    let since_epoch = (SystemTime::now() + RETENTION).duration_since(UNIX_EPOCH);
    since_epoch.unwrap_or_default().as_secs()
}
