//! What a person was last reminded of: one row for each person, so that no two messages to them are in doubt at the same
//! time.
//!
//! A bundle is stored before it is posted, and an attempt that finds it unfinished goes on with it: it posts it, or drops
//! it as a whole. Only then can there be another one. The protocol is `apgl_delivery::reminder`.

use std::{collections::BTreeSet, fmt};

use apgl_contract::{
    DueDate, Email, MessageTs, SlackUserId, StepError,
    reminders::{Part, RemindedOf},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{GET, ITEM_ID, Items, PUT, ROW, expiry_after};
use crate::table::{Item, number, text};

const BUNDLE_ROW: &str = "bundle";

/// A message that reminds a person of items.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Bundle {
    /// 1, and one more with each bundle.
    pub number: u64,
    /// The person's own day.
    pub day: DueDate,
    pub part: Part,
    pub entries: Vec<BundleEntry>,
    pub content: BundleContent,
    pub state: BundleState,
    /// When it was stored, by the calendar.
    pub stored_at: Timestamp,
    /// The message, once it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ts: Option<MessageTs>,
    /// The parts of this day that were sent.
    #[serde(default)]
    pub sent: BTreeSet<Part>,
}

/// An item in a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BundleEntry {
    /// The address by which the item names the person.
    pub email: Email,
    #[serde(flatten)]
    pub of: RemindedOf,
}

/// What is posted. `Debug` shows neither text nor blocks.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct BundleContent {
    pub text: String,
    pub blocks: Vec<Value>,
}

impl fmt::Debug for BundleContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BundleContent").finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BundleState {
    /// It may be posted, or have been posted.
    Open,
    /// It was posted, and its entries' rows say so.
    Sent,
    /// It was not posted and never will be.
    Dropped,
}

impl Bundle {
    /// The next bundle for a person.
    pub fn next(
        before: Option<&Self>,
        (day, part): (DueDate, Part),
        entries: Vec<BundleEntry>,
        content: BundleContent,
        now: Timestamp,
    ) -> Self {
        let same_day = before.filter(|before| before.day == day);
        Self {
            number: before.map_or(1, |before| before.number + 1),
            day,
            part,
            entries,
            content,
            state: BundleState::Open,
            stored_at: now,
            ts: None,
            sent: same_day
                .map(|before| before.sent.clone())
                .unwrap_or_default(),
        }
    }

    /// The bundle after it was posted.
    #[must_use]
    pub fn as_sent(&self, ts: &MessageTs) -> Self {
        let mut sent = Self {
            state: BundleState::Sent,
            ts: Some(ts.clone()),
            ..self.clone()
        };
        sent.sent.insert(self.part);
        sent
    }

    /// The bundle after it was dropped.
    #[must_use]
    pub fn as_dropped(&self) -> Self {
        Self {
            state: BundleState::Dropped,
            ..self.clone()
        }
    }

    /// Whether this part of this day's messages was sent.
    pub fn has_sent(&self, day: DueDate, part: Part) -> bool {
        self.day == day && self.sent.contains(&part)
    }

    /// What identifies a stored bundle.
    fn identity(&self) -> (u64, BundleState) {
        (self.number, self.state)
    }

    /// Whether this is the bundle that a writer expects to replace.
    pub fn is(&self, expected: &Self) -> bool {
        self.identity() == expected.identity()
    }
}

/// Where the bundles are stored: in a DynamoDB table, or in the memory of the protocol's model.
#[expect(
    async_fn_in_trait,
    reason = "a Lambda function runs on one thread, so nobody needs the futures to be Send"
)]
pub trait BundleLedger {
    /// The person's last bundle.
    async fn latest_bundle(&self, user: &SlackUserId) -> Result<Option<Bundle>, StepError>;

    /// Replaces the bundle if `expected`, its number and state, is still stored. Returns whether it has.
    async fn replace_bundle(
        &self,
        user: &SlackUserId,
        expected: Option<&Bundle>,
        bundle: &Bundle,
    ) -> Result<bool, StepError>;
}

fn key_of_person(SlackUserId(user): &SlackUserId) -> String {
    format!("#person/{user}")
}

impl BundleLedger for Items {
    async fn latest_bundle(&self, user: &SlackUserId) -> Result<Option<Bundle>, StepError> {
        let table = &self.0;
        let row = table.row(&key_of_person(user), BUNDLE_ROW).await?;
        let row = row.map(serde_dynamo::from_item).transpose();
        row.map_err(|_| table.unreadable(GET, "bundle"))
    }

    async fn replace_bundle(
        &self,
        user: &SlackUserId,
        expected: Option<&Bundle>,
        bundle: &Bundle,
    ) -> Result<bool, StepError> {
        let table = &self.0;
        let row = serde_dynamo::to_item(bundle);
        let row: Item = row.map_err(|_| table.unreadable(PUT, "bundle"))?;
        let put = table
            .client
            .put_item()
            .table_name(&table.name)
            .set_item(Some(row))
            .item(ITEM_ID, text(&key_of_person(user)))
            .item(ROW, text(BUNDLE_ROW))
            .item("expiresAt", expiry_after(bundle.stored_at));
        let put = match expected {
            None => put.condition_expression("attribute_not_exists(itemId)"),
            Some(expected) => put
                .condition_expression("#number = :number AND #state = :state")
                .expression_attribute_names("#number", "number")
                .expression_attribute_names("#state", "state")
                .expression_attribute_values(":number", number(expected.number))
                .expression_attribute_values(
                    ":state",
                    serde_dynamo::to_attribute_value(expected.state)
                        .map_err(|_| table.unreadable(PUT, "state"))?,
                ),
        };
        table
            .if_it_holds(PUT, put.send().await)
            .map(|put| put.is_some())
    }
}
