//! Slack's rate limits, which all executions share.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use apgl_rate_limit::{RateLimits, table::Holder};
use apgl_slack::quotas::quota_named;
use e2e::{RATE_LIMITS_TABLE, World, unique};
use serde_json::json;
use slack_sandbox::faults::How;

#[tokio::test]
async fn many_concurrent_messages_to_one_channel_cause_few_refusals() {
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
    // One second of the sandbox's time lasts 50 ms here, so on a busy machine some calls still come too early.
    // `cargo xtask burst` measures how many. Without the rate limiter, most calls are refused several times.
    let calls = world.calls_with(&id).await;
    let refused = calls.iter().filter(|call| call.status == 429).count();
    assert!(refused < 12, "{refused} calls were refused");
}

#[tokio::test]
async fn stopped_executions_delay_no_later_one() {
    const STOPPED: usize = 40;
    let world = World::here();
    let channel = unique("stopped");
    let id = world.public_channel(&channel).await.id;
    let request = |n| json!({ "channelName": channel, "message": format!("message {n}") });
    let dynamodb = aws_sdk_dynamodb::Client::new(&world.aws);
    let limits = RateLimits::new(dynamodb, RATE_LIMITS_TABLE.to_owned());
    let quota = quota_named(&format!("chat.postMessage#{id}"));
    // They all wait behind 40 minutes of other calls in the sandbox's time, which is two minutes of real time.
    world.fill_queue(&id, 2_400).await;
    let mut waiting = Vec::new();
    for n in 0..STOPPED {
        waiting.push(world.start("notify-public-channel", &request(n)).await);
    }
    for execution in &waiting {
        world.is_in(execution, "WaitToPostMessage").await;
    }
    for execution in &waiting {
        world.stop(execution).await;
    }
    let is_freed = async |execution: &String| {
        let holder = Holder {
            execution_id: execution.clone(),
            step: "PostMessage",
        };
        let read = limits.read(&holder, std::slice::from_ref(&quota)).await;
        let (_, reservation) = read.unwrap().remove(0);
        reservation.is_none_or(|reservation| reservation.left() == 0)
    };
    let began = Instant::now();
    for execution in &waiting {
        while !is_freed(execution).await {
            assert!(began.elapsed() < Duration::from_mins(3), "{execution}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    let last = world
        .start("notify-public-channel", &request(STOPPED))
        .await;
    world.is_in(&last, "WaitToPostMessage").await;
    // It has the first of their slots, not a slot at the end of the queue.
    let holder = Holder {
        execution_id: last.clone(),
        step: "PostMessage",
    };
    let read = limits.read(&holder, std::slice::from_ref(&quota)).await;
    let (state, reservation) = read.unwrap().remove(0);
    let slot = reservation.unwrap().slot;
    let behind = state.tat - state.ready_at(&slot);
    assert!(behind > 30_000, "{behind} ms before the end of the queue");
    world.stop(&last).await;
}

#[tokio::test]
async fn a_refusal_of_one_execution_makes_the_others_wait_too() {
    let world = World::here();
    let channel = unique("refused");
    let id = world.public_channel(&channel).await.id;
    let request = |n| json!({ "channelName": channel, "message": format!("message {n}") });
    let refusal = How::RateLimited { retry_after: 60 };
    world
        .fault("chat.postMessage", "channel", &id, 1, refusal)
        .await;
    // The first call is refused. One minute of the sandbox's time is three seconds.
    let first = world.start("notify-public-channel", &request(0)).await;
    while world.calls_with(&id).await.is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let second = world.run("notify-public-channel", &request(1)).await;
    assert!(
        second.states().contains(&"WaitToPostMessage"),
        "{:?}",
        second.states()
    );
    second.output();
    world.end_of(&first).await.output();
    assert_eq!(world.in_slack(&channel).await.messages.len(), 2);
}

#[tokio::test]
async fn many_removals_share_their_waits() {
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
    // 25 calls run at once, then 25 after each wait. One by one they would wait up to 35 times. A refusal causes a
    // wait too.
    assert!(waits <= 25, "{waits} waits");
}
