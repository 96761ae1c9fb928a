//! Tokens: which are valid, and what happens when Slack refuses one.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use apgl_slack::{
    FixedToken, NoToken, Post, SlackError, SlackToken, TokenError, TokenFuture, TokenSource,
};
use rstest::rstest;
use serde_json::json;
use wiremock::{
    Mock, MockServer,
    matchers::{body_string_contains, header, method},
};

use crate::{
    errors::{Class, class},
    fake_slack::{THREE, client, client_with, json_answer, metadata},
};

/// Returns `xoxb-old` first, and `xoxb-new` when the token is read again.
#[derive(Debug, Default)]
struct RotatedToken {
    renewals: AtomicUsize,
}

impl TokenSource for RotatedToken {
    fn token(&self) -> TokenFuture<'_> {
        Box::pin(async { Ok(SlackToken::new("xoxb-old").unwrap()) })
    }

    fn renewed<'a>(&'a self, _refused: &'a SlackToken) -> TokenFuture<'a> {
        self.renewals.fetch_add(1, Ordering::Relaxed);
        Box::pin(async { Ok(SlackToken::new("xoxb-new").unwrap()) })
    }
}

#[tokio::test]
async fn a_refused_token_is_replaced_once() {
    let server = MockServer::start().await;
    Mock::given(header("authorization", "Bearer xoxb-old"))
        .respond_with(json_answer(
            json!({ "ok": false, "error": "token_revoked" }),
        ))
        .expect(1)
        .mount(&server)
        .await;
    Mock::given(header("authorization", "Bearer xoxb-new"))
        .respond_with(json_answer(json!({ "ok": true, "ts": "1.0" })))
        .expect(1)
        .mount(&server)
        .await;
    let post = Post {
        channel: "C1",
        text: "t",
        blocks: None,
        thread_ts: None,
        unfurl_links: false,
        unfurl_media: false,
        metadata: &metadata(),
        not_after: None,
    };
    assert!(
        client_with(&server, Arc::new(RotatedToken::default()))
            .chat_post_message(post)
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_refused_token_without_a_replacement_is_reported_after_one_call() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(json_answer(json!({ "ok": false, "error": "invalid_auth" })))
        .expect(1)
        .mount(&server)
        .await;
    assert_eq!(
        class(&client(&server).auth_test().await.unwrap_err()),
        Class::Unauthorized
    );
}

#[rstest]
#[case("", TokenError::Empty)]
#[case("  \n", TokenError::Empty)]
#[case(r#"{"SLACK_TOKEN":"xoxb-secret"}"#, TokenError::Json)]
#[case("{\n  \"token\": \"xoxb-secret\"\n}\n", TokenError::Json)]
#[case("\"xoxb-secret\"", TokenError::Quoted)]
#[case("'xoxb-secret'\n", TokenError::Quoted)]
#[case("SLACK_TOKEN=xoxb-secret", TokenError::OtherText)]
#[case("Bearer xoxb-secret", TokenError::OtherText)]
#[case("xoxb-secret\nX-Other: header", TokenError::OtherText)]
#[case("xoxb-secret-é", TokenError::OtherText)]
fn what_is_no_token_is_rejected_with_the_reason(#[case] token: &str, #[case] reason: TokenError) {
    assert_eq!(SlackToken::new(token), Err(reason));
    assert!(!format!("{reason} {reason:?}").contains("secret"));
}

#[rstest]
#[case("xoxb-1-2-Ab")]
#[case("xoxe.xoxb-1-Ab")]
fn white_space_around_a_token_is_trimmed(#[case] token: &str) {
    let copied = SlackToken::new(&format!(" {token}\r\n"));
    assert_eq!(copied, SlackToken::new(token));
    assert!(copied.is_ok());
}

#[test]
fn a_token_is_never_shown() {
    let token = SlackToken::new(" xoxb-secret\n").unwrap();
    assert!(!format!("{token:?} {:?}", FixedToken(token.clone())).contains("secret"));
}

#[tokio::test]
async fn a_token_refused_in_several_calls_is_renewed_once() {
    let server = MockServer::start().await;
    for (token, answer) in [
        ("xoxb-old", json!({ "ok": false, "error": "token_revoked" })),
        ("xoxb-new", json!({ "ok": true, "user": { "id": "U1" } })),
    ] {
        Mock::given(header("authorization", format!("Bearer {token}").as_str()))
            .respond_with(json_answer(answer))
            .expect(3)
            .mount(&server)
            .await;
    }
    let tokens = Arc::new(RotatedToken::default());
    let slack = client_with(&server, tokens.clone());
    let users = slack.users_lookup_by_email(&THREE).await.unwrap();
    assert!(users.iter().all(Result::is_ok), "{users:?}");
    assert_eq!(tokens.renewals.load(Ordering::Relaxed), 1);
}

/// A token that can't be read again.
#[derive(Debug)]
struct LostToken;

impl TokenSource for LostToken {
    fn token(&self) -> TokenFuture<'_> {
        Box::pin(async { Ok(SlackToken::new("xoxb-1").unwrap()) })
    }

    fn renewed<'a>(&'a self, _refused: &'a SlackToken) -> TokenFuture<'a> {
        Box::pin(async {
            Err(NoToken {
                store: "secret".to_owned(),
                operation: "GetSecretValue",
                reason: "ThrottlingException".to_owned(),
                is_transient: true,
            })
        })
    }
}

#[tokio::test]
async fn a_failed_renewal_of_the_token_affects_no_other_response() {
    let server = MockServer::start().await;
    for (name, answer) in [
        ("ana", json!({ "ok": true, "user": { "id": "U1" } })),
        ("bob", json!({ "ok": false, "error": "token_revoked" })),
        ("eve", json!({ "ok": false, "error": "ratelimited" })),
    ] {
        Mock::given(body_string_contains(format!("email={name}")))
            .respond_with(json_answer(answer))
            .mount(&server)
            .await;
    }
    let slack = client_with(&server, Arc::new(LostToken));
    let users = slack.users_lookup_by_email(&THREE).await.unwrap();
    assert!(matches!(&users[0], Ok(Some(_))), "{users:?}");
    assert!(
        matches!(&users[1], Err(SlackError::NoToken(_))),
        "{users:?}"
    );
    assert!(
        matches!(&users[2], Err(SlackError::RateLimited { .. })),
        "{users:?}"
    );
}
