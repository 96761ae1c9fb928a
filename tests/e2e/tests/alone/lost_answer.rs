//! Slack creates a channel, but its response is lost. Runs alone, because another test's scan could add it to
//! the table first.
#![allow(clippy::unwrap_used)]

use e2e::{World, unique};
use serde_json::json;
use slack_sandbox::faults::{Effect, How};

#[tokio::test]
async fn a_channel_that_slack_created_before_it_failed_is_adopted() {
    let world = World::here();
    let channel = unique("adopted");
    let lost = How::Html500 {
        effect: Effect::Done,
    };
    world
        .fault("conversations.create", "name", &channel, 1, lost)
        .await;
    let request = json!({ "channelName": channel, "message": format!("hello {channel}") });
    let ended = world.run("notify-private-channel", &request).await;
    let made = &ended.output()["channel"];
    assert_eq!(made["id"], json!(world.in_slack(&channel).await.id));
    assert_eq!(made["created"], json!(true));
}
