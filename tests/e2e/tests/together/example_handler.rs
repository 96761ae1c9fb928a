//! The handler from the client crate's documentation.
#![allow(clippy::unwrap_used)]

use std::fs;

use e2e::{World, unique};
use local_stack::{
    Project, execution::state_machines, invoke::Answer, runtime_api, stack::client_environment,
};
use serde_json::json;

#[tokio::test]
async fn a_handler_of_fewer_than_30_lines_sends_a_notification_once() {
    let (world, project) = (World::here(), Project::here());
    let source = project.root.join("lib/client/examples/handler.rs");
    let lines = fs::read_to_string(source).unwrap().lines().count();
    assert!(lines < 30, "{lines} lines");

    let (channel, ana) = (unique("news"), world.person("ana", Some(true)).await);
    let event = json!({
        "id": unique("event"),
        "detail": { "channel": channel, "news": "your guide is published", "author": ana },
    });
    let environment = client_environment(world.aws.endpoint_url().unwrap())
        .into_iter()
        .chain([("APGL_STATE_MACHINES", state_machines())]);
    let handler = project.program("examples/handler");
    let answers = runtime_api::run(&handler, environment, vec![event; 3]).await;
    let answers = answers.unwrap();
    let Answer::Outcome(arn) = &answers[0] else {
        panic!("the handler must succeed: {answers:?}");
    };
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    world.end_of(arn.as_str().unwrap()).await.output();
    let in_slack = world.in_slack(&channel).await;
    assert_eq!(in_slack.messages.len(), 1);
    assert_eq!(in_slack.messages[0].text, "your guide is published");
    assert_eq!(in_slack.members.len(), 2);
}
