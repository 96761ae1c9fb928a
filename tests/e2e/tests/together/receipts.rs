//! Tests the receipts: what they store of each execution, and that each execution is counted.
#![allow(clippy::unwrap_used)]

use std::{
    collections::HashMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_sdk_dynamodb::types::AttributeValue;
use e2e::{RECEIPTS_TABLE, World, unique};
use serde_json::{Value, json};
use slack_sandbox::faults::How;
use tokio::time::sleep;

const WORKFLOW: &str = "notify-private-channel";

type Item = HashMap<String, AttributeValue>;

#[tokio::test]
async fn a_receipt_says_what_was_requested_and_what_happened() {
    let world = World::here();
    let (channel, ana) = (unique("receipt"), world.person("ana", Some(true)).await);
    let request = json!({ "channelName": channel, "message": "the secret", "members": [ana] });
    let ended = world.run(WORKFLOW, &request).await;
    let arn = &ended.execution.arn;

    let receipt = receipt(&world, arn, is_counted).await;
    assert_eq!(text(&receipt, "status"), "SUCCEEDED");
    assert_eq!(text(&receipt, "workflow"), "apgl-notify-private-channel");
    assert_eq!(text(&receipt, "key"), arn.rsplit(':').next().unwrap());
    assert_eq!(text(&receipt, "channelName"), channel);
    assert_eq!(outcome(&receipt), *ended.output());
    assert_eq!(receipt["partial"], AttributeValue::Bool(false));
    assert!(!format!("{receipt:?}").contains("the secret"));
    // The receipt is no longer in the index of running executions, and it expires in 90 days.
    assert!(!receipt.contains_key("runningWorkflow"));
    let lifetime = number(&receipt, "expiresAt") - number(&receipt, "endedAt") / 1_000;
    assert_eq!(lifetime, 90 * 24 * 60 * 60);

    let of_person = query(&world, None, "id", &format!("person/{ana}")).await;
    assert_eq!(of_person.len(), 1);
    assert!(text(&of_person[0], "item").ends_with(arn));
    let of_channel = query(&world, Some("byChannel"), "channelName", &channel).await;
    assert_eq!(of_channel.len(), 1);
    assert_eq!(text(&of_channel[0], "id"), arn);
}

#[tokio::test]
async fn a_waiting_execution_has_an_open_receipt() {
    let world = World::here();
    let channel = unique("open");
    let id = world.private_channel(&channel, &[]).await.id;
    world.fill_queue(&id, 2_400).await;
    let request = json!({ "channelName": channel, "message": "hi" });
    let execution = world.start(WORKFLOW, &request).await;
    let open = receipt(&world, &execution, |_| true).await;
    assert_eq!(text(&open, "status"), "RUNNING");
    assert_eq!(
        text(&open, "runningWorkflow"),
        "apgl-notify-private-channel"
    );
    assert_eq!(text(&open, "channelName"), channel);

    world.is_in(&execution, "WaitToPostMessage").await;
    world.stop(&execution).await;
    let stopped = receipt(&world, &execution, is_counted).await;
    assert_eq!(text(&stopped, "status"), "ABORTED");
    // The execution's history shows what it did before it was stopped.
    assert_eq!(outcome(&stopped)["channel"]["id"], json!(id));
    assert_eq!(stopped["partial"], AttributeValue::Bool(true));
}

#[tokio::test]
async fn the_receipt_of_a_redriven_execution_ends_as_succeeded() {
    let world = World::here();
    let (channel, ana) = (unique("redriven"), world.person("ana", Some(true)).await);
    let id = world.private_channel(&channel, &[]).await.id;
    let unauthorized = How::refused("not_allowed_token_type");
    world
        .fault("chat.postMessage", "channel", &id, 1, unauthorized)
        .await;
    let request = json!({ "channelName": channel, "message": "hi", "members": [ana] });
    let failed = world.run(WORKFLOW, &request).await;
    let arn = &failed.execution.arn;
    let before = receipt(&world, arn, is_counted).await;
    assert_eq!(text(&before, "status"), "FAILED");
    assert_eq!(text(&before, "error"), "Slack.Unauthorized");
    assert_eq!(outcome(&before)["members"]["invited"], json!([ana]));
    assert_eq!(outcome(&before)["message"], Value::Null);

    let redriven = world.redrive(arn).await;
    let is_later = |item: &Item| number(item, "redriveCount") == 1 && is_counted(item);
    let after = receipt(&world, arn, is_later).await;
    assert_eq!(text(&after, "status"), "SUCCEEDED");
    assert!(!after.contains_key("error"));
    assert_eq!(outcome(&after), *redriven.output());
}

#[tokio::test]
async fn a_bad_request_has_a_receipt_too() {
    let world = World::here();
    let channel = format!("Not A Name {}", unique("bad"));
    let ended = world
        .run(WORKFLOW, &json!({ "channelName": channel }))
        .await;
    let receipt = receipt(&world, &ended.execution.arn, is_counted).await;
    assert_eq!(text(&receipt, "status"), "FAILED");
    assert_eq!(text(&receipt, "error"), "InvalidRequest");
    assert_eq!(text(&receipt, "channelName"), channel);
}

#[tokio::test]
async fn the_watcher_completes_a_receipt_whose_last_event_was_lost() {
    let world = World::here();
    // No event rule matches a copy of the workflow.
    let copy = world.copy_of(WORKFLOW, |definition| definition).await;
    let channel = unique("lost");
    let request = json!({ "channelName": channel, "message": "hi" });
    let ended = world.run(&copy, &request).await;
    let arn = &ended.execution.arn;
    assert_eq!(find(&world, arn).await, None);
    let since = millis(SystemTime::now() - Duration::from_mins(11));
    let open = [
        ("id", string(arn)),
        ("item", string("receipt")),
        ("status", string("RUNNING")),
        ("runningWorkflow", string(&format!("apgl-{copy}"))),
        ("runningSince", AttributeValue::N(since.to_string())),
        ("redriveCount", AttributeValue::N("0".to_owned())),
    ];
    let open = open.map(|(field, value)| (field.to_owned(), value));
    let put = dynamodb(&world).put_item().table_name(RECEIPTS_TABLE);
    put.set_item(Some(open.into())).send().await.unwrap();

    world.watch(&[&copy]).await;
    let completed = receipt(&world, arn, is_counted).await;
    assert_eq!(text(&completed, "status"), "SUCCEEDED");
    assert_eq!(text(&completed, "channelName"), channel);
    assert_eq!(outcome(&completed), *ended.output());
}

/// Waits until the receipt meets the condition, and returns it.
async fn receipt(world: &World, execution: &str, is_so: impl Fn(&Item) -> bool) -> Item {
    let mut found = None;
    for _ in 0..600 {
        found = find(world, execution).await;
        if let Some(item) = found.take_if(|item| is_so(item)) {
            return item;
        }
        sleep(Duration::from_millis(100)).await;
    }
    panic!("the receipt of {execution} is {found:?}");
}

async fn find(world: &World, execution: &str) -> Option<Item> {
    let get = dynamodb(world).get_item().table_name(RECEIPTS_TABLE);
    let get = get.key("id", string(execution));
    let found = get.key("item", string("receipt")).send().await;
    found.unwrap().item
}

async fn query(world: &World, index: Option<&str>, key: &str, value: &str) -> Vec<Item> {
    let query = dynamodb(world).query().table_name(RECEIPTS_TABLE);
    let query = query
        .set_index_name(index.map(str::to_owned))
        .key_condition_expression("#key = :value")
        .expression_attribute_names("#key", key)
        .expression_attribute_values(":value", string(value));
    query.send().await.unwrap().items.unwrap_or_default()
}

fn dynamodb(world: &World) -> aws_sdk_dynamodb::Client {
    aws_sdk_dynamodb::Client::new(&world.aws)
}

fn is_counted(item: &Item) -> bool {
    item.get("counted") == Some(&AttributeValue::Bool(true))
}

fn outcome(item: &Item) -> Value {
    text(item, "outcome").parse().unwrap()
}

fn text<'a>(item: &'a Item, field: &str) -> &'a str {
    item[field].as_s().unwrap()
}

fn number(item: &Item, field: &str) -> u64 {
    item[field].as_n().unwrap().parse().unwrap()
}

fn string(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap();
    since.as_millis().try_into().unwrap()
}
