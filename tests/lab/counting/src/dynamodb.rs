//! The DynamoDB on-demand capacity that a request uses, by the sizes of the items that it touches.
//!
//! Source: "DynamoDB item sizes and formats" and "DynamoDB read and write operations", Amazon DynamoDB
//! Developer Guide.

use std::{collections::HashMap, ops::AddAssign};

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::Value;

pub type Item = HashMap<String, AttributeValue>;

const READ_BLOCK: u64 = 4_096;
const WRITE_BLOCK: u64 = 1_024;
/// The overhead of a list or a map, and of each of its elements.
const NESTING: u64 = 3;
const ELEMENT: u64 = 1;

/// What requests used. An eventually consistent read uses half a unit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Taken {
    pub requests: u64,
    pub half_read_units: u64,
    pub write_units: u64,
}

impl AddAssign for Taken {
    fn add_assign(&mut self, other: Self) {
        self.requests += other.requests;
        self.half_read_units += other.half_read_units;
        self.write_units += other.write_units;
    }
}

/// The half units of a read. Reading a missing item counts too.
pub fn half_read_units(size: u64, consistent: bool) -> u64 {
    let blocks = size.div_ceil(READ_BLOCK).max(1);
    if consistent { 2 * blocks } else { blocks }
}

/// The units of a write, by the larger of the item's sizes before and after. A write whose condition fails uses
/// the units of the existing item.
pub fn write_units(size: u64) -> u64 {
    size.div_ceil(WRITE_BLOCK).max(1)
}

pub fn item_size(item: &Item) -> u64 {
    item.iter()
        .map(|(name, value)| bytes(name) + value_size(value))
        .sum()
}

fn value_size(value: &AttributeValue) -> u64 {
    match value {
        AttributeValue::S(text) => bytes(text),
        AttributeValue::N(number) => number_size(number),
        AttributeValue::B(blob) => bytes(blob),
        AttributeValue::Ss(texts) => texts.iter().map(bytes).sum(),
        AttributeValue::Ns(numbers) => numbers.iter().map(|number| number_size(number)).sum(),
        AttributeValue::Bs(blobs) => blobs.iter().map(bytes).sum(),
        AttributeValue::L(values) => {
            let elements = values.iter().map(|value| ELEMENT + value_size(value));
            NESTING + elements.sum::<u64>()
        }
        AttributeValue::M(fields) => {
            let elements = fields
                .iter()
                .map(|(name, value)| ELEMENT + bytes(name) + value_size(value));
            NESTING + elements.sum::<u64>()
        }
        // Booleans and null.
        _ => 1,
    }
}

/// One byte for every two significant digits, plus one.
fn number_size(number: &str) -> u64 {
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    bytes(digits.trim_matches('0')).div_ceil(2) + 1
}

fn bytes(of: impl AsRef<[u8]>) -> u64 {
    of.as_ref().len() as u64
}

/// An item that a request touches.
#[derive(Debug, Clone, PartialEq)]
pub enum Touch {
    Read {
        key: Item,
        consistent: bool,
    },
    /// The result of a query: in our tables always a few small items, which fit into one block.
    Query {
        consistent: bool,
    },
    Write {
        key: Item,
    },
    Put {
        item: Item,
    },
}

/// The items that a request touches, by table; `None` for an operation that our functions do not use.
pub fn touched(operation: &str, body: &Value) -> Option<Vec<(String, Vec<Touch>)>> {
    let of_one_table = |touch| {
        let table = body["TableName"].as_str()?;
        Some(vec![(table.to_owned(), vec![touch])])
    };
    match operation {
        "GetItem" => of_one_table(Touch::Read {
            key: item(&body["Key"])?,
            consistent: body["ConsistentRead"] == true,
        }),
        "Query" => of_one_table(Touch::Query {
            consistent: body["ConsistentRead"] == true,
        }),
        "UpdateItem" | "DeleteItem" => of_one_table(Touch::Write {
            key: item(&body["Key"])?,
        }),
        "PutItem" => of_one_table(Touch::Put {
            item: item(&body["Item"])?,
        }),
        "BatchGetItem" => of_tables(body, |request| {
            let consistent = request["ConsistentRead"] == true;
            let keys = request["Keys"].as_array()?.iter();
            keys.map(|key| {
                let key = item(key)?;
                Some(Touch::Read { key, consistent })
            })
            .collect()
        }),
        "BatchWriteItem" => of_tables(body, |writes| {
            let write = |write: &Value| match &write["PutRequest"] {
                Value::Null => Some(Touch::Write {
                    key: item(&write["DeleteRequest"]["Key"])?,
                }),
                put => Some(Touch::Put {
                    item: item(&put["Item"])?,
                }),
            };
            writes.as_array()?.iter().map(write).collect()
        }),
        _ => None,
    }
}

