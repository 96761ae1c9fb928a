//! The limiter of a step, with the shared state in a table.
#![allow(clippy::unwrap_used)]

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use apgl_contract::Run;
use apgl_rate_limit::{
    RateLimits, SharedLimiter, SlackClock, StepLimiter,
    table::{Holder, Reservation, Taken},
};
use apgl_slack::quotas::{Calls, Limited, Quota, RateLimiter, Slot};
use fixture::Fixture;

const STEP: &str = "PostMessage";

/// A queue for one call a second, with bursts of ten, and the limiter of a step that has waited.
struct Queue {
    limits: RateLimits,
    limiter: StepLimiter,
    quota: Quota,
    now: u64,
}

impl Queue {
    async fn new() -> Self {
        let fixture = Fixture::new().await;
        let table = fixture.create_table(&["owner", "item"]).await;
        let limits = || RateLimits::new(fixture.dynamodb.clone(), table.clone());
        let clock = SlackClock::default();
        let now = clock.now();
        let run = Run {
            execution_id: "waiting".to_owned(),
            started_at: Some(now),
            timeout_seconds: Some(24 * 60 * 60),
            waits: 1,
            ..Run::default()
        };
        let shared = Arc::new(SharedLimiter::over(limits(), clock));
        let quota = Quota {
            name: "quota".to_owned(),
            interval: Duration::from_secs(1),
            burst: 10,
        };
        Self {
            limiter: shared.for_step(&run, STEP),
            limits: limits(),
            quota,
            now,
        }
    }

    /// Lets other executions take this many calls.
    async fn lengthen(&self, calls: u32) -> Slot {
        let taken = self.limits.take(&self.quota, calls, self.now, None).await;
        match taken.unwrap() {
            Taken::Calls { slot, .. } => slot,
            Taken::TooLate { .. } => panic!("nothing is too late"),
        }
    }

    /// Reserves one call at the end of the queue.
    async fn reserve(&self, execution: &str) {
        let reservation = Reservation {
            slot: self.lengthen(1).await,
            calls: 1,
            used: 0,
        };
        let holder = Holder {
            execution_id: execution.to_owned(),
            step: STEP,
        };
        self.limits.reserve(&holder, &reservation).await.unwrap();
    }

    /// Frees what an execution has reserved, which has been stopped.
    async fn release(&self, execution: &str) {
        let ended_at = SystemTime::now();
        let released = self.limits.release(execution, ended_at, self.now).await;
        released.unwrap();
    }

    /// How many minutes the step has to wait for this many calls.
    async fn minutes_to_wait(&self, count: u32, planned: u32) -> u64 {
        let calls = Calls {
            quotas: std::slice::from_ref(&self.quota),
            count,
            planned,
            never_wait: false,
        };
        match RateLimiter::acquire(&self.limiter, calls).await {
            Err(Limited::Wait(wait)) => wait.retry_after.as_secs().div_ceil(60),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_step_that_looks_again_moves_to_an_earlier_free_slot() {
    let queue = Queue::new().await;
    queue.lengthen(600).await;
    queue.reserve("stopped").await;
    queue.lengthen(600).await;
    queue.reserve("waiting").await;
    assert!((15..=20).contains(&queue.minutes_to_wait(1, 1).await));
    queue.release("stopped").await;
    for _ in 0..2 {
        assert!((5..=10).contains(&queue.minutes_to_wait(1, 1).await));
    }
}

#[tokio::test]
async fn planned_calls_in_an_earlier_free_slot_do_not_bring_the_others_forward() {
    let queue = Queue::new().await;
    queue.lengthen(600).await;
    queue.reserve("stopped").await;
    queue.lengthen(600).await;
    queue.release("stopped").await;
    // Two calls do not fit into the free slot, but the third one, which is planned, does.
    assert!((15..=20).contains(&queue.minutes_to_wait(2, 3).await));
}

#[tokio::test]
async fn calls_that_a_reservation_covers_only_in_part_wait_for_all_of_it() {
    let queue = Queue::new().await;
    queue.lengthen(600).await;
    queue.reserve("stopped").await;
    queue.lengthen(600).await;
    queue.reserve("waiting").await;
    queue.release("stopped").await;
    assert!((15..=20).contains(&queue.minutes_to_wait(2, 2).await));
}
