//! `delete-channel`: what a caller gets and what is in Slack afterwards.
#![allow(clippy::unwrap_used)]

use e2e::{World, unique};
use serde_json::{Value, json};
use slack_sandbox::{
    admin::ChannelState,
    faults::{Effect, How},
};

const WORKFLOW: &str = "delete-channel";

fn request(channel: &str) -> Value {
    json!({ "channelName": channel })
}

/// The name of a channel after it is deleted.
fn deleted_name(channel: &ChannelState) -> String {
    format!("{}-deleted-{}", channel.name, channel.id.to_lowercase())
}

/// A channel that the bot created, so that it can rename it.
async fn our_channel(world: &World, name: &str) -> ChannelState {
    world.run("create-channel", &request(name)).await.output();
    world.in_slack(name).await
}

#[tokio::test]
async fn a_deleted_channel_is_archived_and_its_name_is_free_again() {
    let world = World::here();
    let channel = our_channel(&world, &unique("free")).await;
    let ended = world.run(WORKFLOW, &request(&channel.name)).await;

    let name = deleted_name(&channel);
    assert_eq!(
        *ended.output(),
        json!({
            "deleted": true,
            "channel": {
                "id": channel.id, "name": name, "visibility": "private", "archived": true,
                "created": false,
            },
        })
    );
    assert!(world.in_slack(&name).await.is_archived);
    assert_eq!(
        ended.steps(),
        [
            "CheckRequest",
            "FindChannel",
            "ArchiveIfActive",
            "ArchiveChannel"
        ]
    );
    // Deleting it again succeeds and reports that, and the name is free for a new channel.
    let again = world.run(WORKFLOW, &request(&channel.name)).await;
    assert_eq!(*again.output(), json!({ "deleted": false }));
    let successor = our_channel(&world, &channel.name).await;
    assert_ne!(successor.id, channel.id);
    assert!(!successor.is_archived);
}

#[tokio::test]
async fn a_channel_that_the_bot_may_not_rename_is_archived_under_its_name() {
    let world = World::here();
    // The first channel belongs to someone else; for the second one, the workspace forbids it.
    let theirs = world.private_channel(&unique("theirs"), &[]).await;
    let ours = our_channel(&world, &unique("ours")).await;
    let forbidden = How::refused("restricted_action");
    world
        .fault("conversations.rename", "channel", &ours.id, 9, forbidden)
        .await;
    for channel in [theirs, ours] {
        let ended = world.run(WORKFLOW, &request(&channel.name)).await;
        let output = ended.output();
        assert_eq!(output["deleted"], json!(true));
        assert_eq!(output["channel"]["name"], json!(channel.name));
        assert!(world.in_slack(&channel.name).await.is_archived);
        let again = world.run(WORKFLOW, &request(&channel.name)).await;
        assert_eq!(again.output()["deleted"], json!(false));
    }
}

#[tokio::test]
async fn a_channel_that_may_not_be_archived_gets_its_name_back() {
    let world = World::here();
    let channel = our_channel(&world, &unique("stays")).await;
    let forbidden = How::refused("restricted_action");
    world
        .fault(
            "conversations.archive",
            "channel",
            &channel.id,
            9,
            forbidden,
        )
        .await;
    let ended = world.run(WORKFLOW, &request(&channel.name)).await;
    let (error, cause) = ended.failure();
    assert_eq!(
        (error, &cause["slackError"]),
        ("Slack.Rejected", &json!("restricted_action"))
    );
    assert_eq!(ended.last_state(), "Fail");
    assert_eq!(world.in_slack(&channel.name).await, channel);
}

#[tokio::test]
async fn a_step_that_stopped_half_way_is_finished_by_the_next_attempt() {
    let world = World::here();
    let broken = || How::Html500 {
        effect: Effect::Done,
    };
    let limited = How::RateLimited { retry_after: 2 };
    for (method, how) in [
        ("conversations.rename", broken()),
        ("conversations.archive", broken()),
        ("conversations.archive", limited),
    ] {
        let channel = our_channel(&world, &unique("half-way")).await;
        world.fault(method, "channel", &channel.id, 1, how).await;
        let ended = world.run(WORKFLOW, &request(&channel.name)).await;
        let name = deleted_name(&channel);
        assert_eq!(ended.output()["deleted"], json!(true), "{method}");
        assert_eq!(ended.output()["channel"]["name"], json!(name));
        assert!(world.in_slack(&name).await.is_archived);
    }
}

#[tokio::test]
async fn the_bot_joins_a_public_channel_to_delete_it() {
    let world = World::here();
    let name = unique("public");
    let seed = slack_sandbox::seed::ChannelSeed {
        bot_is_member: false,
        ..slack_sandbox::seed::ChannelSeed::default()
    };
    world.channel(&name, seed).await;
    let ended = world.run(WORKFLOW, &request(&name)).await;
    assert_eq!(ended.output()["deleted"], json!(true));
    assert!(world.in_slack(&name).await.is_archived);
}
