//! The token: in a program of its own, one test after the other, since the token is everybody's.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use aws_sdk_secretsmanager::Client;
use e2e::{World, unique};
use local_stack::TOKEN;
use serde_json::json;
use slack_sandbox::{calls::Call, seed::TokenSeed};
use tokio::{sync::Mutex, time::sleep};

const WORKFLOW: &str = "notify-public-channel";
static ALONE: Mutex<()> = Mutex::const_new(());

#[tokio::test]
async fn a_revoked_token_fails_the_task_and_a_new_one_is_taken_up_at_once() {
    let _alone = ALONE.lock().await;
    let world = World::here();
    let channel = unique("token");
    world.public_channel(&channel).await;
    let request = json!({ "channelName": channel, "message": "hello" });

    world.sandbox.revoke_token(TOKEN).await.unwrap();
    let ended = world.run(WORKFLOW, &request).await;

    let (error, cause) = ended.failure();
    assert_eq!(error, "Slack.Unauthorized");
    assert!(
        cause["errorMessage"]
            .as_str()
            .unwrap()
            .contains("token_revoked")
    );
    // The Task itself failed, so that a redrive goes on from it.
    assert_eq!(ended.last_state(), "FindChannel");
    assert_eq!(world.in_slack(&channel).await.messages, []);

    let replacement = "xoxb-replacement";
    accept(&world, replacement).await;
    put_token(&world, replacement).await;
    world.run(WORKFLOW, &request).await.output();
    assert_eq!(world.in_slack(&channel).await.messages.len(), 1);

    accept(&world, TOKEN).await;
    put_token(&world, TOKEN).await;
}

#[tokio::test]
async fn a_token_that_is_replaced_and_revoked_in_the_middle_of_a_burst_fails_no_delivery() {
    const CHANNELS: usize = 8;
    const MESSAGES: usize = 8;
    let _alone = ALONE.lock().await;
    let world = World::here();
    let channels: Vec<String> = (0..CHANNELS).map(|_| unique("rotation")).collect();
    for channel in &channels {
        world.public_channel(channel).await;
        // So that every function that the burst needs is warm, and has the old token.
        let first = json!({ "channelName": channel, "message": "first" });
        world.run(WORKFLOW, &first).await.output();
    }
    let posted = async || {
        let mut posted = 0;
        for channel in &channels {
            posted += world.in_slack(channel).await.messages.len() - 1;
        }
        posted
    };

    let mut executions = Vec::new();
    for message in 0..MESSAGES {
        for channel in &channels {
            let request = json!({ "channelName": channel, "message": format!("{message}") });
            executions.push(world.start(WORKFLOW, &request).await);
        }
    }
    while posted().await < CHANNELS {
        sleep(Duration::from_millis(20)).await;
    }
    let replacement = "xoxb-rotated";
    accept(&world, replacement).await;
    put_token(&world, replacement).await;
    world.sandbox.revoke_token(TOKEN).await.unwrap();
    let before = posted().await;
    assert!(before < CHANNELS * MESSAGES, "the burst was over before");

    for execution in executions {
        world.end_of(&execution).await.output();
    }
    for channel in &channels {
        let messages = world.in_slack(channel).await.messages;
        let mut texts: Vec<&str> = messages.iter().map(|one| one.text.as_str()).collect();
        texts.sort_unstable();
        assert_eq!(texts, ["0", "1", "2", "3", "4", "5", "6", "7", "first"]);
    }
    // The old token was in use, and its refusal noticed.
    let calls = world.sandbox.calls().await.unwrap();
    let is_refusal = |call: &Call| call.error.as_deref() == Some("token_revoked");
    assert!(calls.iter().any(is_refusal));

    accept(&world, TOKEN).await;
    put_token(&world, TOKEN).await;
}

/// Slack takes the token from now on, beside those that it takes already.
async fn accept(world: &World, token: &str) {
    let token = TokenSeed::new(token);
    world.sandbox.add_token(&token).await.unwrap();
}

async fn put_token(world: &World, token: &str) {
    let secrets = Client::new(&world.aws);
    let put = secrets
        .put_secret_value()
        .secret_id("apgl/slack-api-token")
        .secret_string(token);
    put.send().await.unwrap();
}
