//! The lock of a sequence in a table: its conditions allow exactly what [`SequenceState::after`] allows, which the model
//! of the delivery protocol runs.
#![allow(clippy::unwrap_used)]

use std::time::SystemTime;

use apgl_contract::epoch::epoch_millis;
use apgl_stores::{
    InSequence, Ledger, LockChange, Record, RecordChange, Replaced, SequenceState, Table,
};
use aws_sdk_dynamodb::{Client, types::AttributeValue};
use fixture::Fixture;
use serde_json::{Value, from_value, json};

const NUMBER: u64 = 5;
const DAY: u64 = 24 * 60 * 60 * 1_000;

/// A table with one sequence.
struct Sequence {
    dynamodb: Client,
    table: String,
    ledger: Table,
}

impl Sequence {
    async fn empty() -> Self {
        let fixture = Fixture::new().await;
        let dynamodb = fixture.dynamodb.clone();
        let table = fixture.create_table(&["deliveryId"]).await;
        let ledger = Table::new(dynamodb.clone(), table.clone());
        Self {
            dynamodb,
            table,
            ledger,
        }
    }

    async fn set(&self, state: &Value) {
        let put = self.dynamodb.put_item().table_name(&self.table);
        put.set_item(Some(serde_dynamo::to_item(state).unwrap()))
            .item("deliveryId", key())
            .send()
            .await
            .unwrap();
    }

    async fn state(&self) -> SequenceState {
        let get = self.dynamodb.get_item().table_name(&self.table);
        let answer = get.key("deliveryId", key()).send().await.unwrap();
        serde_dynamo::from_item(answer.item.unwrap()).unwrap()
    }

    /// Writes a new record of this delivery, and changes the lock.
    async fn change(&self, delivery_id: &str, change: LockChange) -> Replaced {
        let record: Record = from_value(json!({ "state": "RELEASED", "attempt": "1" })).unwrap();
        let in_sequence = InSequence {
            sequence_id: "guide".to_owned(),
            number: NUMBER,
        };
        let change = RecordChange {
            delivery_id,
            expected: None,
            record: &record,
            lock: Some((&in_sequence, change)),
        };
        let replaced = self.ledger.replace(change, SystemTime::now());
        replaced.await.unwrap()
    }
}

fn key() -> AttributeValue {
    AttributeValue::S("#sequence/guide".to_owned())
}

/// Every state that the rules tell apart. A lock is held by the delivery itself or by another one; leases end in the
/// future, or have ended before or after the last redrive of their execution.
fn states(now: u64, delivery_id: &str) -> Vec<Value> {
    let mut states = Vec::new();
    for highest in [None, Some(NUMBER - 1), Some(NUMBER), Some(NUMBER + 1)] {
        let with = |mut state: Value| {
            if let Some(highest) = highest {
                state["highest"] = json!(highest);
            }
            state
        };
        states.push(with(json!({})));
        for holder in [delivery_id, "another"] {
            for lease_ends_at in [now + 1_000, now - 15 * DAY, now - 17 * DAY] {
                states.push(with(
                    json!({ "holder": holder, "leaseEndsAt": lease_ends_at }),
                ));
            }
        }
    }
    states
}

#[tokio::test]
async fn the_table_allows_what_the_rules_allow() {
    let now = epoch_millis(SystemTime::now());
    let take = LockChange::Take {
        now,
        lease_ends_at: now + 2_000,
    };
    let sequence = Sequence::empty().await;
    for change in [
        take,
        LockChange::Keep,
        LockChange::Free,
        LockChange::Advance,
    ] {
        for place in 0..states(now, "").len() {
            let delivery_id = format!("{change:?} {place}");
            let stored = states(now, &delivery_id).swap_remove(place);
            sequence.set(&stored).await;
            let before: SequenceState = from_value(stored.clone()).unwrap();
            let replaced = sequence.change(&delivery_id, change).await;
            let allowed = before.after(change, &delivery_id, NUMBER);
            let expected = match &allowed {
                Some(_) => Replaced::Done,
                None => Replaced::Locked(before.clone()),
            };
            assert_eq!(replaced, expected, "{change:?} of {stored}");
            let after = allowed.unwrap_or(before);
            assert_eq!(sequence.state().await, after, "{change:?} of {stored}");
        }
    }
}
