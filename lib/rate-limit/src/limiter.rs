//! The rate limiter that one invocation of a step asks before each call to Slack.

mod cache;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use apgl_contract::{Run, StepError};
use apgl_slack::quotas::{
    AcquireFuture, Calls, Limited, PenalizeFuture, Permit, Quota, RateLimiter, Slot, Wait,
};

use self::cache::{Cache, Reserved};
use crate::{
    gcra::{Gcra, millis},
    shared::SharedLimiter,
    table::{Free, Holder, Reservation, Taken},
};

/// A call that is ready within this time is made now, because the call itself takes longer.
const NOW_MILLIS: u64 = 50;
/// If a refusal lasts longer than this many intervals of the narrowest quota, a wider quota is used up too.
const REFUSAL_INTERVALS: u32 = 10;
/// A reservation expires if it is not used within this time after it is ready, for example before a redrive.
const RESERVATION_LIFETIME_MILLIS: u64 = 10 * 60_000;
/// A workflow waits no longer than half of its remaining time before it checks again, but always up to this long.
const WAIT_TO_CHECK_AGAIN: Duration = Duration::from_mins(15);

/// The limiter for one invocation of a step. If the table can't be reached, calls are made anyway: Slack's own
/// limits still apply, and no notification fails because of the table.
#[derive(Debug)]
pub struct StepLimiter {
    shared: Arc<SharedLimiter>,
    holder: Holder,
    ends_at: Option<u64>,
    cache: Mutex<Cache>,
}

/// Why calls can't pass a quota.
enum NotPassed {
    Limited(Limited),
    /// An operation on the table failed, so it is unknown whether they can.
    TableFailed(StepError),
}

impl From<Limited> for NotPassed {
    fn from(limited: Limited) -> Self {
        Self::Limited(limited)
    }
}

impl From<StepError> for NotPassed {
    fn from(error: StepError) -> Self {
        Self::TableFailed(error)
    }
}

impl SharedLimiter {
    /// The limiter for one invocation of a step.
    pub fn for_step(self: &Arc<Self>, run: &Run, step: &'static str) -> StepLimiter {
        StepLimiter {
            holder: Holder {
                execution_id: run.execution_id.clone(),
                step,
            },
            ends_at: self.end_of(run),
            cache: Mutex::new(Cache::new(run.may_have_waited())),
            shared: self.clone(),
        }
    }
}

impl StepLimiter {
    async fn acquire(&self, calls: Calls<'_>) -> Result<Permit, Limited> {
        let mut reserved = self.reserved(calls.quotas).await;
        // The step passed the narrower quotas before it waited for this one.
        let passed = reserved.as_ref().map_or(0, |reserved| reserved.position);
        let mut permit = Permit::default();
        for quota in &calls.quotas[passed..] {
            match self.pass(quota, calls, reserved.take()).await {
                Ok(slot) => permit.slots.push(slot),
                Err(NotPassed::Limited(limited)) => return Err(limited),
                Err(NotPassed::TableFailed(error)) => {
                    log(&error, "calling Slack without the rate limiter");
                }
            }
        }
        Ok(permit)
    }

    /// The step's remaining reserved calls in one of these quotas.
    async fn reserved(&self, quotas: &[Quota]) -> Option<Reserved> {
        let narrowest = &quotas.first()?.name;
        let cached = {
            let cache = self.cache();
            if !cache.may_have_reserved {
                return None;
            }
            cache.reservations.get(narrowest).cloned()
        };
        if let Some(reserved) = cached {
            return reserved.filter(|reserved| reserved.left() > 0);
        }
        let read = self.shared.limits.read(&self.holder, quotas).await;
        let read = read.inspect_err(|error| log(error, "could not read the reservation"));
        let reserved =
            read.ok()?
                .into_iter()
                .enumerate()
                .find_map(|(position, (gcra, reservation))| {
                    let reservation = reservation?;
                    let ready_at = gcra.ready_at(&reservation.slot);
                    let is_stale = ready_at + RESERVATION_LIFETIME_MILLIS < self.now();
                    (reservation.left() > 0 && !is_stale).then_some(Reserved {
                        reservation,
                        ready_at,
                        position,
                    })
                });
        let mut cache = self.cache();
        cache
            .reservations
            .insert(narrowest.clone(), reserved.clone());
        reserved
    }

