//! What a request to DynamoDB used, from the sizes of its items before and after it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
};

use aws_sdk_dynamodb::Client;
use futures_util::future::try_join_all;

use crate::dynamodb::{Item, Taken, Touch, half_read_units, item_size, write_units};

pub(super) type Touched = [(String, Vec<Touch>)];

pub(super) fn writes(touched: &Touched) -> bool {
    let mut each = touched.iter().flat_map(|(_, touches)| touches);
    each.any(|touch| !matches!(touch, Touch::Read { .. } | Touch::Query { .. }))
}

pub(super) fn taken(touched: &Touched, before: &[u64], after: &[u64]) -> BTreeMap<String, Taken> {
    let mut sizes = before.iter().zip(after);
    let mut tables = BTreeMap::new();
    for (table, touches) in touched {
        let mut taken = Taken {
            requests: 1,
            ..Taken::default()
        };
        for (touch, (before, after)) in touches.iter().zip(&mut sizes) {
            match touch {
                Touch::Read { consistent, .. } => {
                    taken.half_read_units += half_read_units(*before, *consistent);
                }
                Touch::Query { consistent } => {
                    taken.half_read_units += half_read_units(0, *consistent);
                }
                Touch::Write { .. } | Touch::Put { .. } => {
                    taken.write_units += write_units(*before.max(after));
                }
            }
        }
        tables.insert(table.clone(), taken);
    }
    tables
}

/// Looks up items past the proxy, so that the reads are not counted.
#[derive(Debug, Default)]
pub(super) struct Items {
    pub(super) client: OnceLock<Client>,
    /// The names of each table's key attributes.
    keys: Mutex<HashMap<String, Vec<String>>>,
}

impl Items {
    /// The current sizes of the items, 0 for items that do not exist; or an error.
    pub(super) async fn sizes(&self, touched: &Touched) -> Result<Vec<u64>, String> {
        let each = touched
            .iter()
            .flat_map(|(table, touches)| touches.iter().map(move |touch| self.size(table, touch)));
        try_join_all(each).await
    }

    async fn size(&self, table: &str, touch: &Touch) -> Result<u64, String> {
        let client = self
            .client
            .get()
            .ok_or("the address of AWS is not set yet")?;
        let key = match touch {
            Touch::Read { key, .. } | Touch::Write { key } => key.clone(),
            Touch::Put { item } => self.key_of(client, table, item).await?,
            Touch::Query { .. } => return Ok(0),
        };
        let answer = client
            .get_item()
            .table_name(table)
            .set_key(Some(key))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| format!("can't read an item of {table}: {error:?}"))?;
        Ok(answer.item.as_ref().map_or(0, item_size))
    }

    async fn key_of(&self, client: &Client, table: &str, item: &Item) -> Result<Item, String> {
        let known = self.keys().get(table).cloned();
        let names = if let Some(names) = known {
            names
        } else {
            let answer = client.describe_table().table_name(table).send().await;
            let answer = answer.map_err(|error| format!("{table}: {error:?}"))?;
            let keys = answer.table.and_then(|table| table.key_schema);
            let names = keys.into_iter().flatten().map(|key| key.attribute_name);
            let names: Vec<String> = names.collect();
            self.keys().insert(table.to_owned(), names.clone());
            names
        };
        let key = names.into_iter().map(|name| {
            let value = item.get(&name).cloned();
            let value = value.ok_or_else(|| format!("an item of {table} has no {name}"))?;
            Ok((name, value))
        });
        key.collect()
    }

    fn keys(&self) -> MutexGuard<'_, HashMap<String, Vec<String>>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_uses_the_units_of_the_larger_size_before_or_after() {
        let write = || Touch::Write { key: Item::new() };
        let read = |consistent| Touch::Read {
            key: Item::new(),
            consistent,
        };
        let touched = [
            ("channels".to_owned(), vec![write(), write(), read(true)]),
            ("profiles".to_owned(), vec![read(false), read(false)]),
        ];
        let before = [3_000, 0, 5_000, 100, 0];
        let after = [10, 2_000, 5_000, 100, 0];
        let channels = Taken {
            requests: 1,
            half_read_units: 4,
            write_units: 3 + 2,
        };
        let profiles = Taken {
            requests: 1,
            half_read_units: 2,
            write_units: 0,
        };
        assert_eq!(
            taken(&touched, &before, &after),
            BTreeMap::from([
                ("channels".to_owned(), channels),
                ("profiles".to_owned(), profiles)
            ])
        );
    }
}
