//! The code that all tables share: a client, a name, batch reads and writes, and errors that name the table.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

use apgl_aws::{SettingError, setting};
pub(crate) use apgl_contract::epoch::{epoch_millis, time_of};
use apgl_contract::{Email, StepError};
use aws_sdk_dynamodb::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    operation::update_item::builders::UpdateItemFluentBuilder,
    types::{
        AttributeValue, KeysAndAttributes, PutRequest, WriteRequest,
        builders::KeysAndAttributesBuilder,
    },
};
use aws_types::SdkConfig;
use futures_util::{StreamExt, TryStreamExt, stream};

pub(crate) type Item = HashMap<String, AttributeValue>;

/// DynamoDB's limits for `BatchGetItem` and `BatchWriteItem`.
const READ_BATCH: usize = 100;
const WRITE_BATCH: usize = 25;
/// How many batches are processed at the same time. Each uses its own connection.
const BATCHES_AT_ONCE: usize = 4;
/// How many times a batch is attempted when DynamoDB leaves part of it unprocessed. The pauses add up to about 3 s.
const BATCH_ATTEMPTS: u32 = 6;

/// One DynamoDB table.
#[derive(Debug, Clone)]
pub struct Table {
    pub(crate) client: Client,
    pub(crate) name: String,
}

impl Table {
    pub fn new(client: Client, name: String) -> Self {
        Self { client, name }
    }

    /// The table that the environment variable `variable` names.
    pub(crate) fn from_env(aws: &SdkConfig, variable: &'static str) -> Result<Self, SettingError> {
        Ok(Self::new(Client::new(aws), setting(variable)?))
    }

    pub(crate) fn error<E: ProvideErrorMetadata>(
        &self,
        operation: &'static str,
        error: &SdkError<E>,
    ) -> StepError {
        apgl_aws::step_error(&self.name, operation, error)
    }

    /// The error for a stored item that can't be read. It does not quote the item's content.
    pub(crate) fn unreadable(&self, operation: &'static str, what: &str) -> StepError {
        StepError::StoreRejected {
            store: self.name.clone(),
            operation,
            reason: format!("the item contains no readable {what}"),
        }
    }

    pub(crate) fn email_of(&self, item: &Item) -> Result<Email, StepError> {
        item.get("email")
            .and_then(|value| value.as_s().ok())
            .and_then(|email| Email::try_from(email.clone()).ok())
            .ok_or_else(|| self.unreadable("BatchGetItem", "email"))
    }