    /// Takes the calls from one quota: from the reservation if that covers them all.
    async fn pass(
        &self,
        quota: &Quota,
        calls: Calls<'_>,
        reserved: Option<Reserved>,
    ) -> Result<Slot, NotPassed> {
        let Some(reserved) = reserved else {
            return self.take(quota, calls, None).await;
        };
        if reserved.left() < calls.count {
            return self.take(quota, calls, Some(reserved)).await;
        }
        if !calls.never_wait && !self.is_now(reserved.ready_at) {
            let moved = self.move_forward(quota, &reserved).await;
            let moved = moved.inspect_err(|error| log(error, "could not look for a free slot"));
            return Err(self
                .limited_until(moved.unwrap_or(reserved.ready_at))
                .into());
        }
        if self.use_reserved(calls, &reserved, calls.count).await? {
            return Ok(reserved.reservation.slot);
        }
        // A copy of this invocation has used them.
        self.take(quota, calls, None).await
    }

    /// Takes the calls that the reservation does not cover. Reserves them if they are not ready yet.
    async fn take(
        &self,
        quota: &Quota,
        calls: Calls<'_>,
        reserved: Option<Reserved>,
    ) -> Result<Slot, NotPassed> {
        let covered = reserved.as_ref().map_or(0, Reserved::left);
        let limits = &self.shared.limits;
        let more = calls.count - covered;
        let taken = limits.take(quota, more, self.now(), self.ends_at).await?;
        let (last, is_free) = match taken {
            Taken::Calls {
                slot,
                ready_at,
                is_free,
            } => ((slot, ready_at), is_free),
            Taken::TooLate { ready_at } => return Err(self.too_long(ready_at).into()),
        };
        let (slot, ready_at) = match &reserved {
            Some(reserved) => later(last, (reserved.reservation.slot.clone(), reserved.ready_at)),
            None => last,
        };
        if calls.never_wait || self.is_now(ready_at) {
            if let Some(reserved) = reserved {
                self.use_reserved(calls, &reserved, covered).await?;
            }
            return Ok(slot);
        }
        let (slot, ready_at, count) = if is_free {
            // Another execution has freed this slot. Further calls would be behind the whole queue.
            (slot, ready_at, calls.count)
        } else {
            self.plan(quota, calls, slot, ready_at).await?
        };
        let reservation = Reservation {
            slot,
            calls: count,
            used: 0,
        };
        limits.reserve(&self.holder, &reservation).await?;
        self.clear_cache();
        Err(self.limited_until(ready_at).into())
    }

    /// Moves reserved calls to earlier free slots, if there are any. Returns when the calls are ready.
    async fn move_forward(&self, quota: &Quota, reserved: &Reserved) -> Result<u64, StepError> {
        let (reservation, limits) = (&reserved.reservation, &self.shared.limits);
        let calls = reservation.left();
        let delay = reserved.ready_at - reservation.slot.at;
        let earlier = reserved.ready_at - 1;
        let free = limits.take_free(quota, calls, delay, self.now(), earlier);
        let Free::Taken(slot) = free.await? else {
            return Ok(reserved.ready_at);
        };
        let ready_at = slot.at + delay;
        if !limits.free(&self.holder, reservation).await? {
            return Ok(reserved.ready_at);
        }
        let used = 0;
        let reservation = Reservation { slot, calls, used };
        limits.reserve(&self.holder, &reservation).await?;
        self.clear_cache();
        Ok(ready_at)
    }

    /// Uses reserved calls. Returns whether they were still available.
    async fn use_reserved(
        &self,
        calls: Calls<'_>,
        reserved: &Reserved,
        count: u32,
    ) -> Result<bool, StepError> {
        let reservation = &reserved.reservation;
        let used = self
            .shared
            .limits
            .use_reserved(&self.holder, reservation, count);
        let are_used = used.await?;
        let mut cache = self.cache();
        let left = cache.reservations.get_mut(&calls.quotas[0].name);
        if let Some(left) = left {
            *left = are_used.then(|| {
                let mut left = reserved.clone();
                left.reservation.used += count;
                left
            });
        }
        Ok(are_used)
    }

    /// Extends a reservation by the calls that the step plans to make next, up to a burst, so that the step waits
    /// once for all of them.
    async fn plan(
        &self,
        quota: &Quota,
        calls: Calls<'_>,
        slot: Slot,
        ready_at: u64,
    ) -> Result<(Slot, u64, u32), StepError> {
        let planned = calls.planned.min(quota.burst).max(calls.count);
        let more = planned - calls.count;
        if more > 0 {
            let limits = &self.shared.limits;
            let taken = limits.take(quota, more, self.now(), self.ends_at).await?;
            if let Taken::Calls {
                slot: more,
                ready_at: more_ready_at,
                ..
            } = taken
            {
                let (slot, ready_at) = later((slot, ready_at), (more, more_ready_at));
                return Ok((slot, ready_at, planned));
            }
        }
        Ok((slot, ready_at, calls.count))
    }

