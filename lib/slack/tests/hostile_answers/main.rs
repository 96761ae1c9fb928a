//! Responses that Slack, or a server in its place, should never return.
#![allow(clippy::unwrap_used)]

mod answer;
mod call;
mod endless;

use std::sync::{Arc, Mutex};

use apgl_contract::StepError;
use apgl_slack::{FixedToken, SlackClient, SlackError, SlackToken, Span};
use hostile_input::{config, leaks, logged};
use proptest::{prelude::*, test_runner::TestRunner};
use rstest::rstest;
use serde_json::json;
use wiremock::{
    Mock, MockServer, Request, Respond, ResponseTemplate, matchers::any as any_request,
};

use crate::answer::{Answer, hostile_answer};

fn client(server: &str) -> SlackClient {
    let tokens = FixedToken(SlackToken::new("xoxb-1").unwrap());
    SlackClient::new(server.parse().unwrap(), Arc::new(tokens)).unwrap()
}

/// Returns the response that it currently holds.
#[derive(Clone, Default)]
struct Current(Arc<Mutex<Option<Answer>>>);

impl Respond for Current {
    fn respond(&self, _request: &Request) -> ResponseTemplate {
        self.0.lock().unwrap().as_ref().unwrap().template()
    }
}

#[test]
fn any_response_is_a_value_or_an_error_that_reveals_nothing_of_it() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let current = Current::default();
    let server = runtime.block_on(async {
        let server = MockServer::start().await;
        Mock::given(any_request())
            .respond_with(current.clone())
            .mount(&server)
            .await;
        server
    });
    let slack = client(&server.uri());
    let outcome = TestRunner::new(config()).run(&hostile_answer(), |(call, answer)| {
        *current.0.lock().unwrap() = Some(answer);
        let (outcome, log) = logged(|| runtime.block_on(call.make(&slack)));
        prop_assert!(!leaks(&log), "{}", log);
        if let Err(error) = outcome {
            assert_reveals_nothing(error)?;
        }
        Ok(())
    });
    outcome.unwrap_or_else(|failed| panic!("{failed}"));
}

fn assert_reveals_nothing(error: SlackError) -> Result<(), TestCaseError> {
    let as_slack_says_it = format!("{error} {error:?}");
    let error = StepError::from(error);
    let cause = error.cause();
    let shown = format!("{as_slack_says_it} {error} {error:?} {cause}");
    prop_assert!(!leaks(&shown), "{shown}");
    prop_assert!(shown.len() < 10_000, "{shown}");
    prop_assert!(!error.to_string().contains(char::is_control), "{shown}");
    if let Some(seconds) = cause.get("retryAfterSeconds") {
        prop_assert!((1..=3_600).contains(&seconds.as_u64().unwrap()), "{cause}");
    }
    Ok(())
}

#[rstest]
#[case("0", 1)]
#[case("17", 17)]
#[case(" 17 ", 17)]
#[case("3600", 3_600)]
#[case("3601", 3_600)]
#[case("99999999999", 3_600)]
#[case("18446744073709551615", 3_600)]
#[case("18446744073709551616", 30)]
#[case("-1", 30)]
#[case("1.5", 30)]
#[case("soon", 30)]
#[case("", 30)]
#[tokio::test]
async fn no_wait_is_longer_than_an_hour(#[case] header: &str, #[case] seconds: u64) {
    let server = MockServer::start().await;
    let answer = ResponseTemplate::new(429).insert_header("retry-after", header);
    Mock::given(any_request())
        .respond_with(answer)
        .mount(&server)
        .await;
    let error = client(&server.uri()).auth_test().await.unwrap_err();
    let SlackError::RateLimited { retry_after, .. } = &error else {
        panic!("{error}");
    };
    // Steps and rate limiters add it to the current time.
    assert!(
        std::time::SystemTime::now()
            .checked_add(*retry_after)
            .is_some()
    );
    assert_eq!(StepError::from(error).cause()["retryAfterSeconds"], seconds);
}

#[rstest]
#[case(
    "chat:write, channels:read",
    ", needs groups:write, has chat:write, channels:read"
)]
#[case("a classified plan", ", needs groups:write, has unreadable scopes")]
#[case("x\"}\n{", ", needs groups:write, has unreadable scopes")]
#[tokio::test]
async fn scopes_are_named_only_if_they_look_like_scopes(
    #[case] provided: &str,
    #[case] expected: &str,
) {
    let server = MockServer::start().await;
    let body = json!({
        "ok": false, "error": "missing_scope", "needed": "groups:write", "provided": provided,
    });
    let answer = ResponseTemplate::new(200).set_body_json(body);
    Mock::given(any_request())
        .respond_with(answer)
        .mount(&server)
        .await;
    let error = client(&server.uri()).auth_test().await.unwrap_err();
    let SlackError::Unauthorized { scopes, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(scopes.as_deref(), Some(expected));
}

#[tokio::test]
async fn debug_does_not_show_what_people_wrote() {
    let server = MockServer::start().await;
    let body = json!({
        "ok": true,
        "messages": [{
            "ts": "1.0", "text": "a classified plan",
            "metadata": { "event_type": "e", "event_payload": { "plan": "a classified plan" } },
        }],
        "members": [{ "id": "U1", "profile": { "email": "classified.mallory@example.com" } }],
    });
    let answer = ResponseTemplate::new(200).set_body_json(body);
    Mock::given(any_request())
        .respond_with(answer)
        .mount(&server)
        .await;
    let slack = client(&server.uri());
    let messages = slack
        .conversations_history("C1", Span::ALL, None)
        .await
        .unwrap();
    let users = slack.users_list(None).await.unwrap();
    let shown = format!("{messages:?} {users:?}");
    assert!(!leaks(&shown), "{shown}");
}

/// A compressed response could be a thousand times larger than the bytes that are counted.
#[tokio::test]
async fn the_client_accepts_no_compressed_responses() {
    let server = MockServer::start().await;
    let answer = ResponseTemplate::new(200).set_body_json(json!({ "ok": true }));
    Mock::given(any_request())
        .respond_with(answer)
        .mount(&server)
        .await;
    let _ = client(&server.uri()).auth_test().await;
    let requests = server.received_requests().await.unwrap();
    assert!(!requests[0].headers.contains_key("accept-encoding"));
}
