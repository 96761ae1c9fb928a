//! The protocol of a card: one message about an item, which is posted once and then updated in place.
//!
//! 1. Claim the card.
//! 2. Read the item. Whoever claims the card later reads the same version or a newer one.
//! 3. Post the card if it is not in the channel yet, exactly once; otherwise update it, unless Slack shows this version
//!    for certain.
//! 4. Release the claim. If the outcome of the update is unknown, the claim ends only when Slack no longer processes the
//!    request; its next holder updates the card again.
//!
//! A card that is gone, that Slack does not let the bot update, or that is in another channel, is posted anew.
//!
//! The model in `tests/cards` runs this code.

use std::time::{Duration, SystemTime};

use apgl_contract::{MessageTs, StepError, item::CardChange, outcome::PostedMessage};
use apgl_slack::{SlackClient, SlackError};
use apgl_stores::{Card, CardAt, CardClaim, CardLedger, Cards};

use crate::protocol::NotDelivered;

const METHOD: &str = "chat.update";
/// Enough time to update the card, join the channel if the bot is not in it, and take these calls from the rate limiter.
const TIME_TO_UPDATE: Duration = SlackClient::CALL_TIMEOUT.saturating_mul(4);

/// A card and its channel. Production implements it with Slack, the model in memory.
#[expect(
    async_fn_in_trait,
    reason = "a Lambda function runs on one thread, so the futures need not be Send"
)]
pub trait Board {
    /// What the card shows of a version.
    type Content;

    fn now(&self) -> SystemTime;

    /// The channel's id.
    fn channel(&self) -> &str;

    /// Reads the item's latest version, and what the card shows of it. `None` if there is nothing to show here: a newer
    /// version belongs in another channel, where its own execution brings the card up to date, or the item is no longer
    /// known.
    async fn read(&self) -> Result<Option<(u64, Self::Content)>, StepError>;

    /// Confirms that the channel is still what the workflow has found.
    async fn confirm(&self) -> Result<(), StepError>;

    /// Posts the card with this number exactly once.
    async fn post(
        &self,
        number: u32,
        content: &Self::Content,
    ) -> Result<PostedMessage, NotDelivered>;

    /// Replaces what the card shows.
    async fn update(&self, ts: &MessageTs, content: &Self::Content) -> Result<(), SlackError>;
}

/// One attempt to bring a card up to date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardAttempt {
    pub item_id: String,
    /// Identifies this run of the step, even among copies of the same invocation.
    pub attempt_id: String,
    /// When Lambda ends this run.
    pub deadline: SystemTime,
}

/// A card that is up to date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown<C> {
    pub card: Card,
    pub at: CardAt,
    pub version: u64,
    pub content: C,
    pub change: CardChange,
}

/// Brings the card up to date with the item. `None` if there is nothing to show in this channel.
///
/// # Errors
/// [`NotDelivered`].
pub async fn show<B: Board>(
    cards: &Cards<impl CardLedger>,
    board: &B,
    attempt: &CardAttempt,
) -> Result<Option<Shown<B::Content>>, NotDelivered> {
    let CardAttempt {
        item_id,
        attempt_id,
        deadline,
    } = attempt;
    let claim = cards
        .claim(item_id, attempt_id, *deadline, board.now())
        .await?;
    let claimed = match claim {
        CardClaim::Mine(card) => card,
        CardClaim::Held(retry_after) => return Err(NotDelivered::InProgress { retry_after }),
    };
    let mut card = claimed.clone();
    let result = bring_up_to_date(board, &mut card, *deadline).await;
    card = match &result {
        Err(NotDelivered::OutcomeUnknown { .. }) => card.given_up(board.now()),
        _ => card.released(),
    };
    cards.write(item_id, &claimed, &card, board.now()).await?;
    let Some((version, content, change)) = result? else {
        return Ok(None);
    };
    Ok(card.at.clone().map(|at| Shown {
        card,
        at,
        version,
        content,
        change,
    }))
}

/// The version that the card shows now, and what this attempt has done.
type UpToDate<C> = Result<Option<(u64, C, CardChange)>, NotDelivered>;

/// Changes `card` to what is known about it.
async fn bring_up_to_date<B: Board>(
    board: &B,
    card: &mut Card,
    deadline: SystemTime,
) -> UpToDate<B::Content> {
    let Some((version, content)) = board.read().await? else {
        return Ok(None);
    };
    let is_here = card.at_in(board.channel()).is_some();
    if is_here && card.shows == Some(version) {
        return Ok(Some((version, content, CardChange::Unchanged)));
    }
    let confirmed = board.confirm().await;
    confirmed.map_err(NotDelivered::NotConfirmed)?;
    // People have replaced the channel, or the item has moved to another one. The card there is left behind.
    if card.at.is_some() && !is_here {
        *card = card.anew();
    }
    let mut change = CardChange::Updated;
    loop {
        let Some(at) = card.at.clone() else {
            change = CardChange::Posted;
            post(board, card, version, &content).await?;
            continue;
        };
        if card.shows == Some(version) {
            return Ok(Some((version, content, change)));
        }
        update(board, card, &at, version, &content, deadline).await?;
    }
}

async fn post<B: Board>(
    board: &B,
    card: &mut Card,
    version: u64,
    content: &B::Content,
) -> Result<(), NotDelivered> {
    let posted = match board.post(card.number, content).await {
        // An earlier attempt may have posted it in another channel, in which the bot can't look any more. It is certain
        // that it is not in this channel, and a card that is left behind elsewhere is no duplicate here.
        Err(NotDelivered::CantLook { channel }) if channel != board.channel() => {
            tracing::info!(
                channel.earlier = channel,
                "the card is posted anew: the bot can't look for it in an earlier channel"
            );
            *card = card.anew();
            return Ok(());
        }
        posted => posted?,
    };
    // An earlier attempt has posted it before people replaced the channel.
    if posted.channel_id.is_some() {
        *card = card.anew();
        return Ok(());
    }
    card.at = Some(CardAt {
        channel: board.channel().to_owned(),
        ts: posted.ts,
    });
    // What an earlier attempt has posted may show an older version.
    card.shows = Some(version).filter(|_| !posted.duplicate);
    Ok(())
}

async fn update<B: Board>(
    board: &B,
    card: &mut Card,
    at: &CardAt,
    version: u64,
    content: &B::Content,
    deadline: SystemTime,
) -> Result<(), NotDelivered> {
    // An attempt that still updates when its claim has ended could do so after its successor.
    if board.now() + TIME_TO_UPDATE > deadline {
        let error = SlackError::Unavailable {
            method: METHOD,
            reason: "too little time is left in this invocation".to_owned(),
        };
        return Err(error.into());
    }
    match board.update(&at.ts, content).await {
        Ok(()) => {
            card.shows = Some(version);
            Ok(())
        }
        Err(error) if can_no_longer_be_updated(&error) => {
            tracing::info!(
                message.ts = at.ts.as_str(),
                slack.error = error.rejected_code(),
                "the card is posted anew"
            );
            *card = card.anew();
            Ok(())
        }
        Err(SlackError::OutcomeUnknown { method, reason }) => {
            card.shows = None;
            Err(NotDelivered::OutcomeUnknown { method, reason })
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether only a new card can show the item.
///
/// Source: the errors of <https://docs.slack.dev/reference/methods/chat.update>.
fn can_no_longer_be_updated(error: &SlackError) -> bool {
    matches!(
        error.rejected_code(),
        Some("message_not_found" | "cant_update_message" | "edit_window_closed")
    )
}
