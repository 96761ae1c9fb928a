//! Exactly-once delivery: a redrive of a failed post, and two copies of one invocation.
#![allow(clippy::unwrap_used)]

use e2e::{Ended, World, unique};
use local_stack::invoke::{Answer, invoke, post_message_payload};
use serde_json::{Value, json};
use slack_sandbox::{
    admin::ChannelState,
    faults::{Effect, How},
};

const WORKFLOW: &str = "notify-public-channel";

fn payload(execution_id: &str, channel: &ChannelState) -> Value {
    post_message_payload(execution_id, WORKFLOW, channel, "hello all")
}

async fn failed_with_a_fixable_error(world: &World, channel: &str) -> Ended {
    let request = json!({ "channelName": channel, "message": "hello all" });
    let ended = world.run(WORKFLOW, &request).await;
    assert_eq!(ended.failure().0, "Slack.Unauthorized");
    assert_eq!(ended.last_state(), "PostMessage");
    ended
}

fn is_duplicate(answer: &Answer) -> bool {
    let Answer::Outcome(outcome) = answer else {
        panic!("the step must succeed: {answer:?}");
    };
    outcome["duplicate"] == true
}

#[tokio::test]
async fn a_redrive_posts_an_unposted_message_once() {
    let world = World::here();
    let name = unique("redriven");
    let channel = world.public_channel(&name).await;
    let refused = How::refused("not_allowed_token_type");
    world
        .fault("chat.postMessage", "channel", &channel.id, 1, refused)
        .await;
    let ended = failed_with_a_fixable_error(&world, &name).await;
    assert_eq!(world.in_slack(&name).await.messages, []);

    let redriven = world.redrive(&ended.execution.arn).await;
    assert_eq!(redriven.output()["message"]["duplicate"], false);
    let payload = payload(&ended.execution.arn, &channel);
    let copy = invoke(&world.aws, "post-message", &payload).await.unwrap();
    assert!(is_duplicate(&copy));
    assert_eq!(world.in_slack(&name).await.messages.len(), 1);
}

#[tokio::test]
async fn a_redrive_finds_a_message_whose_attempt_got_no_response() {
    let world = World::here();
    let name = unique("found");
    let channel = world.public_channel(&name).await;
    let reset = How::Reset {
        effect: Effect::Done,
    };
    world
        .fault("chat.postMessage", "channel", &channel.id, 1, reset)
        .await;
    // The bot lacks the scope to read the channel. An operator fixes that by adding it to the app.
    let refused = How::refused("missing_scope");
    world
        .fault("conversations.history", "channel", &channel.id, 1, refused)
        .await;
    let ended = failed_with_a_fixable_error(&world, &name).await;

    let redriven = world.redrive(&ended.execution.arn).await;
    assert_eq!(redriven.output()["message"]["duplicate"], true);
    assert_eq!(world.in_slack(&name).await.messages.len(), 1);
}

#[tokio::test]
async fn two_concurrent_copies_of_an_invocation_post_once() {
    let world = World::here();
    let name = unique("copies");
    let channel = world.public_channel(&name).await;
    world
        .fault(
            "chat.postMessage",
            "channel",
            &channel.id,
            1,
            How::Slow { millis: 2_000 },
        )
        .await;
    let payload = payload(&unique("execution"), &channel);
    let copy = || invoke(&world.aws, "post-message", &payload);
    let is_limited = |answer: &Answer| matches!(answer, Answer::Failure { error, .. } if error == "Slack.RateLimited");
    let answers = loop {
        let (first, second) = tokio::join!(copy(), copy());
        let answers = [first.unwrap(), second.unwrap()];
        // When Slack rate-limits another test, all posts are delayed.
        if !answers.iter().any(is_limited) {
            break answers;
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    };
    let posted = |answer: &&Answer| matches!(answer, Answer::Outcome(_));
    assert_eq!(answers.iter().filter(posted).count(), 1, "{answers:?}");
    let waits = |answer: &Answer| matches!(answer, Answer::Failure { error, .. } if error == "Delivery.InProgress");
    assert!(answers.iter().any(waits), "{answers:?}");
    assert_eq!(world.in_slack(&name).await.messages.len(), 1);
}
