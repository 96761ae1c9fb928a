//! The metrics over all executions of a workflow.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use aws_sdk_cloudwatch::types::{Datapoint, Statistic};
use e2e::{World, metrics::datapoints, unique};
use serde_json::json;
use slack_sandbox::{faults::How, workspace::User};
use tokio::time::sleep;

/// Waits until the metric's sum has grown by one. Executions are counted only after they end.
async fn is_counted_once_more(
    world: &World,
    metric: &str,
    dimensions: &[(&str, &str)],
    before: f64,
) {
    for _ in 0..300 {
        if sum(world, metric, dimensions).await > before + 0.9 {
            return;
        }
        sleep(Duration::from_millis(200)).await;
    }
    panic!("{metric} {dimensions:?} was not counted");
}

/// The sum of a metric over the last hours.
async fn sum(world: &World, metric: &str, dimensions: &[(&str, &str)]) -> f64 {
    let points = datapoints(&world.aws, metric, dimensions, &[Statistic::Sum]).await;
    points.iter().filter_map(Datapoint::sum).sum()
}

#[tokio::test]
async fn a_workflows_effects_are_counted() {
    let world = World::here();
    let skipped = [
        ("Workflow", "apgl-notify-private-channel"),
        ("Reason", "invalid_profile"),
    ];
    let before = sum(&world, "MembersSkipped", &skipped).await;
    let by_workflow = [("Workflow", "apgl-notify-private-channel")];
    let sent = sum(&world, "NotificationsSent", &by_workflow).await;
    let email = world.slack_user("odd", User::default()).await;
    aws_sdk_dynamodb::Client::new(&world.aws)
        .put_item()
        .table_name("apgl-user-profiles")
        .item(
            "email",
            aws_sdk_dynamodb::types::AttributeValue::S(email.clone()),
        )
        .item(
            "notificationPreferences",
            aws_sdk_dynamodb::types::AttributeValue::S("slack".to_owned()),
        )
        .send()
        .await
        .unwrap();
    let request = json!({ "channelName": unique("counted"), "message": "hi", "members": [email] });
    let ended = world.run("notify-private-channel", &request).await;
    assert_eq!(
        ended.output()["members"]["skipped"],
        json!([{ "email": email, "reason": "invalid_profile" }])
    );
    is_counted_once_more(&world, "MembersSkipped", &skipped, before).await;
    is_counted_once_more(&world, "NotificationsSent", &by_workflow, sent).await;
}

#[tokio::test]
async fn channels_and_members_are_counted_by_their_workflow() {
    let world = World::here();
    let (channel, ana) = (unique("counted"), world.person("ana", Some(true)).await);
    let name = json!({ "channelName": channel });
    let create = json!({ "channelName": channel, "members": [ana] });
    let remove = json!({ "channelName": channel, "remove": [ana] });
    for (workflow, request, metrics) in [
        (
            "create-channel",
            &create,
            &["ChannelsCreated", "MembersInvited"][..],
        ),
        ("change-channel-members", &remove, &["MembersRemoved"]),
        ("delete-channel", &name, &["ChannelsDeleted"]),
    ] {
        let machine = format!("apgl-{workflow}");
        let by_workflow = [("Workflow", machine.as_str())];
        let mut before = Vec::new();
        for metric in metrics {
            before.push(sum(&world, metric, &by_workflow).await);
        }
        world.run(workflow, request).await.output();
        for (metric, before) in metrics.iter().zip(before) {
            is_counted_once_more(&world, metric, &by_workflow, before).await;
        }
    }
}

#[tokio::test]
async fn a_failure_of_the_system_is_counted_by_its_event_and_fails_its_task() {
    let world = World::here();
    let channel = unique("event");
    let id = world.public_channel(&channel).await.id;
    let code = How::refused("ekm_access_denied");
    world
        .fault("chat.postMessage", "channel", &id, 1, code)
        .await;
    let failed = [
        ("Workflow", "apgl-notify-public-channel"),
        ("Error", "Slack.Unauthorized"),
    ];
    let before = sum(&world, "WorkflowsFailed", &failed).await;
    let system = sum(&world, "SystemFailures", &failed[..1]).await;
    let ended = world
        .run(
            "notify-public-channel",
            &json!({ "channelName": channel, "message": "hi" }),
        )
        .await;
    assert_eq!(
        (ended.failure().0, ended.last_state()),
        ("Slack.Unauthorized", "PostMessage")
    );
    is_counted_once_more(&world, "WorkflowsFailed", &failed, before).await;
    is_counted_once_more(&world, "SystemFailures", &failed[..1], system).await;
}

#[tokio::test]
async fn a_failure_that_people_have_caused_is_not_counted_as_one_of_the_system() {
    let world = World::here();
    let failed = [
        ("Workflow", "apgl-notify-public-channel"),
        ("Error", "Channel.NotFound"),
    ];
    let before = sum(&world, "WorkflowsFailed", &failed).await;
    let system = sum(&world, "SystemFailures", &failed[..1]).await;
    let request = json!({ "channelName": unique("absent"), "message": "hi" });
    let ended = world.run("notify-public-channel", &request).await;
    assert_eq!(ended.failure().0, "Channel.NotFound");
    // Both metrics would be published together.
    is_counted_once_more(&world, "WorkflowsFailed", &failed, before).await;
    let after = sum(&world, "SystemFailures", &failed[..1]).await;
    assert!((after - system).abs() < 0.1);
}
