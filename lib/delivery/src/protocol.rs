//! The delivery protocol.
//!
//! 1. Claim the delivery, and the lock of its sequence.
//! 2. If an earlier attempt may have posted the message, look for it in Slack.
//! 3. Confirm that the channel is still the right one.
//! 4. Post the message, unless it has expired.
//! 5. Record its timestamp.
//!
//! `docs/delivery.md` explains why each step is necessary. The model in `tests/model` runs this code.

use std::time::{Duration, SystemTime};

use apgl_contract::{
    MessageTs, StepError,
    outcome::{MessageOutcome, PostedMessage},
};
use apgl_slack::{SlackClient, SlackError};
use apgl_stores::{
    Attempt, Claim, Deliveries, Delivery, Ledger, NotMine, Place, SETTLE_TIME, Searched,
};

/// Enough time to post, join the channel if the bot is not in it, post again, and take these calls from the rate
/// limiter.
const TIME_TO_POST: Duration = SlackClient::CALL_TIMEOUT.saturating_mul(4);

/// How soon a search that ran out of time is continued.
const CONTINUES_AFTER: Duration = Duration::from_secs(1);

/// One message and its channel. Production implements it with Slack, the model in memory.
#[expect(
    async_fn_in_trait,
    reason = "a Lambda function runs on one thread, so the futures need not be Send"
)]
pub trait Outbox {
    fn now(&self) -> SystemTime;

    /// Looks for the message in this place. Updates how far the search has come.
    async fn find(&self, place: &Place, search: &mut Search) -> Result<Found, SlackError>;

    /// Confirms that the channel is still what the workflow has found.
    async fn confirm(&self) -> Result<(), StepError>;

    /// Posts the message. [`SlackError::OutcomeUnknown`] means that Slack may have posted it. Any other error means
    /// that Slack did not; [`SlackError::TooLate`] that the message had expired when it was about to be sent.
    async fn post(&self) -> Result<MessageTs, SlackError>;
}

/// Between which times to look for a message, and how far the search has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    pub since: SystemTime,
    /// `None`: until now.
    pub until: Option<SystemTime>,
    pub searched: Searched,
}

/// The result of looking for a message in one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    Message(MessageTs),
    Nothing,
    /// The invocation has too little time to look at the other messages.
    OutOfTime,
}

/// Why the message is not known to be delivered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotDelivered {
    /// Another attempt holds the claim. Try again after `retry_after`.
    #[error("another attempt is delivering this message")]
    InProgress { retry_after: Duration },
    /// Slack may have posted the message. The next attempt looks for it after the settle time.
    #[error("the outcome of {method} is unknown: {reason}")]
    OutcomeUnknown {
        method: &'static str,
        reason: String,
    },
    /// Slack did not post the message.
    #[error(transparent)]
    Slack(#[from] SlackError),
    /// The channel is no longer the right one, or Slack can't confirm that it is.
    #[error(transparent)]
    NotConfirmed(StepError),
    /// The next attempt continues to look for the message.
    #[error("the search for the message is not finished")]
    StillLooking,
    /// An earlier attempt may have posted the message in this channel, and the bot can't look there.
    #[error("the bot can't look for the message in channel {channel}")]
    CantLook { channel: String },
    /// The delivery record can't be read or written.
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
            // Every definition waits for this error, also those of earlier releases.
            NotDelivered::StillLooking => Self::SlackOutcomeUnknown {
                method: "chat.postMessage",
                reason: "the search for the message is not finished".to_owned(),
                retry_after: CONTINUES_AFTER,
            },
            NotDelivered::Slack(error) => error.into(),
            NotDelivered::Ledger(error) | NotDelivered::NotConfirmed(error) => error,
            NotDelivered::CantLook { channel } => Self::ChannelNotFound {
                channel,
                hint: "an earlier attempt may have posted the message there; unarchive it if it is archived, invite the \
                       bot so that it can look, and redrive; if the channel was deleted, the message is gone with it: \
                       send it again under a new key, and without the sequence if it has one",
            },
        }
    }
}

