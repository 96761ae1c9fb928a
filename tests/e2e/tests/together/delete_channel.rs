//! `delete-channel`: what a caller gets and what is in Slack afterwards.
#![allow(clippy::unwrap_used)]

use e2e::{World, unique};
use rstest::rstest;
use serde_json::{Value, json};
use slack_sandbox::{admin::ChannelState, seed::ChannelSeed};

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

#[rstest]
#[case::public(false)]
#[case::private(true)]
#[tokio::test]
async fn a_channel_that_the_bot_has_not_created_is_archived_only_on_purpose(
    #[case] is_private: bool,
) {
    let world = World::here();
    let channel = unique("theirs");
    let seed = ChannelSeed {
        is_private,
        // The bot can see a private channel only as a member.
        bot_is_member: is_private,
        members: vec![world.person("ana", Some(true)).await],
        ..ChannelSeed::default()
    };
    let before = world.channel(&channel, seed).await;
    let refused = world.run(WORKFLOW, &request(&channel)).await;
    assert_eq!(refused.failure().0, "Channel.NotOurs");
    assert_eq!(refused.last_state(), "Fail");
    assert_eq!(world.in_slack(&channel).await, before);

    let meant = json!({ "channelName": channel, "evenIfNotOurs": true });
    let ended = world.run(WORKFLOW, &meant).await;
    assert_eq!(ended.output()["deleted"], json!(true));
    // Only the creator of a channel may rename it.
    assert_eq!(ended.output()["channel"]["name"], json!(channel));
    assert!(world.in_slack(&channel).await.is_archived);
}

#[tokio::test]
async fn a_deleted_channel_is_archived_and_its_name_is_free_again() {
    let world = World::here();
    let channel = our_channel(&world, &unique("free")).await;
    let ended = world.run(WORKFLOW, &request(&channel.name)).await;

    let name = deleted_name(&channel);
    assert_eq!(
        ended.output_without_time(),
        json!({
            "deleted": true,
            "channel": {
                "id": channel.id, "name": name, "visibility": "private", "archived": true,
                "created": false, "ours": true, "externallyShared": false,
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
