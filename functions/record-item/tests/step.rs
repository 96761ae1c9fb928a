//! The step against a table.
#![allow(clippy::unwrap_used)]

use apgl_contract::{Item, ItemId};
use apgl_stores::{Items, Table};
use fixture::{Fixture, invocation};
use record_item::{Deps, Input, handle};
use serde_json::{Value, from_value, json};

struct Recording {
    deps: Deps,
}

impl Recording {
    async fn new() -> Self {
        let fixture = Fixture::new().await;
        let name = fixture.create_table(&["itemId", "row"]).await;
        let items = Items::new(Table::new(fixture.dynamodb.clone(), name));
        Self {
            deps: Deps { items },
        }
    }

    /// Records the version for this execution. Returns the outcome.
    async fn record(&self, execution: &str, item: Item) -> Value {
        let outcome = handle(&self.deps, &invocation(execution), Input { item }).await;
        json!(outcome.unwrap())["item"].take()
    }

    async fn latest(&self) -> Option<Item> {
        let id = ItemId::try_from("content-item:guide-42".to_owned()).unwrap();
        self.deps.items.latest(&id).await.unwrap()
    }
}

fn item(version: u64, state: &str) -> Item {
    let item = json!({
        "id": "content-item:guide-42", "version": version, "channelName": "guide-42",
        "visibility": "private", "ownChannel": true, "title": "Rust on <Lambda>",
        "link": "https://example.com/guide-42", "state": state, "nextStep": "Please review it.",
        "facts": ["Submitted by Ana"], "waitingFor": ["bob@example.com"], "dueDate": "2026-12-01",
    });
    from_value(item).unwrap()
}

fn recorded(version: u64, superseded: bool) -> Value {
    json!({ "id": "content-item:guide-42", "version": version, "superseded": superseded })
}

#[tokio::test]
async fn an_item_is_stored_as_it_is_and_a_newer_version_replaces_it() {
    let recording = Recording::new().await;
    assert_eq!(recording.latest().await, None);
    for version in [3, 4, 900] {
        let item = item(version, "in_review");
        let outcome = recording.record("e", item.clone()).await;
        assert_eq!(outcome, recorded(version, false));
        assert_eq!(recording.latest().await, Some(item));
    }
}

#[tokio::test]
async fn an_older_version_replaces_nothing() {
    let recording = Recording::new().await;
    let newest = item(10, "approved");
    recording.record("newer", newest.clone()).await;
    let outcome = recording.record("older", item(9, "in_review")).await;
    assert_eq!(outcome, recorded(10, true));
    assert_eq!(recording.latest().await, Some(newest));
}

#[tokio::test]
async fn the_same_version_counts_once() {
    let recording = Recording::new().await;
    let first = item(7, "submitted");
    for _ in 0..2 {
        let outcome = recording.record("first", first.clone()).await;
        assert_eq!(outcome, recorded(7, false));
    }
    let other = recording.record("other", item(7, "withdrawn")).await;
    assert_eq!(other, recorded(7, true));
    assert_eq!(recording.latest().await, Some(first));
}
