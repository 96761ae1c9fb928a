//! Channels that a person has changed in Slack since the bot last looked. The tests run alone, because the scan of
//! another test could update the table first.
#![allow(clippy::unwrap_used)]

use e2e::{World, unique};
use rstest::rstest;
use serde_json::{Value, json};
use slack_sandbox::{faults::How, seed::ChannelSeed, server::ChannelChange};

const PRIVATE: &str = "notify-private-channel";
const PUBLIC: &str = "notify-public-channel";

fn message(channel: &str) -> Value {
    json!({ "channelName": channel, "message": format!("hello {channel}") })
}

fn renamed(name: &str) -> ChannelChange {
    ChannelChange {
        name: Some(name.to_owned()),
        ..ChannelChange::default()
    }
}

#[rstest]
#[case::made_public(ChannelChange { is_private: Some(false), ..ChannelChange::default() })]
#[case::shared(ChannelChange { is_ext_shared: Some(true), ..ChannelChange::default() })]
#[tokio::test]
async fn a_private_channel_that_others_can_read_by_now_gets_no_further_private_message(
    #[case] opened: ChannelChange,
) {
    let world = World::here();
    let channel = unique("opened");
    world.run(PRIVATE, &message(&channel)).await.output();
    world.change_channel(&channel, opened).await;
    world.outlive_trust(&channel).await;

    let ended = world.run(PRIVATE, &message(&channel)).await;

    assert_eq!(ended.failure().0, "Channel.NameTaken");
    assert_eq!(world.in_slack(&channel).await.messages.len(), 1);
}

#[tokio::test]
async fn a_renamed_private_channel_gets_neither_the_next_message_nor_the_next_members() {
    let world = World::here();
    let (channel, old_name) = (unique("renamed"), unique("old"));
    world.run(PRIVATE, &message(&channel)).await.output();
    world.change_channel(&channel, renamed(&old_name)).await;
    world.outlive_trust(&channel).await;

    let ana = world.person("ana", Some(true)).await;
    let mut next = message(&channel);
    next["members"] = json!([ana]);
    let ended = world.run(PRIVATE, &next).await;

    assert_eq!(ended.output()["channel"]["created"], json!(true));
    assert_eq!(ended.output()["channel"]["name"], json!(channel));
    let (new, old) = (
        world.in_slack(&channel).await,
        world.in_slack(&old_name).await,
    );
    assert_ne!(new.id, old.id);
    assert_eq!((new.messages.len(), new.emails), (1, vec![ana]));
    assert_eq!((old.messages.len(), old.emails), (1, vec![]));
}

#[rstest]
#[tokio::test]
async fn people_are_added_to_the_channel_that_has_the_name_now(
    #[values(false, true)] redriven: bool,
) {
    let world = World::here();
    let (channel, old_name) = (unique("renamed"), unique("old"));
    world.run(PRIVATE, &message(&channel)).await.output();
    let ana = world.person("ana", Some(true)).await;
    let request = json!({ "channelName": channel, "add": [ana] });
    let workflow = "change-channel-members";
    let failed = if redriven {
        let unauthorized = How::refused("not_allowed_token_type");
        let id = world.in_slack(&channel).await.id;
        world
            .fault("conversations.invite", "channel", &id, 1, unauthorized)
            .await;
        let failed = world.run(workflow, &request).await;
        assert_eq!(failed.last_state(), "InviteMembers");
        Some(failed)
    } else {
        None
    };
    world.change_channel(&channel, renamed(&old_name)).await;
    let new = world.private_channel(&channel, &[]).await;
    world.outlive_trust(&channel).await;

    let ended = match failed {
        Some(failed) => world.redrive(&failed.execution.arn).await,
        None => world.run(workflow, &request).await,
    };

    assert_eq!(ended.output()["channel"]["id"], json!(new.id));
    assert_eq!(ended.output()["members"]["invited"], json!([ana]));
}

#[tokio::test]
async fn a_public_channel_that_took_over_the_name_gets_the_next_message() {
    let world = World::here();
    let (channel, old_name) = (unique("renamed"), unique("old"));
    world.public_channel(&channel).await;
    world.run(PUBLIC, &message(&channel)).await.output();
    world.change_channel(&channel, renamed(&old_name)).await;
    world.outlive_trust(&channel).await;
    // As long as no channel has the name, the message goes nowhere.
    let failed = world.run(PUBLIC, &message(&channel)).await;
    assert_eq!(failed.failure().0, "Channel.NotFound");

    let new = world
        .channel_by_a_person(&channel, ChannelSeed::default())
        .await;
    let redriven = world.redrive(&failed.execution.arn).await;

    assert_eq!(redriven.output()["channel"]["id"], json!(new.id));
    assert_eq!(world.in_slack(&channel).await.messages.len(), 1);
    assert_eq!(world.in_slack(&old_name).await.messages.len(), 1);
}
