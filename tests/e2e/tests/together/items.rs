//! Items: one live card each, however their changes arrive.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use e2e::{World, mpc::request, schemas::check_against, unique};
use local_stack::stack::BOUNTY_CHANNEL;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};
use slack_sandbox::workspace::Message;
use tokio::time::sleep;

const WORKFLOW: &str = "update-item";

fn version(channel: &str, version: u64, state: &str) -> Value {
    json!({
        "itemId": format!("item-{channel}"), "version": version, "channelName": channel,
        "ownChannel": true, "title": "Rust on <Lambda>", "link": "https://example.com/guide",
        "state": state, "nextStep": "Please read it.", "facts": ["Submitted by Ana"],
        "waitingFor": ["bob@example.com"], "dueDate": "2026-12-01",
    })
}

/// The messages of a channel that are about this text, and not the short ones beside a card.
async fn cards(world: &World, channel: &str, about: &str) -> Vec<Message> {
    let Some(channel) = world.find_in_slack(channel).await else {
        return Vec::new();
    };
    let is_card = |message: &Message| message.blocks.is_some() && message.text.contains(about);
    channel.messages.into_iter().filter(is_card).collect()
}

/// Waits until the only card about this text begins like this.
async fn wait_for_card(world: &World, channel: &str, about: &str, start: &str) -> Message {
    for _ in 0..900 {
        let mut cards = cards(world, channel, about).await;
        assert!(cards.len() <= 1, "{cards:?}");
        if let Some(card) = cards.pop().filter(|card| card.text.starts_with(start)) {
            return card;
        }
        sleep(Duration::from_millis(200)).await;
    }
    panic!("no card in {channel} begins with {start}");
}

#[tokio::test]
async fn a_new_item_has_a_pinned_card_that_follows_its_state() {
    let world = World::here();
    let channel = unique("item");
    let first = world
        .run(WORKFLOW, &version(&channel, 1, "submitted"))
        .await;
    let posted = first.output().clone();
    assert_eq!(posted["card"]["change"], "posted");
    assert_eq!(posted["card"]["pinned"], true);
    let states = [
        "CheckRequest",
        "RecordItem",
        "ShowIfNewer",
        "EnsureChannel",
        "UpdateCard",
        "PlanIfPeopleMustAct",
        "ResolveUsers",
        "PlanReminders",
    ];
    assert_eq!(first.steps(), states);
    let second = world
        .run(WORKFLOW, &version(&channel, 2, "in_review"))
        .await;
    let updated = second.output();
    assert_eq!(updated["card"]["change"], "updated");
    assert_eq!(updated["card"]["ts"], posted["card"]["ts"]);
    assert_eq!(updated["item"]["version"], 2);
    let card = wait_for_card(
        &world,
        &channel,
        "Rust",
        "In review: Rust on &lt;Lambda&gt;",
    )
    .await;
    assert!(card.pinned.is_some() && card.edited.is_some());
    assert!(world.in_slack(&channel).await.is_private);
}

#[tokio::test]
async fn an_older_version_changes_nothing() {
    let world = World::here();
    let channel = unique("item");
    world
        .run(WORKFLOW, &version(&channel, 7, "approved"))
        .await
        .output();
    let calls = world.calls_with(&channel).await.len();
    for late in [6, 7] {
        let ended = world
            .run(WORKFLOW, &version(&channel, late, "in_review"))
            .await;
        let item = json!({ "id": format!("item-{channel}"), "version": 7, "superseded": true });
        assert_eq!(*ended.output(), json!({ "item": item, "skipped": [] }));
        assert_eq!(ended.last_state(), "AnswerSuperseded");
    }
    assert_eq!(world.calls_with(&channel).await.len(), calls);
    wait_for_card(&world, &channel, "Rust", "Approved").await;
}

#[tokio::test]
async fn versions_at_the_same_time_end_with_one_card_that_shows_the_last() {
    let world = World::here();
    let channel = unique("item");
    let requests: Vec<Value> = (1..=6)
        .map(|n| version(&channel, n, &format!("state {n}")))
        .collect();
    let mut started = Vec::new();
    for request in &requests {
        started.push(world.start(WORKFLOW, request).await);
    }
    for arn in started {
        world.end_of(&arn).await.output();
    }
    wait_for_card(&world, &channel, "Rust", "State 6").await;
}

#[tokio::test]
async fn a_card_that_people_delete_is_posted_anew_with_the_next_version() {
    let world = World::here();
    let channel = unique("item");
    world
        .run(WORKFLOW, &version(&channel, 1, "submitted"))
        .await
        .output();
    let card = wait_for_card(&world, &channel, "Rust", "Submitted").await;
    world
        .sandbox
        .delete_message(&channel, &card.ts)
        .await
        .unwrap();
    let ended = world
        .run(WORKFLOW, &version(&channel, 2, "in_review"))
        .await;
    assert_eq!(ended.output()["card"]["change"], "posted");
    wait_for_card(&world, &channel, "Rust", "In review").await;
}

