//! Tests a channel that our table still has but that is archived or gone in Slack. The test runs alone, because the
//! scan of another test could update the table first.
#![allow(clippy::unwrap_used)]

use e2e::{World, unique};
use serde_json::{Value, json};
use slack_sandbox::server::ChannelChange;

fn message(channel: &str) -> Value {
    json!({ "channelName": channel, "message": "hello" })
}

#[tokio::test]
async fn a_workflow_looks_up_a_stale_channel_once_more() {
    let world = World::here();

    let archived = unique("archived");
    world.public_channel(&archived).await;
    let workflow = "notify-public-channel";
    world.run(workflow, &message(&archived)).await.output();
    let change = ChannelChange {
        is_archived: Some(true),
        ..ChannelChange::default()
    };
    world.change_channel(&archived, change).await;
    let ended = world.run(workflow, &message(&archived)).await;
    assert_eq!(ended.failure().0, "Channel.Archived");
    assert_eq!(
        ended.steps(),
        [
            "CheckRequest",
            "FilterIfMentioned",
            "FindChannel",
            "PostMessage",
            "FilterIfMentioned",
            "FindChannel"
        ]
    );

    let gone = unique("gone");
    let workflow = "notify-private-channel";
    world.run(workflow, &message(&gone)).await.output();
    let change = ChannelChange {
        name: Some(unique("elsewhere")),
        bot_is_member: Some(false),
        ..ChannelChange::default()
    };
    world.change_channel(&gone, change).await;
    let ended = world.run(workflow, &message(&gone)).await;
    assert_eq!(ended.output()["channel"]["created"], json!(true));
    assert_eq!(
        ended.steps(),
        [
            "CheckRequest",
            "FilterByPreference",
            "ResolveUsers",
            "EnsureChannel",
            "InviteMembers",
            "PostMessage",
            "FilterByPreference",
            "ResolveUsers",
            "EnsureChannel",
            "InviteMembers",
            "PostMessage"
        ]
    );
}
