//! What an operator sees of an execution: metrics and log lines. Also what functions are not allowed to do.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use aws_sdk_cloudwatch::types::{Datapoint, Statistic};
use e2e::{Ended, World, metrics::datapoints, unique};
use local_stack::{
    function_logs,
    invoke::{Answer, invoke},
};
use serde_json::{Value, json};
use slack_sandbox::{faults::How, seed::ChannelSeed};
use tokio::time::sleep;

#[tokio::test]
async fn log_lines_are_json_with_a_time_the_execution_and_the_step_and_nothing_confidential() {
    let world = World::here();
    let (channel, email) = (
        unique("logged"),
        world.person("secretive", Some(true)).await,
    );
    let request =
        json!({ "channelName": channel, "message": "the secret plan", "members": [email] });
    let ended = world.run("notify-private-channel", &request).await;
    ended.output();
    let lines = function_logs(&world.aws).await.unwrap();
    let ours = lines_of(&lines, &ended);
    for step in [
        "FilterByPreference",
        "ResolveUsers",
        "EnsureChannel",
        "InviteMembers",
        "PostMessage",
    ] {
        assert!(
            ours.iter().any(|line| line["step"] == step),
            "{step} is missing from {ours:?}"
        );
    }
    for line in &ours {
        assert!(line["timestamp"].as_str().unwrap().contains('T'), "{line}");
        // All tests share Slack's limits, so any call can be rate-limited.
        let is_refusal = !line["slack.retryAfter"].is_null();
        assert!(is_refusal || line["level"] == "INFO", "{line}");
    }
    for confidential in ["the secret plan", email.as_str(), "xoxb-"] {
        assert!(
            !lines.iter().any(|line| line.contains(confidential)),
            "{confidential} is in a log"
        );
    }
}

#[tokio::test]
async fn every_effect_and_every_failure_has_a_log_line() {
    let world = World::here();
    let (channel, ana) = (unique("effects"), world.person("ana", Some(true)).await);
    let text = json!("the hidden agenda");
    let create = json!({
        "channelName": channel, "members": [ana], "topic": text, "purpose": text,
    });
    let notify = json!({ "channelName": channel, "message": text });
    let remove = json!({ "channelName": channel, "remove": [ana] });
    let name = json!({ "channelName": channel });
    let created = world.run("create-channel", &create).await;
    let id = world.in_slack(&channel).await.id;
    let runs = [
        (
            created,
            &[
                "created the channel",
                "set the channel's topic",
                "set the channel's purpose",
                "invited members",
            ][..],
        ),
        (
            world.run("notify-private-channel", &notify).await,
            &["posted the message"],
        ),
        (
            world.run("change-channel-members", &remove).await,
            &["removed a member"],
        ),
    ];
    let deleted = world.run("delete-channel", &name).await;
    let ours = ChannelSeed {
        is_private: true,
        created_by_bot: true,
        ..ChannelSeed::default()
    };
    let kept = world.channel(&unique("kept"), ours).await;
    let refused = How::refused("restricted_action");
    world
        .fault("conversations.archive", "channel", &kept.id, 9, refused)
        .await;
    let failed = json!({ "channelName": kept.name });
    let failed = world.run("delete-channel", &failed).await;
    assert_eq!(failed.failure().0, "Slack.Rejected");

    let lines = function_logs(&world.aws).await.unwrap();
    let effects = runs.iter().map(|(run, effects)| (run, *effects)).chain([(
        &deleted,
        &["renamed the channel", "archived the channel"][..],
    )]);
    for (run, effects) in effects {
        run.output();
        let ours = lines_of(&lines, run);
        for effect in effects {
            let line = ours.iter().find(|line| line["message"] == *effect);
            let line = line.unwrap_or_else(|| panic!("{effect:?} is missing from {ours:?}"));
            assert_eq!(
                (&line["level"], &line["channel.id"]),
                (&json!("INFO"), &json!(id))
            );
        }
    }
    let errors = lines_of(&lines, &failed);
    let is_failure = |line: &&Value| line["error.name"] == "Slack.Rejected";
    let error = errors.iter().find(is_failure).unwrap();
    for (field, expected) in [
        ("level", "WARN"),
        ("workflow", "apgl-delete-channel"),
        ("channel.id", kept.id.as_str()),
        ("slack.error", "restricted_action"),
    ] {
        assert_eq!(error[field], expected, "{error}");
    }
    for confidential in ["the hidden agenda", ana.as_str()] {
        assert!(!lines.iter().any(|line| line.contains(confidential)));
    }
}

