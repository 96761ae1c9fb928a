//! One receipt per execution: its request and its outcome, without the message's text.
//!
//! | `id` | `item` | content |
//! |---|---|---|
//! | an execution's ARN | `receipt` | the receipt |
//! | `person/`, an address | when the execution started, `/`, its ARN | that the execution names this person |
//!
//! The index `byChannel` finds the receipts of a channel by its name, in the order in which the executions started.
//! The index `running` finds the receipts with the status `RUNNING`, by workflow. Receipts expire when Step Functions
//! deletes the execution's history.

use std::time::{Duration, SystemTime};

use apgl_aws::SettingError;
use apgl_contract::StepError;
use aws_sdk_dynamodb::{
    operation::put_item::PutItemError,
    types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure},
};
use aws_types::SdkConfig;

use crate::table::{Item, Table, epoch_millis, epoch_seconds, number, text, whole_number};

/// As long as Step Functions keeps the history of an execution.
const RETENTION: Duration = Duration::from_hours(90 * 24);
const RECEIPT: &str = "receipt";
const RUNNING: &str = "RUNNING";
/// The sparse index of receipts with the status `RUNNING`.
const RUNNING_INDEX: &str = "running";
/// A DynamoDB item can hold 400 KiB. An outcome that does not fit next to the people is omitted, and the receipt is
/// marked as partial.
const LARGEST_RECEIPT: usize = 350 * 1024;

/// What is known about an execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The execution's ARN.
    pub execution_id: String,
    /// The state machine's name.
    pub workflow: String,
    /// The execution's name, which comes from the caller's idempotency key.
    pub key: String,
    /// The channel that the request names, if it names one.
    pub channel_name: Option<String>,
    /// The addresses that the request names.
    pub people: Vec<String>,
    pub started_at: SystemTime,
    /// When it was started or last redriven.
    pub since: SystemTime,
    pub redrive_count: u32,
    /// `None` while it runs.
    pub end: Option<End>,
}

impl Receipt {
    /// Whether the stored receipt is counted, if it shows the same end.
    fn counted_in(&self, stored: &Item) -> Option<bool> {
        let redrives = u64::from(self.redrive_count);
        let is_same_end =
            self.end.is_some() && whole_number(stored, "redriveCount") == Some(redrives);
        let is_counted = matches!(stored.get("counted"), Some(AttributeValue::Bool(true)));
        is_same_end.then_some(is_counted)
    }
}

/// How an execution ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// `SUCCEEDED`, `FAILED`, `TIMED_OUT` or `ABORTED`.
    pub status: String,
    pub at: SystemTime,
    pub error: Option<String>,
    /// The outcome as `docs/workflows.md` describes it, as JSON.
    pub outcome: String,
    /// Whether the outcome is assembled from the results of individual steps.
    pub is_partial: bool,
}

/// The result of writing a receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    Written,
    /// The same end is already stored. Also says whether it was counted.
    AlreadyEnded {
        counted: bool,
    },
    /// The stored receipt is later.
    Outdated,
}

/// The table of receipts.
#[derive(Debug, Clone)]
pub struct Receipts(Table);

impl Receipts {
    pub fn new(table: Table) -> Self {
        Self(table)
    }

    /// The table that `RECEIPTS_TABLE` names.
    ///
    /// # Errors
    /// [`SettingError::Missing`].
    pub fn from_env(aws: &SdkConfig) -> Result<Self, SettingError> {
        Ok(Self(Table::from_env(aws, "RECEIPTS_TABLE")?))
    }

