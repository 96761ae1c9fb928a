//! `notify-private-channel`: what a caller gets and what is in Slack afterwards.
#![allow(clippy::unwrap_used)]

use e2e::{World, unique};
use serde_json::{Value, json};
use slack_sandbox::{
    faults::{Effect, How},
    seed::ChannelSeed,
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
async fn a_new_private_channel_is_made_filled_and_posted_to() {
    let world = World::here();
    let (channel, ana) = (unique("new"), world.person("ana", Some(true)).await);
    let ended = world.run(WORKFLOW, &request(&channel, &[&ana])).await;

    let in_slack = world.in_slack(&channel).await;
    assert!(in_slack.is_private);
    assert_eq!(in_slack.emails, [ana.as_str()]);
    assert_eq!(in_slack.messages.len(), 1);
    assert_eq!(in_slack.messages[0].text, format!("hello {channel}"));
    assert_eq!(
        *ended.output(),
        json!({
            "channel": { "id": in_slack.id, "name": channel, "visibility": "private", "archived": false, "created": true },
            "members": { "invited": [ana], "alreadyMembers": [], "skipped": [] },
            "message": { "ts": in_slack.messages[0].ts, "duplicate": false },
        })
    );
    assert_eq!(ended.steps(), STATES);
}

#[tokio::test]
async fn who_is_not_invited_stands_in_the_outcome_with_the_reason() {
    let world = World::here();
    let channel = unique("reasons");
    let wanted = world.person("wanted", Some(true)).await;
    let unset = world.person("unset", None).await;
    let opted_out = world.person("opted-out", Some(false)).await;
    let no_profile = world.slack_user("no-profile", User::default()).await;
    let not_in_slack = format!("{}@example.com", unique("not-in-slack"));
    world.profile(&not_in_slack, Some(true)).await;
    let deactivated = User {
        deleted: true,
        ..User::default()
    };
    let deactivated = world.account("deactivated", deactivated).await;
    let guest = User {
        is_restricted: true,
        ..User::default()
    };
    let guest = world.account("guest", guest).await;
    let bot = User {
        is_bot: true,
        ..User::default()
    };
    let bot = world.account("bot", bot).await;

    let all = [
        &wanted,
        &unset,
        &opted_out,
        &no_profile,
        &not_in_slack,
        &deactivated,
        &guest,
        &bot,
    ];
    let ended = world
        .run(WORKFLOW, &request(&channel, &all.map(String::as_str)))
        .await;

    let members = &ended.output()["members"];
    assert_eq!(members["invited"], json!([wanted, unset]));
    assert_eq!(
        members["skipped"],
        json!([
            { "email": opted_out, "reason": "opted_out" },
            { "email": no_profile, "reason": "no_profile" },
            { "email": not_in_slack, "reason": "not_in_slack" },
            { "email": deactivated, "reason": "not_in_slack" },
            { "email": bot, "reason": "bot" },
            { "email": guest, "reason": "restricted" },
        ])
    );
    let mut emails = world.in_slack(&channel).await.emails;
    emails.sort();
    let mut expected = [wanted, unset];
    expected.sort();
    assert_eq!(emails, expected);
    // Only a rate limit can delay it.
    let visited = ended.states();
    assert!(STATES.iter().all(|state| visited.contains(state)));
}

#[tokio::test]
async fn nobody_to_invite_is_fine() {
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
async fn an_existing_channel_is_found_and_only_the_missing_are_invited() {
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
async fn more_than_a_hundred_members_are_invited_in_batches() {
    let world = World::here();
    let channel = unique("many");
    let mut members = Vec::new();
    for n in 0..120 {
        members.push(world.person(&format!("m{n}"), Some(true)).await);
    }
    let all: Vec<&str> = members.iter().map(String::as_str).collect();
    let ended = world.run(WORKFLOW, &request(&channel, &all)).await;
    assert_eq!(ended.output()["members"]["invited"], json!(members));
    assert_eq!(world.in_slack(&channel).await.emails.len(), 120);
}

#[tokio::test]
async fn a_rate_limit_is_waited_for_as_long_as_slack_says() {
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
    let waits = |state: &str| {
        ended
            .visits
            .iter()
            .filter(|visit| visit.state == state)
            .collect::<Vec<_>>()
    };
    // There are more if other tests call the same methods at that moment.
    assert!(waits("WaitToEnsureChannel").len() >= 2);
    let waited = waits("WaitToResolveUsers");
    // 20 s, scaled by 0.05.
    let mut seconds = waited.iter().map(|wait| wait.took.as_secs_f64());
    assert!(seconds.any(|seconds| seconds >= 0.9), "{waited:?}");
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
async fn who_was_invited_before_slack_failed_stands_in_the_outcome_as_invited() {
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
async fn a_step_that_waits_too_often_fails_in_its_task_so_that_it_can_be_redriven() {
    let world = World::here();
    let channel = unique("patience");
    let limit = How::RateLimited { retry_after: 1 };
    world
        .fault("conversations.create", "name", &channel, 1_000, limit)
        .await;
    let ended = world.run(WORKFLOW, &request(&channel, &[])).await;
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
async fn a_post_whose_outcome_is_unknown_is_looked_for_and_not_repeated() {
    let world = World::here();
    for how in [
        How::Error {
            error: "internal_error".to_owned(),
            effect: Effect::Done,
        },
        How::Html500 {
            effect: Effect::Done,
        },
        How::Reset {
            effect: Effect::Done,
        },
    ] {
        let channel = unique("unknown");
        let id = world.private_channel(&channel, &[]).await.id;
        world
            .fault("chat.postMessage", "channel", &id, 1, how.clone())
            .await;

        let ended = world.run(WORKFLOW, &request(&channel, &[])).await;

        let messages = world.in_slack(&channel).await.messages;
        assert_eq!(messages.len(), 1, "{how:?}");
        assert_eq!(
            ended.output()["message"],
            json!({ "ts": messages[0].ts, "duplicate": true })
        );
        assert!(ended.states().contains(&"WaitToPostMessage"));
    }
}

#[tokio::test]
async fn a_post_that_did_not_happen_is_repeated() {
    let world = World::here();
    let channel = unique("repeated");
    let id = world.private_channel(&channel, &[]).await.id;
    world
        .fault(
            "chat.postMessage",
            "channel",
            &id,
            1,
            How::Html500 {
                effect: Effect::None,
            },
        )
        .await;

    let ended = world.run(WORKFLOW, &request(&channel, &[])).await;

    assert_eq!(ended.output()["message"]["duplicate"], json!(false));
    assert_eq!(world.in_slack(&channel).await.messages.len(), 1);
}

#[tokio::test]
async fn a_post_in_a_thread_whose_outcome_is_unknown_is_looked_for_in_the_thread() {
    let world = World::here();
    let channel = unique("thread");
    let parent =
        world.run(WORKFLOW, &request(&channel, &[])).await.output()["message"]["ts"].clone();
    let id = world.in_slack(&channel).await.id;
    world
        .fault(
            "chat.postMessage",
            "thread_ts",
            parent.as_str().unwrap(),
            1,
            How::Reset {
                effect: Effect::Done,
            },
        )
        .await;

    let mut reply = request(&channel, &[]);
    reply["message"] = json!({ "text": "reply", "threadTs": parent });
    let ended = world.run(WORKFLOW, &reply).await;

    assert_eq!(ended.output()["message"]["duplicate"], json!(true));
    assert_eq!(world.in_slack(&channel).await.messages.len(), 2);
    assert!(
        world
            .calls_with(&id)
            .await
            .iter()
            .any(|call| call.method == "conversations.replies")
    );
}

#[tokio::test]
async fn twenty_executions_for_one_new_channel_end_with_one_channel() {
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
async fn a_name_held_by_a_channel_that_cant_be_used_is_a_final_error_that_says_which() {
    let world = World::here();
    let archived = ChannelSeed {
        is_private: true,
        is_archived: true,
        ..ChannelSeed::default()
    };
    let invisible = ChannelSeed {
        is_private: true,
        bot_is_member: false,
        ..ChannelSeed::default()
    };
    let public = ChannelSeed::default();
    for (seed, expected) in [
        (archived, "archived"),
        (invisible, "not a member"),
        (public, "public"),
    ] {
        let channel = unique("taken");
        world.channel(&channel, seed).await;
        let ended = world.run(WORKFLOW, &request(&channel, &[])).await;
        let (error, cause) = ended.failure();
        assert_eq!(error, "Channel.NameTaken");
        assert!(
            cause["message"].as_str().unwrap().contains(expected),
            "{cause}"
        );
        assert_eq!(ended.last_state(), "Fail");
        assert_eq!(world.in_slack(&channel).await.messages, []);
    }
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

#[tokio::test]
async fn a_post_that_slack_refuses_for_good_ends_in_fail_with_slacks_code() {
    let world = World::here();
    let channel = unique("refused");
    let id = world.private_channel(&channel, &[]).await.id;
    let refused = How::refused("restricted_action");
    world
        .fault("chat.postMessage", "channel", &id, 1, refused)
        .await;
    let ended = world.run(WORKFLOW, &request(&channel, &[])).await;
    let (error, cause) = ended.failure();
    assert_eq!(
        (error, &cause["slackError"]),
        ("Slack.Rejected", &json!("restricted_action"))
    );
    assert_eq!(ended.last_state(), "Fail");
}
