//! Leave to call Slack, from the table that all executions share.

use std::{
    future::Future,
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use apgl_contract::{StepError, Turn};
use apgl_slack::{
    SlackError,
    pacing::{LeaveFuture, Limit, PacedCall, Pacer, Wait, WaitFuture},
};
use apgl_stores::{Pace, Pacing, Table};
use aws_sdk_dynamodb::{Client, config};
use aws_smithy_types::{retry::RetryConfig, timeout::TimeoutConfig};

use crate::SettingError;

/// A queue that does not answer holds no call up for longer.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(2);
const QUEUE_ATTEMPTS: u32 = 2;
/// A turn that comes within this time is now: the call itself takes longer.
const NOW_MILLIS: u64 = 50;
/// So many intervals of a limit are over soon.
const SOON: u32 = 10;
/// After this time a turn counts no more, as after a redrive. A Retry of the Task hands the same turns
/// over again: what it calls a second time is not counted.
const TURN_LIFETIME_MILLIS: u64 = 10 * 60_000;

tokio::task_local! {
    static TURNS: Mutex<Vec<HeldTurn>>;
}

/// A turn that the workflow has handed back.
struct HeldTurn {
    turn: Turn,
    /// Whether it has come: the calls that it is for need not ask again.
    has_come: bool,
}

impl HeldTurn {
    /// When it would come if nothing had ever held the limit up: what turns of one limit are compared by.
    fn unmoved(&self) -> u64 {
        self.turn.at.saturating_sub(self.turn.held_up)
    }

    /// Both turns as one, which comes when the later one does.
    fn and(self, other: Self) -> Self {
        let calls = self.turn.calls + other.turn.calls;
        let has_come = self.has_come && other.has_come;
        let later = std::cmp::max_by_key(self, other, Self::unmoved);
        Self {
            turn: Turn {
                calls,
                ..later.turn
            },
            has_come,
        }
    }
}

/// Runs `step` with the turns that its workflow hands back, and answers those that it has not come to
/// use: two limits that are waited for one after the other would else lose each other's.
pub(crate) async fn with_turns<T>(
    turns: Vec<Turn>,
    step: impl Future<Output = T>,
) -> (T, Vec<Turn>) {
    let held = turns.into_iter().map(|turn| HeldTurn {
        turn,
        has_come: false,
    });
    let step = async {
        let output = step.await;
        let left = with_held(std::mem::take).unwrap_or_default();
        (output, left.into_iter().map(|held| held.turn).collect())
    };
    TURNS.scope(Mutex::new(held.collect()), step).await
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

    async fn leave(&self, call: PacedCall<'_>) -> Result<(), SlackError> {
        let names: Vec<&str> = call
            .limits
            .iter()
            .map(|limit| limit.name.as_str())
            .collect();
        let mut held = take_held(&names, call.calls, |turn| self.is_stale(turn));
        // The limits before the one that the turn is for were passed before it was given.
        let passed = held
            .as_ref()
            .and_then(|held| names.iter().position(|name| *name == held.turn.limit));
        for limit in call.limits.iter().skip(passed.unwrap_or_default()) {
            let turn = match held.take() {
                Some(held) if held.has_come => Ok(held.turn),
                Some(held) => self.pacing.moved(held.turn).await,
                None => {
                    let (pace, now) = (pace(limit), self.now());
                    self.pacing.take_turns(pace, call.calls, now).await
                }
            };
            let turn = match turn {
                Ok(turn) => self.for_at_least(call.calls, turn, limit).await,
                Err(error) => {
                    log_outage(&error);
                    continue;
                }
            };
            if call.follows || self.has_come(&turn) {
                keep_rest(turn, call.calls);
                continue;
            }
            // A call that must wait waits together with those that follow it, as many as a burst has.
            let wanted = call.ahead.min(limit.burst);
            let wanted = wanted.saturating_sub(calls_held(&limit.name));
            let turn = self.for_at_least(wanted, turn, limit).await;
            return Err(SlackError::RateLimited {
                method: call.method,
                retry_after: self.time_until(turn.at),
                turns: vec![turn],
            });
        }
        Ok(())
    }

    /// The turn, with new ones where it is for fewer calls.
    async fn for_at_least(&self, calls: u32, turn: Turn, limit: &Limit) -> Turn {
        let more = calls.saturating_sub(turn.calls);
        if more == 0 {
            return turn;
        }
        match self.pacing.take_turns(pace(limit), more, self.now()).await {
            Ok(last) => Turn {
                calls,
                at: last.at.max(turn.at),
                ..last
            },
            Err(error) => {
                log_outage(&error);
                turn
            }
        }
    }

    /// The turn is for the narrowest limit, so the others are asked again.
    async fn refused(&self, call: PacedCall<'_>, retry_after: Duration) -> Wait {
        let now = self.now();
        let until = now + millis(retry_after);
        let mut turn = None;
        for limit in limits_that_refused(call.limits, retry_after) {
            match self
                .pacing
                .hold_up(pace(limit), call.calls, now, until)
                .await
            {
                Ok(next) => turn = turn.or(Some(next)),
                Err(error) => log_outage(&error),
            }
        }
        // The step uses what it still holds first.
        let comes_at = turn.as_ref().map(first_to_come).unwrap_or_default();
        Wait {
            retry_after: self.time_until(comes_at).max(retry_after),
            turns: turn.into_iter().collect(),
        }
    }

    fn has_come(&self, turn: &Turn) -> bool {
        turn.at <= self.now() + NOW_MILLIS
    }

    fn is_stale(&self, turn: &Turn) -> bool {
        turn.at + TURN_LIFETIME_MILLIS < self.now()
    }

    fn time_until(&self, at: u64) -> Duration {
        Duration::from_millis(at.saturating_sub(self.now()))
    }
}

impl Pacer for QueuePacer {
    fn leave<'a>(&'a self, call: PacedCall<'a>) -> LeaveFuture<'a> {
        Box::pin(self.leave(call))
    }

    fn refused<'a>(&'a self, call: PacedCall<'a>, retry_after: Duration) -> WaitFuture<'a> {
        Box::pin(self.refused(call, retry_after))
    }
}

/// What the step holds, where it runs for a workflow at all.
fn with_held<T>(look: impl FnOnce(&mut Vec<HeldTurn>) -> T) -> Option<T> {
    TURNS
        .try_with(|turns| look(&mut turns.lock().unwrap_or_else(PoisonError::into_inner)))
        .ok()
}

/// The turn for one of these limits, if the step holds one that is not stale: the earliest, and the next
/// ones with it, until it is for so many calls.
fn take_held(limits: &[&str], calls: u32, is_stale: impl Fn(&Turn) -> bool) -> Option<HeldTurn> {
    with_held(|turns| {
        turns.retain(|held| !is_stale(&held.turn));
        let is_for_one = |held: &HeldTurn| limits.contains(&held.turn.limit.as_str());
        turns.sort_by_key(HeldTurn::unmoved);
        let first = turns.iter().position(is_for_one)?;
        let mut taken = turns.remove(first);
        while taken.turn.calls < calls {
            let is_for_the_same = |held: &HeldTurn| held.turn.limit == taken.turn.limit;
            let Some(next) = turns.iter().position(is_for_the_same) else {
                break;
            };
            taken = taken.and(turns.remove(next));
        }
        Some(taken)
    })?
}

/// For how many calls the step holds turns of this limit.
fn calls_held(limit: &str) -> u32 {
    let of_limit = |turns: &mut Vec<HeldTurn>| {
        let held = turns.iter().filter(|held| held.turn.limit == limit);
        held.map(|held| held.turn.calls).sum()
    };
    with_held(of_limit).unwrap_or_default()
}

/// When the first comes of this turn, just taken, and those that the step holds of the same limit.
fn first_to_come(new: &Turn) -> u64 {
    let first_held = with_held(|turns| {
        let of_limit = turns.iter().filter(|held| held.turn.limit == new.limit);
        of_limit.map(|held| held.turn.comes_at(new.held_up)).min()
    });
    first_held.flatten().map_or(new.at, |held| held.min(new.at))
}

/// So many calls are made by this turn. It may be for more of them.
fn keep_rest(turn: Turn, calls: u32) {
    let left = turn.calls.saturating_sub(calls);
    if left == 0 {
        return;
    }
    with_held(|turns| {
        turns.push(HeldTurn {
            turn: Turn {
                calls: left,
                ..turn
            },
            has_come: true,
        });
    });
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

#[cfg(test)]
mod tests {
    use std::{pin::Pin, sync::Arc};

    use aws_smithy_http_client::test_util::infallible_client_fn;
    use aws_smithy_types::body::SdkBody;
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn turn(limit: &str, calls: u32) -> Turn {
        Turn {
            limit: limit.to_owned(),
            calls,
            at: 1_000,
            held_up: 0,
        }
    }

    fn limit(name: &str, interval: Duration) -> Limit {
        Limit {
            name: name.to_owned(),
            interval,
            burst: 2,
        }
    }

    #[tokio::test]
    async fn turns_that_were_not_used_are_left_over() {
        let step = with_turns(vec![turn("kick", 3), turn("members", 1)], async {
            let used = take_held(&["members"], 1, |_| false).unwrap();
            keep_rest(used.turn, 1);
        });
        assert_eq!(step.await, ((), vec![turn("kick", 3)]));
    }

    #[tokio::test]
    async fn a_turn_for_many_calls_asks_once() {
        let step = with_turns(vec![turn("kick", 2)], async {
            let first = take_held(&["kick"], 1, |_| false).unwrap();
            assert!(!first.has_come);
            keep_rest(first.turn, 1);
            let second = take_held(&["kick"], 1, |_| false).unwrap();
            assert!(second.has_come);
            keep_rest(second.turn, 1);
            assert!(take_held(&["kick"], 1, |_| false).is_none());
        });
        assert_eq!(step.await, ((), Vec::new()));
    }

    /// A queue whose items say that the next call would be due at `next_at`, and the operations that it
    /// was asked for.
    fn queue(status: u16, next_at: u64) -> (QueuePacer, Arc<Mutex<Vec<String>>>) {
        queue_held_up(status, next_at, 0)
    }

    /// The same, of a limit that has been held up for so long.
    fn queue_held_up(
        status: u16,
        next_at: u64,
        held_up: u64,
    ) -> (QueuePacer, Arc<Mutex<Vec<String>>>) {
        let operations: Arc<Mutex<Vec<String>>> = Arc::default();
        let asked = operations.clone();
        let http = infallible_client_fn(move |request: http::Request<SdkBody>| {
            let target = request.headers()["x-amz-target"].to_str().unwrap();
            let operation = target.rsplit('.').next().unwrap().to_owned();
            asked.lock().unwrap().push(operation);
            let item = json!({
                "nextAt": { "N": next_at.to_string() },
                "heldUp": { "N": held_up.to_string() },
            });
            let answer = json!({ "Item": item, "Attributes": item });
            http::Response::builder()
                .status(status)
                .body(SdkBody::from(answer.to_string()))
                .unwrap()
        });
        let pacer = QueuePacer::new(&fake_aws::config(http), "pacing".to_owned(), 1.0);
        (pacer, operations)
    }

    fn turn_at(limit: &str, at: u64) -> Turn {
        Turn {
            at,
            ..turn(limit, 1)
        }
    }

    const POST: [(&str, u64); 2] = [("channel", 1_000), ("workspace", 100)];

    /// The turn to wait for, if there is one, and the turns that are left.
    type Left<'a> = Pin<Box<dyn Future<Output = (Option<Turn>, Vec<Turn>)> + 'a>>;

    /// Asks for leave to post, with these turns.
    fn leave_to_post(pacer: &QueuePacer, turns: Vec<Turn>) -> Left<'_> {
        let limits = POST.map(|(name, millis)| limit(name, Duration::from_millis(millis)));
        leave(pacer, turns, limits.into(), 1)
    }

    /// So many calls that go at once, with no others ahead.
    fn calls(limits: &[Limit], calls: u32) -> PacedCall<'_> {
        PacedCall {
            method: "a.method",
            limits,
            calls,
            ahead: calls,
            follows: false,
        }
    }

    /// Asks for leave for so many calls at once, with these turns.
    fn leave(pacer: &QueuePacer, turns: Vec<Turn>, limits: Vec<Limit>, count: u32) -> Left<'_> {
        Box::pin(async move {
            let call = calls(&limits, count);
            let (left, turns) = with_turns(turns, Pacer::leave(pacer, call)).await;
            match left {
                Ok(()) => (None, turns),
                Err(SlackError::RateLimited { turns: given, .. }) => {
                    (given.into_iter().next(), turns)
                }
                Err(error) => panic!("{error}"),
            }
        })
    }

    #[tokio::test]
    async fn a_call_takes_a_turn_in_each_of_its_limits() {
        let (pacer, operations) = queue(200, 0);
        assert_eq!(leave_to_post(&pacer, Vec::new()).await, (None, Vec::new()));
        assert_eq!(*operations.lock().unwrap(), ["UpdateItem", "UpdateItem"]);
    }

    #[tokio::test]
    async fn a_turn_that_has_come_is_read_once_more_and_not_taken_again() {
        let (pacer, operations) = queue(200, 0);
        let turns = vec![turn_at("channel", pacer.now())];
        assert_eq!(leave_to_post(&pacer, turns).await, (None, Vec::new()));
        assert_eq!(*operations.lock().unwrap(), ["GetItem", "UpdateItem"]);
    }

    #[tokio::test]
    async fn who_has_a_turn_in_the_workspace_has_passed_the_channel() {
        let (pacer, operations) = queue(200, 0);
        let turns = vec![turn_at("workspace", pacer.now())];
        assert_eq!(leave_to_post(&pacer, turns).await, (None, Vec::new()));
        assert_eq!(*operations.lock().unwrap(), ["GetItem"]);
    }

    fn one_limit() -> Vec<Limit> {
        vec![limit("method", Duration::from_secs(1))]
    }

    fn turns_for(calls: u32, at: u64) -> Turn {
        Turn {
            calls,
            ..turn_at("method", at)
        }
    }

    #[tokio::test]
    async fn calls_that_go_at_once_take_their_turns_together() {
        let (pacer, operations) = queue(200, 0);
        let asked = leave(&pacer, Vec::new(), one_limit(), 2).await;
        assert_eq!(asked, (None, Vec::new()));
        assert_eq!(*operations.lock().unwrap(), ["UpdateItem"]);
    }

    #[rstest]
    #[case::none_is_held(vec![], 2, &["UpdateItem"])]
    #[case::one_of_two_is_held(vec![1], 2, &["GetItem", "UpdateItem"])]
    #[case::more_calls_than_a_burst(vec![], 5, &["UpdateItem"])]
    #[tokio::test]
    async fn calls_that_go_at_once_wait_for_the_last_of_them(
        #[case] held: Vec<u32>,
        #[case] calls: u32,
        #[case] expected: &[&str],
    ) {
        let now = QueuePacer::now(&queue(200, 0).0);
        let (pacer, operations) = queue(200, now + 60_000);
        let held = held.into_iter().map(|calls| turns_for(calls, now));
        let (given, left) = leave(&pacer, held.collect(), one_limit(), calls).await;
        let given = given.unwrap();
        assert_eq!(given.calls, calls);
        assert!(given.at > now + 50_000, "{given:?}");
        assert_eq!(left, []);
        assert_eq!(*operations.lock().unwrap(), expected);
    }

    #[tokio::test]
    async fn what_is_left_of_a_turn_for_more_calls_is_kept() {
        let (pacer, _) = queue(200, 0);
        let held = turns_for(5, pacer.now());
        let (given, left) = leave(&pacer, vec![held], one_limit(), 2).await;
        assert_eq!((given, left[0].calls), (None, 3));
    }

    #[tokio::test]
    async fn a_step_uses_up_all_turns_that_it_holds_before_it_takes_new_ones() {
        let (pacer, operations) = queue(200, 0);
        let now = pacer.now();
        let held = vec![turns_for(15, now), turns_for(1, now - 9_000)];
        let (given, left) = leave(&pacer, held, one_limit(), 10).await;
        assert_eq!(given, None);
        assert_eq!((left.len(), left[0].calls), (1, 6));
        assert_eq!(*operations.lock().unwrap(), ["GetItem"]);
    }

    #[tokio::test]
    async fn a_turn_that_has_come_is_used_before_one_that_is_to_come() {
        let (pacer, operations) = queue(200, 0);
        let now = pacer.now();
        let held = vec![turns_for(1, now + 60_000), turns_for(15, now)];
        let (given, left) = leave(&pacer, held, one_limit(), 1).await;
        assert_eq!(given, None);
        let left: Vec<u32> = left.iter().map(|turn| turn.calls).collect();
        assert_eq!(left, [1, 14]);
        assert_eq!(*operations.lock().unwrap(), ["GetItem"]);
    }

    #[tokio::test]
    async fn what_the_step_holds_is_not_taken_again_by_a_call_that_must_wait() {
        let (pacer, operations) = queue(200, 0);
        let now = pacer.now();
        let limits = one_limit();
        let call = PacedCall {
            ahead: 2,
            ..calls(&limits, 1)
        };
        let held = vec![turns_for(1, now + 50_000), turns_for(1, now + 60_000)];
        let (left, turns) = with_turns(held, Pacer::leave(&pacer, call)).await;
        let Err(SlackError::RateLimited { turns: given, .. }) = left else {
            panic!("{left:?}");
        };
        assert_eq!(given, [turns_for(1, now + 50_000)]);
        assert_eq!(turns, [turns_for(1, now + 60_000)]);
        assert_eq!(*operations.lock().unwrap(), ["GetItem"]);
    }

    #[tokio::test]
    async fn calls_that_were_refused_wait_for_the_last_of_their_turns() {
        let now = QueuePacer::now(&queue(200, 0).0);
        // The fake queue's next call is due a minute from now, whatever it is asked.
        let (pacer, _) = queue(200, now + 60_000);
        let limits = one_limit();
        let wait = Pacer::refused(&pacer, calls(&limits, 3), Duration::from_secs(5)).await;
        assert_eq!(wait.turns[0].calls, 3);
        assert!(wait.retry_after > Duration::from_secs(50), "{wait:?}");
        let (idle, _) = queue(200, 0);
        let wait = Pacer::refused(&idle, calls(&limits, 1), Duration::from_secs(5)).await;
        assert_eq!(wait.retry_after, Duration::from_secs(5));
    }

    #[tokio::test]
    async fn what_the_step_still_holds_does_not_wait_for_the_turns_of_refused_calls() {
        let now = QueuePacer::now(&queue(200, 0).0);
        let (pacer, _) = queue_held_up(200, now + 60_000, 25_000);
        let limits = one_limit();
        let refused_after = async |held: Vec<Turn>| {
            let step = async {
                Pacer::leave(&pacer, calls(&limits, 10)).await.unwrap();
                Pacer::refused(&pacer, calls(&limits, 1), Duration::from_secs(5)).await
            };
            let (wait, left) = with_turns(held, step).await;
            assert_eq!(wait.turns[0].calls, 1);
            let left: u32 = left.iter().map(|turn| turn.calls).sum();
            (wait.retry_after, left)
        };
        let long_ago = now - 60_000;
        let has_come = refused_after(vec![turns_for(25, long_ago)]).await;
        assert_eq!(has_come, (Duration::from_secs(5), 15));
        // It comes in half a minute, and 25 s later since the limit was held up.
        let held = vec![turns_for(10, long_ago), turns_for(3, now + 30_000)];
        let (comes_later, left) = refused_after(held).await;
        assert_eq!(left, 3);
        assert!(comes_later > Duration::from_secs(35), "{comes_later:?}");
        assert!(comes_later <= Duration::from_secs(55), "{comes_later:?}");
    }

    #[test]
    fn two_turns_as_one_come_when_the_later_one_does() {
        let held = |at, held_up, has_come| HeldTurn {
            turn: Turn {
                held_up,
                ..turns_for(2, at)
            },
            has_come,
        };
        // The first was taken before the limit was held up by 10 s, and so moves beyond the second.
        let both = held(8_000, 0, true).and(held(15_000, 10_000, false));
        assert_eq!((both.turn.at, both.turn.held_up), (8_000, 0));
        assert_eq!((both.turn.calls, both.has_come), (4, false));
    }

    #[tokio::test]
    async fn a_turn_that_is_still_to_come_is_waited_for() {
        let (pacer, _) = queue(200, 0);
        let soon = turn_at("channel", pacer.now() + 5_000);
        let (given, _) = leave_to_post(&pacer, vec![soon.clone()]).await;
        assert_eq!(given, Some(soon));
    }

    #[tokio::test]
    async fn a_turn_of_long_ago_counts_no_more_and_another_limits_is_left_over() {
        let (pacer, operations) = queue(200, 0);
        let old = turn_at("channel", pacer.now() - TURN_LIFETIME_MILLIS - 1_000);
        let other = turn_at("kick", pacer.now());
        let (given, left) = leave_to_post(&pacer, vec![old, other.clone()]).await;
        assert_eq!((given, left), (None, vec![other]));
        assert_eq!(*operations.lock().unwrap(), ["UpdateItem", "UpdateItem"]);
    }

    #[tokio::test]
    async fn a_queue_that_is_out_of_order_holds_nobody_up() {
        let (pacer, _) = queue(400, 0);
        assert_eq!(leave_to_post(&pacer, Vec::new()).await, (None, Vec::new()));
    }

    #[rstest]
    #[case::soon_over(3, &["channel"])]
    #[case::too_long_for_the_channel(30, &["channel", "workspace"])]
    fn a_long_refusal_is_the_workspaces_too(#[case] seconds: u64, #[case] expected: &[&str]) {
        let limits = [
            limit("channel", Duration::from_secs(1)),
            limit("workspace", Duration::from_millis(100)),
        ];
        let refused = limits_that_refused(&limits, Duration::from_secs(seconds));
        let names: Vec<&str> = refused.iter().map(|limit| limit.name.as_str()).collect();
        assert_eq!(names, expected);
    }

    #[test]
    fn a_scale_of_time_is_above_0_and_at_most_1() {
        assert_eq!(time_scale("TIME_SCALE", "0.05"), Ok(0.05));
        for bad in ["0", "-1", "2", "fast"] {
            let error = time_scale("TIME_SCALE", bad).unwrap_err();
            assert!(error.to_string().contains("TIME_SCALE must be"), "{error}");
        }
    }
}
