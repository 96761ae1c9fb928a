//! Slack's limits, shared out: in the table, and as Slack sees it.
#![allow(clippy::unwrap_used)]

use std::{collections::BTreeSet, sync::Arc};

use apgl_stores::{Pace, Pacing, Table};
use e2e::{World, unique};
use serde_json::json;
use slack_sandbox::faults::How;

const NOW: u64 = 1_000_000;

fn pacing(world: &World) -> Pacing {
    let client = aws_sdk_dynamodb::Client::new(&world.aws);
    Pacing::new(Table::new(client, "apgl-pacing".to_owned()))
}

/// A call every second, two at once after a rest.
fn pace(limit: &str) -> Pace<'_> {
    Pace {
        limit,
        interval: 1_000,
        tolerance: 1_000,
    }
}

#[tokio::test]
async fn after_a_burst_turns_come_at_the_interval() {
    let (pacing, limit) = (pacing(&World::here()), unique("limit"));
    let mut turns = Vec::new();
    for _ in 0..4 {
        turns.push(pacing.take_turns(pace(&limit), 1, NOW).await.unwrap().at - NOW);
    }
    assert_eq!(turns, [0, 0, 1_000, 2_000]);
    // Nobody came for long, and a burst is possible again.
    let later = NOW + 60_000;
    for _ in 0..2 {
        let turn = pacing.take_turns(pace(&limit), 1, later).await.unwrap();
        assert_eq!(turn.at, later);
    }
}

#[tokio::test]
async fn turns_for_many_calls_come_when_the_last_of_them_does() {
    let (pacing, limit) = (pacing(&World::here()), unique("limit"));
    let many = pacing.take_turns(pace(&limit), 5, NOW).await.unwrap();
    assert_eq!((many.calls, many.at), (5, NOW + 3_000));
    let next = pacing.take_turns(pace(&limit), 1, NOW).await.unwrap();
    assert_eq!(next.at, NOW + 4_000);
}

#[tokio::test]
async fn no_two_who_come_at_the_same_time_have_the_same_turn() {
    let (pacing, limit) = (Arc::new(pacing(&World::here())), unique("limit"));
    let takers: Vec<_> = (0..30)
        .map(|_| {
            let (pacing, limit) = (pacing.clone(), limit.clone());
            tokio::spawn(async move { pacing.take_turns(pace(&limit), 1, NOW).await.unwrap().at })
        })
        .collect();
    let mut turns = BTreeSet::new();
    for taker in takers {
        turns.insert(taker.await.unwrap());
    }
    // The first two of the burst come at once.
    assert_eq!(turns.len(), 29);
    assert_eq!(turns.last(), Some(&(NOW + 28_000)));
}

#[tokio::test]
async fn a_refusal_holds_up_those_who_come_and_those_who_have_their_turn() {
    let (pacing, limit) = (pacing(&World::here()), unique("limit"));
    let mut turn = pacing.take_turns(pace(&limit), 1, NOW).await.unwrap();
    for _ in 0..3 {
        turn = pacing.take_turns(pace(&limit), 1, NOW).await.unwrap();
    }
    assert_eq!(turn.at, NOW + 2_000);

    let until = NOW + 10_000;
    let refused = pacing.hold_up(pace(&limit), 1, NOW, until).await.unwrap();
    assert_eq!(refused.at, NOW + 13_000);
    // Another call that was refused at the same time holds nobody up for longer.
    let other = pacing.hold_up(pace(&limit), 1, NOW, until).await.unwrap();
    assert_eq!(other.at, NOW + 14_000);

    let moved = pacing.moved(turn).await.unwrap();
    assert_eq!(moved.at, NOW + 12_000);
    // It has moved already.
    assert_eq!(pacing.moved(moved.clone()).await.unwrap(), moved);
    let next = pacing.take_turns(pace(&limit), 1, NOW).await.unwrap();
    assert_eq!(next.at, NOW + 15_000);
}

#[tokio::test]
async fn a_refusal_of_a_limit_that_nobody_waits_for_ends_its_burst() {
    let (pacing, limit) = (pacing(&World::here()), unique("limit"));
    let until = NOW + 5_000;
    let refused = pacing.hold_up(pace(&limit), 1, NOW, until).await.unwrap();
    assert_eq!(refused.at, until);
    for n in 1..4 {
        let turn = pacing.take_turns(pace(&limit), 1, NOW).await.unwrap();
        assert_eq!(turn.at, until + n * 1_000);
    }
}

#[tokio::test]
async fn calls_that_were_refused_together_have_their_turns_together() {
    let (pacing, limit) = (pacing(&World::here()), unique("limit"));
    let until = NOW + 5_000;
    let refused = pacing.hold_up(pace(&limit), 3, NOW, until).await.unwrap();
    assert_eq!((refused.calls, refused.at), (3, until + 2_000));
    let next = pacing.take_turns(pace(&limit), 1, NOW).await.unwrap();
    assert_eq!(next.at, until + 3_000);
}

#[tokio::test]
async fn many_messages_to_one_channel_at_once_are_not_a_storm_of_refusals() {
    let world = World::here();
    let channel = unique("busy");
    let id = world.public_channel(&channel).await.id;
    let request = |n| json!({ "channelName": channel, "message": format!("message {n}") });
    world
        .run("notify-public-channel", &request(0))
        .await
        .output();
    let mut executions = Vec::new();
    for n in 1..=12 {
        executions.push(world.start("notify-public-channel", &request(n)).await);
    }
    for arn in executions {
        world.end_of(&arn).await.output();
    }
    assert_eq!(world.in_slack(&channel).await.messages.len(), 13);
    // A second of the sandbox's lasts 50 ms here, so a busy machine makes some calls come too early all
    // the same: `cargo xtask burst` measures how many. Without turns most are refused several times.
    let calls = world.calls_with(&id).await;
    let refused = calls.iter().filter(|call| call.status == 429).count();
    assert!(refused < 12, "{refused} calls were refused");
}

#[tokio::test]
async fn what_slack_refuses_one_execution_the_others_wait_for_too() {
    let world = World::here();
    let channel = unique("refused");
    let id = world.public_channel(&channel).await.id;
    let request = |n| json!({ "channelName": channel, "message": format!("message {n}") });
    let refusal = How::RateLimited { retry_after: 60 };
    world
        .fault("chat.postMessage", "channel", &id, 1, refusal)
        .await;
    // The first one is refused. A minute of the sandbox's is three seconds.
    let first = world.start("notify-public-channel", &request(0)).await;
    while world.calls_with(&id).await.is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let second = world.run("notify-public-channel", &request(1)).await;
    assert!(
        second.states().contains(&"WaitToPost"),
        "{:?}",
        second.states()
    );
    second.output();
    world.end_of(&first).await.output();
    assert_eq!(world.in_slack(&channel).await.messages.len(), 2);
}

#[tokio::test]
async fn many_removals_wait_for_their_turns_together() {
    let world = World::here();
    let channel = unique("removals");
    let people = world.people("leaving", 60).await;
    let members: Vec<&str> = people.iter().map(String::as_str).collect();
    world.private_channel(&channel, &members).await;
    let request = json!({ "channelName": channel, "remove": people });
    let ended = world.run("change-channel-members", &request).await;
    assert_eq!(ended.output()["members"]["removed"], json!(people));
    let states = ended.states();
    let waits = states
        .iter()
        .filter(|state| **state == "WaitToRemoveMembers")
        .count();
    // 25 at once, and then 25 for each wait; one by one they would wait up to 35 times.
    assert!(waits <= 8, "{waits} waits");
}
