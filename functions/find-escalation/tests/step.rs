//! The step against a table.
#![allow(clippy::unwrap_used)]

use apgl_contract::{Email, Item, decode};
use find_escalation::{Deps, Input, Outcome, handle};
use fixture::{Fixture, it_is, item, plans_escalation, waits};
use serde_json::{Value, json};

/// An item that is due on Tuesday, 1 December 2026, with these settings, and waits for Ana.
async fn finding(reminders: Value) -> (Deps, Item) {
    let fixture = Fixture::new().await;
    let ana = fixture.person("ana").await;
    let planner = fixture.planner("2026-11-30T09:00:00Z").await;
    let item = Item {
        reminders: Some(decode(reminders).unwrap()),
        ..item("guide", 1, Some("2026-12-01"), &[&ana])
    };
    waits(&planner, &item, &[&ana]).await;
    plans_escalation(&planner, &item).await;
    (Deps { planner }, item)
}

async fn find(deps: &Deps, item: &Item, now: &str) -> Outcome {
    it_is(&deps.planner, now).await;
    let input = Input {
        item_id: item.id.clone(),
        due_date: item.due_date.unwrap(),
    };
    handle(deps, input).await.unwrap()
}

#[tokio::test]
async fn after_the_grace_period_the_people_are_told_in_their_order() {
    let to = json!({ "escalateTo": ["eve@example.com", "joe@example.com"] });
    let (deps, item) = finding(to).await;
    let found = find(&deps, &item, "2026-12-02T17:00:00Z").await;
    assert!(found.people.is_empty());
    let found = find(&deps, &item, "2026-12-03T16:50:00Z").await;
    assert_eq!(found.wait_seconds, 1);
    let found = find(&deps, &item, "2026-12-03T17:00:00Z").await;
    assert_eq!(found.wait_seconds, 0);
    let people: Vec<&str> = found.people.iter().map(Email::as_str).collect();
    assert_eq!(people, ["eve@example.com", "joe@example.com"]);
    assert_eq!(found.channel_name, Some(item.channel_name));
}

#[tokio::test]
async fn nobody_is_told_if_nobody_is_named_or_the_item_has_moved_or_is_snoozed() {
    let (deps, item) = finding(json!({})).await;
    let found = find(&deps, &item, "2026-12-03T17:00:00Z").await;
    assert!(found.people.is_empty());

    let (deps, item) = finding(json!({ "escalateTo": ["eve@example.com"] })).await;
    let items = &deps.planner.items;
    let until = "2026-12-10T09:00:00Z".parse().unwrap();
    items.snooze(&item.id, until).await.unwrap();
    let found = find(&deps, &item, "2026-12-03T17:00:00Z").await;
    assert!(found.people.is_empty());
    let found = find(&deps, &item, "2026-12-10T09:00:00Z").await;
    assert_eq!(found.people.len(), 1);

    let moved = fixture::item("guide", 2, Some("2026-12-01"), &[]);
    waits(&deps.planner, &moved, &[]).await;
    let found = find(&deps, &item, "2026-12-10T09:00:00Z").await;
    assert!(found.people.is_empty());
}
