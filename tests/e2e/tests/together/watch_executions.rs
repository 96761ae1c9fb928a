//! The age of the oldest running execution, for state machines that no other test uses.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use aws_sdk_cloudwatch::types::{Datapoint, Statistic};
use e2e::{World, metrics::datapoints, unique};
use serde_json::json;
use tokio::time::sleep;

const WORKFLOW: &str = "notify-public-channel";

/// The lowest and the highest age that was published for the workflow.
async fn ages(world: &World, workflow: &str) -> (f64, f64) {
    let name = format!("apgl-{workflow}");
    let dimensions = [("Workflow", name.as_str())];
    let statistics = [Statistic::Minimum, Statistic::Maximum];
    let points = datapoints(
        &world.aws,
        "OldestRunningExecution",
        &dimensions,
        &statistics,
    )
    .await;
    assert!(!points.is_empty(), "nothing was published for {workflow}");
    let lowest = points.iter().filter_map(Datapoint::minimum);
    let highest = points.iter().filter_map(Datapoint::maximum);
    (lowest.fold(f64::MAX, f64::min), highest.fold(0.0, f64::max))
}

#[tokio::test]
async fn the_age_is_that_of_the_waiting_execution_and_0_if_none_runs() {
    let world = World::here();
    let copy = || world.copy_of(WORKFLOW, |definition| definition);
    let (waiting, idle) = (copy().await, copy().await);
    let channel = unique("watched");
    let id = world.public_channel(&channel).await.id;
    world.fill_queue(&id, 2_400).await;
    let request = json!({ "channelName": channel, "message": "hi" });
    let execution = world.start(&waiting, &request).await;
    world.is_in(&execution, "WaitToPostMessage").await;
    // Ages are published in whole seconds.
    sleep(Duration::from_secs(1)).await;

    world.watch(&[&waiting, &idle]).await;
    let (lowest, highest) = ages(&world, &waiting).await;
    assert!(lowest >= 1.0, "{lowest}");
    assert_eq!(ages(&world, &idle).await, (0.0, 0.0));

    world.stop(&execution).await;
    world.watch(&[&waiting, &idle]).await;
    assert_eq!(ages(&world, &waiting).await, (0.0, highest));
}
