//! Faults and chaos, which make calls fail.

use std::time::Duration;

use rstest::rstest;
use serde_json::Value;
use slack_sandbox::{
    chaos::{Chaos, FaultKind},
    faults::{Effect, Fault, How},
};

use crate::team::{call, post, start, team_messages};

#[tokio::test]
async fn a_late_effect_occurs_after_the_sender_is_gone() {
    let (sandbox, admin) = start(0.001).await;
    let late = Fault::new("chat.postMessage", How::Late { millis: 300 }).times(1);
    admin.add_fault(&late).await.unwrap();
    assert!(post(&sandbox, &admin).await.is_err());
    assert_eq!(team_messages(&admin).await, 0);
    while team_messages(&admin).await == 0 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(team_messages(&admin).await, 1);
}

#[tokio::test]
async fn chaos_lasts_until_it_is_stopped_and_rejects_an_invalid_rate() {
    let (sandbox, admin) = start(0.001).await;
    let chaos = Chaos {
        kinds: vec![FaultKind::Html500],
        ..Chaos::new(1, 1.0)
    };
    admin.begin_chaos(&chaos).await.unwrap();
    assert_eq!(post(&sandbox, &admin).await.unwrap().status(), 500);
    assert_eq!(post(&sandbox, &admin).await.unwrap().status(), 500);
    admin.end_chaos().await.unwrap();
    assert_eq!(post(&sandbox, &admin).await.unwrap().status(), 200);
    let refused = admin.begin_chaos(&Chaos::new(1, 2.0)).await.unwrap_err();
    assert!(refused.to_string().contains("rate: must be"), "{refused}");
}

#[tokio::test]
async fn chaos_affects_every_method() {
    let (sandbox, admin) = start(0.001).await;
    let chaos = Chaos {
        kinds: vec![FaultKind::Html500],
        ..Chaos::new(1, 1.0)
    };
    admin.begin_chaos(&chaos).await.unwrap();
    for method in admin.methods().await.unwrap() {
        let answer = call(&sandbox, &method, &[]).await.unwrap();
        assert_eq!(answer.status(), 500, "{method}");
    }
}

/// As a client meets it that has lost the response, and calls again.
#[rstest]
#[case(Effect::None)]
#[case(Effect::Done)]
#[tokio::test]
async fn a_direct_message_is_opened_once_although_the_response_is_lost(#[case] effect: Effect) {
    let (sandbox, admin) = start(0.001).await;
    let lost = Fault::new("conversations.open", How::Reset { effect });
    let lost = lost.only_where("users", "UANA").times(1);
    admin.add_fault(&lost).await.unwrap();
    let users = [("users", "UANA")];
    assert!(call(&sandbox, "conversations.open", &users).await.is_err());
    let before = admin.direct_message("UANA").await.unwrap();
    assert_eq!(before.is_some(), effect == Effect::Done);
    let answer = call(&sandbox, "conversations.open", &users).await.unwrap();
    let answer: Value = answer.json().await.unwrap();
    let opened = admin.direct_message("UANA").await.unwrap().unwrap();
    assert_eq!(answer["channel"]["id"], opened.id);
    assert!(before.is_none_or(|before| before.id == opened.id));
}

#[rstest]
#[case(How::RateLimited { retry_after: 7 }, Some(429), 0)]
#[case(How::Html500 { effect: Effect::None }, Some(500), 0)]
#[case(How::Html500 { effect: Effect::Done }, Some(500), 1)]
#[case(How::Error { error: "internal_error".to_owned(), effect: Effect::None }, Some(200), 0)]
#[case(How::Error { error: "internal_error".to_owned(), effect: Effect::Done }, Some(200), 1)]
#[case(How::Reset { effect: Effect::None }, None, 0)]
#[case(How::Reset { effect: Effect::Done }, None, 1)]
#[case(How::Hang { millis: 20, effect: Effect::Done }, None, 1)]
#[case(How::Slow { millis: 20 }, Some(200), 1)]
#[tokio::test]
async fn a_fault_does_what_it_says_once_and_is_logged(
    #[case] how: How,
    #[case] status: Option<u16>,
    #[case] messages: usize,
) {
    let (sandbox, admin) = start(0.001).await;
    admin
        .add_fault(&Fault::new("chat.postMessage", how).times(1))
        .await
        .unwrap();
    let answer = post(&sandbox, &admin).await;
    assert_eq!(answer.ok().map(|answer| answer.status().as_u16()), status);
    assert_eq!(team_messages(&admin).await, messages);
    let logged = admin.calls().await.unwrap().remove(0);
    assert_eq!(logged.status, status.unwrap_or(0));
    assert!(logged.fault.is_some());
    tokio::time::sleep(Duration::from_millis(20)).await;
    let next: Value = post(&sandbox, &admin).await.unwrap().json().await.unwrap();
    assert_eq!(next["ok"], true);
}

#[tokio::test]
async fn a_fault_affects_only_matching_calls() {
    let (sandbox, admin) = start(1.0).await;
    let fault = Fault::new(
        "*",
        How::Html500 {
            effect: Effect::None,
        },
    );
    admin
        .add_fault(&fault.only_where("users", "U2").skip(1))
        .await
        .unwrap();
    let status = async |users| {
        call(&sandbox, "conversations.invite", &[("users", users)])
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    assert_eq!(status("U1").await, 200);
    assert_eq!(status("U1,U2").await, 200);
    assert_eq!(status("U1,U2").await, 500);
    assert_eq!(status("U2").await, 500);
    admin.clear_faults().await.unwrap();
    assert_eq!(status("U2").await, 200);
}

#[tokio::test]
async fn a_reset_connection_is_an_error_for_the_client() {
    let (sandbox, admin) = start(1.0).await;
    admin
        .add_fault(&Fault::new(
            "auth.test",
            How::Reset {
                effect: Effect::Done,
            },
        ))
        .await
        .unwrap();
    let error = call(&sandbox, "auth.test", &[]).await.unwrap_err();
    assert!(!error.is_connect() && !error.is_timeout());
}

#[tokio::test]
async fn a_fault_for_an_unknown_method_is_rejected() {
    let (_sandbox, admin) = start(1.0).await;
    assert!(
        admin
            .add_fault(&Fault::new("chat.post", How::Slow { millis: 1 }))
            .await
            .is_err()
    );
}
