//! `notify-private-channel`: what a caller gets and what is in Slack afterwards.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use aws_smithy_types::date_time::{DateTime, Format};
use e2e::{World, unique};
use rstest::rstest;
use serde_json::{Value, json};
use slack_sandbox::{
    calls::Call,
    faults::{Effect, How},
    workspace::User,
};

const WORKFLOW: &str = "notify-private-channel";
/// The states of an execution without waits.
const STATES: [&str; 6] = [
    "CheckRequest",
    "FilterByPreference",
    "ResolveUsers",
    "EnsureChannel",
    "InviteMembers",
    "PostMessage",
];

fn request(channel: &str, members: &[&str]) -> Value {
    json!({ "channelName": channel, "message": format!("hello {channel}"), "members": members })
}

#[tokio::test]
async fn a_new_private_channel_is_created_filled_and_posted_to() {
    let world = World::here();
    let (channel, ana) = (unique("new"), world.person("ana", Some(true)).await);
    let ended = world.run(WORKFLOW, &request(&channel, &[&ana])).await;

    let in_slack = world.in_slack(&channel).await;
    assert!(in_slack.is_private);
    assert_eq!(in_slack.emails, [ana.as_str()]);
    assert_eq!(in_slack.messages.len(), 1);
    assert_eq!(in_slack.messages[0].text, format!("hello {channel}"));
    assert_eq!(
        ended.output_without_time(),
        json!({
            "channel": {
                "id": in_slack.id, "name": channel, "visibility": "private", "archived": false, "created": true,
                "ours": true, "externallyShared": false,
            },
            "members": { "invited": [ana], "alreadyMembers": [], "skipped": [] },
            "message": { "ts": in_slack.messages[0].ts, "duplicate": false },
        })
    );
    assert_eq!(ended.steps(), STATES);
}

#[tokio::test]
async fn whoever_is_mentioned_is_invited_and_whoever_cannot_be_invited_appears_by_name() {
    let world = World::here();
    let channel = unique("mention");
    let guest = User {
        is_restricted: true,
        ..User::default()
    };
    let (ana, eve) = (
        world.person("ana", Some(true)).await,
        world.account("eve", guest).await,
    );
    let mut mentioning = request(&channel, &[]);
    mentioning["mention"] = json!([ana, eve]);
    let ended = world.run(WORKFLOW, &mentioning).await;

    let skipped = json!([{ "email": eve, "reason": "restricted" }]);
    let output = ended.output();
    assert_eq!(output["members"]["invited"], json!([ana]));
    assert_eq!(output["members"]["skipped"], skipped);
    assert_eq!(output["message"]["mentioned"], json!([ana]));
    assert_eq!(output["message"]["notMentioned"], skipped);
    let message = &world.in_slack(&channel).await.messages[0].text;
    assert!(message.starts_with("<@U"), "{message}");
}

#[tokio::test]
async fn whoever_has_a_new_account_is_mentioned_by_its_id_even_if_the_table_has_the_old_one() {
    let world = World::here();
    let (ana, old) = world.person_with_id("ana").await;
    let notify = async |channel: &str| {
        let section = json!({ "type": "section", "text": { "type": "mrkdwn", "text": "hello" } });
        let mut mentioning = request(channel, &[]);
        mentioning["message"] = json!({ "text": "hello", "blocks": [section] });
        mentioning["mention"] = json!([ana]);
        world.run(WORKFLOW, &mentioning).await.output().clone()
    };
    // The table learns the old id.
    let earlier = unique("earlier");
    notify(&earlier).await;
    let texts = world.messages_in(&earlier).await;
    assert_eq!(texts, [format!("<@{old}>\nhello")]);
    let new = world.replace_account(&ana).await;

    let channel = unique("replaced");
    let outcome = notify(&channel).await;

    assert_eq!(outcome["members"]["invited"], json!([ana]));
    assert_eq!(outcome["message"]["mentioned"], json!([ana]));
    let in_slack = world.in_slack(&channel).await;
    assert!(in_slack.members.contains(&new), "{:?}", in_slack.members);
    let message = &in_slack.messages[0];
    assert_eq!(message.text, format!("<@{new}>\nhello"));
    let people = &message.blocks.as_ref().unwrap()[0]["elements"][0]["elements"];
    assert_eq!(*people, json!([{ "type": "user", "user_id": new }]));
}

