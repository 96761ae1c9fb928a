//! One event, one execution: what a handler gets from the client crate.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use apgl_client::{
    ChangeChannelMembers, CheckChannelExists, Client, CreateChannel, DeleteChannel, ErrorName,
    NotifyPrivateChannel, NotifyPublicChannel, Operation, StartError, StateMachineArn,
    StateMachines, Visibility, WaitError, outcome::SkipReason,
};
use e2e::{World, aws_cli::aws, unique};
use local_stack::execution::{state_machine_arn, state_machines};
use serde_json::json;

const AT_MOST: Duration = Duration::from_mins(3);

fn client(world: &World) -> Client {
    let machines = StateMachines::starting_with(&state_machines()).unwrap();
    Client::new(aws_sdk_sfn::Client::new(&world.aws), machines, "e2e").unwrap()
}

#[tokio::test]
async fn an_event_started_repeatedly_is_one_execution_and_one_message() {
    let world = World::here();
    let (client, channel, key) = (client(&world), unique("once"), unique("event"));
    world.public_channel(&channel).await;
    let request = NotifyPublicChannel::new(&channel, "hello");

    let (first, second) = tokio::join!(
        client.notify_public_channel(&key, &request),
        client.notify_public_channel(&key, &request)
    );
    let first = first.unwrap();
    assert_eq!(first.arn(), second.unwrap().arn());
    let outcome = first.wait(AT_MOST).await.unwrap();
    // The execution has finished, and the result is still the same.
    let third = client.notify_public_channel(&key, &request).await.unwrap();
    assert_eq!(third.wait(AT_MOST).await, Ok(outcome));
    assert_eq!(world.in_slack(&channel).await.messages.len(), 1);
}

/// A copy of the workflow's state machine with a version and the alias `live`, which the local stack does not
/// deploy.
async fn released_copy(world: &World, operation: Operation) -> StateMachineArn {
    let copy = world.copy_of(operation.as_str(), |definition| definition);
    let arn = state_machine_arn(&copy.await);
    let publish = [
        "stepfunctions",
        "publish-state-machine-version",
        "--state-machine-arn",
    ];
    let version = aws(&world.aws, &[&publish[..], &[&arn]].concat()).await;
    let version = version["stateMachineVersionArn"].as_str().unwrap();
    let routing = json!([{ "stateMachineVersionArn": version, "weight": 100 }]).to_string();
    let create = [
        "stepfunctions",
        "create-state-machine-alias",
        "--name",
        "live",
    ];
    let create = [&create[..], &["--routing-configuration", &routing]].concat();
    aws(&world.aws, &create).await;
    StateMachineArn::new(&arn).unwrap()
}

#[tokio::test]
async fn an_event_started_by_an_alias_is_one_execution_of_the_state_machine_itself() {
    let world = World::here();
    let (channel, key) = (unique("alias"), unique("event"));
    world.public_channel(&channel).await;
    let machine = released_copy(&world, Operation::NotifyPublicChannel).await;
    let machines = StateMachines::default()
        .with(Operation::NotifyPublicChannel, machine.clone())
        .by_alias("live")
        .unwrap();
    let client = Client::new(aws_sdk_sfn::Client::new(&world.aws), machines, "e2e").unwrap();
    let request = |message: &str| NotifyPublicChannel::new(&channel, message);

    let first = client.notify_public_channel(&key, &request("one")).await;
    let first = first.unwrap();
    let start = machine.as_str().replace(":stateMachine:", ":execution:");
    assert!(
        first.arn().starts_with(&format!("{start}:e2e-")),
        "{first:?}"
    );
    first.wait(AT_MOST).await.unwrap();
    let second = client.notify_public_channel(&key, &request("one")).await;
    assert_eq!(second.unwrap().arn(), first.arn());
    let other = client.notify_public_channel(&key, &request("two")).await;
    assert!(matches!(other, Err(StartError::Conflict { .. })));
    assert_eq!(world.in_slack(&channel).await.messages.len(), 1);
}

