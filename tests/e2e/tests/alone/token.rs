//! The token, which all executions share.
#![allow(clippy::unwrap_used)]

use std::{ops::Range, time::Duration};

use aws_sdk_secretsmanager::Client;
use e2e::{World, apgl::apgl, filter_patterns, unique};
use local_stack::{TOKEN, function_logs};
use serde_json::json;
use slack_sandbox::{calls::Call, seed::TokenSeed};
use tokio::time::{Instant, sleep};

const WORKFLOW: &str = "notify-public-channel";

#[tokio::test]
async fn a_revoked_token_fails_the_task_and_a_new_one_is_used_at_once() {
    let world = World::here();
    let channel = unique("token");
    world.public_channel(&channel).await;
    let request = json!({ "channelName": channel, "message": "hello" });

    world.sandbox.revoke_token(TOKEN).await.unwrap();
    let ended = world.run(WORKFLOW, &request).await;

    let (error, cause) = ended.failure();
    assert_eq!(error, "Slack.Unauthorized");
    assert!(cause["message"].as_str().unwrap().contains("token_revoked"));
    // The Task itself failed, so a redrive continues from it.
    assert_eq!(ended.last_state(), "FindChannel");
    assert_eq!(world.in_slack(&channel).await.messages, []);

    let replacement = "xoxb-replacement";
    accept(&world, replacement).await;
    put_token(&world, replacement).await;
    world.run(WORKFLOW, &request).await.output();
    assert_eq!(world.in_slack(&channel).await.messages.len(), 1);

    restore(&world, replacement).await;
}

#[tokio::test]
async fn a_token_replaced_and_revoked_during_a_burst_fails_no_delivery() {
    const CHANNELS: usize = 8;
    let world = World::here();
    // Makes each function read the old token now: the token before it is rejected.
    let (old, new) = ("xoxb-rotation-old", "xoxb-rotation-new");
    accept(&world, old).await;
    put_token(&world, old).await;
    world.sandbox.revoke_token(TOKEN).await.unwrap();
    let channels: Vec<String> = (0..CHANNELS).map(|_| unique("rotation")).collect();
    for channel in &channels {
        world.public_channel(channel).await;
        let first = json!({ "channelName": channel, "message": "first" });
        world.run(WORKFLOW, &first).await.output();
    }
    let start = async |messages: Range<usize>| {
        let mut started = Vec::new();
        for message in messages {
            for channel in &channels {
                let request = json!({ "channelName": channel, "message": format!("{message}") });
                started.push(world.start(WORKFLOW, &request).await);
            }
        }
        started
    };

    let mut executions = start(0..4).await;
    let earlier = world.sandbox.calls().await.unwrap();
    let earlier = earlier.last().map_or(0, |call| call.seq);
    accept(&world, new).await;
    put_token(&world, new).await;
    world.sandbox.revoke_token(old).await.unwrap();
    executions.extend(start(4..8).await);

    for execution in executions {
        world.end_of(&execution).await.output();
    }
    for channel in &channels {
        let messages = world.in_slack(channel).await.messages;
        let mut texts: Vec<&str> = messages.iter().map(|one| one.text.as_str()).collect();
        texts.sort_unstable();
        assert_eq!(texts, ["0", "1", "2", "3", "4", "5", "6", "7", "first"]);
    }
    // The old token was in use, and its rejection was noticed.
    let calls = world.sandbox.calls().await.unwrap();
    let is_refusal =
        |call: &Call| call.seq > earlier && call.error.as_deref() == Some("token_revoked");
    assert!(calls.iter().any(is_refusal));

    restore(&world, new).await;
}

#[tokio::test]
async fn a_token_revoked_before_its_replacement_loses_nothing_that_is_redriven() {
    let world = World::here();
    let channel = unique("late");
    world.public_channel(&channel).await;
    // Afterwards our table knows the channel, so the post is the first call that Slack rejects.
    let request = json!({ "channelName": channel, "message": "first" });
    world.run(WORKFLOW, &request).await.output();

    world.sandbox.revoke_token(TOKEN).await.unwrap();
    let request = json!({ "channelName": channel, "message": "hello" });
    let ended = world.run(WORKFLOW, &request).await;
    assert_eq!(ended.failure().0, "Slack.Unauthorized");
    assert_eq!(ended.last_state(), "PostMessage");
    let lines = function_logs(&world.aws).await.unwrap();
    let mut lines = lines
        .iter()
        .filter(|line| line.contains(&ended.execution.arn));
    let filters = filter_patterns::deployed(&world.aws).await;
    let rejections = filters
        .iter()
        .find(|filter| filter.metric == "TokenRejections");
    assert!(lines.any(|line| rejections.unwrap().counts(line)));

    let replacement = "xoxb-belated";
    accept(&world, replacement).await;
    put_token(&world, replacement).await;
    let redriven = world.redrive(&ended.execution.arn).await;
    assert_eq!(redriven.output()["message"]["duplicate"], false);
    let messages = world.in_slack(&channel).await.messages;
    let texts: Vec<&str> = messages.iter().map(|one| one.text.as_str()).collect();
    assert_eq!(texts, ["first", "hello"]);

    restore(&world, replacement).await;
}

