//! The DynamoDB table with the state of the quotas and the reservations, shared by all executions.
//!
//! | `owner` | `item` | content |
//! |---|---|---|
//! | a quota's name | `quota` | the quota's [`Gcra`]: `tat`, `delay`; `freedAt` in nanoseconds of real time, when slots were last freed, if some may still be free |
//! | a quota's name | `free/`, a slot | [`FreeSlots`] that an execution no longer needs: `calls` |
//! | an execution's ARN | a step's name, `/`, a quota's name | a [`Reservation`]: `slot`, `delay`, `calls`, `used` |
//!
//! A call that does not have to wait costs one conditional update, however many executions call at once.

mod free;
mod items;
mod reservations;

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use apgl_contract::StepError;
use apgl_slack::quotas::{Quota, Slot, quota_named};
use aws_sdk_dynamodb::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    operation::update_item::{UpdateItemError, builders::UpdateItemFluentBuilder},
    types::{ReturnValue, ReturnValuesOnConditionCheckFailure},
};

use self::items::{
    FREE, Item, QUOTA, expiry, gcra_of, number, quota_key, reservation_of, text_in, whole_number,
};
pub use self::{
    free::Free,
    reservations::{Holder, Reservation},
};
use crate::gcra::{Gcra, interval};

/// How many times a conditional write is attempted while other executions keep changing the item.
const MAX_CONFLICTS: usize = 8;

/// The result of taking calls from a quota.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// The calls are taken from the quota, and may be made when their slot is ready.
    Calls {
        slot: Slot,
        ready_at: u64,
        /// Whether the slot was a free one, before the end of the queue.
        is_free: bool,
    },
    /// The calls would be ready at `ready_at`, which is too late. Nothing is taken.
    TooLate { ready_at: u64 },
}

impl Taken {
    fn calls(slot: Slot, state: Gcra, is_free: bool) -> Self {
        let ready_at = state.ready_at(&slot);
        Self::Calls {
            slot,
            ready_at,
            is_free,
        }
    }
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
        let mut looked = None;
        for _ in 0..MAX_CONFLICTS {
            let update = if is_busy {
                self.add_to_queue(quota, calls, latest_tat, looked.as_ref())
            } else {
                self.begin_queue(quota, calls, now)
            };
            let update = update.expression_attribute_values(":now", number(now));
            let item = match self.if_it_holds(update).await? {
                Written::Yes(item) => {
                    self.remember_whether_busy(&quota.name, is_busy);
                    let state = gcra_of(&item);
                    return Ok(Taken::calls(state.last_slot(quota), state, false));
                }
                Written::No(item) => item,
            };
            let state = gcra_of(&item);
            is_busy = state.tat > now;
            // When the calls would be ready at the end of the queue.
            let end = state.ready_after(quota, calls, now);
            let freed_at = whole_number(&item, "freedAt").filter(|_| is_busy);
            looked = looked.filter(|looked: &Looked| Some(looked.freed_at) == freed_at);
            if looked.is_none()
                && let Some(freed_at) = freed_at
            {
                // After a reset, free slots can be behind the end of the queue. Those are of no use.
                let latest = latest.min(end);
                let found = self.take_free(quota, calls, state.delay, now, latest);
                match found.await? {
                    Free::Taken(slot) => return Ok(Taken::calls(slot, state, true)),
                    found => looked = Some(Looked { found, freed_at }),
                }
            } else if state.tat > latest_tat.max(now) {
                return Ok(Taken::TooLate { ready_at: end });
            }
        }
        Err(self.too_many_conflicts())
    }

    /// Takes calls from a busy quota: others wait for it, or have just used it.
    fn add_to_queue(
        &self,
        quota: &Quota,
        calls: u32,
        latest_tat: u64,
        looked: Option<&Looked>,
    ) -> UpdateItemFluentBuilder {
        let added = interval(quota) * u64::from(calls);
        let update = |forget: &str, unless: &str| {
            let set = format!("SET tat = tat + :added, expiresAt = :expiry{forget}");
            self.update_quota(&quota.name, &set)
                .condition_expression(format!("tat > :now AND tat <= :latest{unless}"))
                .expression_attribute_values(":added", number(added))
                .expression_attribute_values(":latest", number(latest_tat))
        };
        match looked {
            None => update("", " AND attribute_not_exists(freedAt)"),
            Some(Looked {
                found: Free::None,
                freed_at,
            }) => {
                // Slots that were freed since this look must be looked for.
                update(" REMOVE freedAt", " AND freedAt = :freedAt")
                    .expression_attribute_values(":freedAt", number(*freed_at))
            }
            Some(_) => update("", ""),
        }
    }

    /// Takes calls from an idle quota. Any free slots that it had are in the past.
    fn begin_queue(&self, quota: &Quota, calls: u32, now: u64) -> UpdateItemFluentBuilder {
        let tat = now + interval(quota) * u64::from(calls);
        self.update_quota(
            &quota.name,
            "SET tat = :tat, expiresAt = :expiry REMOVE freedAt",
        )
        .condition_expression("attribute_not_exists(tat) OR tat <= :now")
        .expression_attribute_values(":tat", number(tat))
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
                .expression_attribute_values(":delay", number(delay));
            match self.if_it_holds(update).await? {
                Written::Yes(item) => return Ok((slot, gcra_of(&item))),
                Written::No(item) => delay = gcra_of(&item).delay,
            }
        }
        Err(self.too_many_conflicts())
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
            let item_key = text_in(item, "item").filter(|key| !key.starts_with(FREE));
            let Some((_, quota)) = item_key.and_then(|key| key.split_once('/')) else {
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
                let ready_at = gcra_of(item).ready_after(&quota, 1, now);
                let wait = ready_at.checked_sub(now)?;
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
            .update_quota(quota, "SET tat = :now, expiresAt = :expiry REMOVE freedAt")
            .condition_expression("attribute_exists(tat)")
            .expression_attribute_values(":now", number(now));
        Ok(matches!(self.if_it_holds(update).await?, Written::Yes(_)))
    }

    /// An update of a quota's state, which is returned as it is then, whether the condition held or not.
    fn update_quota(&self, quota: &str, expression: &str) -> UpdateItemFluentBuilder {
        self.update(quota_key(quota))
            .update_expression(expression)
            .expression_attribute_values(":expiry", number(expiry()))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
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

    fn too_many_conflicts(&self) -> StepError {
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

/// What a look for free slots has found, and the quota's `freedAt` then.
struct Looked {
    found: Free,
    freed_at: u64,
}

/// Whether the condition of an update held, with the current item.
enum Written {
    Yes(Item),
    No(Item),
}
