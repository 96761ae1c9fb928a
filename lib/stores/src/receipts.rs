//! One receipt per execution: what was asked for, and what became of it. Never a message's text.
//!
//! | `id` | `item` | what it is |
//! |---|---|---|
//! | an execution's ARN | `receipt` | the receipt |
//! | `person/`, an address | when the execution started, `/`, its ARN | that the execution names this person |
//!
//! The index `byChannel` finds the receipts of a channel, by its name and when the execution started; the index
//! `running` those that say `RUNNING`, by workflow. Receipts expire with the histories of executions.

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
/// The sparse index of receipts that say `RUNNING`.
const RUNNING_INDEX: &str = "running";
/// DynamoDB takes 400 KiB an item. An outcome that does not fit beside the people is left out, and the receipt
/// says that it is partial.
const LARGEST_RECEIPT: usize = 350 * 1024;

/// What is known of an execution.
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
    /// When it was started, or last redriven.
    pub since: SystemTime,
    pub redrive_count: u32,
    /// `None` while it runs.
    pub end: Option<End>,
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
    /// Whether the outcome is put together from what single steps returned.
    pub is_partial: bool,
}

/// What became of a receipt that was to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    Written,
    /// The same end stands there already. Whether it was counted.
    AlreadyEnded {
        counted: bool,
    },
    /// What stands there is later.
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

    /// Writes the receipt, unless a later one is there: events come in no order, and more than once. A receipt is
    /// later if its execution was redriven more often, or as often and it does not say `RUNNING`.
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
        let error = match put.return_values(ReturnValue::AllOld).send().await {
            Ok(written) => {
                let is_new = written.attributes.is_none_or(|before| before.is_empty());
                // A receipt that said `RUNNING` has had them written.
                if is_new || receipt.end.is_none() {
                    self.0.put_many(items_of_people(receipt)).await?;
                }
                return Ok(Recorded::Written);
            }
            Err(error) => error,
        };
        let Some(PutItemError::ConditionalCheckFailedException(conflict)) =
            error.as_service_error()
        else {
            return Err(self.0.error("PutItem", &error));
        };
        let stored = conflict.item.clone().unwrap_or_default();
        let redrives = u64::from(receipt.redrive_count);
        let is_same_end =
            receipt.end.is_some() && whole_number(&stored, "redriveCount") == Some(redrives);
        if !is_same_end {
            return Ok(Recorded::Outdated);
        }
        let counted = matches!(stored.get("counted"), Some(AttributeValue::Bool(true)));
        if !counted {
            self.0.put_many(items_of_people(receipt)).await?;
        }
        Ok(Recorded::AlreadyEnded { counted })
    }

    /// Notes that the metrics of this end are published.
    ///
    /// # Errors
    /// As of [`Receipts::record`].
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

    /// The executions of a workflow, by ARN, whose receipts have said `RUNNING` since before this time. At most
    /// so many.
    ///
    /// # Errors
    /// As of [`Receipts::record`].
    pub async fn running_since_before(
        &self,
        workflow: &str,
        time: SystemTime,
        at_most: i32,
    ) -> Result<Vec<String>, StepError> {
        let query = self.0.client.query().table_name(&self.0.name);
        let found = query
            .index_name(RUNNING_INDEX)
            .key_condition_expression("runningWorkflow = :workflow AND runningSince < :time")
            .expression_attribute_values(":workflow", text(workflow))
            .expression_attribute_values(":time", number(epoch_millis(time)))
            .limit(at_most)
            .send()
            .await
            .map_err(|error| self.0.error("Query", &error))?;
        Ok(found
            .items
            .unwrap_or_default()
            .iter()
            .filter_map(id_of)
            .collect())
    }

    /// Of these executions, those that have no receipt.
    ///
    /// # Errors
    /// As of [`Receipts::record`].
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
    // In the order of time: thirteen digits until the year 2286.
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
