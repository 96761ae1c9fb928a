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
        [
            "CheckRequest",
            "FilterIfMentioned",
            "FindChannel",
            "PostMessage"
        ]
    );
}

#[tokio::test]
async fn a_message_mentions_those_who_want_it_and_names_the_others() {
    let world = World::here();
    let channel = unique("mention");
    world.public_channel(&channel).await;
    let (ana, id) = world.person_with_id("ana").await;
    let bob = world.person("bob", Some(false)).await;
    let mut mentioning = request(&channel);
    mentioning["mention"] = json!([ana, bob]);
    let ended = world.run(WORKFLOW, &mentioning).await;

    let in_slack = world.in_slack(&channel).await;
    let bobs_name = bob.split('@').next().unwrap();
    assert_eq!(
        in_slack.messages[0].text,
        format!("<@{id}>, {bobs_name}\nhello all")
    );
    assert!(in_slack.emails.is_empty(), "nobody is invited");
    let expected = json!({
        "ts": in_slack.messages[0].ts, "duplicate": false, "mentioned": [ana],
        "notMentioned": [{ "email": bob, "reason": "opted_out" }],
    });
    assert_eq!(ended.output()["message"], expected);
    assert_eq!(
        ended.steps(),
        [
            "CheckRequest",
            "FilterIfMentioned",
            "FilterByPreference",
            "ResolveUsers",
            "FindChannel",
            "PostMessage"
        ]
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
