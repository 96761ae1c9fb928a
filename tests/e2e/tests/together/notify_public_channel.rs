//! `notify-public-channel`: what a caller gets and what is in Slack afterwards.
#![allow(clippy::unwrap_used)]

use e2e::{World, unique};
use serde_json::{Value, json};
use slack_sandbox::{
    faults::{Effect, How},
    seed::ChannelSeed,
};

const WORKFLOW: &str = "notify-public-channel";

fn request(channel: &str) -> Value {
    json!({ "channelName": channel, "message": "hello all" })
}

#[tokio::test]
async fn a_public_channel_is_found_and_posted_to() {
    let world = World::here();
    let channel = unique("public");
    let id = world.public_channel(&channel).await.id;
    let ended = world.run(WORKFLOW, &request(&channel)).await;
    let messages = world.in_slack(&channel).await.messages;
    assert_eq!(
        *ended.output(),
        json!({
            "channel": { "id": id, "name": channel, "visibility": "public", "archived": false, "created": false },
            "message": { "ts": messages[0].ts, "duplicate": false },
        })
    );
    assert_eq!(
        ended.steps(),
        ["CheckRequest", "FindChannel", "PostMessage"]
    );
}

#[tokio::test]
async fn the_bot_joins_a_public_channel_that_it_is_not_in() {
    let world = World::here();
    let channel = unique("join");
    let seed = ChannelSeed {
        bot_is_member: false,
        ..ChannelSeed::default()
    };
    let id = world.channel(&channel, seed).await.id;
    let ended = world.run(WORKFLOW, &request(&channel)).await;
    assert_eq!(ended.output()["channel"]["id"], json!(id));
    assert_eq!(world.in_slack(&channel).await.messages.len(), 1);
    let calls = world.calls_with(&id).await;
    let joins = calls
        .iter()
        .filter(|call| call.method == "conversations.join");
    assert_eq!(joins.count(), 1);
}

#[tokio::test]
async fn a_rate_limited_post_is_waited_for() {
    let world = World::here();
    let channel = unique("limited");
    let id = world.public_channel(&channel).await.id;
    world
        .fault(
            "chat.postMessage",
            "channel",
            &id,
            3,
            How::RateLimited { retry_after: 2 },
        )
        .await;
    let ended = world.run(WORKFLOW, &request(&channel)).await;
    assert_eq!(ended.output()["message"]["duplicate"], json!(false));
    let states = ended.states();
    let waits = states.iter().filter(|state| **state == "WaitToPostMessage");
    assert!(waits.count() >= 3);
    assert_eq!(world.in_slack(&channel).await.messages.len(), 1);
}

#[tokio::test]
async fn a_slack_500_is_gone_through_without_a_double() {
    let world = World::here();
    let channel = unique("broken");
    let id = world.public_channel(&channel).await.id;
    world
        .fault(
            "chat.postMessage",
            "channel",
            &id,
            1,
            How::Html500 {
                effect: Effect::Done,
            },
        )
        .await;
    let ended = world.run(WORKFLOW, &request(&channel)).await;
    assert_eq!(ended.output()["message"]["duplicate"], json!(true));
    assert!(ended.states().contains(&"WaitToPostMessage"));
    assert_eq!(world.in_slack(&channel).await.messages.len(), 1);
}

#[tokio::test]
async fn a_channel_that_is_not_there_is_a_final_error() {
    let world = World::here();
    let channel = unique("nowhere");
    let ended = world.run(WORKFLOW, &request(&channel)).await;
    let (error, cause) = ended.failure();
    assert_eq!(error, "Channel.NotFound");
    assert!(cause["message"].as_str().unwrap().contains(&channel));
    assert_eq!(ended.last_state(), "Fail");
}

#[tokio::test]
async fn a_private_channel_gets_no_public_notification() {
    let world = World::here();
    let channel = unique("private");
    world.private_channel(&channel, &[]).await;
    let ended = world.run(WORKFLOW, &request(&channel)).await;
    assert_eq!(
        (ended.failure().0, ended.last_state()),
        ("Channel.NotFound", "Fail")
    );
    assert_eq!(world.in_slack(&channel).await.messages, []);
}

#[tokio::test]
async fn an_archived_channel_is_a_final_error() {
    let world = World::here();
    let channel = unique("archived");
    let seed = ChannelSeed {
        is_archived: true,
        ..ChannelSeed::default()
    };
    world.channel(&channel, seed).await;
    let ended = world.run(WORKFLOW, &request(&channel)).await;
    assert_eq!(
        (ended.failure().0, ended.last_state()),
        ("Channel.Archived", "Fail")
    );
    assert_eq!(world.in_slack(&channel).await.messages, []);
}