#[tokio::test]
async fn a_notification_without_members_succeeds() {
    let world = World::here();
    let channel = unique("alone");
    let ended = world
        .run(
            WORKFLOW,
            &json!({ "channelName": channel, "message": "hi" }),
        )
        .await;
    assert_eq!(
        ended.output()["members"],
        json!({ "invited": [], "alreadyMembers": [], "skipped": [] })
    );
    assert_eq!(world.in_slack(&channel).await.messages.len(), 1);
}

#[tokio::test]
async fn an_existing_channel_is_found_and_only_missing_members_are_invited() {
    let world = World::here();
    let channel = unique("existing");
    let (ana, bob) = (
        world.person("ana", Some(true)).await,
        world.person("bob", Some(true)).await,
    );
    let id = world.private_channel(&channel, &[&ana]).await.id;

    let ended = world.run(WORKFLOW, &request(&channel, &[&ana, &bob])).await;

    let output = ended.output();
    assert_eq!(output["channel"]["id"], json!(id));
    assert_eq!(output["channel"]["created"], json!(false));
    assert_eq!(output["members"]["alreadyMembers"], json!([ana]));
    assert_eq!(output["members"]["invited"], json!([bob]));
    let mut emails = world.in_slack(&channel).await.emails;
    emails.sort();
    assert_eq!(emails, [ana, bob]);
    assert_eq!(ended.last_state(), "PostMessage");
}

#[tokio::test]
async fn a_second_notification_costs_one_slack_call() {
    let world = World::here();
    let (channel, ana) = (unique("again"), world.person("ana", Some(true)).await);
    world
        .run(WORKFLOW, &request(&channel, &[&ana]))
        .await
        .output();
    let id = world.in_slack(&channel).await.id;
    let before = world.calls_with(&id).await.len()
        + world.calls_with(&channel).await.len()
        + world.calls_with(&ana).await.len();

    let mut second = request(&channel, &[&ana]);
    second["message"] = json!("once more");
    let ended = world.run(WORKFLOW, &second).await;

    assert_eq!(ended.output()["members"]["alreadyMembers"], json!([ana]));
    let after = world.calls_with(&id).await.len()
        + world.calls_with(&channel).await.len()
        + world.calls_with(&ana).await.len();
    let waits = ended
        .states()
        .iter()
        .filter(|state| state.starts_with("Wait"))
        .count();
    assert_eq!(after - before, 1 + waits);
    assert_eq!(world.in_slack(&channel).await.messages.len(), 2);
}

#[tokio::test]
async fn an_execution_waits_for_a_rate_limit_as_long_as_slack_says() {
    let world = World::here();
    let (channel, ana) = (unique("limited"), world.person("ana", Some(true)).await);
    let limit = How::RateLimited { retry_after: 20 };
    world
        .fault("users.lookupByEmail", "email", &ana, 1, limit.clone())
        .await;
    world
        .fault("conversations.create", "name", &channel, 2, limit)
        .await;

    let ended = world.run(WORKFLOW, &request(&channel, &[&ana])).await;

    ended.output();
    let waits = |wait: &str| {
        let states = ended.states().into_iter();
        states.filter(|state| *state == wait).count()
    };
    // There are more if other tests call the same methods at that moment.
    assert!(waits("WaitToEnsureChannel") >= 2);
    assert!(waits("WaitToResolveUsers") >= 1);
    let mut look_ups = world.calls_with(&ana).await;
    look_ups.retain(|call| call.method == "users.lookupByEmail");
    let called_at = |call: &Call| {
        let at = DateTime::from_str(&call.at, Format::DateTimeWithOffset);
        at.unwrap().as_secs_f64()
    };
    let [refused, again, ..] = &look_ups[..] else {
        panic!("{look_ups:?}");
    };
    // 20 s, scaled by 0.05, but for roundings.
    assert!(called_at(again) - called_at(refused) > 0.99, "{look_ups:?}");
    assert_eq!(world.in_slack(&channel).await.messages.len(), 1);
}