#[tokio::test]
async fn a_new_token_is_in_use_within_a_minute_while_slack_still_accepts_the_old_one() {
    let world = World::here();
    let channels: Vec<String> = (0..4).map(|_| unique("minute")).collect();
    for channel in &channels {
        world.public_channel(channel).await;
    }
    // All at the same time, so that several environments are warm and have the old token.
    let burst = async |message: &str| {
        let mut executions = Vec::new();
        for channel in &channels {
            let request = json!({ "channelName": channel, "message": message });
            executions.push(world.start(WORKFLOW, &request).await);
        }
        for execution in executions {
            world.end_of(&execution).await.output();
        }
    };
    let posts_by = async |message: &str| {
        let calls = world.sandbox.calls().await.unwrap();
        let mut ends = Vec::new();
        for channel in &channels {
            let id = world.in_slack(channel).await.id;
            let is_post = |call: &&Call| {
                let argument = |name: &str| call.arguments.get(name).map(String::as_str);
                call.method == "chat.postMessage"
                    && argument("channel") == Some(&id)
                    && argument("text") == Some(message)
            };
            ends.extend(
                calls
                    .iter()
                    .filter(is_post)
                    .map(|call| call.token_end.clone()),
            );
        }
        ends
    };

    // Makes each environment read the old token now: the token before it is rejected.
    let (old, new) = ("xoxb-minutes-old1", "xoxb-minutes-new1");
    accept(&world, old).await;
    put_token(&world, old).await;
    world.sandbox.revoke_token(TOKEN).await.unwrap();
    burst("before").await;

    accept(&world, new).await;
    put_token(&world, new).await;
    let stored = Instant::now();
    burst("at once").await;
    // Otherwise there would be nothing to wait for, and the test would prove nothing.
    assert!(posts_by("at once").await.contains(&end(old)));

    sleep(Duration::from_secs(46).saturating_sub(stored.elapsed())).await;
    burst("later").await;
    let later = posts_by("later").await;
    assert!(later.len() >= channels.len(), "{later:?}");
    assert!(later.iter().all(|used| *used == end(new)), "{later:?}");
    world.sandbox.revoke_token(old).await.unwrap();
    restore(&world, new).await;
}

#[tokio::test]
async fn the_doctor_refuses_a_persons_token() {
    let world = World::here();
    let person = "xoxp-person";
    accept(&world, person).await;
    put_token(&world, person).await;
    let output = apgl(&world, &["doctor"]).await;
    restore(&world, person).await;
    assert_eq!(output.status.code(), Some(1));
    let shown = String::from_utf8(output.stdout).unwrap();
    let line = "✗ token: Slack accepts it, but it is not a bot's";
    assert!(shown.contains(line), "{shown}");
    assert!(!shown.contains(person));
}

fn end(token: &str) -> Option<String> {
    token.get(token.len() - 4..).map(str::to_owned)
}

/// Makes Slack accept the token, in addition to the tokens that it accepts already.
async fn accept(world: &World, token: &str) {
    let token = TokenSeed::new(token);
    world.sandbox.add_token(&token).await.unwrap();
}

/// Restores the shared token. The other token is revoked: an environment that could still use it would not notice
/// when the next test revokes the shared one.
async fn restore(world: &World, replacement: &str) {
    accept(world, TOKEN).await;
    put_token(world, TOKEN).await;
    world.sandbox.revoke_token(replacement).await.unwrap();
}

async fn put_token(world: &World, token: &str) {
    let secrets = Client::new(&world.aws);
    let put = secrets
        .put_secret_value()
        .secret_id("apgl/slack-api-token")
        .secret_string(token);
    put.send().await.unwrap();
}
