//! The shared state of the rate limits, in a table.
#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
    time::{Duration, SystemTime},
};

use apgl_rate_limit::{
    RateLimits,
    gcra::Gcra,
    table::{Holder, Reservation, Taken},
};
use apgl_slack::quotas::{Quota, Slot};
use aws_sdk_dynamodb::{
    Client,
    config::{
        ConfigBag, Intercept, RuntimeComponents, interceptors::BeforeTransmitInterceptorContextRef,
    },
    error::BoxError,
};
use fixture::Fixture;

const NOW: u64 = 1_000_000;

async fn rate_limits() -> RateLimits {
    let fixture = Fixture::new().await;
    let table = fixture.create_table(&["owner", "item"]).await;
    RateLimits::new(fixture.dynamodb, table)
}

/// One call a second, with bursts of two.
fn quota() -> Quota {
    Quota {
        name: "quota".to_owned(),
        interval: Duration::from_secs(1),
        burst: 2,
    }
}

/// A step of another execution each time.
fn holder() -> Holder {
    static EXECUTIONS: AtomicU32 = AtomicU32::new(0);
    let execution = EXECUTIONS.fetch_add(1, Ordering::Relaxed);
    Holder {
        execution_id: format!("execution-{execution}"),
        step: "PostMessage",
    }
}

/// Takes `calls` calls. Returns their slot, and the milliseconds from now until they are ready.
async fn take(limits: &RateLimits, quota: &Quota, calls: u32) -> (Slot, u64) {
    match limits.take(quota, calls, NOW, None).await.unwrap() {
        Taken::Calls { slot, ready_at, .. } => (slot, ready_at.saturating_sub(NOW)),
        Taken::TooLate { .. } => panic!("nothing is too late"),
    }
}

/// Reports the refusal of the call with this slot. Returns the new state of the quota.
async fn penalize(limits: &RateLimits, slot: &Slot, until: u64) -> Gcra {
    let penalized = limits.penalize(&slot.quota, Some(slot), NOW, until).await;
    penalized.unwrap().1
}

#[tokio::test]
async fn after_a_burst_calls_are_ready_at_the_interval() {
    let (limits, quota) = (rate_limits().await, quota());
    for expected in [0, 0, 1_000, 2_000] {
        assert_eq!(take(&limits, &quota, 1).await.1, expected);
    }
    // After a long pause a burst is possible again.
    let later = NOW + 60_000;
    for _ in 0..2 {
        let taken = limits.take(&quota, 1, later, None).await.unwrap();
        assert!(matches!(taken, Taken::Calls { ready_at, .. } if ready_at <= later));
    }
}

#[tokio::test]
async fn no_two_concurrent_calls_take_the_same_slot() {
    let (limits, quota) = (Arc::new(rate_limits().await), quota());
    let takers: Vec<_> = (0..30)
        .map(|_| {
            let (limits, quota) = (limits.clone(), quota.clone());
            tokio::spawn(async move { take(&limits, &quota, 1).await })
        })
        .collect();
    let mut slots = BTreeSet::new();
    for taker in takers {
        slots.insert(taker.await.unwrap().0.at);
    }
    assert_eq!(slots.len(), 30);
    assert_eq!(slots.last(), Some(&(NOW + 28_000)));
}

#[tokio::test]
async fn calls_that_would_be_ready_too_late_take_nothing() {
    let (limits, quota) = (rate_limits().await, quota());
    take(&limits, &quota, 12).await;
    let latest = NOW + 10_500;
    let too_late = limits.take(&quota, 1, NOW, Some(latest)).await.unwrap();
    let ready_at = NOW + 11_000;
    assert_eq!(too_late, Taken::TooLate { ready_at });
    let in_time = limits.take(&quota, 1, NOW, Some(ready_at)).await.unwrap();
    assert!(matches!(in_time, Taken::Calls { .. }), "{in_time:?}");
}

#[tokio::test]
async fn a_refusal_delays_the_refused_call_and_all_later_calls_by_the_same_time() {
    let (limits, quota) = (rate_limits().await, quota());
    let refused = take(&limits, &quota, 1).await.0;
    let (other, _) = take(&limits, &quota, 1).await;
    let (waiting, _) = take(&limits, &quota, 1).await;
    let until = NOW + 10_000;
    let state = penalize(&limits, &refused, until).await;
    // The second call of the burst is refused too, and the refusal is reported later.
    assert_eq!(penalize(&limits, &other, until).await, state);
    let ready = [&refused, &other, &waiting].map(|slot| state.ready_at(slot) - NOW);
    assert_eq!(ready, [10_000, 11_000, 12_000]);
    assert_eq!(take(&limits, &quota, 1).await.1, 13_000);
}