#[tokio::test]
async fn the_same_key_with_another_request_is_a_conflict_and_starts_nothing() {
    let world = World::here();
    let (client, channel, key) = (client(&world), unique("conflict"), unique("event"));
    world.public_channel(&channel).await;
    let request = |message: &str| NotifyPublicChannel::new(&channel, message);

    let first = client.notify_public_channel(&key, &request("one")).await;
    let second = client.notify_public_channel(&key, &request("two")).await;
    let second = second.unwrap_err();
    assert!(matches!(second, StartError::Conflict { .. }), "{second}");
    first.unwrap().wait(AT_MOST).await.unwrap();
    let messages = world.in_slack(&channel).await.messages;
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0].text, "one");
}

#[tokio::test]
async fn each_operation_has_its_method_and_its_outcome() {
    let world = World::here();
    let (client, channel) = (client(&world), unique("operations"));
    let (ana, bob) = (
        world.person("ana", Some(true)).await,
        world.person("bob", Some(false)).await,
    );

    let request = CreateChannel::new(&channel)
        .visibility(Visibility::Private)
        .members([&ana, &bob])
        .topic("about");
    let created = client.create_channel(&channel, &request).await.unwrap();
    let created = created.wait(AT_MOST).await.unwrap();
    assert!(created.channel.created);
    assert_eq!(created.members.invited[0].as_str(), ana);
    assert_eq!(created.members.skipped[0].reason, SkipReason::OptedOut);

    let request = NotifyPrivateChannel::new(&channel, "hello").members([&ana]);
    let notified = client.notify_private_channel(&channel, &request).await;
    let notified = notified.unwrap().wait(AT_MOST).await.unwrap();
    assert_eq!(notified.channel.id, created.channel.id);
    assert_eq!(notified.members.already_members[0].as_str(), ana);

    let request = ChangeChannelMembers::new(&channel).remove_members([&ana]);
    let changed = client.change_channel_members(&channel, &request).await;
    let changed = changed.unwrap().wait(AT_MOST).await.unwrap();
    assert_eq!(changed.members.removed[0].as_str(), ana);

    let request = DeleteChannel::new(&channel);
    let deleted = client.delete_channel(&channel, &request).await.unwrap();
    assert!(deleted.wait(AT_MOST).await.unwrap().deleted);

    let request = CheckChannelExists::new(&channel);
    let checked = client.check_channel_exists(&channel, &request).await;
    assert!(!checked.unwrap().wait(AT_MOST).await.unwrap().exists);
}

#[tokio::test]
async fn a_failure_is_typed() {
    let world = World::here();
    let request = NotifyPublicChannel::new(unique("nowhere"), "hello");
    let started = client(&world)
        .notify_public_channel(&unique("event"), &request)
        .await;
    let end = started.unwrap().wait(AT_MOST).await;
    let Err(WaitError::Failed(failure)) = end else {
        panic!("the channel does not exist: {end:?}");
    };
    assert_eq!(failure.name(), Some(ErrorName::ChannelNotFound));
    assert!(failure.can_be_redriven());

    let channel = unique("theirs");
    world.public_channel(&channel).await;
    let request = DeleteChannel::new(&channel);
    let started = client(&world).delete_channel(&channel, &request).await;
    let end = started.unwrap().wait(AT_MOST).await;
    let Err(WaitError::Failed(failure)) = end else {
        panic!("the bot has not created the channel: {end:?}");
    };
    assert_eq!(failure.name(), Some(ErrorName::ChannelNotOurs));
    assert!(!failure.can_be_redriven());
}

#[tokio::test]
async fn the_state_machines_of_a_deployment_are_found_by_its_prefix() {
    let world = World::here();
    let sfn = aws_sdk_sfn::Client::new(&world.aws);
    let found = StateMachines::find(&sfn, "apgl").await.unwrap();
    assert_eq!(Some(found), StateMachines::starting_with(&state_machines()));
    let error = StateMachines::find(&sfn, "other").await.unwrap_err();
    assert!(error.to_string().contains("other-<workflow>"), "{error}");
}

#[tokio::test]
async fn a_request_that_is_json_already_is_checked_too() {
    let world = World::here();
    let request = json!({ "channelName": unique("x"), "message": "hi", "members": ["nobody"] });
    let refused = client(&world)
        .start(Operation::NotifyPrivateChannel, &unique("event"), &request)
        .await;
    let error = refused.unwrap_err();
    assert_eq!(
        error.to_string(),
        "members[0]: must be an e-mail address such as ana@example.com"
    );
}
