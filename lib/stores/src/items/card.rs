//! The card of an item: one message that is posted once, and then updated in place.
//!
//! Updates of one card are made one after the other: whoever updates it holds a claim. A request that is lost or late
//! could bring older content back. So after an attempt whose outcome is unknown, or that never ended, the next claim is
//! granted only when Slack no longer processes any request of that attempt, and its holder updates the card again,
//! whatever the table says that Slack shows.
//!
//! A card that is gone, or that Slack does not let the bot update, is posted anew. It then has the next number, and its
//! delivery is another one.

use std::time::{Duration, SystemTime};

use apgl_contract::{
    MessageTs, StepError,
    epoch::{epoch_millis, time_of},
};
use aws_sdk_dynamodb::{
    operation::put_item::PutItemError, types::ReturnValuesOnConditionCheckFailure,
};
use serde::{Deserialize, Serialize};

use super::{ITEM_ID, PUT, RETENTION, ROW};
use crate::{
    deliveries::SETTLE_TIME,
    table::{Item, Table, epoch_seconds, number, text},
};

const CARD_ROW: &str = "card";
/// How soon an attempt looks again whether another one still holds the card.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(10);
/// How many times an attempt tries to write a card that other attempts keep changing.
const MAX_CONFLICTS: usize = 4;

/// What is known about an item's card. Times are in milliseconds since the epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Card {
    /// 1, and one more each time that the card is posted anew.
    pub number: u32,
    /// Where the card is; `None` if it is not known to be posted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<CardAt>,
    /// The version that Slack shows; `None` if that is not certain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shows: Option<u64>,
    /// Whether the bot has tried to pin this card. What people do with the pin afterwards is respected.
    #[serde(default)]
    pub pin_tried: bool,
    /// The attempt that wrote this.
    attempt: String,
    /// The end of the claim; `None` if the attempt has ended and Slack processes no request of it any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    claimed_until: Option<u64>,
}

/// Where a card is in Slack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardAt {
    /// The channel's id.
    pub channel: String,
    pub ts: MessageTs,
}

/// The right to change a card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CardClaim {
    /// The card as it is claimed.
    Mine(Card),
    /// Another attempt, or its request to Slack, may still be in progress. Try again after this time.
    Held(Duration),
}

/// Where the cards are stored: in a DynamoDB table, or in the memory of the protocol's model.
#[expect(
    async_fn_in_trait,
    reason = "a Lambda function runs on one thread, so nobody needs the futures to be Send"
)]
pub trait CardLedger {
    /// Replaces the card if `expected`, its attempt and claim, is still stored.
    async fn replace(
        &self,
        item_id: &str,
        expected: Option<&Card>,
        card: &Card,
        now: SystemTime,
    ) -> Result<CardReplaced, StepError>;
}

/// The result of replacing a card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CardReplaced {
    Done,
    /// Nothing was written. Contains the stored card, if there is one.
    Conflict(Option<Card>),
}

/// The cards in a ledger.
#[derive(Debug, Clone)]
pub struct Cards<L = Table>(L);

impl<L: CardLedger> Cards<L> {
    pub fn new(ledger: L) -> Self {
        Self(ledger)
    }

    /// Claims the card until `deadline`, at which Lambda ends the attempt. No two attempts may have the same id.
    pub async fn claim(
        &self,
        item_id: &str,
        attempt_id: &str,
        deadline: SystemTime,
        now: SystemTime,
    ) -> Result<CardClaim, StepError> {
        let mut stored: Option<Card> = None;
        for _ in 0..MAX_CONFLICTS {
            let claimed = match Card::claimed(stored.as_ref(), attempt_id, deadline, now) {
                Ok(claimed) => claimed,
                Err(left) => return Ok(CardClaim::Held(left)),
            };
            let replaced = self.0.replace(item_id, stored.as_ref(), &claimed, now);
            match replaced.await? {
                CardReplaced::Done => return Ok(CardClaim::Mine(claimed)),
                CardReplaced::Conflict(actual) => stored = actual,
            }
        }
        Ok(CardClaim::Held(SETTLE_TIME))
    }

    /// Replaces the card that this attempt has claimed. Does nothing if another attempt has taken over: what this one
    /// knows no longer matters.
    pub async fn write(
        &self,
        item_id: &str,
        claimed: &Card,
        card: &Card,
        now: SystemTime,
    ) -> Result<CardReplaced, StepError> {
        self.0.replace(item_id, Some(claimed), card, now).await
    }
}