#[tokio::test]
async fn a_refusal_is_stored_for_a_quota_that_is_not_in_the_table() {
    let (limits, quota) = (rate_limits().await, quota());
    let penalized = limits.penalize(&quota.name, None, NOW, NOW + 5_000).await;
    let (slot, state) = penalized.unwrap();
    assert_eq!(state.ready_at(&slot), NOW + 5_000);
    let read = limits.read(&holder(), std::slice::from_ref(&quota)).await;
    assert_eq!(read.unwrap(), [(state, None)]);
    // A quota that is delayed already is delayed again, from now on.
    let until = NOW + 60_000;
    let penalized = limits.penalize(&quota.name, None, NOW, until).await;
    let (slot, state) = penalized.unwrap();
    assert_eq!(state.ready_at(&slot), until);
    assert!(take(&limits, &quota, 1).await.1 >= 60_000);
}

#[tokio::test]
async fn only_one_of_two_copies_of_an_invocation_uses_the_reserved_call() {
    let (limits, quota, holder) = (rate_limits().await, quota(), holder());
    let reservation = Reservation {
        slot: take(&limits, &quota, 3).await.0,
        calls: 3,
        used: 0,
    };
    limits.reserve(&holder, &reservation).await.unwrap();
    for (calls, expected) in [(2, true), (2, false), (1, true), (1, false)] {
        let used = limits.use_reserved(&holder, &reservation, calls).await;
        assert_eq!(used.unwrap(), expected);
    }
    limits
        .give_back(&holder, &reservation.slot, 2)
        .await
        .unwrap();
    let read = limits.read(&holder, std::slice::from_ref(&quota)).await;
    let left = read.unwrap()[0].1.as_ref().map(Reservation::left);
    assert_eq!(left, Some(2));
    // Another step of the same execution has no reservation.
    let other = Holder {
        step: "InviteMembers",
        ..holder
    };
    assert_eq!(limits.read(&other, &[quota]).await.unwrap()[0].1, None);
}

#[tokio::test]
async fn a_call_made_without_waiting_and_refused_is_reserved_in_its_place() {
    let (limits, quota, holder) = (rate_limits().await, quota(), holder());
    let (slot, _) = take(&limits, &quota, 1).await;
    penalize(&limits, &slot, NOW + 10_000).await;
    limits.give_back(&holder, &slot, 1).await.unwrap();
    let read = limits.read(&holder, std::slice::from_ref(&quota)).await;
    let (state, reservation) = &read.unwrap()[0];
    let slot = &reservation.as_ref().unwrap().slot;
    assert_eq!(state.ready_at(slot), NOW + 10_000);
}

/// Reserves one call for each of `executions` executions. Returns their ids, in the order of their slots.
async fn reserve(limits: &RateLimits, quota: &Quota, executions: usize) -> Vec<String> {
    let mut waiting = Vec::new();
    for _ in 0..executions {
        let holder = holder();
        let reservation = Reservation {
            slot: take(limits, quota, 1).await.0,
            calls: 1,
            used: 0,
        };
        limits.reserve(&holder, &reservation).await.unwrap();
        waiting.push(holder.execution_id);
    }
    waiting
}

#[tokio::test]
async fn five_hundred_stopped_executions_block_nobody() {
    let (limits, quota) = (rate_limits().await, quota());
    take(&limits, &quota, 2).await;
    for execution in reserve(&limits, &quota, 500).await {
        limits
            .release(&execution, SystemTime::now(), NOW)
            .await
            .unwrap();
        // EventBridge can deliver the event twice.
        limits
            .release(&execution, SystemTime::now(), NOW)
            .await
            .unwrap();
    }
    // Each free slot is taken once, the earliest first.
    for expected in [1_000, 2_000, 3_000] {
        assert_eq!(take(&limits, &quota, 1).await.1, expected);
    }
    // No free slot has room for three calls.
    assert_eq!(take(&limits, &quota, 3).await.1, 503_000);
    assert_eq!(take(&limits, &quota, 1).await.1, 4_000);
}

#[tokio::test]
async fn a_penalty_moves_free_slots_too() {
    let (limits, quota) = (rate_limits().await, quota());
    let first = take(&limits, &quota, 2).await.0;
    let stopped = reserve(&limits, &quota, 3).await;
    // The three slots are now ready in 31, 32 and 33 seconds.
    penalize(&limits, &first, NOW + 30_000).await;
    let later = NOW + 20_000;
    limits
        .release(&stopped[1], SystemTime::now(), later)
        .await
        .unwrap();
    let ready_at = async |now: u64| match limits.take(&quota, 1, now, None).await.unwrap() {
        Taken::Calls { ready_at, .. } => ready_at - NOW,
        Taken::TooLate { .. } => panic!("nothing is too late"),
    };
    assert_eq!(ready_at(later).await, 32_000);
    // A free slot that nobody took in time is lost.
    limits
        .release(&stopped[0], SystemTime::now(), later)
        .await
        .unwrap();
    assert_eq!(ready_at(NOW + 31_500).await, 34_000);
    // So is one that was over when it was released.
    limits
        .release(&stopped[2], SystemTime::now(), NOW + 33_500)
        .await
        .unwrap();
    assert_eq!(ready_at(NOW + 33_500).await, 35_000);
}

