//! Leave to call Slack, from the table that all executions share.

use std::{
    cell::Cell,
    future::Future,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use apgl_contract::{StepError, Turn};
use apgl_slack::{
    SlackError,
    pacing::{LeaveFuture, Limit, Pacer, TurnFuture},
};
use apgl_stores::{Pace, Pacing, Table};
use aws_sdk_dynamodb::{Client, config};
use aws_smithy_types::{retry::RetryConfig, timeout::TimeoutConfig};

use crate::SettingError;

/// A queue that does not answer holds no call up for longer.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(2);
const QUEUE_ATTEMPTS: u32 = 2;
/// A turn that comes within this time is now: the call itself takes longer.
const NOW: u64 = 50;
/// So many intervals of a limit are over soon.
const SOON: u32 = 10;
/// After this time a turn counts no more, as after a redrive.
const TURN_LIFETIME: u64 = 60_000;

tokio::task_local! {
    static TURN: Cell<Option<Turn>>;
}

/// Runs `step` with the turn that its workflow hands back.
pub(crate) async fn with_turn<T>(turn: Option<Turn>, step: impl Future<Output = T>) -> T {
    TURN.scope(Cell::new(turn), step).await
}

/// The pacer of a function. Where the queue is out of order, calls are made without leave: Slack's
/// own refusals still hold, and no notification fails for want of a queue.
#[derive(Debug)]
pub(crate) struct QueuePacer {
    pacing: Pacing,
    /// How long one of Slack's seconds lasts, in seconds.
    time_scale: f64,
}

impl QueuePacer {
    pub fn new(aws: &aws_types::SdkConfig, table: String, time_scale: f64) -> Self {
        let config = config::Builder::from(aws)
            .timeout_config(
                TimeoutConfig::builder()
                    .operation_timeout(QUEUE_TIMEOUT)
                    .build(),
            )
            .retry_config(RetryConfig::standard().with_max_attempts(QUEUE_ATTEMPTS))
            .build();
        Self {
            pacing: Pacing::new(Table::new(Client::from_conf(config), table)),
            time_scale,
        }
    }

    fn now(&self) -> u64 {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        millis(since_epoch.div_f64(self.time_scale))
    }

    async fn leave(&self, method: &'static str, limits: &[Limit]) -> Result<(), SlackError> {
        let mut held = take_turn_for(limits).filter(|turn| turn.at + TURN_LIFETIME > self.now());
        // The limits before the one that the turn is for were passed before it was given.
        let passed = held
            .as_ref()
            .and_then(|turn| limits.iter().position(|limit| limit.name == turn.limit));
        for limit in limits.iter().skip(passed.unwrap_or_default()) {
            let turn = match held.take() {
                Some(turn) => self.pacing.moved(turn).await,
                None => self.pacing.take_turn(pace(limit), self.now()).await,
            };
            let turn = match turn {
                Ok(turn) => turn,
                Err(error) => {
                    log_outage(&error);
                    continue;
                }
            };
            let left = turn.at.saturating_sub(self.now());
            if left > NOW {
                return Err(SlackError::RateLimited {
                    method,
                    retry_after: Duration::from_millis(left),
                    turn: Some(turn),
                });
            }
        }
        Ok(())
    }

    /// The turn is for the narrowest limit, so the others are asked again.
    async fn refused(&self, limits: &[Limit], retry_after: Duration) -> Option<Turn> {
        let now = self.now();
        let until = now + millis(retry_after);
        let mut turn = None;
        for limit in limits_that_refused(limits, retry_after) {
            match self.pacing.hold_up(pace(limit), now, until).await {
                Ok(held_up) => turn = turn.or(Some(held_up)),
                Err(error) => log_outage(&error),
            }
        }
        turn
    }
}

impl Pacer for QueuePacer {
    fn leave<'a>(&'a self, method: &'static str, limits: &'a [Limit]) -> LeaveFuture<'a> {
        Box::pin(self.leave(method, limits))
    }

    fn refused<'a>(&'a self, limits: &'a [Limit], retry_after: Duration) -> TurnFuture<'a> {
        Box::pin(self.refused(limits, retry_after))
    }
}

/// The turn that the workflow has handed back, if it is for one of these limits. It serves once.
fn take_turn_for(limits: &[Limit]) -> Option<Turn> {
    TURN.try_with(|cell| {
        let turn = cell.take()?;
        if limits.iter().any(|limit| limit.name == turn.limit) {
            return Some(turn);
        }
        cell.set(Some(turn));
        None
    })
    .ok()
    .flatten()
}

/// Slack does not say which of a call's limits it was. The narrowest is over soon; where Slack asks for
/// more time than that, the others were met as well.
fn limits_that_refused(limits: &[Limit], retry_after: Duration) -> &[Limit] {
    match limits {
        [narrowest, _, ..] if retry_after <= narrowest.interval * SOON => &limits[..1],
        all => all,
    }
}

fn pace(limit: &Limit) -> Pace<'_> {
    Pace {
        limit: &limit.name,
        interval: millis(limit.interval).max(1),
        tolerance: millis(limit.interval) * u64::from(limit.burst.saturating_sub(1)),
    }
}

fn log_outage(error: &StepError) {
    tracing::warn!(
        error.name = %error.name(),
        error.reason = error.to_string(),
        "the queue for Slack is out of order; the call is made without leave"
    );
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The scale of time, from the variable's value.
pub(crate) fn time_scale(name: &'static str, value: &str) -> Result<f64, SettingError> {
    match value.parse() {
        Ok(scale) if scale > 0.0 && scale <= 1.0 => Ok(scale),
        _ => Err(SettingError::Bad {
            name,
            rule: "must be a number above 0, at most 1",
        }),
    }
}
