//! The delivery protocol: claim, look if there is doubt, post, record. `docs/delivery.md` says why
//! each step is there; the model in `tests/model` runs this very code.

use std::time::{Duration, SystemTime};

use apgl_contract::{MessageTs, StepError, outcome::PostedMessage};
use apgl_slack::{SlackClient, SlackError};
use apgl_stores::{Attempt, Claim, Deliveries, Ledger, SETTLE_TIME};

/// A post, and a join and a second post where the bot is not in the channel, with what it takes to get
/// leave for them, fit in this time.
const TIME_TO_POST: Duration = SlackClient::CALL_TIMEOUT.saturating_mul(4);

/// One run of the step for a delivery.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub id: String,
    /// Tells this run from every other one, copies of the same invocation too.
    pub attempt_id: String,
    /// When Lambda ends this run.
    pub deadline: SystemTime,
}

/// The message and the channel that it goes to: in Slack, or in the memory of the protocol's model.
#[expect(
    async_fn_in_trait,
    reason = "a Lambda function runs on one thread, so nobody needs the futures to be Send"
)]
pub trait Outbox {
    fn now(&self) -> SystemTime;

    /// Looks for the message among those posted since then.
    async fn find(&self, since: SystemTime) -> Result<Option<MessageTs>, SlackError>;

    /// Posts the message. [`SlackError::OutcomeUnknown`] means that it may have been posted; any other
    /// error, that it was not.
    async fn post(&self) -> Result<MessageTs, SlackError>;
}

/// Why the message is not known to be delivered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotDelivered {
    /// Another attempt holds the claim until then.
    #[error("another attempt is delivering this message")]
    InProgress { retry_after: Duration },
    /// Slack may have posted it. The next attempt looks for it, after the settle time.
    #[error("the outcome of {method} is unknown: {reason}")]
    OutcomeUnknown {
        method: &'static str,
        reason: String,
    },
    /// Slack did not post it.
    #[error(transparent)]
    Slack(#[from] SlackError),
    /// The record of the delivery can't be read or written.
    #[error(transparent)]
    Ledger(#[from] StepError),
}

impl From<NotDelivered> for StepError {
    fn from(error: NotDelivered) -> Self {
        match error {
            NotDelivered::InProgress { retry_after } => Self::DeliveryInProgress { retry_after },
            NotDelivered::OutcomeUnknown { method, reason } => Self::SlackOutcomeUnknown {
                method,
                reason,
                retry_after: SETTLE_TIME,
            },
            NotDelivered::Slack(error) => error.into(),
            NotDelivered::Ledger(error) => error,
        }
    }
}

/// Delivers the message, unless an earlier attempt has.
///
/// # Errors
/// [`NotDelivered`].
pub async fn deliver(
    deliveries: &Deliveries<impl Ledger>,
    outbox: &impl Outbox,
    delivery: &Delivery,
) -> Result<PostedMessage, NotDelivered> {
    let Delivery {
        id,
        attempt_id,
        deadline,
    } = delivery;
    let claim = deliveries
        .claim(id, attempt_id, outbox.now(), *deadline)
        .await?;
    let mut attempt = match claim {
        Claim::Mine(attempt) => attempt,
        Claim::Posted(ts) => return Ok(already_posted(ts)),
        Claim::Held(retry_after) => {
            return Err(NotDelivered::InProgress { retry_after });
        }
    };
    if let Some(since) = attempt.uncertain_since() {
        match outbox.find(since).await {
            Ok(Some(ts)) => {
                deliveries.posted(&attempt, &ts, outbox.now()).await?;
                return Ok(already_posted(ts));
            }
            Ok(None) => attempt = attempt.certain(),
            Err(error) => return Err(release(deliveries, outbox, &attempt, error).await),
        }
    }
    // Who is still posting after the lease could post beside the attempt that takes over.
    if outbox.now() + TIME_TO_POST > *deadline {
        let error = SlackError::Unavailable {
            method: "chat.postMessage",
            reason: "too little time is left in this invocation".to_owned(),
        };
        return Err(release(deliveries, outbox, &attempt, error).await);
    }
    match outbox.post().await {
        Ok(ts) => {
            deliveries.posted(&attempt, &ts, outbox.now()).await?;
            tracing::info!(message.ts = ts.as_str(), "posted the message");
            Ok(PostedMessage {
                ts,
                duplicate: false,
            })
        }
        Err(SlackError::OutcomeUnknown { method, reason }) => {
            deliveries.give_up(&attempt, outbox.now()).await?;
            Err(NotDelivered::OutcomeUnknown { method, reason })
        }
        Err(error) => Err(release(deliveries, outbox, &attempt, error).await),
    }
}

/// Ends an attempt that certainly posted nothing. Returns the error to fail with.
async fn release(
    deliveries: &Deliveries<impl Ledger>,
    outbox: &impl Outbox,
    attempt: &Attempt,
    error: SlackError,
) -> NotDelivered {
    match deliveries.release(attempt, outbox.now()).await {
        Ok(()) => error.into(),
        Err(not_released) => not_released.into(),
    }
}

fn already_posted(ts: MessageTs) -> PostedMessage {
    tracing::info!(message.ts = ts.as_str(), "the message was posted already");
    PostedMessage {
        ts,
        duplicate: true,
    }
}
