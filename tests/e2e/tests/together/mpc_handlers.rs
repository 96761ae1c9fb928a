//! The MPC service's handlers: however often they receive an input, they post one message.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use apgl_client::{ExecutionName, StateMachineArn};
use e2e::{
    World,
    mpc::{Answered, request, unsigned_request},
    schemas::check_against,
    unique,
};
use local_stack::{
    execution::state_machine_arn,
    function_logs,
    invoke::{Answer, invoke},
    stack::BOUNTY_CHANNEL,
};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};
use tokio::time::sleep;

const EVENT_HANDLER: &str = "mpc-event-handler";
const BOUNTY: &str = "mpc-content-bounty-processor.bounty-changed";

/// The texts in a channel that contain this one.
async fn posted(world: &World, channel: &str, text: &str) -> Vec<String> {
    let Some(channel) = world.find_in_slack(channel).await else {
        return Vec::new();
    };
    let texts = channel.messages.into_iter().map(|message| message.text);
    texts.filter(|posted| posted.contains(text)).collect()
}

async fn wait_for_post(world: &World, channel: &str, text: &str) -> String {
    for _ in 0..300 {
        if let Some(text) = posted(world, channel, text).await.pop() {
            return text;
        }
        sleep(Duration::from_millis(200)).await;
    }
    panic!("{text} was not posted to {channel}");
}

async fn send_message(context: &str, key: &str, body: &Value) -> Answered {
    let path = format!("/contexts/{context}/messages");
    request(Method::POST, &path, key, body).await
}

async fn end_of(world: &World, answered: &Answered) -> Value {
    assert_eq!(answered.status, 202, "{answered:?}");
    let id = answered.body["executionId"].as_str().unwrap();
    world.end_of(id).await.output().clone()
}

#[tokio::test]
async fn a_context_is_created_changed_and_deleted_by_requests() {
    let world = World::here();
    let (context, ana) = (unique("context"), world.person("ana", Some(true)).await);
    let body = json!({ "channelName": context, "members": [ana], "topic": "about" });
    check_against("mpc-request-handler.create-context", &body);
    let created = request(Method::POST, "/contexts", &unique("key"), &body).await;
    assert_eq!(end_of(&world, &created).await["channel"]["created"], true);

    let body = json!({ "remove": [ana] });
    check_against("mpc-request-handler.change-members", &body);
    let members = format!("/contexts/{context}/members");
    let changed = request(Method::PATCH, &members, &unique("key"), &body).await;
    let outcome = end_of(&world, &changed).await;
    assert_eq!(outcome["members"]["removed"], json!([ana]));

    let path = format!("/contexts/{context}");
    let deleted = request(Method::DELETE, &path, &unique("key"), &json!({})).await;
    assert_eq!(end_of(&world, &deleted).await["deleted"], true);
    assert!(world.find_in_slack(&context).await.is_none());
}

#[tokio::test]
async fn the_same_http_request_three_times_is_one_message() {
    let world = World::here();
    let (context, key) = (unique("context"), unique("key"));
    let body = json!({ "message": "sent three times" });
    check_against("mpc-request-handler.send-message", &body);
    let (first, second) = tokio::join!(
        send_message(&context, &key, &body),
        send_message(&context, &key, &body)
    );
    assert_eq!(first, second);
    end_of(&world, &first).await;
    assert_eq!(send_message(&context, &key, &body).await, first);
    assert_eq!(posted(&world, &context, "three times").await.len(), 1);

    let other = json!({ "message": "something else" });
    let conflict = send_message(&context, &key, &other).await;
    assert_eq!(conflict.status, 409);
    assert_eq!(conflict.body["error"], "Conflict");
    assert_eq!(posted(&world, &context, "").await.len(), 1);
}

#[tokio::test]
async fn a_key_applies_within_one_workflow() {
    let world = World::here();
    let (context, key) = (unique("context"), unique("key"));
    let body = json!({ "channelName": context });
    let created = request(Method::POST, "/contexts", &key, &body).await;
    end_of(&world, &created).await;
    let path = format!("/contexts/{context}");
    let deleted = request(Method::DELETE, &path, &key, &json!({})).await;
    assert_eq!(end_of(&world, &deleted).await["deleted"], true);
    // The first request is finished, and is not carried out again.
    let again = request(Method::POST, "/contexts", &key, &body).await;
    assert_eq!(again, created);
    assert!(world.find_in_slack(&context).await.is_none());
}

