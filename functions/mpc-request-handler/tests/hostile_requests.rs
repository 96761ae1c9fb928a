//! HTTP requests that an attacker or a broken caller might send.
#![allow(clippy::unwrap_used)]

use base64::{Engine, prelude::BASE64_STANDARD};
use hostile_input::{anything, client, config, leaks, mutated, run, text};
use mpc_request_handler::handle;
use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::{Value, json};

const ROUTES: [&str; 6] = [
    "POST /contexts",
    "DELETE /contexts/{channelName}",
    "PATCH /contexts/{channelName}/members",
    "POST /contexts/{channelName}/messages",
    "POST /people/{email}/messages",
    "POST /items/{id}",
];
/// Names, addresses and ids in the path, with bad escape sequences.
const NAMES: [&str; 12] = [
    "guide-42",
    "bounty%3A7",
    "ana@example.com",
    "ana%40example.com",
    "ana@example.com\r\nX-Other: x",
    "",
    "%2e%2e%2fadmin",
    "guide%00",
    "%E0%A4%A",
    "%",
    "guide-42%0d%0aX-Other:%20x",
    "../../x",
];

fn event() -> impl Strategy<Value = Value> {
    let route = prop_oneof![8 => select(&ROUTES[..]).prop_map(str::to_owned), 1 => text()];
    let name = prop_oneof![select(&NAMES[..]).prop_map(str::to_owned), text()];
    let variable = select(&["channelName", "email", "id"][..]);
    let name = (variable, name).prop_map(|(variable, name)| json!({ variable: name }));
    let key = prop_oneof![4 => Just("request-1".to_owned()), 1 => text()];
    let parts = (route, proptest::option::of(name), key, body());
    parts.prop_map(|(route, name, key, (body, is_base64))| {
        json!({
            "version": "2.0", "routeKey": route, "rawPath": "/", "rawQueryString": "",
            "headers": { "Idempotency-Key": key, "content-type": "application/json" },
            "pathParameters": name,
            "requestContext": {
                "http": {
                    "method": "POST", "path": "/", "protocol": "HTTP/1.1",
                    "sourceIp": "127.0.0.1", "userAgent": "test",
                },
                "requestId": "r1", "routeKey": route, "stage": "$default", "timeEpoch": 1,
            },
            "body": body, "isBase64Encoded": is_base64,
        })
    })
}

/// A body, and whether the event marks it as base64.
fn body() -> impl Strategy<Value = (String, bool)> {
    let message = json!({
        "message": { "text": "hi", "blocks": [{ "type": "divider" }] }, "category": "news",
        "occurredAt": "2026-05-12T09:30:00Z", "expiresAt": "2026-05-12T12:30:00Z",
        "sequence": { "key": "x", "number": 7 },
    });
    let mut to_channel = message.clone();
    to_channel["members"] = json!(["ana@example.com"]);
    to_channel["mention"] = json!(["ana@example.com"]);
    to_channel["actor"] = json!("ana@example.com");
    to_channel["visibility"] = json!("private");
    let item = json!({
        "version": 7, "channelName": "x", "visibility": "private", "ownChannel": true,
        "title": "Rust on Lambda", "link": "https://example.com/", "state": "in_review",
        "nextStep": "Please review it.", "facts": ["Submitted by Ana"],
        "waitingFor": ["ana@example.com"], "dueDate": "2026-12-01",
    });
    let request = prop_oneof![mutated(message), mutated(to_channel), mutated(item)];
    let bytes = prop_oneof![
        4 => request.prop_map(|body| body.to_string().into_bytes()),
        1 => text().prop_map(String::into_bytes),
        1 => vec(any::<u8>(), 0..100),
    ];
    (bytes, 0..3).prop_map(|(bytes, kind)| match kind {
        0 => (BASE64_STANDARD.encode(bytes), true),
        1 => (String::from_utf8_lossy(&bytes).into_owned(), true),
        _ => (String::from_utf8_lossy(&bytes).into_owned(), false),
    })
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_request_is_started_or_rejected_in_our_words(event in event()) {
        check(event)?;
    }

    #[test]
    fn an_almost_valid_event_is_started_or_rejected_in_our_words(event in event().prop_flat_map(mutated)) {
        check(event)?;
    }

    #[test]
    fn an_event_that_is_not_a_request_is_rejected(event in anything()) {
        check(event)?;
    }
}

fn check(mut event: Value) -> Result<(), TestCaseError> {
    // The id comes from API Gateway and is logged.
    if let Some(id) = event.pointer_mut("/requestContext/requestId") {
        *id = json!("r1");
    }
    let (answer, log) = run(handle(&client("mpc-request"), event));
    prop_assert!(!leaks(&log), "{}", log);
    prop_assert_eq!(log.lines().count(), 1, "{}", log);
    prop_assert!(!leaks(&answer.body), "{}", answer.body);
    prop_assert!(answer.body.len() < 1_000, "{}", answer.body);
    let body: Value = answer.body.parse().unwrap();
    let is_named = |field: &str| body[field].as_str().is_some_and(|text| !text.is_empty());
    let is_right = match answer.status_code {
        202 => is_named("executionId"),
        400 => is_named("field") && is_named("message") && body["error"] == "InvalidRequest",
        404 => body["error"] == "NotFound",
        _ => false,
    };
    prop_assert!(is_right, "{} {}", answer.status_code, body);
    Ok(())
}

#[test]
fn a_body_of_several_megabytes_is_rejected_like_any_other() {
    let huge = "x".repeat(6 * 1_024 * 1_024);
    let event = json!({
        "routeKey": "POST /contexts/{channelName}/messages", "headers": { "idempotency-key": "1" },
        "pathParameters": { "channelName": "x" }, "body": json!({ "message": huge }).to_string(),
        "requestContext": { "http": { "method": "POST" } }, "isBase64Encoded": false,
    });
    let (answer, _) = run(handle(&client("mpc-request"), event));
    assert_eq!(answer.status_code, 400);
    assert!(
        answer.body.contains("must have at most 40,000 characters"),
        "{}",
        answer.body
    );
}
