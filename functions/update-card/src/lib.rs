//! Brings the card of an item up to date: posts it exactly once, then updates it in place, and pins it in the item's own
//! channel. See [`apgl_delivery::card`].

mod board;
mod content;

use std::{sync::Arc, time::SystemTime};

use apgl_contract::{ChannelName, ChannelRef, Invocation, ItemId, StepError, item::CardOutcome};
use apgl_delivery::{
    Target, attempt_id,
    card::{CardAttempt, Shown, show},
};
use apgl_directory::Directory;
use apgl_runtime::SettingError;
use apgl_slack::{LimitedBy, RateLimiter, SlackClient, SlackError};
use apgl_stores::{Card, CardAt, Deliveries, Items};
use aws_types::SdkConfig;
use serde::{Deserialize, Serialize};

use crate::board::SlackBoard;

#[derive(Debug)]
pub struct Deps {
    pub directory: Directory,
    pub deliveries: Deliveries,
    pub items: Items,
}

impl Deps {
    pub fn from_env(aws: &SdkConfig, slack: SlackClient) -> Result<Self, SettingError> {
        Ok(Self {
            directory: Directory::from_env(aws, slack)?,
            deliveries: Deliveries::from_env(aws)?,
            items: Items::from_env(aws)?,
        })
    }
}

impl LimitedBy for Deps {
    fn limited_by(&self, limiter: &Arc<dyn RateLimiter>) -> Self {
        Self {
            directory: self.directory.limited_by(limiter),
            deliveries: self.deliveries.clone(),
            items: self.items.clone(),
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Input {
    pub channel: ChannelRef,
    /// The name in the request, by which the item knows its channel.
    pub channel_name: ChannelName,
    pub item_id: ItemId,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// `None` if the card belongs in another channel by now, or the item is no longer known.
    pub card: Option<CardOutcome>,
}

pub async fn handle(
    deps: &Deps,
    invocation: &Invocation,
    input: Input,
) -> Result<Outcome, StepError> {
    let attempt = CardAttempt {
        item_id: input.item_id.to_string(),
        attempt_id: attempt_id(invocation),
        deadline: invocation.deadline,
    };
    let board = SlackBoard {
        deps,
        invocation,
        input: &input,
        attempt_id: &attempt.attempt_id,
    };
    let cards = deps.items.cards();
    let shown = match show(&cards, &board, &attempt).await {
        Ok(Some(shown)) => shown,
        Ok(None) => return Ok(Outcome { card: None }),
        Err(error) => {
            let target = Target::Channel(&input.channel);
            return Err(target.step_error(&deps.directory, error).await);
        }
    };
    let Shown {
        card,
        at,
        content,
        change,
        ..
    } = shown;
    let version = content.item.version;
    tracing::info!(
        message.ts = at.ts.as_str(),
        item.version = version.get(),
        card.change = ?change,
        "the card is up to date"
    );
    let mut outcome = CardOutcome::new(at.ts.clone(), version, change);
    if content.item.own_channel {
        pin(deps, &input.item_id, &card, &at, &mut outcome).await?;
    }
    Ok(Outcome {
        card: Some(outcome),
    })
}

/// Pins the card once. If people take the pin away, it stays away.
///
/// The card is up to date, so that it can't be pinned is an outcome. What somebody can change, such as a missing scope, is
/// tried again with the next update.
async fn pin(
    deps: &Deps,
    item_id: &ItemId,
    card: &Card,
    at: &CardAt,
    outcome: &mut CardOutcome,
) -> Result<(), StepError> {
    if card.pin_tried {
        return Ok(());
    }
    let slack = &deps.directory.slack;
    let is_decided = match slack.pins_add(&at.channel, at.ts.as_str()).await {
        Ok(()) => {
            outcome.pinned = Some(true);
            true
        }
        Err(SlackError::Rejected { code, .. }) if code == "already_pinned" => {
            outcome.pinned = Some(true);
            true
        }
        // A pin is not worth such a wait.
        Err(error @ SlackError::QueueTooLong { .. }) => {
            tracing::info!(%error, "the card is pinned later");
            outcome.pinned = Some(false);
            false
        }
        Err(error) => {
            let is_decided = is_decided(&error);
            let code = match error {
                SlackError::Rejected { code, .. } | SlackError::Unauthorized { code, .. } => code,
                error => return Err(error.into()),
            };
            tracing::warn!(
                slack.error = code,
                card.pin_is_tried_again = !is_decided,
                "Slack does not let the bot pin the card"
            );
            outcome.pinned = Some(false);
            outcome.not_pinned = Some(code);
            is_decided
        }
    };
    if !is_decided {
        return Ok(());
    }
    // If another attempt has claimed the card meanwhile, it tries to pin it again: Slack then says that it is pinned.
    let (cards, now) = (deps.items.cards(), SystemTime::now());
    let tried = card.pin_was_tried();
    cards
        .write(item_id.as_str(), card, &tried, now)
        .await
        .map(drop)
}

/// Whether Slack's refusal is about the pin. Otherwise it is about the channel, the token or the call, and somebody can
/// change that.
fn is_decided(refusal: &SlackError) -> bool {
    let code = refusal.rejected_code();
    code.is_some_and(|code| {
        let is_about_the_channel =
            matches!(code, "channel_not_found" | "is_archived" | "not_in_channel");
        !is_about_the_channel && !refusal.is_about_the_call()
    })
}
