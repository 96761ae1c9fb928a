//! How old the oldest running execution is: measured for state machines that nobody else uses.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use aws_sdk_cloudwatch::types::{Datapoint, Statistic};
use e2e::{World, metrics::datapoints, unique};
use local_stack::{
    execution::{Executions, state_machine_arn},
    invoke::Answer,
    runtime_api,
    stack::client_environment,
};
use serde_json::{Value, json};
use slack_sandbox::faults::How;
use tokio::time::sleep;

const WORKFLOW: &str = "notify-public-channel";

/// Runs the function that is deployed, with these workflows to watch.
async fn measure(world: &World, workflows: &[&str]) {
    let program = world.functions.join("watch-executions/bootstrap");
    let arns: Vec<String> = workflows
        .iter()
        .map(|name| state_machine_arn(name))
        .collect();
    let environment = client_environment(world.aws.endpoint_url().unwrap());
    let environment = environment
        .into_iter()
        .chain([("STATE_MACHINES", arns.join(","))]);
    let answers = runtime_api::run(&program, environment, vec![json!({})]).await;
    assert_eq!(answers.unwrap(), [Answer::Outcome(Value::Null)]);
}

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
async fn the_age_is_that_of_the_execution_that_waits_and_0_where_none_runs() {
    let world = World::here();
    let copy = || world.copy_of(WORKFLOW, |definition| definition);
    let (waiting, idle) = (copy().await, copy().await);
    let channel = unique("watched");
    let id = world.public_channel(&channel).await.id;
    let limit = How::RateLimited { retry_after: 120 };
    world
        .fault("chat.postMessage", "channel", &id, 1, limit)
        .await;
    let request = json!({ "channelName": channel, "message": "hi" });
    let execution = world.start(&waiting, &request).await;
    let executions = Executions::new(&world.aws);
    loop {
        let visits = executions.visits(&execution).await.unwrap();
        if visits
            .last()
            .is_some_and(|visit| visit.state == "WaitToPost")
        {
            break;
        }
        sleep(Duration::from_millis(100)).await;
    }
    // Ages are published in whole seconds.
    sleep(Duration::from_secs(1)).await;

    measure(&world, &[&waiting, &idle]).await;
    let (lowest, highest) = ages(&world, &waiting).await;
    assert!(lowest >= 1.0, "{lowest}");
    assert_eq!(ages(&world, &idle).await, (0.0, 0.0));

    world.end_of(&execution).await.output();
    measure(&world, &[&waiting, &idle]).await;
    assert_eq!(ages(&world, &waiting).await, (0.0, highest));
}