#[tokio::test]
async fn a_card_follows_its_channel_when_people_replace_it() {
    let world = World::here();
    let channel = unique("item");
    world
        .run(WORKFLOW, &version(&channel, 1, "submitted"))
        .await
        .output();
    world.sandbox.archive_channel(&channel).await.unwrap();
    world
        .sandbox
        .rename_channel(&channel, &format!("{channel}-old"))
        .await
        .unwrap();
    let ended = world
        .run(WORKFLOW, &version(&channel, 2, "in_review"))
        .await;
    assert_eq!(ended.output()["card"]["change"], "posted");
    wait_for_card(&world, &channel, "Rust", "In review").await;
}

#[rstest]
#[case("visibility", json!("public"), "ownChannel")]
#[case("facts", json!(vec!["x"; 11]), "facts")]
#[case("version", json!(-1), "version")]
#[case("itemId", json!("a b"), "itemId")]
#[case("dueDate", json!("tomorrow"), "dueDate")]
#[case("link", json!("http://example.com"), "link")]
#[case("waitingFor", json!(["bob"]), "waitingFor[0]")]
#[tokio::test]
async fn a_bad_request_names_its_field_and_changes_nothing(
    #[case] field: &str,
    #[case] value: Value,
    #[case] named: &str,
) {
    let world = World::here();
    let channel = unique("item");
    let mut request = version(&channel, 1, "submitted");
    request[field] = value;
    let ended = world.run(WORKFLOW, &request).await;
    let (error, cause) = ended.failure();
    assert_eq!(error, "InvalidRequest");
    assert_eq!(cause["field"], named);
    assert!(world.find_in_slack(&channel).await.is_none());
}

#[tokio::test]
async fn the_same_http_request_twice_is_one_execution() {
    let world = World::here();
    let channel = unique("item");
    let mut body = version(&channel, 1, "in_review");
    let id = body.as_object_mut().unwrap().remove("itemId").unwrap();
    check_against("mpc-request-handler.update-item", &body);
    let path = format!("/items/{}", id.as_str().unwrap());
    let key = unique("key");
    let send = async || request(Method::POST, &path, &key, &body).await;
    let (first, second) = (send().await, send().await);
    assert_eq!(first.status, 202, "{first:?}");
    assert_eq!(first, second);
    let ended = world
        .end_of(first.body["executionId"].as_str().unwrap())
        .await;
    assert_eq!(ended.output()["item"]["id"], id);
}

fn event(channel: &str, people: &[&str], version: u64, state: &str) -> Value {
    json!({
        "channelName": channel, "members": people, "waitingFor": people, "version": version,
        "contentItem": {
            "title": format!("About {channel}"), "link": "https://example.com/guide", "state": state,
            "actor": "Ana", "dueDate": "2026-12-01",
        },
    })
}

#[tokio::test]
async fn events_with_versions_update_the_card_and_short_messages_address_who_must_act() {
    let world = World::here();
    let (channel, bob) = (unique("item"), world.person("bob", Some(true)).await);
    world
        .publish(&event(&channel, &[&bob], 1, "submitted"))
        .await;
    let posted = wait_for_card(&world, &channel, &channel, "Submitted").await;
    world
        .publish(&event(&channel, &[&bob], 2, "in_review"))
        .await;
    let updated = wait_for_card(&world, &channel, &channel, "In review").await;
    assert_eq!(updated.ts, posted.ts);
    let mut short = Vec::new();
    for _ in 0..900 {
        let messages = world.in_slack(&channel).await.messages.into_iter();
        short = messages
            .filter(|message| message.blocks.is_none())
            .collect();
        if short.len() == 2 {
            break;
        }
        sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(short.len(), 2, "{short:?}");
    for message in short {
        assert!(message.text.starts_with("<@"), "{}", message.text);
        assert_eq!(message.thread_ts, None);
    }
}

#[tokio::test]
async fn a_bounty_has_one_card_from_its_offer_to_its_award() {
    let world = World::with_bounty_channel().await;
    let bounty = unique("bounty");
    let mut posted = None;
    for (version, state) in [(1, "posted"), (2, "claimed"), (3, "awarded")] {
        let message = json!({
            "id": format!("{bounty}-{state}"),
            "sequence": { "key": bounty, "number": version },
            "bounty": {
                "title": format!("About {bounty}"), "link": "https://example.com/bounty",
                "state": state, "dueDate": "2026-12-01", "reward": "A signed book",
            },
        });
        world.send_bounty(&message.to_string()).await;
        let start = state[..1].to_uppercase() + &state[1..];
        let card = wait_for_card(&world, BOUNTY_CHANNEL, &bounty, &start).await;
        assert_eq!(posted.get_or_insert(card.ts.clone()), &card.ts);
        assert!(card.pinned.is_none());
    }
    let all = world.in_slack(BOUNTY_CHANNEL).await.messages.into_iter();
    let about = all.filter(|message| message.text.contains(&bounty)).count();
    assert_eq!(about, 1);
}
