//! Redrives: an execution continues from the state that did not finish, with the data that it had.
#![allow(clippy::unwrap_used)]

use aws_sdk_sfn::types::{ExecutionRedriveStatus, HistoryEvent, HistoryEventType};
use e2e::{Ended, World, unique};
use local_stack::{Status, execution::state_machine_arn};
use rstest::rstest;
use serde_json::{Value, json};
use slack_sandbox::{faults::How, seed::ChannelSeed, server::ChannelChange};

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

/// What a person does before the redrive.
#[derive(Debug, Clone, Copy)]
enum Fix {
    CreatesIt,
    InvitesTheBot,
    UnarchivesItAndInvitesTheBot,
    /// Frees the name.
    RenamesIt,
}

#[rstest]
#[case::missing("notify-public-channel", None, "Channel.NotFound", Fix::CreatesIt)]
#[case::archived(
    "notify-public-channel",
    Some(ChannelSeed { is_archived: true, bot_is_member: false, ..ChannelSeed::default() }),
    "Channel.Archived",
    Fix::UnarchivesItAndInvitesTheBot
)]
#[case::archived_private(
    WORKFLOW,
    Some(ChannelSeed { is_private: true, is_archived: true, bot_is_member: false, ..ChannelSeed::default() }),
    "Channel.NameTaken",
    Fix::UnarchivesItAndInvitesTheBot
)]
#[case::invisible(
    WORKFLOW,
    Some(ChannelSeed { is_private: true, bot_is_member: false, ..ChannelSeed::default() }),
    "Channel.NameTaken",
    Fix::InvitesTheBot
)]
#[case::taken(
    WORKFLOW,
    Some(ChannelSeed::default()),
    "Channel.NameTaken",
    Fix::RenamesIt
)]
#[tokio::test]
async fn a_redrive_posts_once_after_a_person_has_fixed_the_channel(
    #[case] workflow: &str,
    #[case] seed: Option<ChannelSeed>,
    #[case] error: &str,
    #[case] fix: Fix,
) {
    let world = World::here();
    let channel = unique("fixed");
    if let Some(seed) = seed {
        world.channel(&channel, seed).await;
    }
    let request = json!({ "channelName": channel, "message": "hello" });
    let failed = world.run(workflow, &request).await;
    assert_eq!(failed.failure().0, error);
    // Nothing has changed, so the redrive fails with the same error.
    let arn = &failed.execution.arn;
    assert_eq!(world.redrive(arn).await.failure().0, error);

    let invited = ChannelChange {
        bot_is_member: Some(true),
        ..ChannelChange::default()
    };
    match fix {
        Fix::CreatesIt => {
            let seed = ChannelSeed {
                bot_is_member: false,
                ..ChannelSeed::default()
            };
            world.channel_by_a_person(&channel, seed).await;
        }
        Fix::InvitesTheBot => world.change_channel(&channel, invited).await,
        Fix::UnarchivesItAndInvitesTheBot => {
            let unarchived = ChannelChange {
                is_archived: Some(false),
                ..ChannelChange::default()
            };
            world.change_channel(&channel, unarchived).await;
            world.change_channel(&channel, invited).await;
        }
        Fix::RenamesIt => {
            let renamed = ChannelChange {
                name: Some(unique("other")),
                ..ChannelChange::default()
            };
            world.change_channel(&channel, renamed).await;
        }
    }
    world.redrive(arn).await.output();
    assert_eq!(world.in_slack(&channel).await.messages.len(), 1);
}

#[tokio::test]
async fn a_redrive_of_the_post_does_not_use_a_private_channel_that_a_person_has_made_public() {
    let world = World::here();
    let channel = unique("opened");
    let id = world.private_channel(&channel, &[]).await.id;
    let unauthorized = How::refused("not_allowed_token_type");
    world
        .fault("chat.postMessage", "channel", &id, 1, unauthorized)
        .await;
    let request = json!({ "channelName": channel, "message": "hello" });
    let failed = world.run(WORKFLOW, &request).await;
    assert_eq!(failed.last_state(), "PostMessage");
    let public = ChannelChange {
        is_private: Some(false),
        ..ChannelChange::default()
    };
    world.change_channel(&channel, public).await;

    let redriven = world.redrive(&failed.execution.arn).await;

    assert_eq!(redriven.failure().0, "Channel.NameTaken");
    assert_eq!(redriven.last_state(), "EnsureChannel");
    assert!(world.in_slack(&channel).await.messages.is_empty());
}

