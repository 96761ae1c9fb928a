//! `apgl`, as an operator types it.
#![allow(clippy::unwrap_used)]

use e2e::{World, apgl::apgl, aws_cli::aws, unique};
use local_stack::stack::{ACCOUNT, REGION};
use serde_json::Value;
use slack_sandbox::faults::{Effect, How};

/// The output of a successful command.
async fn text(world: &World, arguments: &[&str]) -> String {
    let output = apgl(world, arguments).await;
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The output of a successful command, as JSON.
async fn json(world: &World, arguments: &[&str]) -> Value {
    let arguments = [arguments, &["--output", "json"]].concat();
    text(world, &arguments).await.parse().unwrap()
}

#[tokio::test]
async fn each_of_the_seven_operations_has_a_command() {
    let world = World::here();
    let channel = unique("cli");
    let (ana, bob) = (
        world.person("ana", Some(true)).await,
        world.person("bob", Some(false)).await,
    );
    let members = ["--member", &ana, "--member", &bob];

    let create = [
        &["create-channel", &channel, "--topic", "about", "--wait"][..],
        &members,
    ]
    .concat();
    let created = text(&world, &create).await;
    assert!(
        created.contains(&format!("#{channel}  (private, ")),
        "{created}"
    );
    assert!(
        created.contains(&format!("invited       {ana}")),
        "{created}"
    );
    assert!(
        created.contains(&format!("skipped       {bob}  (opted_out)")),
        "{created}"
    );

    let notify = ["notify-private", &channel, "--message", "hello", "--wait"];
    let notified = json(&world, &notify).await;
    assert_eq!(notified["status"], "SUCCEEDED");
    assert_eq!(notified["outcome"]["message"]["duplicate"], false);
    assert_eq!(world.in_slack(&channel).await.messages.len(), 1);

    let change = ["change-members", &channel, "--remove", &ana, "--wait"];
    assert!(
        text(&world, &change)
            .await
            .contains(&format!("removed       {ana}"))
    );

    assert!(
        text(&world, &["check-channel", &channel])
            .await
            .contains("the channel exists")
    );
    assert!(
        text(&world, &["delete-channel", &channel, "--yes", "--wait"])
            .await
            .contains("archived")
    );
    let checked = apgl(&world, &["check-channel", &channel]).await;
    assert_eq!(checked.status.code(), Some(6), "{checked:?}");

    let public = unique("cli");
    world.public_channel(&public).await;
    let notify = [
        "notify-public",
        &public,
        "--message",
        "<!here> hello",
        "--wait",
    ];
    text(&world, &notify).await;
    assert_eq!(
        world.in_slack(&public).await.messages[0].text,
        "@here hello"
    );

    let tell = async |person: &str| {
        let notify = ["notify-person", person, "--message", "your turn", "--wait"];
        text(&world, &notify).await
    };
    let told = tell(&ana).await;
    let direct_message = world.direct_message(&ana).await.unwrap();
    assert_eq!(direct_message.messages.len(), 1);
    let (ts, id) = (&direct_message.messages[0].ts, &direct_message.id);
    let posted = format!("posted message {ts} in direct message {id}");
    assert!(told.contains(&posted), "{told}");
    let skipped = format!("skipped       {bob}  (opted_out)");
    let told = tell(&bob).await;
    assert!(told.contains(&skipped), "{told}");
    assert!(world.direct_message(&bob).await.is_none());
}

#[tokio::test]
async fn two_commands_with_one_key_post_one_message_and_a_third_is_a_conflict() {
    let world = World::here();
    let (channel, key) = (unique("cli"), unique("key"));
    world.public_channel(&channel).await;
    let notify = [
        "notify-public",
        &channel,
        "--message",
        "once",
        "--key",
        &key,
    ];
    let first = json(&world, &[&notify[..], &["--wait"]].concat()).await;
    assert_eq!(
        first["executionArn"],
        json(&world, &notify).await["executionArn"]
    );
    assert_eq!(world.in_slack(&channel).await.messages.len(), 1);

    let other = [
        "notify-public",
        &channel,
        "--message",
        "twice",
        "--key",
        &key,
    ];
    let conflict = apgl(&world, &other).await;
    assert_eq!(conflict.status.code(), Some(5));
    let line = String::from_utf8(conflict.stderr).unwrap();
    assert_eq!(line.lines().count(), 1);
    assert!(line.contains("the idempotency key is not unique"), "{line}");
}

#[tokio::test]
async fn a_final_failure_is_listed_and_inspected_but_not_redriven() {
    let world = World::here();
    let channel = unique("theirs");
    world.public_channel(&channel).await;
    let failed = apgl(&world, &["delete-channel", &channel, "--yes", "--wait"]).await;
    assert_eq!(failed.status.code(), Some(1));
    let shown = String::from_utf8(failed.stdout).unwrap();
    assert!(shown.contains("failed Channel.NotOurs: "), "{shown}");
    assert!(shown.contains("--even-if-not-ours"), "{shown}");
    let name = shown
        .lines()
        .last()
        .unwrap()
        .strip_prefix("execution ")
        .unwrap();

    let listed = text(&world, &["list", "--failed", "--limit", "1000"]).await;
    assert!(listed.contains(name), "{listed}");
    let listed = json(&world, &["list", "--workflow", "create-channel"]).await;
    let all = listed["executions"].as_array().unwrap();
    assert!(all.iter().all(|one| one["workflow"] == "create-channel"));

    let inspected = apgl(&world, &["inspect", name]).await;
    assert_eq!(inspected.status.code(), Some(1));
    let inspected = String::from_utf8(inspected.stdout).unwrap();
    assert!(inspected.contains("delete-channel  FAILED"), "{inspected}");
    assert!(
        inspected.contains("CheckRequest ─▶ FindChannel"),
        "{inspected}"
    );

    let redriven = apgl(&world, &["redrive", name, "no-such-execution"]).await;
    assert_eq!(redriven.status.code(), Some(1));
    let redriven = String::from_utf8(redriven.stdout).unwrap();
    assert!(redriven.contains("Channel.NotOurs is final"), "{redriven}");
    assert!(
        redriven.contains("there is no execution `no-such-execution`"),
        "{redriven}"
    );
}

#[tokio::test]
async fn a_failed_execution_is_redriven_and_its_timeline_says_so() {
    let world = World::here();
    let channel = unique("redriven");
    let id = world.public_channel(&channel).await.id;
    let refused = How::refused("not_allowed_token_type");
    world
        .fault("chat.postMessage", "channel", &id, 1, refused)
        .await;
    let request = ["notify-public", &channel, "--message", "hi", "--wait"];
    let failed = apgl(&world, &request).await;
    assert_eq!(failed.status.code(), Some(1));
    let shown = String::from_utf8(failed.stdout).unwrap();
    let last = shown.lines().last().unwrap();
    let name = last.strip_prefix("execution ").unwrap();

    let redriven = text(&world, &["redrive", name]).await;
    assert!(redriven.contains(&format!("redriven {name}")), "{redriven}");
    let arn =
        format!("arn:aws:states:{REGION}:{ACCOUNT}:execution:apgl-notify-public-channel:{name}");
    world.end_of(&arn).await.output();
    let inspected = text(&world, &["inspect", name]).await;
    assert!(inspected.contains("SUCCEEDED"), "{inspected}");
    assert!(inspected.contains("redriven once"), "{inspected}");
}

#[tokio::test]
async fn a_deletion_needs_a_yes_and_a_channel_of_others_one_more() {
    let world = World::here();
    let channel = unique("theirs");
    world.public_channel(&channel).await;
    let delete = ["delete-channel", &channel, "--wait"];
    let unasked = apgl(&world, &delete).await;
    assert_eq!(unasked.status.code(), Some(2), "{unasked:?}");
    let refused = apgl(&world, &[&delete[..], &["--yes"]].concat()).await;
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(!world.in_slack(&channel).await.is_archived);

    let meant = [&delete[..], &["--yes", "--even-if-not-ours"]].concat();
    let deleted = text(&world, &meant).await;
    assert!(deleted.contains("archived"), "{deleted}");
    assert!(world.in_slack(&channel).await.is_archived);
}

#[tokio::test]
async fn a_stopped_execution_is_redriven_only_on_purpose() {
    let world = World::here();
    let channel = unique("stopped");
    let id = world.public_channel(&channel).await.id;
    world.hang_post(&id).await;
    let request = serde_json::json!({ "channelName": channel, "message": "hi" });
    let arn = world.start("notify-public-channel", &request).await;
    world.is_in(&arn, "PostMessage").await;
    world.stop(&arn).await;
    world.end_of(&arn).await;

    let refused = apgl(&world, &["redrive", &arn]).await;
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let shown = String::from_utf8(refused.stdout).unwrap();
    assert!(shown.contains("--even-if-stopped"), "{shown}");

    text(&world, &["redrive", &arn, "--even-if-stopped"]).await;
    world.end_of(&arn).await.output();
    assert_eq!(world.in_slack(&channel).await.messages.len(), 1);
}

#[tokio::test]
async fn queues_for_slacks_limits_are_listed_and_cleared_by_name() {
    let world = World::here();
    let listed = json(&world, &["limits"]).await;
    assert!(listed["queues"].is_array(), "{listed}");
    let cleared = apgl(&world, &["limits", "reset", "no.such.method"]).await;
    assert_eq!(cleared.status.code(), Some(2), "{cleared:?}");
    let line = String::from_utf8(cleared.stderr).unwrap();
    assert!(
        line.contains("there is no quota `no.such.method`"),
        "{line}"
    );
}

#[tokio::test]
async fn a_name_that_two_workflows_have_is_rejected_with_both_arns() {
    let world = World::here();
    let (channel, key) = (unique("cli"), unique("key"));
    let of_this_key = ["--key", &key, "--wait"];
    let create = [&["create-channel", &channel][..], &of_this_key].concat();
    let delete = [&["delete-channel", &channel, "--yes"][..], &of_this_key].concat();
    let created = json(&world, &create).await;
    let deleted = json(&world, &delete).await;
    let arns = [&created, &deleted].map(|one| one["executionArn"].as_str().unwrap().to_owned());
    let name = arns[0].rsplit(':').next().unwrap();
    for command in ["inspect", "redrive"] {
        let output = apgl(&world, &[command, name]).await;
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let shown = [output.stdout, output.stderr].concat();
        let shown = String::from_utf8(shown).unwrap();
        assert!(shown.contains("2 executions have this name"), "{shown}");
        assert!(arns.iter().all(|arn| shown.contains(arn)), "{shown}");
    }
    let inspected = text(&world, &["inspect", &arns[1]]).await;
    assert!(
        inspected.contains("delete-channel  SUCCEEDED"),
        "{inspected}"
    );
}

#[tokio::test]
async fn inspect_shows_a_rate_limit_wait_and_a_retry() {
    let world = World::here();
    let (channel, ana) = (unique("eventful"), world.person("ana", Some(true)).await);
    world
        .fault(
            "users.lookupByEmail",
            "email",
            &ana,
            1,
            How::Html500 {
                effect: Effect::None,
            },
        )
        .await;
    let created = json(&world, &["create-channel", &channel, "--wait"]).await;
    let id = created["outcome"]["channel"]["id"].as_str().unwrap();
    let limited = How::RateLimited { retry_after: 30 };
    world
        .fault("chat.postMessage", "channel", id, 1, limited)
        .await;

    let notify = [
        "notify-private",
        &channel,
        "--message",
        "hi",
        "--member",
        &ana,
        "--wait",
    ];
    let notified = json(&world, &notify).await;
    let arn = notified["executionArn"].as_str().unwrap();
    let inspected = text(&world, &["inspect", arn]).await;
    for expected in [
        "notify-private-channel  SUCCEEDED",
        "retries: 1",
        "● ResolveUsers  2 attempts",
        "✗ Slack.Unavailable: ",
        "↻ retried after ",
        "◷ WaitToPostMessage",
        "waits: Slack.RateLimited: Slack limits chat.postMessage",
        "PostMessage ⇄ WaitToPostMessage (",
        "─▶ ✔",
    ] {
        assert!(
            inspected.contains(expected),
            "{expected} is missing from\n{inspected}"
        );
    }
    println!("{inspected}");
}

#[tokio::test]
async fn a_preference_is_written_into_an_existing_profile() {
    let world = World::here();
    let email = world.person("ana", None).await;
    let preference = async |arguments: &[&str]| {
        let arguments = [&["preferences"], arguments].concat();
        json(&world, &arguments).await["slack"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(preference(&["get", &email]).await, "unset");
    for wanted in ["off", "on", "unset", "on"] {
        assert_eq!(preference(&["set", &email, wanted]).await, wanted);
        assert_eq!(preference(&["get", &email.to_uppercase()]).await, wanted);
    }
    for (part, place) in [
        (&["--category", "news"][..], "/categories/news"),
        (&["--direct"], "/direct"),
    ] {
        let set = [&["preferences", "set", &email, "off"], part].concat();
        for arguments in [&set[..], &["preferences", "get", &email]] {
            let shown = json(&world, arguments).await;
            assert_eq!(shown.pointer(place).unwrap(), "off", "{shown}");
            assert_eq!(shown["slack"], "on");
        }
    }
    let nobody = format!("{}@example.com", unique("nobody"));
    for arguments in [
        &["preferences", "get", &nobody][..],
        &["preferences", "set", &nobody, "on"],
        &["preferences", "set", &nobody, "unset"],
        &["preferences", "set", &nobody, "off", "--direct"],
    ] {
        let output = apgl(&world, arguments).await;
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let line = String::from_utf8(output.stderr).unwrap();
        assert!(line.starts_with(&format!("error: there is no user profile for {nobody}")));
    }
}

#[tokio::test]
async fn the_doctor_checks_the_stack_the_token_the_tables_the_concurrency_and_the_alarms() {
    let world = World::here();
    let output = apgl(&world, &["doctor", "--deep"]).await;
    let shown = String::from_utf8(output.stdout).unwrap();
    for expected in [
        "✔ stack apgl-notifications: CREATE_COMPLETE",
        "✔ stack apgl-mpc-handlers: CREATE_COMPLETE",
        "✔ state machines: all 10 are there",
        "✔ token: accepted by Slack, for the workspace Sandbox",
        "✔ scopes: as in the manifest",
        "✔ threads: the bot can read the replies in its channels",
        "✔ table apgl-user-profiles: active",
        "✔ table apgl-rate-limits: active",
        "✔ table apgl-receipts: active",
        "✔ table apgl-items: active",
        "✔ event bus default: exists",
        "Lambda concurrency: ",
        "✔ queue apgl-outcome-dead-letters: empty",
        "queue apgl-mpc-event-dead-letters: empty",
        "queue apgl-mpc-content-bounty-dead-letters: ",
    ] {
        assert!(
            shown.contains(expected),
            "{expected} is missing from\n{shown}"
        );
    }
    assert!(!shown.contains("xoxb-sandbox"));
    // Executions of other tests fail because of the system, and these alarms ring for it.
    let mut ringing = shown
        .lines()
        .filter_map(|line| line.strip_prefix("✗ alarm "));
    assert!(
        ringing.all(|alarm| alarm.ends_with("-system-failed rings")),
        "{shown}"
    );

    set_alarm(&world, "ALARM").await;
    let output = apgl(&world, &["doctor"]).await;
    assert_eq!(output.status.code(), Some(1));
    let shown = String::from_utf8(output.stdout).unwrap();
    let rings = "✗ alarm apgl-token-rejected rings\n  → Slack does not accept the bot token";
    assert!(shown.contains(rings), "{shown}");
    set_alarm(&world, "OK").await;

    let elsewhere = apgl(&world, &["--prefix", "other", "doctor"]).await;
    assert_eq!(elsewhere.status.code(), Some(3));
    let line = String::from_utf8(elsewhere.stderr).unwrap();
    assert!(
        line.starts_with("error: there is no stack other-notifications"),
        "{line}"
    );
    assert_eq!(line.lines().count(), 1);
}

async fn set_alarm(world: &World, state: &str) {
    let set = [
        "cloudwatch",
        "set-alarm-state",
        "--alarm-name",
        "apgl-token-rejected",
    ];
    let state = ["--state-value", state, "--state-reason", "a test"];
    aws(&world.aws, &[&set[..], &state].concat()).await;
}
