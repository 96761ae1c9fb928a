//! `notify-public-channel`: what a caller gets and what is in Slack afterwards.
#![allow(clippy::unwrap_used)]

use e2e::{World, unique};
use serde_json::{Value, json};
use slack_sandbox::seed::ChannelSeed;

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
        ended.output_without_time(),
        json!({
            "channel": {
                "id": id, "name": channel, "visibility": "public", "archived": false, "created": false,
                "ours": false, "externallyShared": false,
            },
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
    world.channel(&channel, seed).await;
    world.run(WORKFLOW, &request(&channel)).await.output();
    assert_eq!(world.in_slack(&channel).await.messages.len(), 1);
}
