//! A message that is not posted any more once something has changed.

use std::{cell::Cell, time::SystemTime};

use apgl_contract::{MessageTs, StepError};
use apgl_slack::SlackError;
use apgl_stores::Place;

use crate::protocol::{Found, NotDelivered, Outbox, Search};

/// An outbox that looks, right before the post, whether the message still holds.
#[expect(
    missing_debug_implementations,
    reason = "it would show the message's text"
)]
pub struct WhileItHolds<O, H> {
    outbox: O,
    holds: H,
    dropped: Cell<bool>,
}

impl<O: Outbox, H: AsyncFn() -> Result<bool, StepError>> WhileItHolds<O, H> {
    pub fn new(outbox: O, holds: H) -> Self {
        Self {
            outbox,
            holds,
            dropped: Cell::new(false),
        }
    }

    /// Whether a delivery ended with this error because the message does not hold any more. It was certainly not posted.
    pub fn is_dropped(&self, error: &NotDelivered) -> bool {
        matches!(error, NotDelivered::NotConfirmed(_)) && self.dropped.get()
    }
}

impl<O: Outbox, H: AsyncFn() -> Result<bool, StepError>> Outbox for WhileItHolds<O, H> {
    fn now(&self) -> SystemTime {
        self.outbox.now()
    }

    async fn find(&self, place: &Place, search: &mut Search) -> Result<Found, SlackError> {
        self.outbox.find(place, search).await
    }

    async fn confirm(&self) -> Result<(), StepError> {
        self.outbox.confirm().await?;
        if (self.holds)().await? {
            return Ok(());
        }
        self.dropped.set(true);
        Err(StepError::StepUnfinished {
            what: "a message that does not hold any more",
        })
    }

    async fn post(&self) -> Result<MessageTs, SlackError> {
        self.outbox.post().await
    }
}
