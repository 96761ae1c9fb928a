//! One scan of Slack's channels serves all executions. Runs alone, because these tests fill the workspace and count
//! calls of the whole stack.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use e2e::{World, unique};
use serde_json::{Value, json};
use slack_sandbox::{
    Seed,
    faults::{Fault, How},
    seed::Generate,
    server::Settings,
    workspace::Pages,
};

const WORKFLOW: &str = "notify-public-channel";
const CHANNELS: usize = 20_000;
/// The first scan writes each of them into the table.
const AT_MOST: Duration = Duration::from_mins(10);
/// Slack returns at most 999 channels a page.
const PAGES: std::ops::RangeInclusive<usize> = 21..=22;

fn message(channel: &str) -> Value {
    json!({ "channelName": channel, "message": "hello" })
}

/// How many pages of the list Slack has returned since the last check.
async fn pages_given(world: &World) -> usize {
    let pages = world.call_count("conversations.list").await;
    let summary = world.sandbox.call_summary().await.unwrap();
    println!(
        "conversations.list: {pages} pages returned, {} calls in total, {} of them rate-limited",
        summary.values().map(|tally| tally.total).sum::<u64>(),
        summary
            .values()
            .map(|tally| tally.rate_limited)
            .sum::<u64>()
    );
    world.sandbox.clear_calls().await.unwrap();
    pages
}

/// Fills the workspace with only these channels, `channel-0` and so on. Our table does not know them yet.
async fn workspace_with(world: &World, channels: usize, pages: Pages) {
    world.sandbox.reset().await.unwrap();
    let seed = Seed {
        generate: Generate {
            channels,
            ..Generate::default()
        },
        ..Seed::default()
    };
    world.seed(seed).await;
    let settings = Settings {
        pages: Some(pages),
        ..Settings::default()
    };
    world.sandbox.change_settings(&settings).await.unwrap();
    world.forget_scan().await;
    world.sandbox.clear_calls().await.unwrap();
}

/// Resets the workspace for the following tests.
async fn clean_up(world: &World) {
    world.sandbox.reset().await.unwrap();
    world.forget_scan().await;
}

fn pages_of(size: usize) -> Pages {
    Pages {
        max_size: Some(size),
        ..Pages::default()
    }
}

/// Makes Slack return an error once, after `pages_before` correct pages.
async fn refuse_page(world: &World, pages_before: u64, code: &str) {
    let refused = How::refused(code);
    let fault = Fault::new("conversations.list", refused)
        .skip(pages_before)
        .times(1);
    world.sandbox.add_fault(&fault).await.unwrap();
}

#[tokio::test]
async fn twenty_thousand_channels_are_scanned_once_for_all_executions() {
    let world = World::here();
    workspace_with(&world, CHANNELS, Pages::default()).await;

    println!("the first look-up of an unknown name:");
    let unknown = message(&unique("unknown"));
    let first = world.start(WORKFLOW, &unknown).await;
    let ended = world.end_within(&first, AT_MOST).await;
    assert_eq!(ended.failure().0, "Channel.NotFound");
    assert!(PAGES.contains(&pages_given(&world).await));

    println!("three more look-ups, of an existing name and of two unknown ones:");
    let existing = message("channel-12345");
    let ended = world.run(WORKFLOW, &existing).await;
    assert_eq!(ended.output()["channel"]["name"], json!("channel-12345"));
    for _ in 0..2 {
        let unknown = message(&unique("unknown"));
        let ended = world.run(WORKFLOW, &unknown).await;
        assert_eq!(ended.failure().0, "Channel.NotFound");
    }
    assert_eq!(pages_given(&world).await, 0);

    println!("ten executions at once for ten unknown names:");
    world.forget_scan().await;
    let mut started = Vec::new();
    for _ in 0..10 {
        let unknown = message(&unique("unknown"));
        started.push(world.start(WORKFLOW, &unknown).await);
    }
    for arn in started {
        let ended = world.end_of(&arn).await;
        assert_eq!(ended.failure().0, "Channel.NotFound");
    }
    assert!(PAGES.contains(&pages_given(&world).await));

    clean_up(&world).await;
}

#[tokio::test]
async fn a_short_or_empty_page_is_not_the_end() {
    let world = World::here();
    workspace_with(
        &world,
        30,
        Pages {
            empty_between: true,
            ..pages_of(7)
        },
    )
    .await;

    let last = message("channel-29");
    let ended = world.run(WORKFLOW, &last).await;

    assert_eq!(ended.output()["channel"]["name"], json!("channel-29"));
    assert!(pages_given(&world).await > 30 / 7 + 1);
    clean_up(&world).await;
}

#[tokio::test]
async fn an_execution_finishes_a_scan_that_another_left() {
    let world = World::here();
    workspace_with(&world, 30, pages_of(5)).await;
    // Three pages, then an error that fails the execution.
    refuse_page(&world, 3, "ekm_access_denied").await;

    let last = message("channel-29");
    let ended = world.run(WORKFLOW, &last).await;
    assert_eq!(ended.failure().0, "Slack.Unauthorized");
    let ended = world.run(WORKFLOW, &last).await;
    ended.output();

    // The six pages, each once, and the error.
    assert_eq!(pages_given(&world).await, 7);
    clean_up(&world).await;
}

#[tokio::test]
async fn a_cursor_that_slack_no_longer_knows_restarts_the_scan() {
    let world = World::here();
    workspace_with(&world, 30, pages_of(10)).await;
    refuse_page(&world, 2, "invalid_cursor").await;

    let ended = world.run(WORKFLOW, &message("channel-29")).await;
    ended.output();

    // Two pages and the error, then the three pages.
    assert_eq!(pages_given(&world).await, 6);
    clean_up(&world).await;
}
