//! Events that an attacker or a broken publisher might send.
#![allow(clippy::unwrap_used)]

use std::sync::atomic::Ordering;

use hostile_input::{anything, client, config, counting_client, leaks, mutated, run};
use lambda_runtime::Diagnostic;
use mpc_event_handler::{Deps, handle};
use proptest::prelude::*;
use serde_json::{Value, json};

fn deps() -> Deps {
    Deps {
        client: client("mpc-event"),
        direct_messages: true,
    }
}

fn detail() -> Value {
    json!({
        "id": "guide-42-approved", "channelName": "guide-42", "members": ["ana@example.com", "svc-build"],
        "waitingFor": ["ana@example.com", "the reviewers"], "actorEmail": "bob@example.com", "version": 7,
        "occurredAt": "2026-11-25T10:00:00Z", "expiresAt": "2026-12-01T00:00:00+01:00",
        "contentItem": {
            "title": "Rust on Lambda", "link": "https://example.com/guide-42", "state": "in_review",
            "actor": "Bob", "dueDate": "2026-12-01",
        },
    })
}

fn event(detail: &Value) -> Value {
    json!({
        "version": "0", "id": "7bf73129-1428-4cd3-a780-95db273d1602",
        "detail-type": "Content Item State Changed", "source": "apgl.mpc", "account": "123456789012",
        "time": "2026-11-25T10:00:00Z", "region": "eu-west-1", "resources": [], "detail": detail,
    })
}

#[test]
fn the_unmodified_event_starts_a_notification() {
    assert!(run(handle(&deps(), event(&detail()))).0.is_ok());
}

#[test]
fn an_event_that_is_too_large_is_invalid_and_nothing_is_started() {
    let (client, executions) = counting_client("mpc-event");
    let deps = Deps {
        client,
        direct_messages: true,
    };
    assert!(run(handle(&deps, event(&detail()))).0.is_ok());
    assert_eq!(executions.swap(0, Ordering::Relaxed), 3);
    let mut detail = detail();
    detail["members"] = json!(["a".repeat(300_000)]);
    let (outcome, _) = run(handle(&deps, event(&detail)));
    let Diagnostic { error_type, .. } = outcome.unwrap_err().into();
    assert_eq!(error_type, "InvalidEvent");
    assert_eq!(executions.load(Ordering::Relaxed), 0);
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_detail_becomes_a_message_or_is_rejected_in_our_words(detail in mutated(detail())) {
        check(event(&detail))?;
    }

    #[test]
    fn an_almost_valid_event_becomes_a_message_or_is_rejected_in_our_words(event in mutated(event(&detail()))) {
        check(event)?;
    }

    #[test]
    fn an_input_that_is_not_an_event_is_rejected(event in anything()) {
        check(event)?;
    }
}

fn check(mut event: Value) -> Result<(), TestCaseError> {
    // The id comes from EventBridge and is logged.
    if let Some(id) = event.get_mut("id") {
        *id = json!("7bf73129-1428-4cd3-a780-95db273d1602");
    }
    let (outcome, log) = run(handle(&deps(), event));
    prop_assert!(!leaks(&log), "{}", log);
    prop_assert_eq!(log.lines().count(), 1, "{}", log);
    if let Err(failure) = outcome {
        let shown = format!("{failure} {failure:?}");
        prop_assert!(!leaks(&shown), "{}", shown);
        let Diagnostic {
            error_type,
            error_message,
        } = failure.into();
        prop_assert_eq!(error_type, "InvalidEvent");
        prop_assert!(
            !leaks(&error_message) && error_message.len() < 500,
            "{}",
            error_message
        );
    }
    Ok(())
}
