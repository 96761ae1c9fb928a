//! Sequences of deliveries to one channel or person, of which a later one makes the earlier ones pointless.
//!
//! The item of a sequence is a lock, which a delivery takes together with its claim. It holds the lock until it is
//! certain whether its message is in Slack. So while an attempt may still be posting, no other message of the sequence
//! is posted, and the highest number that was posted is exact. A lock whose holder can't be redriven any more is free.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::SETTLE_TIME;
use crate::table::time_of;

/// How soon to look again at a lock whose holder is in doubt: it looks for its message, or waits to be redriven.
const DOUBT_LASTS: Duration = Duration::from_secs(30);
/// How soon to look again at a lock that was taken a moment ago: within 1 to this many seconds, so that not all who wait
/// come back at once. A post rarely takes longer than a second.
const POST_LASTS_SECONDS: u64 = 5;
/// A lease and settle time that end later than this have begun a moment ago: an invocation of post-message has a minute.
const LATER_THAN_A_POST: Duration = Duration::from_mins(1);
/// Longer than an execution runs, and than it can be redriven after that.
const ABANDONED_AFTER: Duration = Duration::from_hours(16 * 24);

/// A delivery's place in a sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InSequence {
    /// Identifies the sequence, including the channel or person to whom its messages go.
    pub sequence_id: String,
    pub number: u64,
}

/// The stored state of a sequence.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SequenceState {
    /// The highest number that was posted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    highest: Option<u64>,
    /// The delivery that holds the lock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    holder: Option<String>,
    /// When the lease of its attempt ends, in milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lease_ends_at: Option<u64>,
}

/// What a write of a delivery's record changes in the lock of its sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockChange {
    /// Takes the lock, unless another delivery holds it, or a higher number was posted. Times are in milliseconds since
    /// the epoch.
    Take {
        now: u64,
        lease_ends_at: u64,
    },
    Keep,
    /// Frees the lock: the message was not posted.
    Free,
    /// Frees the lock: the message was posted.
    Advance,
}

/// A lock with a lease that ended before this time is abandoned.
pub(super) fn abandoned_before(now_millis: u64) -> u64 {
    now_millis.saturating_sub(u64::try_from(ABANDONED_AFTER.as_millis()).unwrap_or(u64::MAX))
}

impl SequenceState {
    /// The state after the change by this delivery; `None` if it may not change the lock.
    pub fn after(&self, change: LockChange, delivery_id: &str, number: u64) -> Option<Self> {
        let is_mine = self.holder.as_deref() == Some(delivery_id);
        let is_free = self.holder.is_none();
        let is_latest = self.highest.is_none_or(|highest| highest <= number);
        let freed = |highest| Self {
            highest,
            ..Self::default()
        };
        match change {
            LockChange::Take { now, lease_ends_at } => {
                let is_abandoned = self
                    .lease_ends_at
                    .is_some_and(|ended_at| ended_at < abandoned_before(now));
                let may_take = is_mine || (is_free || is_abandoned) && is_latest;
                may_take.then(|| Self {
                    highest: self.highest,
                    holder: Some(delivery_id.to_owned()),
                    lease_ends_at: Some(lease_ends_at),
                })
            }
            LockChange::Keep => Some(self.clone()),
            LockChange::Free => (is_mine || is_free).then(|| freed(self.highest)),
            LockChange::Advance => ((is_mine || is_free) && is_latest).then(|| freed(Some(number))),
        }
    }

    /// Whether a higher number was posted.
    pub(super) fn supersedes(&self, number: u64) -> bool {
        self.highest.is_some_and(|highest| highest > number)
    }

    /// The delivery that holds the lock.
    pub(super) fn holder(&self) -> Option<&str> {
        self.holder.as_deref()
    }

