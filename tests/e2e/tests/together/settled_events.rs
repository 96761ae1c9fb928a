//! Tests the events that say how executions ended: the example in `docs/settled-events.md`, unchanged, receives them.
#![allow(clippy::unwrap_used)]

use std::{fs, time::Duration};

use e2e::{World, aws_cli::aws, schemas::check_against, unique};
use local_stack::Project;
use serde_json::{Value, json};
use slack_sandbox::faults::How;

const WORKFLOW: &str = "notify-private-channel";

/// A deployment of the documented example.
struct Example {
    queue: String,
}

impl Example {
    async fn deploy(world: &World) -> Self {
        let page = Project::here().root.join("docs/settled-events.md");
        let page = fs::read_to_string(page).unwrap();
        let (_, template) = page.split_once("```yaml\n").unwrap();
        let (template, _) = template.split_once("```").unwrap();
        let name = unique("settled");
        let stack = ["--stack-name", &name];
        let create = [
            "cloudformation",
            "create-stack",
            "--template-body",
            template,
        ];
        aws(&world.aws, &[&create[..], &stack].concat()).await;
        let wait = ["cloudformation", "wait", "stack-create-complete"];
        aws(&world.aws, &[&wait[..], &stack].concat()).await;
        let describe = ["cloudformation", "describe-stacks"];
        let stacks = aws(&world.aws, &[&describe[..], &stack].concat()).await;
        let output = &stacks["Stacks"][0]["Outputs"][0];
        assert_eq!(output["OutputKey"], "QueueUrl");
        Self {
            queue: output["OutputValue"].as_str().unwrap().to_owned(),
        }
    }

    /// Receives the event about this execution's end.
    async fn event(&self, world: &World, execution: &str, redrives: u64) -> Value {
        let sqs = aws_sdk_sqs::Client::new(&world.aws);
        for _ in 0..60 {
            let receive = sqs.receive_message().queue_url(&self.queue);
            let receive = receive.max_number_of_messages(10).wait_time_seconds(1);
            let messages = receive.send().await.unwrap().messages;
            for message in messages.unwrap_or_default() {
                let event: Value = message.body.unwrap().parse().unwrap();
                assert_eq!(event["source"], "apgl.notifications");
                assert_eq!(event["detail-type"], "Notification Settled");
                let detail = &event["detail"];
                check_against("notification-settled", detail);
                let is_ours = detail["executionArn"] == execution;
                if is_ours && detail["redriveCount"] == redrives {
                    return detail.clone();
                }
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        panic!("no event about {execution}");
    }
}

#[tokio::test]
async fn whoever_slack_did_not_reach_is_named_with_the_reason() {
    let world = World::here();
    let example = Example::deploy(&world).await;
    let channel = unique("settled");
    let ana = world.person("ana", Some(true)).await;
    let opted_out = world.person("bob", Some(false)).await;
    let not_in_slack = format!("{}@example.com", unique("eve"));
    world.profile(&not_in_slack, Some(true)).await;
    let members = [&ana, &opted_out, &not_in_slack];
    let request = json!({ "channelName": channel, "message": "the secret", "members": members });
    let ended = world.run(WORKFLOW, &request).await;
    let arn = &ended.execution.arn;

    let event = example.event(&world, arn, 0).await;
    assert_eq!(event["status"], "SUCCEEDED");
    assert_eq!(event["workflow"], "apgl-notify-private-channel");
    assert_eq!(event["key"], arn.rsplit(':').next().unwrap());
    assert_eq!(event["channelName"], channel);
    let output = ended.output();
    assert_eq!(event["channel"]["id"], output["channel"]["id"]);
    assert_eq!(event["message"]["ts"], output["message"]["ts"]);
    let skipped = |email: &str, reason: &str| json!({ "email": email, "asked": "invite", "result": "skipped", "reason": reason });
    let people = json!([
        { "email": ana, "asked": "invite", "result": "done" },
        skipped(&opted_out, "opted_out"),
        skipped(&not_in_slack, "not_in_slack"),
    ]);
    assert_eq!(event["people"], people);
    assert!(!event.to_string().contains("the secret"));
}

#[tokio::test]
async fn a_redrive_settles_a_failed_execution_again() {
    let world = World::here();
    let example = Example::deploy(&world).await;
    let ana = world.person("ana", Some(true)).await;
    let unauthorized = How::refused("not_allowed_token_type");
    world
        .fault("users.lookupByEmail", "email", &ana, 1, unauthorized)
        .await;
    let request = json!({ "channelName": unique("settled"), "message": "hi", "members": [ana] });
    let failed = world.run(WORKFLOW, &request).await;
    let arn = &failed.execution.arn;
    let person = |result: &str| json!([{ "email": ana, "asked": "invite", "result": result }]);
    let event = example.event(&world, arn, 0).await;
    assert_eq!(event["status"], "FAILED");
    assert_eq!(event["error"], "Slack.Unauthorized");
    assert_eq!(event["people"], person("unknown"));
    assert_eq!(event.get("message"), None);

    let redriven = world.redrive(arn).await;
    let event = example.event(&world, arn, 1).await;
    assert_eq!(event["status"], "SUCCEEDED");
    assert_eq!(event["people"], person("done"));
    assert_eq!(event["message"]["ts"], redriven.output()["message"]["ts"]);
}

#[tokio::test]
async fn the_people_of_an_invalid_request_are_not_forgotten() {
    let world = World::here();
    let example = Example::deploy(&world).await;
    let ana = world.person("ana", Some(true)).await;
    let request = json!({ "channelName": unique("settled"), "members": [ana] });
    let failed = world.run(WORKFLOW, &request).await;
    let event = example.event(&world, &failed.execution.arn, 0).await;
    assert_eq!(event["error"], "InvalidRequest");
    let people = json!([{ "email": ana, "asked": "invite", "result": "unknown" }]);
    assert_eq!(event["people"], people);
}

#[tokio::test]
async fn the_end_of_a_stopped_execution_says_what_was_done_and_what_is_unknown() {
    let world = World::here();
    let example = Example::deploy(&world).await;
    let channel = unique("stopped");
    let id = world.private_channel(&channel, &[]).await.id;
    world.hang_post(&id).await;
    let ana = world.person("ana", Some(true)).await;
    let request = json!({ "channelName": channel, "message": "hi", "mention": [ana] });
    let arn = world.start(WORKFLOW, &request).await;
    world.is_in(&arn, "PostMessage").await;
    world.stop(&arn).await;
    let event = example.event(&world, &arn, 0).await;
    assert_eq!(event["status"], "ABORTED");
    let people = json!([
        { "email": ana, "asked": "invite", "result": "done" },
        { "email": ana, "asked": "mention", "result": "unknown" },
    ]);
    assert_eq!(event["people"], people);
}
