//! `notify-person`: what a caller gets and what the person sees afterwards.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use apgl_client::{Client, NotifyPerson, StateMachines};
use aws_sdk_dynamodb::types::AttributeValue;
use e2e::{SLACK_USERS_TABLE, World, unique};
use local_stack::execution::state_machines;
use serde_json::{Value, json};
use slack_sandbox::admin::ChannelState;

const WORKFLOW: &str = "notify-person";
/// The states of an execution without waits that posts.
const STATES: [&str; 6] = [
    "CheckRequest",
    "FilterByPreference",
    "ResolveUsers",
    "OpenConversation",
    "PostIfOpened",
    "PostMessage",
];

fn request(email: &str) -> Value {
    json!({ "email": email, "message": "your article is waiting" })
}

fn texts(direct_message: &ChannelState) -> Vec<&str> {
    let messages = direct_message.messages.iter();
    messages.map(|message| message.text.as_str()).collect()
}

/// The id of the user with whom the bot has this direct message: the one for whom it was opened.
async fn user_of(world: &World, direct_message: &ChannelState) -> String {
    let mut calls = world.sandbox.calls().await.unwrap();
    calls.retain(|call| call.method == "conversations.open");
    let opened_for = calls
        .into_iter()
        .map(|call| call.arguments["users"].clone());
    let mut users = opened_for.filter(|user| direct_message.members.contains(user));
    users.next().unwrap()
}

#[tokio::test]
async fn a_request_made_twice_is_one_execution_and_one_direct_message() {
    let world = World::here();
    let ana = world.person("ana", Some(true)).await;
    let machines = StateMachines::starting_with(&state_machines()).unwrap();
    let client = Client::new(aws_sdk_sfn::Client::new(&world.aws), machines, "e2e").unwrap();
    let (key, request) = (unique("event"), NotifyPerson::new(&ana, "your turn"));
    let execution = client.notify_person(&key, &request).await.unwrap();
    let outcome = execution.wait(Duration::from_mins(3)).await.unwrap();
    let again = client.notify_person(&key, &request).await.unwrap();
    assert_eq!(again.arn(), execution.arn());
    assert_eq!(again.wait(Duration::from_mins(3)).await, Ok(outcome));

    let direct_message = world.direct_message(&ana).await.unwrap();
    assert_eq!(texts(&direct_message), ["your turn"]);
    let ended = world.end_of(execution.arn()).await;
    let message = json!({
        "ts": direct_message.messages[0].ts, "duplicate": false, "channelId": direct_message.id,
    });
    assert_eq!(
        *ended.output(),
        json!({ "message": message, "skipped": [] })
    );
    assert_eq!(ended.steps(), STATES);
}

#[tokio::test]
async fn a_second_message_to_a_person_costs_one_slack_call() {
    let world = World::here();
    let ana = world.person("ana", Some(true)).await;
    world.run(WORKFLOW, &request(&ana)).await.output();
    let direct_message = world.direct_message(&ana).await.unwrap();
    let user = user_of(&world, &direct_message).await;
    let calls = async || {
        let mut calls = Vec::new();
        for named in [&ana, &user, &direct_message.id] {
            calls.extend(world.calls_with(named).await);
        }
        calls
    };
    let before = calls().await.len();
    let ended = world.run(WORKFLOW, &request(&ana)).await;
    ended.output();
    let new = calls().await.split_off(before);
    // Slack may refuse some because of other tests.
    assert!(!new.is_empty());
    assert!(
        new.iter().all(|call| call.method == "chat.postMessage"),
        "{new:?}"
    );
    let waits = ended.states().into_iter();
    let waits = waits.filter(|state| state.starts_with("Wait")).count();
    assert!(new.len() <= 1 + waits, "{new:?}");
    let direct_message = world.direct_message(&ana).await.unwrap();
    assert_eq!(direct_message.messages.len(), 2);
}

#[tokio::test]
async fn somebody_who_wants_no_direct_messages_gets_none() {
    let world = World::here();
    let ana = world.person("ana", Some(true)).await;
    world.turn_off_direct_messages(&ana).await;
    let ended = world.run(WORKFLOW, &request(&ana)).await;
    let skipped = json!([{ "email": ana, "reason": "opted_out" }]);
    assert_eq!(*ended.output(), json!({ "skipped": skipped }));
    assert_eq!(ended.last_state(), "AnswerSkipped");
    assert!(world.direct_message(&ana).await.is_none());
}

#[tokio::test]
async fn somebody_who_is_not_in_slack_is_reported() {
    let world = World::here();
    let email = format!("{}@example.com", unique("elsewhere"));
    world.profile(&email, Some(true)).await;
    let ended = world.run(WORKFLOW, &request(&email)).await;
    let skipped = json!([{ "email": email, "reason": "not_in_slack" }]);
    assert_eq!(*ended.output(), json!({ "skipped": skipped }));
}

#[tokio::test]
async fn a_message_whose_time_has_passed_is_not_posted() {
    let world = World::here();
    let ana = world.person("ana", Some(true)).await;
    let mut late = request(&ana);
    late["expiresAt"] = json!("2026-01-01T00:00:00Z");
    let ended = world.run(WORKFLOW, &late).await;
    let expected = json!({ "message": { "expired": true }, "skipped": [] });
    assert_eq!(*ended.output(), expected);
    let direct_message = world.direct_message(&ana).await.unwrap();
    assert!(direct_message.messages.is_empty());
}

#[tokio::test]
async fn a_message_that_comes_after_a_later_one_of_its_sequence_is_not_posted() {
    let world = World::here();
    let ana = world.person("ana", Some(true)).await;
    let numbered = |number: u32| {
        let sequence = json!({ "key": "guide-42", "number": number });
        json!({ "email": ana, "message": format!("news {number}"), "sequence": sequence })
    };
    world.run(WORKFLOW, &numbered(2)).await.output();
    let outdated = world.run(WORKFLOW, &numbered(1)).await;
    let expected = json!({ "message": { "superseded": true }, "skipped": [] });
    assert_eq!(*outdated.output(), expected);
    let direct_message = world.direct_message(&ana).await.unwrap();
    assert_eq!(texts(&direct_message), ["news 2"]);
}

#[tokio::test]
async fn a_direct_message_that_slack_does_not_know_is_opened_again() {
    let world = World::here();
    let ana = world.person("ana", Some(true)).await;
    world.run(WORKFLOW, &request(&ana)).await.output();
    let direct_message = world.direct_message(&ana).await.unwrap();
    let user = user_of(&world, &direct_message).await;
    let outdated = aws_sdk_dynamodb::Client::new(&world.aws)
        .update_item()
        .table_name(SLACK_USERS_TABLE)
        .key(
            "email",
            AttributeValue::S(format!("#direct-message/{user}")),
        )
        .condition_expression("conversationId = :known")
        .update_expression("SET conversationId = :outdated")
        .expression_attribute_values(":known", AttributeValue::S(direct_message.id.clone()))
        .expression_attribute_values(":outdated", AttributeValue::S("D0OUTDATED".to_owned()));
    outdated.send().await.unwrap();
    let ended = world.run(WORKFLOW, &request(&ana)).await;
    assert_eq!(
        ended.output()["message"]["channelId"],
        json!(direct_message.id)
    );
    assert_eq!(ended.steps(), [&STATES[..], &STATES[1..]].concat());
    let direct_message = world.direct_message(&ana).await.unwrap();
    assert_eq!(direct_message.messages.len(), 2);
}