    /// How long this delivery waits before it tries to take the lock again.
    pub(super) fn retry_after(&self, delivery_id: &str, now: SystemTime) -> Duration {
        let until = self.lease_ends_at.map(|at| time_of(at) + SETTLE_TIME);
        let left = until.map_or(LATER_THAN_A_POST, |until| {
            until.duration_since(now).unwrap_or_default()
        });
        if left.is_zero() {
            return DOUBT_LASTS;
        }
        if left < LATER_THAN_A_POST {
            return left;
        }
        let spread: u64 = delivery_id.bytes().map(u64::from).sum();
        Duration::from_secs(1 + spread % POST_LASTS_SECONDS)
    }
}

#[cfg(test)]
mod tests {
    use std::ops::RangeInclusive;

    use rstest::rstest;

    use super::*;

    const LEASE_ENDS_AT: u64 = 60_000;
    const TAKE: LockChange = LockChange::Take {
        now: 50,
        lease_ends_at: LEASE_ENDS_AT,
    };
    /// Seventeen days later.
    const TAKE_LATER: LockChange = LockChange::Take {
        now: 17 * 24 * 3_600_000,
        lease_ends_at: LEASE_ENDS_AT,
    };

    fn state(highest: Option<u64>, holder: Option<&str>) -> SequenceState {
        SequenceState {
            highest,
            holder: holder.map(str::to_owned),
            lease_ends_at: holder.map(|_| LEASE_ENDS_AT),
        }
    }

    #[rstest]
    #[case::first(state(None, None), TAKE, Some(state(None, Some("me"))))]
    #[case::later(state(Some(4), None), TAKE, Some(state(Some(4), Some("me"))))]
    #[case::the_same_number(state(Some(5), None), TAKE, Some(state(Some(5), Some("me"))))]
    #[case::superseded(state(Some(6), None), TAKE, None)]
    #[case::held_by_another(state(Some(4), Some("other")), TAKE, None)]
    #[case::abandoned(
        state(Some(4), Some("other")),
        TAKE_LATER,
        Some(state(Some(4), Some("me")))
    )]
    #[case::abandoned_and_superseded(state(Some(6), Some("other")), TAKE_LATER, None)]
    #[case::held_already(state(Some(4), Some("me")), TAKE, Some(state(Some(4), Some("me"))))]
    #[case::not_posted(
        state(Some(4), Some("me")),
        LockChange::Free,
        Some(state(Some(4), None))
    )]
    #[case::posted(
        state(Some(4), Some("me")),
        LockChange::Advance,
        Some(state(Some(5), None))
    )]
    #[case::in_doubt(
        state(None, Some("me")),
        LockChange::Keep,
        Some(state(None, Some("me")))
    )]
    #[case::freed_already(state(Some(4), None), LockChange::Free, Some(state(Some(4), None)))]
    #[case::not_mine_to_free(state(None, Some("other")), LockChange::Free, None)]
    #[case::taken_too_late(state(Some(6), None), LockChange::Advance, None)]
    #[case::not_mine_to_advance(state(None, Some("other")), LockChange::Advance, None)]
    fn the_fifth_message_changes_the_lock(
        #[case] before: SequenceState,
        #[case] change: LockChange,
        #[case] after: Option<SequenceState>,
    ) {
        assert_eq!(before.after(change, "me", 5), after);
    }

    #[rstest]
    #[case::while_the_holder_posts(state(None, Some("other")), 0, 1..=5)]
    #[case::the_holder_has_crashed(state(None, Some("other")), 20_000, 50..=50)]
    #[case::in_doubt(state(None, Some("other")), 70_000, 30..=30)]
    #[case::freed_meanwhile(state(None, None), 70_000, 1..=5)]
    fn others_wait_for_the_lock(
        #[case] sequence: SequenceState,
        #[case] now_millis: u64,
        #[case] seconds: RangeInclusive<u64>,
    ) {
        for delivery_id in ["a", "b", "c", "d", "e"] {
            let wait = sequence.retry_after(delivery_id, time_of(now_millis));
            assert!(seconds.contains(&wait.as_secs()), "{wait:?}");
        }
    }
}