fn of_tables(
    body: &Value,
    touches: impl Fn(&Value) -> Option<Vec<Touch>>,
) -> Option<Vec<(String, Vec<Touch>)>> {
    let tables = body["RequestItems"].as_object()?.iter();
    tables
        .map(|(table, request)| Some((table.clone(), touches(request)?)))
        .collect()
}

/// An item from DynamoDB's JSON. Our functions store no blobs.
fn item(json: &Value) -> Option<Item> {
    let fields = json.as_object()?.iter();
    fields
        .map(|(name, json)| Some((name.clone(), value(json)?)))
        .collect()
}

fn value(json: &Value) -> Option<AttributeValue> {
    let (kind, json) = json.as_object()?.iter().next()?;
    let texts = || {
        let texts = json.as_array()?.iter();
        texts
            .map(|text| text.as_str().map(str::to_owned))
            .collect::<Option<_>>()
    };
    Some(match kind.as_str() {
        "S" => AttributeValue::S(json.as_str()?.to_owned()),
        "N" => AttributeValue::N(json.as_str()?.to_owned()),
        "BOOL" => AttributeValue::Bool(json.as_bool()?),
        "NULL" => AttributeValue::Null(true),
        "SS" => AttributeValue::Ss(texts()?),
        "NS" => AttributeValue::Ns(texts()?),
        "L" => AttributeValue::L(json.as_array()?.iter().map(value).collect::<Option<_>>()?),
        "M" => AttributeValue::M(item(json)?),
        _ => return None,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case::no_item(0, 1, 2)]
    #[case::small(1, 1, 2)]
    #[case::exactly_one_block(4_096, 1, 2)]
    #[case::one_byte_more(4_097, 2, 4)]
    #[case::the_largest_item(400 * 1_024, 100, 200)]
    fn a_read_uses_a_unit_per_four_kilobytes_and_half_if_it_may_be_stale(
        #[case] size: u64,
        #[case] stale: u64,
        #[case] consistent: u64,
    ) {
        assert_eq!(half_read_units(size, false), stale);
        assert_eq!(half_read_units(size, true), consistent);
    }

    #[rstest]
    #[case::no_item(0, 1)]
    #[case::exactly_one_block(1_024, 1)]
    #[case::one_byte_more(1_025, 2)]
    #[case::ten_thousand_members(140_000, 137)]
    fn a_write_uses_a_unit_per_kilobyte(#[case] size: u64, #[case] units: u64) {
        assert_eq!(write_units(size), units);
    }

    #[rstest]
    #[case::text(json!({ "S": "äbc" }), 4)]
    #[case::number(json!({ "N": "1764053146123" }), 8)]
    #[case::number_with_extra_zeros(json!({ "N": "001200" }), 2)]
    #[case::zero(json!({ "N": "0" }), 1)]
    #[case::flag(json!({ "BOOL": false }), 1)]
    #[case::null(json!({ "NULL": true }), 1)]
    #[case::set(json!({ "SS": ["U012AB3CD", "U012AB3CE"] }), 18)]
    #[case::list(json!({ "L": [{ "S": "ab" }, { "BOOL": true }] }), 3 + 3 + 2)]
    #[case::map(json!({ "M": { "slack": { "BOOL": true } } }), 3 + 1 + 5 + 1)]
    #[case::empty_map(json!({ "M": {} }), 3)]
    fn an_item_is_as_large_as_its_names_and_values(#[case] value: Value, #[case] size: u64) {
        let item = item(&json!({ "name": value })).unwrap();
        assert_eq!(item_size(&item), 4 + size);
    }

    #[test]
    fn a_batch_touches_each_of_its_items() {
        let key = |name: &str| item(&json!({ "name": { "S": name } })).unwrap();
        let read = json!({ "RequestItems": { "channels": {
            "ConsistentRead": true,
            "Keys": [{ "name": { "S": "a" } }, { "name": { "S": "b" } }],
        } } });
        let read_of = |name| Touch::Read {
            key: key(name),
            consistent: true,
        };
        assert_eq!(
            touched("BatchGetItem", &read),
            Some(vec![(
                "channels".to_owned(),
                vec![read_of("a"), read_of("b")]
            )])
        );
        let write = json!({ "RequestItems": { "channels": [
            { "PutRequest": { "Item": { "name": { "S": "a" } } } },
            { "DeleteRequest": { "Key": { "name": { "S": "b" } } } },
        ] } });
        let writes = vec![
            Touch::Put { item: key("a") },
            Touch::Write { key: key("b") },
        ];
        assert_eq!(
            touched("BatchWriteItem", &write),
            Some(vec![("channels".to_owned(), writes)])
        );
    }

    #[test]
    fn an_operation_that_our_functions_do_not_use_is_not_guessed() {
        assert_eq!(touched("Scan", &json!({ "TableName": "channels" })), None);
    }
}
