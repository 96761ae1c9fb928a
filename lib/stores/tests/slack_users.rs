//! The ids of direct messages in a table of Slack users.
#![allow(clippy::unwrap_used)]

use std::time::SystemTime;

use apgl_contract::{SlackUserId, epoch::epoch_millis};
use apgl_stores::{SlackUsers, Table};
use aws_sdk_dynamodb::Client;
use fixture::Fixture;
use rstest::rstest;
use serde_json::{Value, json};

/// An empty table of Slack users.
struct Users {
    dynamodb: Client,
    table: String,
    store: SlackUsers,
}

impl Users {
    async fn none() -> Self {
        let fixture = Fixture::new().await;
        let table = fixture.create_table(&["email"]).await;
        let dynamodb = fixture.dynamodb.clone();
        let store = SlackUsers::new(Table::new(dynamodb.clone(), table.clone()));
        Self {
            dynamodb,
            table,
            store,
        }
    }

    async fn put(&self, item: &Value) {
        self.dynamodb
            .put_item()
            .table_name(&self.table)
            .set_item(Some(serde_dynamo::to_item(item).unwrap()))
            .send()
            .await
            .unwrap();
    }

    async fn items(&self) -> Vec<Value> {
        let scan = self.dynamodb.scan().table_name(&self.table);
        let items = scan.send().await.unwrap().items.unwrap();
        serde_dynamo::from_items(items).unwrap()
    }

    async fn direct_message(&self, user: &str) -> Option<String> {
        self.store.direct_message(&id(user)).await.unwrap()
    }
}

fn id(user: &str) -> SlackUserId {
    SlackUserId(user.to_owned())
}

fn seconds_from_now(seconds: i64) -> i64 {
    let now = epoch_millis(SystemTime::now()) / 1_000;
    i64::try_from(now).unwrap() + seconds
}

#[tokio::test]
async fn the_id_of_a_direct_message_is_kept_for_thirty_days() {
    let users = Users::none().await;
    assert_eq!(users.direct_message("U1").await, None);
    let remembered = users.store.remember_direct_message(&id("U1"), "D1").await;
    remembered.unwrap();
    assert_eq!(users.direct_message("U1").await.as_deref(), Some("D1"));
    assert_eq!(users.direct_message("U2").await, None);
    let items = users.items().await;
    let expires_at = items[0]["expiresAt"].as_i64().unwrap();
    let thirty_days = seconds_from_now(30 * 24 * 60 * 60);
    assert!((thirty_days - 60..=thirty_days).contains(&expires_at));
}

#[tokio::test]
async fn the_id_that_slack_returned_last_replaces_the_earlier_one() {
    let users = Users::none().await;
    for conversation in ["D1", "D2"] {
        let remembered = users
            .store
            .remember_direct_message(&id("U1"), conversation)
            .await;
        remembered.unwrap();
    }
    assert_eq!(users.direct_message("U1").await.as_deref(), Some("D2"));
}

#[rstest]
#[case::expired(json!({ "conversationId": "D1", "expiresAt": seconds_from_now(-1) }))]
#[case::without_an_expiry(json!({ "conversationId": "D1" }))]
#[case::without_an_id(json!({ "expiresAt": seconds_from_now(60) }))]
#[case::with_another_kind_of_id(json!({ "conversationId": 1, "expiresAt": seconds_from_now(60) }))]
#[tokio::test]
async fn an_item_that_is_expired_or_unreadable_counts_as_missing(#[case] mut item: Value) {
    let users = Users::none().await;
    item["email"] = json!("#direct-message/U1");
    users.put(&item).await;
    assert_eq!(users.direct_message("U1").await, None);
}