    pub(crate) async fn get(&self, key: &str, value: &str) -> Result<Option<Item>, StepError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.name)
            .key(key, text(value))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| self.error("GetItem", &error))?;
        Ok(answer.item)
    }

    /// The items with these keys, in no particular order. `projection` lists the attributes to read.
    pub(crate) async fn get_many(
        &self,
        key: &str,
        values: impl IntoIterator<Item = &'_ str>,
        projection: &str,
    ) -> Result<Vec<Item>, StepError> {
        let read = KeysAndAttributes::builder().projection_expression(projection);
        self.get_batches(key, values, &read).await
    }

    /// The same, but whole items and with consistent reads.
    pub(crate) async fn get_many_consistently(
        &self,
        key: &str,
        values: impl IntoIterator<Item = &'_ str>,
    ) -> Result<Vec<Item>, StepError> {
        let read = KeysAndAttributes::builder().consistent_read(true);
        self.get_batches(key, values, &read).await
    }

    /// The items with these complete keys, in no particular order. `projection` lists the attributes to read.
    pub(crate) async fn get_items(
        &self,
        keys: Vec<Item>,
        projection: &str,
    ) -> Result<Vec<Item>, StepError> {
        let read = KeysAndAttributes::builder().projection_expression(projection);
        self.get_by_keys(keys, &read).await
    }

    /// The same, but whole items and with consistent reads.
    pub(crate) async fn get_items_consistently(
        &self,
        keys: Vec<Item>,
    ) -> Result<Vec<Item>, StepError> {
        let read = KeysAndAttributes::builder().consistent_read(true);
        self.get_by_keys(keys, &read).await
    }

    async fn get_batches(
        &self,
        key: &str,
        values: impl IntoIterator<Item = &'_ str>,
        read: &KeysAndAttributesBuilder,
    ) -> Result<Vec<Item>, StepError> {
        let keys = values
            .into_iter()
            .map(|value| Item::from([(key.to_owned(), text(value))]));
        self.get_by_keys(keys.collect(), read).await
    }

    async fn get_by_keys(
        &self,
        keys: Vec<Item>,
        read: &KeysAndAttributesBuilder,
    ) -> Result<Vec<Item>, StepError> {
        let batches = keys.chunks(READ_BATCH);
        stream::iter(batches.map(|batch| self.get_batch(batch.to_vec(), read)))
            .buffer_unordered(BATCHES_AT_ONCE)
            .try_concat()
            .await
    }

    async fn get_batch(
        &self,
        mut wanted: Vec<Item>,
        read: &KeysAndAttributesBuilder,
    ) -> Result<Vec<Item>, StepError> {
        let mut items = Vec::with_capacity(wanted.len());
        for attempt in 0..BATCH_ATTEMPTS {
            pause_before(attempt).await;
            let request = read
                .clone()
                .set_keys(Some(wanted))
                .build()
                .map_err(|_| self.unreadable("BatchGetItem", "key"))?;
            let answer = self
                .client
                .batch_get_item()
                .request_items(&self.name, request)
                .send()
                .await
                .map_err(|error| self.error("BatchGetItem", &error))?;
            items.extend(
                answer
                    .responses
                    .into_iter()
                    .flatten()
                    .flat_map(|(_, items)| items),
            );
            wanted = answer
                .unprocessed_keys
                .into_iter()
                .flatten()
                .flat_map(|(_, left)| left.keys)
                .collect();
            if wanted.is_empty() {
                return Ok(items);
            }
        }
        Err(self.left_undone("BatchGetItem"))
    }

    pub(crate) async fn put(&self, item: Item) -> Result<(), StepError> {
        self.client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(item))
            .send()
            .await
            .map_err(|error| self.error("PutItem", &error))?;
        Ok(())
    }

    pub(crate) fn update(&self, key: &str, value: &str) -> UpdateItemFluentBuilder {
        self.client
            .update_item()
            .table_name(&self.name)
            .key(key, text(value))
    }

    /// The response to a conditional write; `None` if the condition did not hold.
    pub(crate) fn if_it_holds<T, E: ProvideErrorMetadata>(
        &self,
        operation: &'static str,
        answer: Result<T, SdkError<E>>,
    ) -> Result<Option<T>, StepError> {
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if condition_failed(&error) => Ok(None),
            Err(error) => Err(self.error(operation, &error)),
        }
    }

    /// Writes the items, replacing existing ones.
    pub(crate) async fn put_many(&self, items: Vec<Item>) -> Result<(), StepError> {
        let puts = items
            .into_iter()
            .map(|item| {
                let put = PutRequest::builder().set_item(Some(item)).build();
                let put = put.map_err(|_| self.unreadable("BatchWriteItem", "item"))?;
                Ok(WriteRequest::builder().put_request(put).build())
            })
            .collect::<Result<Vec<_>, StepError>>()?;
        let batches = puts.chunks(WRITE_BATCH);
        stream::iter(batches.map(|batch| self.put_batch(batch.to_vec())))
            .buffer_unordered(BATCHES_AT_ONCE)
            .try_collect()
            .await
    }

    async fn put_batch(&self, mut left: Vec<WriteRequest>) -> Result<(), StepError> {
        for attempt in 0..BATCH_ATTEMPTS {
            pause_before(attempt).await;
            let answer = self
                .client
                .batch_write_item()
                .request_items(&self.name, left)
                .send()
                .await
                .map_err(|error| self.error("BatchWriteItem", &error))?;
            left = answer
                .unprocessed_items
                .into_iter()
                .flatten()
                .flat_map(|(_, left)| left)
                .collect();
            if left.is_empty() {
                return Ok(());
            }
        }
        Err(self.left_undone("BatchWriteItem"))
    }

    fn left_undone(&self, operation: &'static str) -> StepError {
        StepError::StoreUnavailable {
            store: self.name.clone(),
            operation,
            reason: "DynamoDB repeatedly left part of the batch unprocessed".to_owned(),
        }
    }
}

/// Whether a write was refused because its condition did not hold. That is a result and not an error.
fn condition_failed<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    error
        .as_service_error()
        .is_some_and(|error| error.code() == Some("ConditionalCheckFailedException"))
}

pub(crate) async fn pause_before(attempt: u32) {
    if attempt > 0 {
        tokio::time::sleep(Duration::from_millis(50 << attempt)).await;
    }
}

pub(crate) fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

pub(crate) fn number(value: u64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// The value of the key attribute.
pub(crate) fn key_of<'a>(item: &'a Item, key: &str) -> Option<&'a str> {
    item.get(key)?.as_s().ok().map(String::as_str)
}

/// A non-negative integer; `None` if the field does not contain one.
pub(crate) fn whole_number(item: &Item, field: &str) -> Option<u64> {
    item.get(field)?.as_n().ok()?.parse().ok()
}

/// Whether the item has expired. An item without `expiresAt` counts as expired.
pub(crate) fn expired(item: &Item) -> bool {
    let now = epoch_seconds(SystemTime::now());
    whole_number(item, "expiresAt").is_none_or(|expires_at| expires_at <= now)
}

pub(crate) fn epoch_seconds(time: SystemTime) -> u64 {
    epoch_millis(time) / 1_000
}