#[tokio::test]
async fn a_message_goes_to_a_public_channel_if_the_request_says_so() {
    let world = World::here();
    let channel = unique("public");
    world.public_channel(&channel).await;
    let body = json!({ "message": "for all", "visibility": "public" });
    check_against("mpc-request-handler.send-message", &body);
    let sent = send_message(&channel, &unique("key"), &body).await;
    let outcome = end_of(&world, &sent).await;
    assert_eq!(outcome["channel"]["visibility"], "public");
}

#[rstest]
#[case("ana")]
#[case::with_a_plus("ana+news")]
#[tokio::test]
async fn the_same_http_request_to_a_person_twice_is_one_direct_message(#[case] name: &str) {
    let world = World::here();
    let (email, key) = (world.person(name, Some(true)).await, unique("key"));
    let encoded = email.replace('@', "%40").replace('+', "%2B");
    let path = format!("/people/{encoded}/messages");
    let body = json!({ "message": "your turn", "category": "action" });
    check_against("mpc-request-handler.send-direct-message", &body);
    let send = async || request(Method::POST, &path, &key, &body).await;
    let first = send().await;
    let outcome = end_of(&world, &first).await;
    assert_eq!(outcome["message"]["duplicate"], false, "{outcome}");
    assert_eq!(send().await, first);
    assert_eq!(world.direct_messages(&email).await, ["your turn"]);
}

#[rstest]
#[case("guide", "key", json!({ "message": "hi", "members": ["ana"] }), "members[0]")]
#[case("guide", "key", json!({ "message": "" }), "message")]
#[case("guide", "key", json!({}), "message")]
#[case("Guide", "key", json!({ "message": "hi" }), "channelName")]
#[case("guide", "", json!({ "message": "hi" }), "Idempotency-Key")]
#[case("guide", "key", json!({ "message": "hi", "channelName": "other" }), "channelName")]
#[case("guide", "key", json!({ "message": "hi", "visibility": "public", "members": [] }), "members")]
#[tokio::test]
async fn the_response_to_a_bad_request_names_the_field(
    #[case] context: &str,
    #[case] key: &str,
    #[case] body: Value,
    #[case] field: &str,
) {
    let refused = send_message(context, key, &body).await;
    assert_eq!(refused.status, 400, "{refused:?}");
    assert_eq!(refused.body["error"], "InvalidRequest");
    assert_eq!(refused.body["field"], field);
}

#[tokio::test]
async fn an_unsigned_request_is_rejected() {
    let body = json!({ "channelName": unique("context") });
    let refused = unsigned_request(Method::POST, "/contexts", &body).await;
    assert_eq!(refused.status, 403);
}

fn detail(channel: &str, members: &[&str], title: &str) -> Value {
    json!({
        "channelName": channel, "members": members,
        "contentItem": {
            "title": title, "link": "https://example.com/guide", "state": "changes_requested",
            "actor": "Ana", "dueDate": "2026-12-01",
        },
    })
}

#[tokio::test]
async fn an_event_on_the_bus_becomes_a_message_to_the_items_channel() {
    let world = World::here();
    let (channel, ana) = (unique("item"), world.person("ana", Some(true)).await);
    let detail = detail(&channel, &[&ana], "Rust & Lambda");
    check_against("mpc-event-handler.content-item-state-changed", &detail);
    world.publish(&detail).await;
    let text = wait_for_post(&world, &channel, "Rust").await;
    assert!(
        text.starts_with("Changes requested: Rust &amp; Lambda"),
        "{text}"
    );
    let in_slack = world.in_slack(&channel).await;
    assert!(in_slack.is_private);
    assert_eq!(in_slack.members.len(), 2);
    let blocks = in_slack.messages[0].blocks.as_ref().unwrap();
    assert_eq!(blocks[0]["type"], "header");
}

#[tokio::test]
async fn the_same_event_delivered_three_times_is_one_message() {
    let world = World::here();
    let channel = unique("item");
    let event = json!({
        "version": "0", "id": unique("event"), "detail-type": "Content Item State Changed",
        "source": "apgl.mpc", "account": "000000000000", "time": "2026-11-25T10:00:00Z",
        "region": "us-east-1", "resources": [], "detail": detail(&channel, &[], "Thrice"),
    });
    let mut answers = Vec::new();
    for _ in 0..3 {
        answers.push(invoke(&world.aws, EVENT_HANDLER, &event).await.unwrap());
        if let Answer::Outcome(arn) = &answers[0] {
            world.end_of(arn.as_str().unwrap()).await.output();
        }
    }
    assert!(
        answers.iter().all(|answer| *answer == answers[0]),
        "{answers:?}"
    );
    assert_eq!(posted(&world, &channel, "Thrice").await.len(), 1);
}

