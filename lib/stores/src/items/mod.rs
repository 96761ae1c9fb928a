//! The items that people work on, and the card of each.
//!
//! | `row` | contents | who writes it |
//! |---|---|---|
//! | `item` | the item's latest version | `record-item` |
//! | `card` | its card in Slack: see [`Card`] | `update-card` |
//! | `waiting/<email>` | that the item waits for this person: see [`Waiting`](apgl_reminders::Waiting) | `plan-reminders`, `sweep-reminders`, `send-reminder`, `apgl snooze`; `record-item` deletes it |
//! | `escalation` | whether somebody else is told that it is overdue: see [`Escalating`] | `plan-reminders`, `sweep-reminders`, `send-escalation` |
//! | `snooze` | until when nobody is reminded of the item | `apgl snooze` |
//!
//! These keys begin with `#`, and their rows are of no item:
//!
//! | `itemId` | `row` | contents | who writes it |
//! |---|---|---|---|
//! | `#person/<user>` | `bundle` | what the person was last reminded of: see [`Bundle`] | `send-reminder` |
//! | `#calendar` | `now` | on a local stack, the time that a test has set | tests |
//! | `#sweep` | `swept` | how far the sweeps have come | `sweep-reminders` |
//!
//! An older version never replaces a newer one. The version is compared in the table, so the order in which events arrive
//! does not matter.

mod bundle;
mod calendar;
mod card;
mod conflicts;
mod escalation;
mod planner;
mod scan;
mod waiting;

use std::time::{Duration, SystemTime};

use apgl_aws::SettingError;
use apgl_contract::{
    Item as ContractItem, ItemId, StepError, item::RecordedItem, notice::SequenceNumber,
};
use aws_sdk_dynamodb::{
    operation::put_item::PutItemError,
    types::{AttributeValue, ReturnValuesOnConditionCheckFailure},
};
use aws_types::SdkConfig;
use jiff::Timestamp;

use self::waiting::{SNOOZE_ROW, Snooze, WAITING};
pub use self::{
    bundle::{Bundle, BundleContent, BundleEntry, BundleLedger, BundleState},
    calendar::Calendar,
    card::{Card, CardAt, CardClaim, CardLedger, CardReplaced, Cards},
    conflicts::despite_conflicts,
    escalation::Escalating,
    planner::{GRACE, Planner},
    scan::Census,
    scan::{AllItems, ItemRows},
    waiting::{InHour, Stored, Swept, UtcHour, WaitingKey, WaitingRow},
};
use crate::table::{Item, Table, epoch_seconds, number, text, whole_number};

/// Longer than any publisher sends an event again. It begins anew with each version.
const RETENTION: Duration = Duration::from_hours(400 * 24);
const PUT: &str = "PutItem";
const GET: &str = "GetItem";
/// The key attributes.
const ITEM_ID: &str = "itemId";
const ROW: &str = "row";
const ITEM_ROW: &str = "item";

/// The items' table.
#[derive(Debug, Clone)]
pub struct Items(Table);

impl Items {
    pub fn new(table: Table) -> Self {
        Self(table)
    }

    /// The table that `ITEMS_TABLE` names.
    pub fn from_env(aws: &SdkConfig) -> Result<Self, SettingError> {
        Ok(Self(Table::from_env(aws, "ITEMS_TABLE")?))
    }

    /// The cards of the items.
    pub fn cards(&self) -> Cards {
        Cards::new(self.0.clone())
    }

    /// Records the item, unless a version that is not older is known. `writer` identifies the execution: recording again
    /// what it has recorded changes nothing.
    pub async fn record(
        &self,
        item: &ContractItem,
        writer: &str,
        now: SystemTime,
    ) -> Result<RecordedItem, StepError> {
        let table = &self.0;
        let row: Item = serde_dynamo::to_item(item).map_err(|_| table.unreadable(PUT, "item"))?;
        let version = item.version;
        let put = table
            .client
            .put_item()
            .table_name(&table.name)
            .set_item(Some(row))
            .item(ITEM_ID, text(item.id.as_str()))
            .item(ROW, text(ITEM_ROW))
            .item("writer", text(writer))
            .item("expiresAt", number(epoch_seconds(now + RETENTION)))
            .condition_expression(
                "attribute_not_exists(itemId) OR version < :version OR expiresAt < :now \
                 OR (version = :version AND writer = :writer)",
            )
            .expression_attribute_values(":version", number(version.get()))
            .expression_attribute_values(":writer", text(writer))
            .expression_attribute_values(":now", number(epoch_seconds(now)))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let id = item.id.clone();
        let Err(error) = put else {
            return Ok(RecordedItem::new(id, version, false));
        };
        let Some(PutItemError::ConditionalCheckFailedException(failed)) = error.as_service_error()
        else {
            return Err(table.error(PUT, &error));
        };
        let newer = failed.item().and_then(|item| whole_number(item, "version"));
        let newer = newer.and_then(|version| SequenceNumber::try_from(version).ok());
        let newer = newer.ok_or_else(|| table.unreadable(PUT, "version"))?;
        Ok(RecordedItem::new(id, newer, true))
    }

    /// The item's latest version; `None` if the item is unknown.
    pub async fn latest(&self, id: &ItemId) -> Result<Option<ContractItem>, StepError> {
        let Some(row) = self.0.row(id.as_str(), ITEM_ROW).await? else {
            return Ok(None);
        };
        let item = serde_dynamo::from_item(row).map_err(|_| self.0.unreadable(GET, "item"))?;
        Ok(Some(item))
    }
}

impl Table {
    /// The row of an item, read consistently.
    async fn row(&self, item_id: &str, row: &str) -> Result<Option<Item>, StepError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.name)
            .key(ITEM_ID, text(item_id))
            .key(ROW, text(row))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| self.error(GET, &error))?;
        Ok(answer.item)
    }
}

/// When a row expires that was written at this time.
fn expiry_after(at: Timestamp) -> AttributeValue {
    let seconds = u64::try_from(at.as_second()).unwrap_or_default();
    number(seconds + RETENTION.as_secs())
}
