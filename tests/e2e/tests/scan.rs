//! One scan of Slack's channels serves everybody. Alone in its file: it fills the workspace.
#![allow(clippy::unwrap_used)]

use e2e::{World, unique};
use serde_json::{Value, json};
use slack_sandbox::{Seed, seed::Generate};

const CHANNELS: usize = 20_000;
/// Slack gives at most 999 channels a page.
const PAGES: std::ops::RangeInclusive<usize> = 21..=22;

fn message(channel: &str) -> Value {
    json!({ "channelName": channel, "message": "hello" })
}

/// How many pages of the list Slack has given since the last time.
async fn pages_given(world: &World) -> usize {
    let calls = world.sandbox.calls().await.unwrap();
    let pages = calls
        .iter()
        .filter(|call| call.method == "conversations.list" && call.status == 200);
    let pages = pages.count();
    println!(
        "conversations.list: {pages} pages given, {} calls in all, {} of them limited",
        calls.len(),
        calls.iter().filter(|call| call.status == 429).count()
    );
    world.sandbox.clear_calls().await.unwrap();
    pages
}

#[tokio::test]
async fn twenty_thousand_channels_are_scanned_once_for_everybody() {
    let world = World::here();
    let seed = Seed {
        generate: Generate {
            channels: CHANNELS,
            ..Generate::default()
        },
        ..Seed::default()
    };
    world.seed(seed).await;
    world.forget_scan().await;
    world.sandbox.clear_calls().await.unwrap();

    println!("the first look-up of an unknown name:");
    let unknown = message(&unique("unknown"));
    let ended = world.run("notify-public-channel", &unknown).await;
    assert_eq!(ended.failure().0, "Channel.NotFound");
    assert!(PAGES.contains(&pages_given(&world).await));

    println!("three look-ups after it, of a name that is there and of two that are not:");
    let there = message("channel-12345");
    let ended = world.run("notify-public-channel", &there).await;
    assert_eq!(ended.output()["channel"]["name"], json!("channel-12345"));
    for workflow in ["notify-public-channel", "notify-public-channel"] {
        let unknown = message(&unique("unknown"));
        let ended = world.run(workflow, &unknown).await;
        assert_eq!(ended.failure().0, "Channel.NotFound");
    }
    assert_eq!(pages_given(&world).await, 0);

    println!("ten executions at once for ten unknown names:");
    world.forget_scan().await;
    let mut started = Vec::new();
    for _ in 0..10 {
        let unknown = message(&unique("unknown"));
        started.push(world.start("notify-public-channel", &unknown).await);
    }
    for arn in started {
        let ended = world.end_of(&arn).await;
        assert_eq!(ended.failure().0, "Channel.NotFound");
    }
    assert!(PAGES.contains(&pages_given(&world).await));

    world.sandbox.reset().await.unwrap();
    world.forget_scan().await;
}
