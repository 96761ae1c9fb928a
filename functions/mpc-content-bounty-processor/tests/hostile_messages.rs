//! Messages that an attacker or a broken publisher might send.
#![allow(clippy::unwrap_used)]

use std::sync::atomic::Ordering;

use apgl_contract::ChannelName;
use hostile_input::{anything, client, config, counting_client, leaks, mutated, run, text};
use lambda_runtime::Diagnostic;
use mpc_content_bounty_processor::{Deps, handle};
use proptest::{collection::vec, prelude::*};
use serde_json::{Value, json};

fn deps() -> Deps {
    Deps {
        client: client("mpc-bounty"),
        channel: ChannelName::try_from("content-bounties".to_owned()).unwrap(),
    }
}

fn bounty() -> Value {
    json!({
        "id": "bounty-7-posted",
        "waitingFor": ["ana@example.com", "the authors"], "actorEmail": "bob@example.com",
        "occurredAt": "2026-11-25T10:00:00Z", "expiresAt": "2026-12-01T00:00:00+01:00",
        "sequence": { "key": "bounty-7", "number": 3 },
        "bounty": {
            "title": "Rust on Lambda", "link": "https://example.com/bounties/7", "state": "posted",
            "actor": "Ana", "dueDate": "2026-12-01", "reward": "A signed book",
        },
    })
}

fn body() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => mutated(bounty()).prop_map(|body| body.to_string()),
        1 => anything().prop_map(|body| body.to_string()),
        1 => text(),
        1 => (0..20_usize).prop_map(|end| bounty().to_string()[..end].to_owned()),
    ]
}

/// A batch as SQS delivers it, with a valid message at its end.
fn batch(bodies: Vec<String>) -> Value {
    let bodies = bodies.into_iter().chain([bounty().to_string()]).enumerate();
    let records = bodies.map(|(n, body)| {
        json!({
            "messageId": format!("m{n}"), "receiptHandle": "r", "body": body, "md5OfBody": "x",
            "attributes": { "ApproximateReceiveCount": "1" }, "messageAttributes": {},
            "eventSource": "aws:sqs", "eventSourceARN": "arn:aws:sqs:eu-west-1:1:q", "awsRegion": "eu-west-1",
        })
    });
    json!({ "Records": records.collect::<Vec<_>>() })
}

#[test]
fn a_message_that_is_too_large_is_invalid_and_nothing_is_started() {
    let (client, executions) = counting_client("mpc-bounty");
    let deps = Deps { client, ..deps() };
    let mut large = bounty();
    large["waitingFor"] = json!(["a".repeat(300_000)]);
    let (answer, _) = run(handle(&deps, batch(vec![large.to_string()])));
    let failed = answer.unwrap().batch_item_failures;
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0].item_identifier, "m0");
    // The card and the message of the valid one.
    assert_eq!(executions.load(Ordering::Relaxed), 2);
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn only_the_bad_message_is_delivered_again_and_it_is_never_shown(bodies in vec(body(), 0..4)) {
        let count = bodies.len();
        let (answer, log) = run(handle(&deps(), batch(bodies)));
        prop_assert!(!leaks(&log), "{}", log);
        prop_assert_eq!(log.lines().count(), count + 1, "{}", log);
        let good = format!("m{count}");
        let failed = answer.unwrap().batch_item_failures;
        prop_assert!(failed.iter().all(|failed| failed.item_identifier != good), "{:?}", failed);
    }

    #[test]
    fn an_almost_valid_batch_is_accepted_or_fails_as_a_whole(event in mutated(batch(Vec::new()))) {
        check(event)?;
    }

    #[test]
    fn an_input_that_is_not_a_batch_fails_as_a_whole(event in anything()) {
        check(event)?;
    }
}

fn check(mut event: Value) -> Result<(), TestCaseError> {
    // The ids come from SQS and are logged. A list of a record's fields is read as a record too.
    let records = event.get_mut("Records").and_then(Value::as_array_mut);
    for record in records.into_iter().flatten() {
        let id = match record {
            Value::Array(fields) => fields.first_mut(),
            record => record.get_mut("messageId"),
        };
        if let Some(id) = id.filter(|id| id.is_string()) {
            *id = json!("m0");
        }
    }
    let (answer, log) = run(handle(&deps(), event));
    prop_assert!(!leaks(&log), "{}", log);
    if let Err(unreadable) = answer {
        let shown = format!("{unreadable:?}");
        let Diagnostic {
            error_type,
            error_message,
        } = unreadable.into();
        prop_assert_eq!(error_type, "UnreadableBatch");
        prop_assert!(
            !leaks(&shown) && !leaks(&error_message),
            "{}",
            error_message
        );
        prop_assert!(error_message.len() < 500, "{}", error_message);
    }
    Ok(())
}