impl Card {
    /// The card, claimed by this attempt, or how long to wait until it can be.
    fn claimed(
        stored: Option<&Self>,
        attempt_id: &str,
        deadline: SystemTime,
        now: SystemTime,
    ) -> Result<Self, Duration> {
        let claim = |card: &Self| Self {
            attempt: attempt_id.to_owned(),
            claimed_until: Some(epoch_millis(deadline)),
            ..card.clone()
        };
        let Some(stored) = stored else {
            return Ok(Self {
                number: 1,
                at: None,
                shows: None,
                pin_tried: false,
                attempt: attempt_id.to_owned(),
                claimed_until: Some(epoch_millis(deadline)),
            });
        };
        let Some(claimed_until) = stored.claimed_until else {
            return Ok(claim(stored));
        };
        if stored.attempt == attempt_id {
            return Ok(stored.clone());
        }
        let settled = time_of(claimed_until) + SETTLE_TIME;
        match settled.duration_since(now) {
            // Most holders end long before their claim does.
            Ok(left) if time_of(claimed_until) > now => Err(left.min(LOOK_AGAIN_AFTER)),
            Ok(left) if !left.is_zero() => Err(left),
            _ => Ok(Self {
                shows: None,
                ..claim(stored)
            }),
        }
    }

    /// Where the card is, if it is in this channel.
    pub fn at_in(&self, channel: &str) -> Option<&CardAt> {
        self.at.as_ref().filter(|at| at.channel == channel)
    }

    /// The attempt has ended, and Slack processes no request of it any more.
    #[must_use]
    pub fn released(&self) -> Self {
        Self {
            claimed_until: None,
            ..self.clone()
        }
    }

    /// The attempt has ended, and Slack may still process a request of it. The settle time begins.
    #[must_use]
    pub fn given_up(&self, now: SystemTime) -> Self {
        Self {
            claimed_until: Some(epoch_millis(now)),
            ..self.clone()
        }
    }

    /// Still claimed, but to be posted anew.
    #[must_use]
    pub fn anew(&self) -> Self {
        Self {
            number: self.number + 1,
            at: None,
            shows: None,
            pin_tried: false,
            ..self.clone()
        }
    }

    /// The bot has tried to pin the card.
    #[must_use]
    pub fn pin_was_tried(&self) -> Self {
        Self {
            pin_tried: true,
            ..self.clone()
        }
    }

    /// What identifies a stored card: who wrote it, and until when it is claimed.
    fn identity(&self) -> (&str, Option<u64>) {
        (&self.attempt, self.claimed_until)
    }

    /// Whether this is the card that a writer expects to replace.
    pub fn is(&self, expected: &Self) -> bool {
        self.identity() == expected.identity()
    }
}

impl CardLedger for Table {
    async fn replace(
        &self,
        item_id: &str,
        expected: Option<&Card>,
        card: &Card,
        now: SystemTime,
    ) -> Result<CardReplaced, StepError> {
        let row = serde_dynamo::to_item(card);
        let row: Item = row.map_err(|_| self.unreadable(PUT, "card"))?;
        let put = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(row))
            .item(ITEM_ID, text(item_id))
            .item(ROW, text(CARD_ROW))
            .item("expiresAt", number(epoch_seconds(now + RETENTION)))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let put = match expected.map(Card::identity) {
            None => put.condition_expression("attribute_not_exists(itemId)"),
            Some((attempt, None)) => put
                .condition_expression("attempt = :attempt AND attribute_not_exists(claimedUntil)")
                .expression_attribute_values(":attempt", text(attempt)),
            Some((attempt, Some(claimed_until))) => put
                .condition_expression("attempt = :attempt AND claimedUntil = :claimedUntil")
                .expression_attribute_values(":attempt", text(attempt))
                .expression_attribute_values(":claimedUntil", number(claimed_until)),
        };
        match put.send().await {
            Ok(_) => Ok(CardReplaced::Done),
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(failed)) => {
                    let stored = failed.item().cloned().map(serde_dynamo::from_item);
                    let stored = stored
                        .transpose()
                        .map_err(|_| self.unreadable(PUT, "card"))?;
                    Ok(CardReplaced::Conflict(stored))
                }
                _ => Err(self.error(PUT, &error)),
            },
        }
    }
}
