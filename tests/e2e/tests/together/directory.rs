//! Our table of channels, while people change Slack independently of the bot.
#![allow(clippy::unwrap_used)]

use e2e::{World, unique};
use serde_json::{Value, json};
use slack_sandbox::server::ChannelChange;

fn archived(is_archived: bool) -> ChannelChange {
    ChannelChange {
        is_archived: Some(is_archived),
        ..ChannelChange::default()
    }
}

fn renamed(name: &str) -> ChannelChange {
    ChannelChange {
        name: Some(name.to_owned()),
        ..ChannelChange::default()
    }
}

fn without_the_bot(name: &str) -> ChannelChange {
    ChannelChange {
        bot_is_member: Some(false),
        ..renamed(name)
    }
}

fn message(channel: &str) -> Value {
    json!({ "channelName": channel, "message": format!("hello {channel}") })
}

/// Adds a public channel that our table knows.
async fn known_public_channel(world: &World, name: &str) -> String {
    let id = world.public_channel(name).await.id;
    world
        .run("notify-public-channel", &message(name))
        .await
        .output();
    id
}

#[tokio::test]
async fn an_archived_channel_is_reported_and_is_used_again_once_unarchived() {
    let world = World::here();
    let channel = unique("archived");
    known_public_channel(&world, &channel).await;

    world.change_channel(&channel, archived(true)).await;
    let ended = world.run("notify-public-channel", &message(&channel)).await;
    assert_eq!(ended.failure().0, "Channel.Archived");

    world.change_channel(&channel, archived(false)).await;
    let ended = world.run("notify-public-channel", &message(&channel)).await;
    ended.output();
    assert_eq!(world.in_slack(&channel).await.messages.len(), 2);
}

#[tokio::test]
async fn a_private_channel_that_is_gone_is_created_again_with_its_members() {
    let world = World::here();
    let (channel, ana) = (unique("gone"), world.person("ana", Some(true)).await);
    let mut request = message(&channel);
    request["members"] = json!([ana]);
    let first = world.run("notify-private-channel", &request).await;
    let old = first.output()["channel"]["id"].clone();
    let elsewhere = unique("elsewhere");
    world
        .change_channel(&channel, without_the_bot(&elsewhere))
        .await;

    let second = world.run("notify-private-channel", &request).await;

    let output = second.output();
    assert_ne!(output["channel"]["id"], old);
    assert_eq!(output["channel"]["created"], json!(true));
    assert_eq!(output["members"]["invited"], json!([ana]));
    let in_slack = world.in_slack(&channel).await;
    assert_eq!((in_slack.messages.len(), in_slack.emails), (1, vec![ana]));
    assert_eq!(world.in_slack(&elsewhere).await.messages.len(), 1);
}

#[tokio::test]
async fn the_name_of_a_private_channel_that_the_bot_was_removed_from_is_taken() {
    let world = World::here();
    let channel = unique("removed");
    world
        .run("notify-private-channel", &message(&channel))
        .await
        .output();
    let gone = ChannelChange {
        bot_is_member: Some(false),
        ..ChannelChange::default()
    };
    world.change_channel(&channel, gone).await;
    let ended = world
        .run("notify-private-channel", &message(&channel))
        .await;
    let (error, cause) = ended.failure();
    assert_eq!(error, "Channel.NameTaken");
    assert!(cause["message"].as_str().unwrap().contains("not a member"));
    assert_eq!(world.in_slack(&channel).await.messages.len(), 1);
}

#[tokio::test]
async fn a_name_that_moved_to_another_channel_is_found_there_once_the_channels_are_scanned() {
    let world = World::here();
    let channel = unique("moved");
    let old = known_public_channel(&world, &channel).await;
    let elsewhere = unique("elsewhere");
    world.change_channel(&channel, renamed(&elsewhere)).await;
    let new = world.public_channel(&channel).await.id;
    // Another caller's look-up of an unknown name triggers a scan.
    let unknown = message(&unique("unknown"));
    world.run("notify-public-channel", &unknown).await.failure();

    let ended = world.run("notify-public-channel", &message(&channel)).await;

    assert_ne!(old, new);
    assert_eq!(ended.output()["channel"]["id"], json!(new));
    assert_eq!(world.in_slack(&elsewhere).await.messages.len(), 1);
    let ended = world
        .run("notify-public-channel", &message(&elsewhere))
        .await;
    assert_eq!(ended.output()["channel"]["id"], json!(old));
}

#[tokio::test]
async fn checking_and_deleting_ask_slack_and_not_only_our_table() {
    let world = World::here();
    for workflow in ["check-channel-exists", "delete-channel"] {
        let channel = unique("verified");
        let id = known_public_channel(&world, &channel).await;
        let elsewhere = unique("elsewhere");
        world.change_channel(&channel, renamed(&elsewhere)).await;

        let request = json!({ "channelName": channel });
        let ended = world.run(workflow, &request).await;

        let said = &ended.output()[if workflow == "delete-channel" {
            "deleted"
        } else {
            "exists"
        }];
        assert_eq!(*said, json!(false));
        let in_slack = world.in_slack(&elsewhere).await;
        assert_eq!((in_slack.id, in_slack.is_archived), (id, false));
    }
}

#[tokio::test]
async fn a_private_channel_that_became_public_gets_no_private_message() {
    let world = World::here();
    let channel = unique("opened");
    world
        .run("notify-private-channel", &message(&channel))
        .await
        .output();
    let public = ChannelChange {
        is_private: Some(false),
        ..ChannelChange::default()
    };
    world.change_channel(&channel, public).await;
    // A scan adds it to the table.
    world.forget_scan().await;
    let unknown = message(&unique("unknown"));
    world.run("notify-public-channel", &unknown).await.failure();

    let ended = world
        .run("notify-private-channel", &message(&channel))
        .await;

    assert_eq!(ended.failure().0, "Channel.NameTaken");
    assert_eq!(world.in_slack(&channel).await.messages.len(), 1);
}