/// Delivers the message, unless an earlier attempt has delivered it, or it is not to be posted any more.
///
/// # Errors
/// [`NotDelivered`].
pub async fn deliver(
    deliveries: &Deliveries<impl Ledger>,
    outbox: &impl Outbox,
    delivery: &Delivery,
) -> Result<MessageOutcome, NotDelivered> {
    let place = &delivery.place;
    let mut attempt = match deliveries.claim(delivery, outbox.now()).await? {
        Claim::Mine(attempt) => attempt,
        Claim::NotMine(reason) => return not_mine(reason, place),
    };
    match look(outbox, &mut attempt, place).await {
        Ok(Some((ts, found_in))) => {
            deliveries
                .posted(&attempt, &ts, &found_in, outbox.now())
                .await?;
            return Ok(already_posted(ts, Some(found_in), place));
        }
        Ok(None) => attempt = attempt.certain(),
        Err(error) => return Err(release(deliveries, outbox, &attempt, error).await),
    }
    if delivery.has_expired(outbox.now()) {
        return expire(deliveries, outbox, &attempt, place).await;
    }
    if let Err(error) = outbox.confirm().await {
        let error = NotDelivered::NotConfirmed(error);
        return Err(release(deliveries, outbox, &attempt, error).await);
    }
    // An attempt that still posts when its lease has expired could post at the same time as its successor.
    if outbox.now() + TIME_TO_POST > delivery.deadline {
        let error = SlackError::Unavailable {
            method: "chat.postMessage",
            reason: "too little time is left in this invocation".to_owned(),
        };
        return Err(release(deliveries, outbox, &attempt, error.into()).await);
    }
    match outbox.post().await {
        Ok(ts) => {
            deliveries
                .posted(&attempt, &ts, &place.channel, outbox.now())
                .await?;
            tracing::info!(message.ts = ts.as_str(), "posted the message");
            Ok(MessageOutcome::Posted(PostedMessage::new(ts)))
        }
        Err(SlackError::OutcomeUnknown { method, reason }) => {
            deliveries.give_up(&attempt, outbox.now()).await?;
            Err(NotDelivered::OutcomeUnknown { method, reason })
        }
        Err(SlackError::TooLate { .. }) => expire(deliveries, outbox, &attempt, place).await,
        Err(error) => Err(release(deliveries, outbox, &attempt, error.into()).await),
    }
}

/// Ends a delivery that has certainly not been posted in time.
async fn expire(
    deliveries: &Deliveries<impl Ledger>,
    outbox: &impl Outbox,
    attempt: &Attempt,
    place: &Place,
) -> Result<MessageOutcome, NotDelivered> {
    let reason = deliveries.expired(attempt, outbox.now()).await?;
    not_mine(reason, place)
}

/// What becomes of the step if this attempt may not post.
fn not_mine(reason: NotMine, place: &Place) -> Result<MessageOutcome, NotDelivered> {
    match reason {
        NotMine::Held(retry_after) => Err(NotDelivered::InProgress { retry_after }),
        NotMine::Posted { ts, channel } => Ok(already_posted(ts, channel, place)),
        NotMine::NotPosted(reason) => {
            tracing::info!(
                message.reason = reason.as_str(),
                "the message is not posted any more"
            );
            Ok(MessageOutcome::NotPosted(reason))
        }
    }
}

/// Looks for the message where earlier attempts may have posted it. Returns it and the id of its channel.
async fn look(
    outbox: &impl Outbox,
    attempt: &mut Attempt,
    place: &Place,
) -> Result<Option<(MessageTs, String)>, NotDelivered> {
    let Some(since) = attempt.uncertain_since() else {
        return Ok(None);
    };
    let mut places = attempt.uncertain_in();
    // Release 0.1 did not write where; and of a thread that could not be read, the first message may be another one.
    places.insert(place.clone());
    let mut search = Search {
        since,
        until: attempt.uncertain_until(),
        searched: attempt.searched_to(),
    };
    let mut unseen = None;
    for earlier in places {
        let found = outbox.find(&earlier, &mut search).await;
        attempt.set_searched_to(search.searched.clone());
        match found {
            Ok(Found::Nothing) => {}
            Ok(Found::Message(ts)) => return Ok(Some((ts, earlier.channel))),
            Ok(Found::OutOfTime) => return Err(NotDelivered::StillLooking),
            // The message may be in another channel that the bot can see.
            Err(error) if earlier.channel != place.channel && error.rejected_code().is_some() => {
                unseen = Some(earlier.channel);
            }
            Err(error) => return Err(error.into()),
        }
    }
    unseen.map_or(Ok(None), |channel| Err(NotDelivered::CantLook { channel }))
}

/// Ends an attempt that certainly posted nothing. Returns the error that the step fails with.
async fn release(
    deliveries: &Deliveries<impl Ledger>,
    outbox: &impl Outbox,
    attempt: &Attempt,
    error: NotDelivered,
) -> NotDelivered {
    match deliveries.release(attempt, outbox.now()).await {
        Ok(()) => error,
        Err(not_released) => not_released.into(),
    }
}

fn already_posted(ts: MessageTs, channel: Option<String>, place: &Place) -> MessageOutcome {
    tracing::info!(message.ts = ts.as_str(), "the message was posted already");
    MessageOutcome::Posted(PostedMessage {
        duplicate: true,
        channel_id: channel.filter(|channel| *channel != place.channel),
        ..PostedMessage::new(ts)
    })
}