#[tokio::test]
async fn an_html_500_before_the_effect_is_retried() {
    let world = World::here();
    let (channel, ana) = (unique("html"), world.person("ana", Some(true)).await);
    let broken = || How::Html500 {
        effect: Effect::None,
    };
    world
        .fault("users.lookupByEmail", "email", &ana, 2, broken())
        .await;
    world
        .fault("conversations.create", "name", &channel, 1, broken())
        .await;

    let ended = world.run(WORKFLOW, &request(&channel, &[&ana])).await;

    assert_eq!(ended.output()["members"]["invited"], json!([ana]));
    assert_eq!(world.in_slack(&channel).await.messages.len(), 1);
    // There are more if a rate limit delayed it too.
    assert!(ended.failed_attempts("ResolveUsers") >= 2);
    assert!(ended.failed_attempts("EnsureChannel") >= 1);
}

#[tokio::test]
async fn people_invited_before_slack_failed_are_in_the_outcome_as_invited() {
    let world = World::here();
    let channel = unique("reinvited");
    let (ana, bob) = (
        world.person("ana", Some(true)).await,
        world.person("bob", Some(true)).await,
    );
    let id = world.private_channel(&channel, &[&ana]).await.id;
    let broken = How::Html500 {
        effect: Effect::Done,
    };
    world
        .fault("conversations.invite", "channel", &id, 1, broken)
        .await;
    let ended = world.run(WORKFLOW, &request(&channel, &[&ana, &bob])).await;
    assert_eq!(
        ended.output()["members"],
        json!({ "invited": [bob], "alreadyMembers": [ana], "skipped": [] })
    );
}

#[tokio::test]
async fn the_longest_text_is_one_message_with_all_its_words() {
    let world = World::here();
    let channel = unique("long");
    let text = "all of it ".repeat(1_200);
    let request = json!({ "channelName": channel, "message": text });
    world.run(WORKFLOW, &request).await.output();

    let messages = world.in_slack(&channel).await.messages;
    assert_eq!(messages.len(), 1);
    let blocks = messages[0].blocks.as_ref().and_then(Value::as_array);
    let sections = blocks.unwrap().iter();
    let shown: Vec<&str> = sections
        .filter_map(|section| section["text"]["text"].as_str())
        .collect();
    let (shown, text) = (shown.join(" "), text.split_whitespace());
    assert!(shown.split_whitespace().eq(text));
}

#[tokio::test]
async fn slacks_reason_for_an_invalid_block_reaches_the_caller() {
    let world = World::here();
    let channel = unique("block");
    let section =
        json!({ "type": "section", "text": { "type": "mrkdwn", "text": "x".repeat(3_001) } });
    let message = json!({ "text": "hi", "blocks": [section] });
    let request = json!({ "channelName": channel, "message": message });
    let ended = world.run(WORKFLOW, &request).await;
    let (error, cause) = ended.failure();
    assert_eq!(error, "Slack.MessageRejected");
    let reason = cause["message"].as_str().unwrap();
    assert!(
        reason.contains("must be less than 3001 characters at /blocks/0/text/text"),
        "{reason}"
    );
    assert!(world.in_slack(&channel).await.messages.is_empty());
}

