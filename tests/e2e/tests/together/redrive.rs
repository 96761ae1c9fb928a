//! Redrives: an execution continues from the state that did not finish, with the data that it had.
#![allow(clippy::unwrap_used)]

use aws_sdk_sfn::types::{ExecutionRedriveStatus, HistoryEvent, HistoryEventType};
use e2e::{World, unique};
use local_stack::{Status, execution::state_machine_arn};
use serde_json::json;
use slack_sandbox::faults::How;

const WORKFLOW: &str = "notify-private-channel";

/// The time limit in the state machine, in Slack's time.
const TIMEOUT: &str = r#""TimeoutSeconds": 86400"#;

#[tokio::test]
async fn a_redrive_runs_the_failed_state_again_and_no_other() {
    let world = World::here();
    let channel = unique("again");
    let id = world.private_channel(&channel, &[]).await.id;
    let ana = world.person("ana", Some(true)).await;
    let unauthorized = How::refused("not_allowed_token_type");
    world
        .fault("chat.postMessage", "channel", &id, 1, unauthorized)
        .await;
    let request = json!({ "channelName": channel, "members": [ana], "message": "hello" });
    let failed = world.run(WORKFLOW, &request).await;
    assert_eq!(failed.failure().0, "Slack.Unauthorized");

    let redriven = world.redrive(&failed.execution.arn).await;
    // What earlier states found is in the workflow's variables.
    assert_eq!(redriven.output()["members"]["invited"], json!([ana]));
    let states = redriven.steps();
    let times = |name| states.iter().filter(|state| **state == name).count();
    assert_eq!((times("InviteMembers"), times("PostMessage")), (1, 1));

    let sfn = aws_sdk_sfn::Client::new(&world.aws);
    let arn = &failed.execution.arn;
    let described = sfn.describe_execution().execution_arn(arn);
    let described = described.send().await.unwrap();
    assert_eq!(described.redrive_count, Some(1));
    assert!(described.redrive_date > Some(described.start_date));
    assert_eq!(
        described.redrive_status,
        Some(ExecutionRedriveStatus::NotRedrivable)
    );
    let history = sfn.get_execution_history().execution_arn(arn);
    let events = history.max_results(1000).send().await.unwrap().events;
    let says_so = |event: &&HistoryEvent| event.r#type == HistoryEventType::ExecutionRedriven;
    assert_eq!(events.iter().filter(says_so).count(), 1);
    let again = sfn.redrive_execution().execution_arn(arn).send().await;
    let refused = again.unwrap_err().into_service_error();
    assert!(refused.is_execution_not_redrivable(), "{refused}");
}

#[tokio::test]
async fn a_redrive_keeps_the_definition_that_the_execution_started_with() {
    let world = World::here();
    let copy = world.copy_of(WORKFLOW, |definition| definition).await;
    let channel = unique("old-definition");
    let id = world.private_channel(&channel, &[]).await.id;
    let unauthorized = How::refused("not_allowed_token_type");
    world
        .fault("chat.postMessage", "channel", &id, 1, unauthorized)
        .await;
    let request = json!({ "channelName": channel, "message": "hello" });
    let failed = world.run(&copy, &request).await;
    assert_eq!(failed.failure().0, "Slack.Unauthorized");

    let other = r#"{ "StartAt": "No", "States": { "No": { "Type": "Fail" } } }"#;
    let update = aws_sdk_sfn::Client::new(&world.aws).update_state_machine();
    let update = update
        .state_machine_arn(state_machine_arn(&copy))
        .definition(other);
    update.send().await.unwrap();
    world.redrive(&failed.execution.arn).await.output();
    assert_eq!(world.in_slack(&channel).await.messages.len(), 1);
}

#[tokio::test]
async fn an_execution_that_timed_out_while_it_posted_is_redriven_and_posts_once() {
    let world = World::here();
    let copy = world
        .copy_of(WORKFLOW, |definition| {
            assert!(definition.contains(TIMEOUT));
            definition.replace(TIMEOUT, r#""TimeoutSeconds": 100"#)
        })
        .await;
    let channel = unique("timed-out");
    let id = world.private_channel(&channel, &[]).await.id;
    // Longer than 100 s of Slack's time, which last 5 s here.
    let slow = How::Slow { millis: 8_000 };
    world
        .fault("chat.postMessage", "channel", &id, 1, slow)
        .await;
    let request = json!({ "channelName": channel, "message": "hello" });
    let ended = world.run(&copy, &request).await;
    assert_eq!(ended.execution.status, Status::TimedOut);

    // A redrive resets the time limit. Meanwhile the first attempt posts.
    let mut ended = ended;
    for _ in 0..20 {
        if ended.execution.status == Status::TimedOut {
            ended = world.redrive(&ended.execution.arn).await;
        }
    }
    ended.output();
    assert_eq!(world.in_slack(&channel).await.messages.len(), 1);
}

#[tokio::test]
async fn an_execution_that_was_stopped_while_it_posted_is_redriven_and_posts_once() {
    let world = World::here();
    let channel = unique("stopped");
    let id = world.private_channel(&channel, &[]).await.id;
    let slow = How::Slow { millis: 8_000 };
    world
        .fault("chat.postMessage", "channel", &id, 1, slow)
        .await;
    let request = json!({ "channelName": channel, "message": "hello" });
    let arn = world.start(WORKFLOW, &request).await;
    world.is_in(&arn, "PostMessage").await;
    world.stop(&arn).await;
    let stopped = world.end_of(&arn).await;
    assert_eq!(stopped.execution.status, Status::Aborted);
    world.redrive(&arn).await.output();
    assert_eq!(world.in_slack(&channel).await.messages.len(), 1);
}
