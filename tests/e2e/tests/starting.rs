//! One event, one execution.
#![allow(clippy::unwrap_used)]

use apgl_client::{Client, ExecutionName, StartError, Started};
use e2e::{World, unique};
use local_stack::execution::state_machine_arn;
use serde_json::{Value, json};

const WORKFLOW: &str = "notify-public-channel";

async fn start(world: &World, key: &str, request: &Value) -> Result<Started, StartError> {
    let client = Client::new(aws_sdk_sfn::Client::new(&world.aws));
    let name = ExecutionName::from_key("e2e", key).unwrap();
    let machine = state_machine_arn(WORKFLOW);
    client.start(&machine, &name, request).await
}

#[tokio::test]
async fn an_event_that_is_started_again_and_again_is_one_execution_and_one_message() {
    let world = World::here();
    let (channel, key) = (unique("once"), unique("event"));
    world.public_channel(&channel).await;
    let request = json!({ "channelName": channel, "message": "hello" });

    let (first, second) =
        tokio::join!(start(&world, &key, &request), start(&world, &key, &request));
    let first = first.unwrap();
    assert_eq!(first, second.unwrap());
    world.end_of(&first.execution_arn).await.output();
    // It is over, and still the same.
    assert_eq!(start(&world, &key, &request).await.unwrap(), first);
    assert_eq!(world.in_slack(&channel).await.messages.len(), 1);
}

#[tokio::test]
async fn the_same_key_with_another_request_is_a_conflict_and_starts_nothing() {
    let world = World::here();
    let (channel, key) = (unique("conflict"), unique("event"));
    world.public_channel(&channel).await;
    let request = |message| json!({ "channelName": channel, "message": message });

    let first = start(&world, &key, &request("one")).await.unwrap();
    let second = start(&world, &key, &request("two")).await.unwrap_err();
    assert!(matches!(second, StartError::Conflict { .. }), "{second}");
    world.end_of(&first.execution_arn).await.output();
    let messages = world.in_slack(&channel).await.messages;
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0].text, "one");
}