#[tokio::test]
async fn an_unreadable_event_fails_with_its_field_and_reveals_nothing_of_its_content() {
    let world = World::here();
    let mut detail = detail(&unique("item"), &[], "the secret title");
    detail["contentItem"]["state"] = json!("the secret state");
    let event = json!({
        "id": "e1", "detail-type": "Content Item State Changed", "source": "apgl.mpc",
        "detail": detail,
    });
    let answer = invoke(&world.aws, EVENT_HANDLER, &event).await.unwrap();
    let Answer::Failure { error, cause } = answer else {
        panic!("the event is bad: {answer:?}");
    };
    assert_eq!(error, "InvalidEvent");
    assert!(
        cause.starts_with("detail.contentItem.state: must be "),
        "{cause}"
    );
    let lines = function_logs(&world.aws).await.unwrap();
    assert!(lines.iter().any(|line| line.contains(&cause)));
    assert!(!lines.iter().any(|line| line.contains("the secret")));
}

fn bounty(id: &str, title: &str) -> Value {
    let body = json!({
        "id": id,
        "bounty": {
            "title": title, "link": "https://example.com/bounties/7", "state": "expiring",
            "dueDate": "2026-12-01", "reward": "A signed book",
        },
    });
    check_against(BOUNTY, &body);
    body
}

#[tokio::test]
async fn the_same_bounty_sent_three_times_is_one_message() {
    let world = World::with_bounty_channel().await;
    let title = unique("Bounty");
    let body = bounty(&unique("bounty"), &title).to_string();
    for _ in 0..3 {
        world.send_bounty(&body).await;
    }
    let text = wait_for_post(&world, BOUNTY_CHANNEL, &title).await;
    assert!(text.starts_with("Bounty ends soon"), "{text}");
    // By the time a later bounty has been posted, any duplicates would have been posted too.
    let later = unique("Later");
    let next = bounty(&unique("bounty"), &later).to_string();
    world.send_bounty(&next).await;
    wait_for_post(&world, BOUNTY_CHANNEL, &later).await;
    assert_eq!(posted(&world, BOUNTY_CHANNEL, &title).await.len(), 1);
}

#[tokio::test]
async fn a_bounty_mentions_those_who_must_act_and_want_it_but_not_the_actor() {
    let world = World::with_bounty_channel().await;
    let (ana, id) = world.person_with_id("ana").await;
    let bob = world.person("bob", Some(true)).await;
    let cem = world.person("cem", Some(true)).await;
    world.turn_off_category(&cem, "bounty").await;
    let (event, title) = (unique("bounty"), unique("Waiting"));
    let mut body = bounty(&event, &title);
    body["waitingFor"] = json!([ana, bob, cem]);
    body["actorEmail"] = json!(bob);
    check_against(BOUNTY, &body);
    world.send_bounty(&body.to_string()).await;

    let text = wait_for_post(&world, BOUNTY_CHANNEL, &title).await;
    let [bobs_name, cems_name] = [&bob, &cem].map(|email| email.split('@').next().unwrap());
    let addressed = format!("<@{id}>, {bobs_name}, {cems_name}\n");
    assert!(text.starts_with(&addressed), "{text}");
    let messages = world.in_slack(BOUNTY_CHANNEL).await.messages;
    let posted = messages.iter().find(|message| message.text == text);
    let blocks = json!(posted.unwrap().blocks).to_string();
    let user = json!({ "type": "user", "user_id": id }).to_string();
    assert_eq!(blocks.matches(&user).count(), 1, "{blocks}");
    assert_eq!(blocks.matches(r#""type":"user""#).count(), 1, "{blocks}");

    let name = ExecutionName::from_key("mpc-bounty", &event).unwrap();
    let machine = StateMachineArn::new(&state_machine_arn("notify-public-channel")).unwrap();
    let ended = world.end_of(&machine.execution(name)).await;
    let message = &ended.output()["message"];
    assert_eq!(message["mentioned"], json!([ana]));
    let not_mentioned = json!([
        { "email": bob, "reason": "acted" }, { "email": cem, "reason": "opted_out" },
    ]);
    assert_eq!(message["notMentioned"], not_mentioned);
}

#[tokio::test]
async fn an_unreadable_bounty_becomes_a_dead_letter_and_delays_no_other() {
    let world = World::with_bounty_channel().await;
    let bad = json!({ "id": unique("bounty"), "bounty": {} }).to_string();
    let title = unique("Good");
    let good = bounty(&unique("bounty"), &title).to_string();
    world.send_bounty(&bad).await;
    world.send_bounty(&good).await;
    wait_for_post(&world, BOUNTY_CHANNEL, &title).await;
    let letters = world.bounty_is_dead(&bad).await;
    assert!(!letters.iter().any(|letter| letter.contains(&title)));
}