/// The log lines of this execution.
fn lines_of(lines: &[String], ended: &Ended) -> Vec<Value> {
    let lines = lines.iter().filter_map(|line| line.parse::<Value>().ok());
    lines
        .filter(|line| line["executionId"] == ended.execution.arn.as_str())
        .collect()
}

/// The functions that are not steps of an execution.
const NO_STEPS: [&str; 5] = [
    "mpc_content_bounty_processor",
    "mpc_event_handler",
    "mpc_request_handler",
    "record_outcome",
    "watch_executions",
];

#[tokio::test]
async fn every_log_line_of_a_step_names_its_execution_and_none_names_an_address() {
    let world = World::here();
    let ana = world.person("ana", Some(true)).await;
    let request = json!({ "channelName": unique("lines"), "message": "hi", "members": [ana] });
    world.run("notify-private-channel", &request).await.output();
    let bad = json!({ "channelName": "Not A Name" });
    world.run("create-channel", &bad).await.failure();

    let mut of_steps = 0;
    for line in function_logs(&world.aws).await.unwrap() {
        // Ignore the example address in our hint, which belongs to nobody.
        let text = line.replace("must be an e-mail address such as ana@example.com", "");
        assert!(!text.contains('@') && !text.contains("xoxb-"), "{line}");
        let Ok(json) = line.parse::<Value>() else {
            let is_lambdas = ["START ", "END ", "REPORT "];
            assert!(
                is_lambdas.iter().any(|start| line.starts_with(start)),
                "{line}"
            );
            continue;
        };
        if json["step"].is_null() {
            let target = json["target"].as_str().unwrap();
            let function = target.split("::").next().unwrap();
            assert!(NO_STEPS.contains(&function), "{line}");
        } else if json["error.name"] != "Step.Malformed" {
            // The payload can't be read, so it names no execution.
            assert!(
                !json["executionId"].as_str().unwrap_or_default().is_empty(),
                "{line}"
            );
            of_steps += 1;
        }
    }
    assert!(of_steps > 0);
}

/// The age that the oldest running execution of a workflow reached, in seconds.
async fn oldest(world: &World, workflow: &str) -> f64 {
    let dimensions = [("Workflow", workflow)];
    let metric = "OldestRunningExecution";
    let points = datapoints(&world.aws, metric, &dimensions, &[Statistic::Maximum]).await;
    points
        .iter()
        .filter_map(Datapoint::maximum)
        .fold(0.0, f64::max)
}

#[tokio::test]
async fn a_waiting_execution_is_measured_while_it_waits() {
    let world = World::here();
    let channel = unique("waits");
    let id = world.public_channel(&channel).await.id;
    world.fill_queue(&id, 2_400).await;
    let request = json!({ "channelName": channel, "message": "hi" });
    let execution = world.start("notify-public-channel", &request).await;
    world.is_in(&execution, "WaitToPostMessage").await;
    // Ages are published in whole seconds.
    sleep(Duration::from_secs(1)).await;
    let measured = invoke(&world.aws, "watch-executions", &json!({})).await;
    assert_eq!(measured.unwrap(), Answer::Outcome(Value::Null));
    let age = oldest(&world, "apgl-notify-public-channel").await;
    assert!(age >= 1.0, "{age}");
    world.stop(&execution).await;
}
