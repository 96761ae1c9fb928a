//! `delete-channel`: what a caller gets and what is in Slack afterwards.
#![allow(clippy::unwrap_used)]

use e2e::{World, unique};
use serde_json::{Value, json};
use slack_sandbox::admin::ChannelState;

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
