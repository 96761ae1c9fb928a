//! Sequences of deliveries to one channel or person, of which a later one makes the earlier ones pointless.
//!
//! The item of a sequence is a lock, which a delivery takes together with its claim. It holds the lock until it is
//! certain whether its message is in Slack. So while an attempt may still be posting, no other message of the sequence
//! is posted, and the highest number that was posted is exact.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::SETTLE_TIME;
use crate::table::time_of;

/// How soon to look again at a lock whose holder is in doubt: it looks for its message, or waits to be redriven.
const DOUBT_LASTS: Duration = Duration::from_secs(30);

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
    /// Takes the lock, unless another delivery holds it, or a higher number was posted.
    Take {
        lease_ends_at: u64,
    },
    Keep,
    /// Frees the lock: the message was not posted.
    Free,
    /// Frees the lock: the message was posted.
    Advance,
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
            LockChange::Take { lease_ends_at } => (is_mine || is_free && is_latest).then(|| Self {
                highest: self.highest,
                holder: Some(delivery_id.to_owned()),
                lease_ends_at: Some(lease_ends_at),
            }),
            LockChange::Keep => Some(self.clone()),
            LockChange::Free => (is_mine || is_free).then(|| freed(self.highest)),
            LockChange::Advance => ((is_mine || is_free) && is_latest).then(|| freed(Some(number))),
        }
    }

    /// How long to wait for the lock; `None` if no delivery holds it.
    pub(super) fn held_for(&self, now: SystemTime) -> Option<Duration> {
        self.holder.as_ref()?;
        let until = self.lease_ends_at.map(|at| time_of(at) + SETTLE_TIME);
        let left = until.and_then(|until| until.duration_since(now).ok());
        Some(left.filter(|left| !left.is_zero()).unwrap_or(DOUBT_LASTS))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const TAKE: LockChange = LockChange::Take { lease_ends_at: 60 };

    fn state(highest: Option<u64>, holder: Option<&str>) -> SequenceState {
        SequenceState {
            highest,
            holder: holder.map(str::to_owned),
            lease_ends_at: holder.map(|_| 60),
        }
    }

    #[rstest]
    #[case::first(state(None, None), TAKE, Some(state(None, Some("me"))))]
    #[case::later(state(Some(4), None), TAKE, Some(state(Some(4), Some("me"))))]
    #[case::the_same_number(state(Some(5), None), TAKE, Some(state(Some(5), Some("me"))))]
    #[case::superseded(state(Some(6), None), TAKE, None)]
    #[case::held_by_another(state(Some(4), Some("other")), TAKE, None)]
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
    #[case::nobody_holds_it(state(Some(4), None), 0, None)]
    #[case::until_its_lease_and_the_settle_time_end(state(None, Some("other")), 60, Some(10))]
    #[case::in_doubt(state(None, Some("other")), 60_000, Some(30))]
    fn others_wait_for_the_lock(
        #[case] sequence: SequenceState,
        #[case] now_millis: u64,
        #[case] seconds: Option<u64>,
    ) {
        let held_for = sequence.held_for(time_of(now_millis));
        assert_eq!(held_for, seconds.map(Duration::from_secs));
    }
}