    /// Writes the receipt unless a later one is stored, because events can arrive out of order and more than once. A
    /// receipt is later if its execution was redriven more often, or equally often and its status is not `RUNNING`.
    ///
    /// # Errors
    /// [`StepError::StoreUnavailable`] and [`StepError::StoreRejected`].
    pub async fn record(&self, receipt: &Receipt) -> Result<Recorded, StepError> {
        let put = self
            .0
            .client
            .put_item()
            .table_name(&self.0.name)
            .set_item(Some(item_of(receipt)))
            .condition_expression(
                "attribute_not_exists(id) OR redriveCount < :redrives \
                 OR (redriveCount = :redrives AND #status = :running)",
            )
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":redrives", number(receipt.redrive_count.into()))
            .expression_attribute_values(":running", text(RUNNING))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let is_start = receipt.end.is_none();
        let (recorded, are_people_due) = match put.return_values(ReturnValue::AllOld).send().await {
            // The receipt with the status `RUNNING` has already written the people.
            Ok(written) => {
                let is_new = written.attributes.is_none_or(|before| before.is_empty());
                (Recorded::Written, is_new || is_start)
            }
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(conflict)) => {
                    match receipt.counted_in(conflict.item().unwrap_or(&Item::new())) {
                        Some(counted) => (Recorded::AlreadyEnded { counted }, !counted),
                        // An end can come before the people of its start are written.
                        None => (Recorded::Outdated, is_start),
                    }
                }
                _ => return Err(self.0.error("PutItem", &error)),
            },
        };
        if are_people_due {
            self.0.put_many(items_of_people(receipt)).await?;
        }
        Ok(recorded)
    }

    /// Records that the metrics of this end have been published.
    ///
    /// # Errors
    /// The same as for [`Receipts::record`].
    pub async fn mark_counted(&self, receipt: &Receipt) -> Result<(), StepError> {
        let update = self
            .0
            .update("id", &receipt.execution_id)
            .key("item", text(RECEIPT))
            .update_expression("SET counted = :true")
            .condition_expression("redriveCount = :redrives")
            .expression_attribute_values(":true", AttributeValue::Bool(true))
            .expression_attribute_values(":redrives", number(receipt.redrive_count.into()));
        self.0.if_it_holds("UpdateItem", update.send().await)?;
        Ok(())
    }

    /// The ARNs of a workflow's executions whose receipts have had the status `RUNNING` since before this time.
    ///
    /// # Errors
    /// The same as for [`Receipts::record`].
    pub async fn running_since_before(
        &self,
        workflow: &str,
        time: SystemTime,
    ) -> Result<Vec<String>, StepError> {
        let query = self.0.client.query().table_name(&self.0.name);
        let found = query
            .index_name(RUNNING_INDEX)
            .key_condition_expression("runningWorkflow = :workflow AND runningSince < :time")
            .expression_attribute_values(":workflow", text(workflow))
            .expression_attribute_values(":time", number(epoch_millis(time)))
            .into_paginator()
            .items()
            .send()
            .try_collect()
            .await;
        let found: Vec<Item> = found.map_err(|error| self.0.error("Query", &error))?;
        Ok(found.iter().filter_map(id_of).collect())
    }

    /// Those of these executions that have no receipt.
    ///
    /// # Errors
    /// The same as for [`Receipts::record`].
    pub async fn missing(&self, executions: &[String]) -> Result<Vec<String>, StepError> {
        let keys = executions.iter().map(|id| {
            let key = [("id", text(id)), ("item", text(RECEIPT))];
            key.map(|(field, value)| (field.to_owned(), value)).into()
        });
        let found = self.0.get_items(keys.collect(), "id").await?;
        let found: Vec<String> = found.iter().filter_map(id_of).collect();
        let missing = executions.iter().filter(|id| !found.contains(id));
        Ok(missing.cloned().collect())
    }
}

fn item_of(receipt: &Receipt) -> Item {
    let mut item = Item::new();
    let mut set = |field: &str, value: AttributeValue| item.insert(field.to_owned(), value);
    set("id", text(&receipt.execution_id));
    set("item", text(RECEIPT));
    set("workflow", text(&receipt.workflow));
    set("key", text(&receipt.key));
    if let Some(channel_name) = &receipt.channel_name {
        set("channelName", text(channel_name));
    }
    let people = receipt.people.iter().map(|person| text(person));
    set("people", AttributeValue::L(people.collect()));
    set("startedAt", number(epoch_millis(receipt.started_at)));
    set("redriveCount", number(receipt.redrive_count.into()));
    set("expiresAt", number(expiry(receipt)));
    match &receipt.end {
        None => {
            set("status", text(RUNNING));
            set("runningWorkflow", text(&receipt.workflow));
            set("runningSince", number(epoch_millis(receipt.since)));
        }
        Some(end) => {
            set("status", text(&end.status));
            set("endedAt", number(epoch_millis(end.at)));
            if let Some(error) = &end.error {
                set("error", text(error));
            }
            let people: usize = receipt.people.iter().map(String::len).sum();
            let fits = end.outcome.len() + people <= LARGEST_RECEIPT;
            set("outcome", text(if fits { &end.outcome } else { "{}" }));
            set("partial", AttributeValue::Bool(end.is_partial || !fits));
            set("counted", AttributeValue::Bool(false));
        }
    }
    item
}

fn items_of_people(receipt: &Receipt) -> Vec<Item> {
    let started_at = epoch_millis(receipt.started_at);
    // Sorts by time: the number has thirteen digits until the year 2286.
    let key = format!("{started_at:013}/{}", receipt.execution_id);
    let mut people: Vec<&String> = receipt.people.iter().collect();
    people.sort_unstable();
    people.dedup();
    let items = people.into_iter().map(|person| {
        let fields = [
            ("id", text(&format!("person/{person}"))),
            ("item", text(&key)),
            ("expiresAt", number(expiry(receipt))),
        ];
        let fields = fields.map(|(field, value)| (field.to_owned(), value));
        fields.into()
    });
    items.collect()
}

fn expiry(receipt: &Receipt) -> u64 {
    let since = receipt
        .end
        .as_ref()
        .map_or(receipt.started_at, |end| end.at);
    epoch_seconds(since + RETENTION)
}

fn id_of(item: &Item) -> Option<String> {
    item.get("id")?.as_s().ok().cloned()
}
