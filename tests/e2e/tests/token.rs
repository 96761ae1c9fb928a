//! The token: one test, in a program of its own, since the token is everybody's.
#![allow(clippy::unwrap_used)]

use aws_sdk_secretsmanager::Client;
use e2e::{World, unique};
use local_stack::TOKEN;
use serde_json::json;
use slack_sandbox::seed::TokenSeed;

const WORKFLOW: &str = "notify-public-channel";

#[tokio::test]
async fn a_revoked_token_fails_the_task_and_a_new_one_is_taken_up_at_once() {
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
    world
        .sandbox
        .add_token(&TokenSeed::new(replacement))
        .await
        .unwrap();
    put_token(&world, replacement).await;
    world.run(WORKFLOW, &request).await.output();
    assert_eq!(world.in_slack(&channel).await.messages.len(), 1);

    world
        .sandbox
        .add_token(&TokenSeed::new(TOKEN))
        .await
        .unwrap();
    put_token(&world, TOKEN).await;
}

async fn put_token(world: &World, token: &str) {
    let secrets = Client::new(&world.aws);
    let put = secrets
        .put_secret_value()
        .secret_id("apgl/slack-api-token")
        .secret_string(token);
    put.send().await.unwrap();
}