#[tokio::test]
async fn a_step_that_waits_too_often_fails_in_its_task_so_that_it_can_be_redriven() {
    let world = World::here();
    let channel = unique("patience");
    let limit = How::RateLimited { retry_after: 1 };
    world
        .fault("conversations.create", "name", &channel, 1_000, limit)
        .await;
    let arn = world.start(WORKFLOW, &request(&channel, &[])).await;
    // A hundred waits and invocations.
    let ended = world.end_within(&arn, Duration::from_mins(10)).await;
    let (error, _) = ended.failure();
    assert_eq!(
        (error, ended.last_state()),
        ("Slack.WaitsExhausted", "EnsureChannel")
    );
    let waits = ended.states().into_iter();
    assert_eq!(
        waits
            .filter(|state| *state == "WaitToEnsureChannel")
            .count(),
        100
    );
}

#[tokio::test]
async fn a_post_whose_outcome_is_unknown_is_searched_for_and_not_repeated() {
    let world = World::here();
    let channel = unique("unknown");
    let id = world.private_channel(&channel, &[]).await.id;
    let lost = How::Html500 {
        effect: Effect::Done,
    };
    world
        .fault("chat.postMessage", "channel", &id, 1, lost)
        .await;

    let ended = world.run(WORKFLOW, &request(&channel, &[])).await;

    let messages = world.in_slack(&channel).await.messages;
    assert_eq!(messages.len(), 1);
    assert_eq!(
        ended.output()["message"],
        json!({ "ts": messages[0].ts, "duplicate": true })
    );
    assert!(ended.states().contains(&"WaitToPostMessage"));
}

#[tokio::test]
async fn twenty_executions_for_one_new_channel_create_one_channel() {
    let world = World::here();
    let channel = unique("race");
    let mut started = Vec::new();
    for _ in 0..20 {
        started.push(world.start(WORKFLOW, &request(&channel, &[])).await);
    }
    let mut created = 0;
    for arn in started {
        created += u32::from(world.end_of(&arn).await.output()["channel"]["created"] == true);
    }
    assert_eq!(created, 1);
    assert_eq!(world.in_slack(&channel).await.messages.len(), 20);
    let calls = world.calls_with(&channel).await;
    assert_eq!(
        calls
            .iter()
            .filter(|call| call.method == "conversations.create" && call.status == 200)
            .count(),
        1
    );
}

#[tokio::test]
async fn a_broadcast_is_defused_unless_it_is_allowed() {
    let world = World::here();
    let channel = unique("broadcast");
    let mut loud = request(&channel, &[]);
    loud["message"] = json!("<!channel> now");
    world.run(WORKFLOW, &loud).await.output();
    loud["allowBroadcast"] = json!(true);
    world.run(WORKFLOW, &loud).await.output();
    let texts: Vec<_> = world
        .in_slack(&channel)
        .await
        .messages
        .into_iter()
        .map(|message| message.text)
        .collect();
    assert_eq!(texts, ["@channel now", "<!channel> now"]);
}

#[rstest]
#[case::the_message("invalid_blocks", "Slack.MessageRejected", "Fail")]
#[case::the_channel("restricted_action", "Slack.Rejected", "PostMessage")]
#[case::a_code_that_slack_may_add("no_such_code_yet", "Slack.Rejected", "PostMessage")]
#[tokio::test]
async fn a_post_that_slack_refuses_fails_with_slacks_code(
    #[case] code: &str,
    #[case] expected: &str,
    #[case] last_state: &str,
) {
    let world = World::here();
    let channel = unique("refused");
    let id = world.private_channel(&channel, &[]).await.id;
    let refused = How::refused(code);
    world
        .fault("chat.postMessage", "channel", &id, 1, refused)
        .await;
    let ended = world.run(WORKFLOW, &request(&channel, &[])).await;
    let (error, cause) = ended.failure();
    assert_eq!(
        (error, &cause["slackError"], ended.last_state()),
        (expected, &json!(code), last_state)
    );
}