#[rstest]
#[case::by_a_message(WORKFLOW, json!({ "message": "hello" }), "members")]
#[case::by_a_creation("create-channel", json!({ "visibility": "private" }), "members")]
#[case::by_a_change("change-channel-members", json!({}), "add")]
#[tokio::test]
async fn whoever_opts_out_before_a_redrive_is_not_invited(
    #[case] workflow: &str,
    #[case] mut request: Value,
    #[case] field: &str,
) {
    let world = World::here();
    let channel = unique("not-invited");
    let id = world.private_channel(&channel, &[]).await.id;
    let ana = world.person("ana", Some(true)).await;
    let unauthorized = How::refused("not_allowed_token_type");
    world
        .fault("conversations.invite", "channel", &id, 1, unauthorized)
        .await;
    request["channelName"] = json!(channel);
    request[field] = json!([ana]);
    let failed = world.run(workflow, &request).await;
    assert_eq!(failed.last_state(), "InviteMembers");
    world.profile(&ana, Some(false)).await;

    let redriven = world.redrive(&failed.execution.arn).await;

    let skipped = json!([{ "email": ana, "reason": "opted_out" }]);
    assert_eq!(redriven.output()["members"]["skipped"], skipped);
    assert_eq!(redriven.output()["members"]["invited"], json!([]));
}

/// An execution that was to mention this person in a new channel, and whose post Slack has refused.
async fn failed_to_mention(world: &World, workflow: &str, channel: &str, email: &str) -> Ended {
    let in_slack = if workflow == WORKFLOW {
        world.private_channel(channel, &[]).await
    } else {
        world.public_channel(channel).await
    };
    let unauthorized = How::refused("not_allowed_token_type");
    world
        .fault("chat.postMessage", "channel", &in_slack.id, 1, unauthorized)
        .await;
    let request = json!({ "channelName": channel, "message": "hello", "mention": [email] });
    let failed = world.run(workflow, &request).await;
    let (error, _) = failed.failure();
    assert_eq!(
        (error, failed.last_state()),
        ("Slack.Unauthorized", "PostMessage")
    );
    failed
}

#[rstest]
#[tokio::test]
async fn whoever_opts_out_before_a_redrive_is_not_mentioned(
    #[values(WORKFLOW, "notify-public-channel")] workflow: &str,
) {
    let world = World::here();
    let channel = unique("opted-out");
    let ana = world.person("ana", Some(true)).await;
    let failed = failed_to_mention(&world, workflow, &channel, &ana).await;
    world.profile(&ana, Some(false)).await;

    let redriven = world.redrive(&failed.execution.arn).await;

    let message = &redriven.output()["message"];
    let not_mentioned = json!([{ "email": ana, "reason": "opted_out" }]);
    assert_eq!(message["notMentioned"], not_mentioned, "{message}");
    let name = ana.split('@').next().unwrap();
    let texts = world.messages_in(&channel).await;
    assert_eq!(texts, [format!("{name}\nhello")]);
}

#[rstest]
#[tokio::test]
async fn whoever_gets_a_new_account_before_a_redrive_is_mentioned_by_its_id(
    #[values(WORKFLOW, "notify-public-channel")] workflow: &str,
) {
    let world = World::here();
    let channel = unique("replaced");
    let ana = world.person("ana", Some(true)).await;
    let failed = failed_to_mention(&world, workflow, &channel, &ana).await;
    let new = world.replace_account(&ana).await;
    // As a day later.
    world.outlive_trust_in_person(&ana).await;

    let redriven = world.redrive(&failed.execution.arn).await;

    assert_eq!(redriven.output()["message"]["mentioned"], json!([ana]));
    let texts = world.messages_in(&channel).await;
    assert_eq!(texts, [format!("<@{new}>\nhello")]);
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
            definition.replace(TIMEOUT, r#""TimeoutSeconds": 400"#)
        })
        .await;
    let channel = unique("timed-out");
    let id = world.private_channel(&channel, &[]).await.id;
    // For longer than 400 s of Slack's time, which last 20 s here.
    world.hang_post(&id).await;
    let request = json!({ "channelName": channel, "message": "hello" });
    let ended = world.run(&copy, &request).await;
    assert_eq!(ended.execution.status, Status::TimedOut);

    // A redrive resets the time limit. It finds what the first attempt has posted.
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
    world.hang_post(&id).await;
    let request = json!({ "channelName": channel, "message": "hello" });
    let arn = world.start(WORKFLOW, &request).await;
    world.is_in(&arn, "PostMessage").await;
    world.stop(&arn).await;
    let stopped = world.end_of(&arn).await;
    assert_eq!(stopped.execution.status, Status::Aborted);
    world.redrive(&arn).await.output();
    assert_eq!(world.in_slack(&channel).await.messages.len(), 1);
}