#[tokio::test]
async fn no_call_takes_a_free_slot_behind_the_queue_after_a_reset() {
    let (limits, quota) = (rate_limits().await, quota());
    take(&limits, &quota, 100).await;
    let stopped = reserve(&limits, &quota, 1).await;
    limits.reset(&quota.name, NOW).await.unwrap();
    take(&limits, &quota, 2).await;
    limits
        .release(&stopped[0], SystemTime::now(), NOW)
        .await
        .unwrap();
    assert_eq!(take(&limits, &quota, 1).await.1, 1_000);
}

#[tokio::test]
async fn a_redrives_reservation_is_not_freed_by_the_previous_end() {
    let (limits, quota) = (rate_limits().await, quota());
    take(&limits, &quota, 2).await;
    let redriven = reserve(&limits, &quota, 1).await;
    let ended_at = SystemTime::now() - Duration::from_secs(2);
    limits.release(&redriven[0], ended_at, NOW).await.unwrap();
    assert_eq!(take(&limits, &quota, 1).await.1, 2_000);
}

#[tokio::test]
async fn an_execution_redriven_before_its_slots_are_freed_uses_no_slot_twice() {
    let (limits, quota, holder) = (rate_limits().await, quota(), holder());
    take(&limits, &quota, 2).await;
    let reservation = Reservation {
        slot: take(&limits, &quota, 1).await.0,
        calls: 1,
        used: 0,
    };
    limits.reserve(&holder, &reservation).await.unwrap();
    assert!(limits.use_reserved(&holder, &reservation, 1).await.unwrap());
    limits
        .release(&holder.execution_id, SystemTime::now(), NOW)
        .await
        .unwrap();
    assert_eq!(take(&limits, &quota, 1).await.1, 2_000);
}

#[tokio::test]
async fn a_queue_is_shown_and_cleared() {
    let (limits, quota) = (rate_limits().await, quota());
    let slot = take(&limits, &quota, 90).await.0;
    let reservation = Reservation {
        slot,
        calls: 25,
        used: 5,
    };
    limits.reserve(&holder(), &reservation).await.unwrap();
    let of_ours = async || {
        let queues = limits.queues(NOW).await.unwrap();
        queues.into_iter().find(|queue| queue.quota == quota.name)
    };
    // If only the name of a quota is known, it counts as 20 calls a minute.
    let queue = of_ours().await.unwrap();
    assert_eq!((queue.reserved, queue.wait.as_secs()), (20, 63));
    assert!(limits.reset(&quota.name, NOW).await.unwrap());
    assert_eq!(of_ours().await, None);
    assert_eq!(take(&limits, &quota, 1).await.1, 0);
    assert!(!limits.reset("unknown", NOW).await.unwrap());
}

/// Frees slots right before the first update that records that a quota has none.
#[derive(Debug)]
struct FreeMeanwhile {
    limits: Arc<RateLimits>,
    stopped: String,
    is_done: AtomicBool,
}

impl Intercept for FreeMeanwhile {
    fn name(&self) -> &'static str {
        "FreeMeanwhile"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let body = context.request().body().bytes().unwrap_or_default();
        let body = str::from_utf8(body)?;
        let forgets = body.contains("tat + :added") && body.contains("REMOVE");
        if forgets && !self.is_done.swap(true, Ordering::Relaxed) {
            let (limits, stopped) = (self.limits.clone(), self.stopped.clone());
            let release = async move { limits.release(&stopped, SystemTime::now(), NOW).await };
            let runtime = tokio::runtime::Builder::new_current_thread();
            let released = thread::spawn(|| {
                let runtime = { runtime }.enable_all().build();
                runtime.unwrap().block_on(release)
            });
            released.join().unwrap()?;
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_slot_freed_while_another_call_finds_none_is_not_lost() {
    let fixture = Fixture::new().await;
    let table = fixture.create_table(&["owner", "item"]).await;
    let quota = quota();
    let limits = Arc::new(RateLimits::new(fixture.dynamodb.clone(), table.clone()));
    take(&limits, &quota, 2).await;
    let stopped = reserve(&limits, &quota, 2).await;
    limits
        .release(&stopped[0], SystemTime::now(), NOW)
        .await
        .unwrap();
    take(&limits, &quota, 1).await;
    // The quota is still marked as one that may have free slots, but it has none.
    let interceptor = FreeMeanwhile {
        limits: limits.clone(),
        stopped: stopped[1].clone(),
        is_done: AtomicBool::new(false),
    };
    // A configuration of its own has connections of its own: the interceptor blocks this thread.
    let aws = fixture::aws().await;
    let config = aws_sdk_dynamodb::config::Builder::from(&aws);
    let client = Client::from_conf(config.interceptor(interceptor).build());
    let other = RateLimits::new(client, table);
    let ready = [
        take(&other, &quota, 1).await.1,
        take(&limits, &quota, 1).await.1,
    ];
    // One of the two has the slot that was freed, after two seconds.
    assert_eq!(ready.iter().min(), Some(&2_000), "{ready:?}");
}