    async fn penalize(&self, calls: Calls<'_>, permit: &Permit, retry_after: Duration) -> Wait {
        let until = self.now() + millis(retry_after);
        let mut wait = Wait {
            retry_after,
            is_certain: false,
        };
        for quota in quotas_that_refused(calls.quotas, retry_after) {
            // There is no slot if the table could not be reached, or if an earlier invocation passed this quota.
            let slot = permit.slots.iter().find(|slot| slot.quota == quota.name);
            let limits = &self.shared.limits;
            match limits.penalize(&quota.name, slot, self.now(), until).await {
                // Only the narrowest quota keeps the reservation; the next attempt asks the others again.
                Ok((slot, gcra)) if quota == &calls.quotas[0] => {
                    wait = self.reserve_refused(calls, &slot, gcra, until).await;
                }
                Ok(_) => {}
                Err(error) => log(&error, "could not record Slack's refusal"),
            }
        }
        wait
    }

    /// Puts the refused calls back into their slot, so that they keep their place while they wait.
    async fn reserve_refused(&self, calls: Calls<'_>, slot: &Slot, gcra: Gcra, until: u64) -> Wait {
        let given_back = self
            .shared
            .limits
            .give_back(&self.holder, slot, calls.count);
        let _ = given_back
            .await
            .inspect_err(|error| log(error, "could not reserve the refused calls"));
        self.clear_cache();
        Wait {
            retry_after: self.time_until(gcra.ready_at(slot).max(until)),
            is_certain: false,
        }
    }

    fn limited_until(&self, ready_at: u64) -> Limited {
        if self.ends_at.is_some_and(|end| ready_at > end) {
            return self.too_long(ready_at);
        }
        Limited::Wait(Wait {
            retry_after: self.time_until(ready_at),
            is_certain: true,
        })
    }

    fn too_long(&self, ready_at: u64) -> Limited {
        Limited::QueueTooLong {
            wait: Duration::from_millis(ready_at.saturating_sub(self.now())),
        }
    }

    /// How long the workflow waits before it checks again whether the call is ready.
    fn time_until(&self, time: u64) -> Duration {
        let now = self.now();
        let until = |time: u64| Duration::from_millis(time.saturating_sub(now));
        let half_of_what_is_left = self.ends_at.map_or(Duration::MAX, |end| until(end) / 2);
        until(time).min(WAIT_TO_CHECK_AGAIN.max(half_of_what_is_left))
    }

    fn is_now(&self, ready_at: u64) -> bool {
        ready_at <= self.now() + NOW_MILLIS
    }

    fn now(&self) -> u64 {
        self.shared.clock.now()
    }

    /// Clears the cache, because this step's reservations in the table have changed.
    fn clear_cache(&self) {
        *self.cache() = Cache::new(true);
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RateLimiter for StepLimiter {
    fn acquire<'a>(&'a self, calls: Calls<'a>) -> AcquireFuture<'a> {
        Box::pin(self.acquire(calls))
    }

    fn penalize<'a>(
        &'a self,
        calls: Calls<'a>,
        permit: &'a Permit,
        retry_after: Duration,
    ) -> PenalizeFuture<'a> {
        Box::pin(self.penalize(calls, permit, retry_after))
    }
}

/// The later of two slots, each with the time when it is ready. Calls that are made together are ready when the last
/// one is. A free slot can be earlier than the calls that are taken already.
fn later(one: (Slot, u64), other: (Slot, u64)) -> (Slot, u64) {
    if other.1 > one.1 { other } else { one }
}

/// The quotas that a refusal comes from. Slack does not say which one was used up. The narrowest quota recovers
/// soon; if Slack asks for a longer wait, the wider quotas were used up as well.
fn quotas_that_refused(quotas: &[Quota], retry_after: Duration) -> &[Quota] {
    match quotas {
        [narrowest, _, ..] if retry_after <= narrowest.interval * REFUSAL_INTERVALS => &quotas[..1],
        all => all,
    }
}

fn log(error: &StepError, message: &str) {
    tracing::warn!(error.name = %error.name(), error.reason = error.to_string(), "{message}");
}

#[cfg(test)]
mod tests;
