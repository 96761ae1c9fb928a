//! Tests the client with responses like Slack's.
#![allow(clippy::unwrap_used)]

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use apgl_slack::{
    FixedToken, LimitedBy, Metadata, NoToken, Post, RateLimiter, SlackClient, SlackError,
    SlackToken, TokenFuture, TokenSource, UserError,
    quotas::{AcquireFuture, Calls, PenalizeFuture, Permit, Wait},
};
use hostile_input::logged;
use rstest::rstest;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    runtime::Builder,
    sync::Barrier,
    time::timeout,
};
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{body_string_contains, header, method, path},
};

fn client(server: &MockServer) -> SlackClient {
    client_with(
        server,
        Arc::new(FixedToken(SlackToken::new("xoxb-1").unwrap())),
    )
}

fn client_with(server: &MockServer, tokens: Arc<dyn TokenSource>) -> SlackClient {
    SlackClient::new(format!("{}/api", server.uri()).parse().unwrap(), tokens).unwrap()
}

async fn slack_answers(answer: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(answer)
        .mount(&server)
        .await;
    server
}

async fn create_when_slack_answers(answer: ResponseTemplate) -> Result<String, SlackError> {
    let server = slack_answers(answer).await;
    client(&server)
        .conversations_create("x", true)
        .await
        .map(|channel| channel.id)
}

fn json_answer(body: Value) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(body)
}

#[tokio::test]
async fn arguments_are_sent_as_a_form_with_the_token() {
    let server = MockServer::start().await;
    Mock::given(path("/api/conversations.create"))
        .and(header("authorization", "Bearer xoxb-1"))
        .and(header(
            "content-type",
            "application/x-www-form-urlencoded; charset=utf-8",
        ))
        .and(body_string_contains("name=x&is_private=true"))
        .respond_with(json_answer(
            json!({ "ok": true, "channel": { "id": "C1", "name": "x", "is_private": true } }),
        ))
        .expect(1)
        .mount(&server)
        .await;
    let channel = client(&server)
        .conversations_create("x", true)
        .await
        .unwrap();
    assert_eq!((channel.id.as_str(), channel.is_private), ("C1", true));
}

#[tokio::test]
async fn blocks_and_metadata_travel_as_json_strings() {
    let server = slack_answers(json_answer(json!({ "ok": true, "ts": "1.000100" }))).await;
    let blocks = [json!({ "type": "divider" })];
    let post = Post {
        channel: "C1",
        text: "a & b",
        blocks: Some(&blocks),
        thread_ts: None,
        metadata: &metadata(),
    };
    let posted = client(&server).chat_post_message(post).await.unwrap();
    assert_eq!(posted.ts, "1.000100");
    let sent = form_of(&server.received_requests().await.unwrap()[0]);
    assert_eq!(sent["text"], "a & b");
    assert_eq!(sent["blocks"].parse::<Value>().unwrap(), json!(blocks));
    assert_eq!(
        sent["metadata"].parse::<Value>().unwrap(),
        json!({ "event_type": "e", "event_payload": {} })
    );
    assert!(!sent.contains_key("thread_ts"));
}

fn metadata() -> Metadata {
    Metadata {
        event_type: "e".to_owned(),
        event_payload: serde_json::Map::new(),
    }
}

fn form_of(request: &wiremock::Request) -> HashMap<String, String> {
    let body = std::str::from_utf8(&request.body).unwrap();
    let url: reqwest::Url = format!("http://form/?{body}").parse().unwrap();
    url.query_pairs().into_owned().collect()
}

#[derive(Debug, PartialEq)]
enum Class {
    RateLimited(u64),
    Unavailable,
    OutcomeUnknown,
    Unauthorized,
    Rejected,
}

fn class(error: &SlackError) -> Class {
    match error {
        SlackError::QueueTooLong { .. } => panic!("Slack has no queue"),
        SlackError::RateLimited { retry_after, .. } => Class::RateLimited(retry_after.as_secs()),
        SlackError::Unavailable { .. } => Class::Unavailable,
        SlackError::OutcomeUnknown { .. } => Class::OutcomeUnknown,
        SlackError::Unauthorized { .. } => Class::Unauthorized,
        SlackError::Rejected { .. } => Class::Rejected,
        SlackError::NoToken(_) => panic!("there is a token"),
    }
}

#[rstest]
#[case("ratelimited", Class::RateLimited(30))]
#[case("rate_limited", Class::RateLimited(30))]
#[case("service_unavailable", Class::Unavailable)]
#[case("request_timeout", Class::Unavailable)]
#[case("team_added_to_org", Class::Unavailable)]
#[case("fetch_members_failed", Class::Unavailable)]
#[case("internal_error", Class::OutcomeUnknown)]
#[case("fatal_error", Class::OutcomeUnknown)]
#[case("not_authed", Class::Unauthorized)]
#[case("invalid_auth", Class::Unauthorized)]
#[case("token_revoked", Class::Unauthorized)]
#[case("token_expired", Class::Unauthorized)]
#[case("account_inactive", Class::Unauthorized)]
#[case("missing_scope", Class::Unauthorized)]
#[case("not_allowed_token_type", Class::Unauthorized)]
#[case("no_permission", Class::Unauthorized)]
#[case("access_denied", Class::Unauthorized)]
#[case("accesslimited", Class::Unauthorized)]
#[case("ekm_access_denied", Class::Unauthorized)]
#[case("enterprise_is_restricted", Class::Unauthorized)]
#[case("org_login_required", Class::Unauthorized)]
#[case("two_factor_setup_required", Class::Unauthorized)]
#[case("is_bot", Class::Unauthorized)]
#[case("name_taken", Class::Rejected)]
#[case("invalid_arguments", Class::Rejected)]
#[case("a_code_of_tomorrow", Class::Rejected)]
#[case("", Class::Rejected)]
#[tokio::test]
async fn every_code_is_of_one_class_and_an_unknown_one_is_permanent(
    #[case] code: &str,
    #[case] expected: Class,
) {
    let error = create_when_slack_answers(json_answer(json!({ "ok": false, "error": code })))
        .await
        .unwrap_err();
    assert_eq!(class(&error), expected);
}

#[rstest]
#[case::html_500(ResponseTemplate::new(500).set_body_string("<html>"), Class::OutcomeUnknown)]
#[case::http_503(ResponseTemplate::new(503), Class::OutcomeUnknown)]
#[case::html_200(ResponseTemplate::new(200).set_body_string("<html>"), Class::OutcomeUnknown)]
#[case::ok_without_channel(json_answer(json!({ "ok": true })), Class::OutcomeUnknown)]
#[case::http_404(ResponseTemplate::new(404), Class::Rejected)]
#[case::redirect(ResponseTemplate::new(302).insert_header("location", "http://127.0.0.1:1/"), Class::Rejected)]
#[case::http_429(ResponseTemplate::new(429).insert_header("retry-after", "17"), Class::RateLimited(17))]
#[case::http_429_without_a_time(ResponseTemplate::new(429), Class::RateLimited(30))]
#[case::http_429_with_nonsense(ResponseTemplate::new(429).insert_header("retry-after", "soon"), Class::RateLimited(30))]
#[tokio::test]
async fn every_http_answer_is_of_one_class(
    #[case] answer: ResponseTemplate,
    #[case] expected: Class,
) {
    let error = create_when_slack_answers(answer).await.unwrap_err();
    assert_eq!(class(&error), expected);
}

#[tokio::test]
async fn no_connection_is_unavailable_since_nothing_was_sent() {
    let address = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let tokens = Arc::new(FixedToken(SlackToken::new("xoxb-1").unwrap()));
    let client = SlackClient::new(format!("http://{address}").parse().unwrap(), tokens).unwrap();
    assert_eq!(
        class(&client.auth_test().await.unwrap_err()),
        Class::Unavailable
    );
}

#[tokio::test]
async fn a_connection_that_breaks_after_the_request_leaves_the_outcome_unknown() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        use std::io::Read;
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 1024]);
    });
    let tokens = Arc::new(FixedToken(SlackToken::new("xoxb-1").unwrap()));
    let client = SlackClient::new(format!("http://{address}").parse().unwrap(), tokens).unwrap();
    assert_eq!(
        class(&client.auth_test().await.unwrap_err()),
        Class::OutcomeUnknown
    );
}

#[tokio::test]
async fn a_missing_scope_says_which() {
    let answer = json!({ "ok": false, "error": "missing_scope", "needed": "groups:write", "provided": "chat:write" });
    let error = create_when_slack_answers(json_answer(answer))
        .await
        .unwrap_err();
    let step = apgl_contract::StepError::from(error).to_string();
    assert_eq!(
        step,
        "Slack does not accept the token for conversations.create: missing_scope, needs groups:write, has chat:write"
    );
}

#[tokio::test]
async fn an_error_code_that_quotes_the_request_is_not_repeated() {
    let answer = json!({ "ok": false, "error": "no such text: the secret plan" });
    let error = create_when_slack_answers(json_answer(answer))
        .await
        .unwrap_err();
    assert!(!format!("{error} {error:?}").contains("secret"));
}

fn per_user_errors() -> Vec<UserError> {
    vec![UserError {
        user: "U2".to_owned(),
        error: "user_not_found".to_owned(),
    }]
}

#[rstest]
#[case::all_invited(json!({ "ok": true, "channel": {} }), Ok(vec![]))]
#[case::some_invited(json!({ "ok": true, "channel": {}, "errors": [{ "user": "U2", "ok": false, "error": "user_not_found" }] }), Ok(per_user_errors()))]
#[case::some_invited_but_not_ok(json!({ "ok": false, "error": "user_not_found", "errors": [{ "user": "U2", "ok": false, "error": "user_not_found" }] }), Ok(per_user_errors()))]
#[case::the_call_is_refused(json!({ "ok": false, "error": "is_archived" }), Err(Class::Rejected))]
#[case::the_bot_lacks_a_scope(json!({ "ok": false, "error": "missing_scope" }), Err(Class::Unauthorized))]
#[tokio::test]
async fn an_invitation_tells_the_users_that_failed_from_a_call_that_failed(
    #[case] answer: Value,
    #[case] expected: Result<Vec<UserError>, Class>,
) {
    let server = slack_answers(json_answer(answer)).await;
    let users = ["U1".to_owned(), "U2".to_owned()];
    let invite = client(&server).conversations_invite("C1", &users).await;
    assert_eq!(
        invite
            .map(|invite| invite.errors)
            .map_err(|error| class(&error)),
        expected
    );
}

#[tokio::test]
async fn a_single_users_error_may_come_without_a_list() {
    let server = slack_answers(json_answer(
        json!({ "ok": false, "error": "user_not_found" }),
    ))
    .await;
    let invite = client(&server)
        .conversations_invite("C1", &["U2".to_owned()])
        .await
        .unwrap();
    assert_eq!(invite.errors, per_user_errors());
}

#[tokio::test]
async fn a_page_goes_on_while_there_is_a_cursor_even_if_it_is_empty() {
    let answer =
        json!({ "ok": true, "channels": [], "response_metadata": { "next_cursor": "abc" } });
    let server = slack_answers(json_answer(answer)).await;
    let page = client(&server).conversations_list(None).await.unwrap();
    assert_eq!(
        (page.items.len(), page.next_cursor.as_deref()),
        (0, Some("abc"))
    );
}

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
        metadata: &metadata(),
    };
    assert!(
        client_with(&server, Arc::new(RotatedToken::default()))
            .chat_post_message(post)
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_token_that_stays_refused_is_reported_after_one_call() {
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
#[case("")]
#[case("  \n")]
#[case("xoxb-1\nX-Other: header")]
#[case("xoxb-é")]
fn a_token_that_is_none_is_refused(#[case] token: &str) {
    assert!(SlackToken::new(token).is_err());
}

#[test]
fn a_token_is_never_shown() {
    let token = SlackToken::new(" xoxb-secret\n").unwrap();
    assert!(!format!("{token:?} {:?}", FixedToken(token.clone())).contains("secret"));
}

#[tokio::test]
async fn auth_test_tells_what_the_token_may_do() {
    let answer = json!({
        "ok": true, "team": "Library", "team_id": "T1", "user_id": "U1", "bot_id": "B1",
    });
    let answer = json_answer(answer).insert_header("x-oauth-scopes", "chat:write, users:read");
    let server = slack_answers(answer).await;
    let auth = client(&server).auth_test().await.unwrap();
    assert_eq!(auth.team, "Library");
    let scopes: Vec<String> = auth.scopes.unwrap().into_iter().collect();
    assert_eq!(scopes, ["chat:write", "users:read"]);
}

#[tokio::test]
async fn a_token_that_is_refused_to_several_is_renewed_once() {
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
async fn a_token_that_can_not_be_renewed_spoils_no_other_answer() {
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

const LONG_ENOUGH: Duration = Duration::from_mins(1);

/// A fake Slack that does not respond until it has received this many calls. Returns its URL.
async fn slack_for_so_many_at_once(calls: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/api", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut waiting = Vec::new();
        for _ in 0..calls {
            let (mut connection, _) = listener.accept().await.unwrap();
            let _ = connection.read(&mut [0; 4_096]).await;
            waiting.push(connection);
        }
        for mut connection in waiting {
            let body = r#"{"ok":true,"user":{"id":"U1"}}"#;
            let length = body.len();
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}");
            let _ = connection.write_all(answer.as_bytes()).await;
        }
    });
    url
}

/// Allows every call. Records the number of calls in each request, and each refusal with its wait.
#[derive(Debug, Default)]
struct Notes {
    asked: Mutex<Vec<u32>>,
    refusals: Mutex<Vec<(u32, u64)>>,
}

impl RateLimiter for Notes {
    fn acquire<'a>(&'a self, calls: Calls<'a>) -> AcquireFuture<'a> {
        self.asked.lock().unwrap().push(calls.count);
        Box::pin(async { Ok(Permit::default()) })
    }

    fn penalize<'a>(
        &'a self,
        calls: Calls<'a>,
        _permit: &'a Permit,
        retry_after: Duration,
    ) -> PenalizeFuture<'a> {
        let refusal = (calls.count, retry_after.as_secs());
        self.refusals.lock().unwrap().push(refusal);
        Box::pin(async move {
            Wait {
                retry_after,
                is_certain: true,
            }
        })
    }
}

/// The client with this rate limiter.
fn limited(slack: &SlackClient, limiter: Arc<impl RateLimiter + 'static>) -> SlackClient {
    let limiter: Arc<dyn RateLimiter> = limiter;
    slack.limited_by(&limiter)
}

const THREE: [&str; 3] = ["ana@example.com", "bob@example.com", "eve@example.com"];

#[tokio::test]
async fn several_people_are_looked_up_at_once_and_asked_for_together() {
    let url = slack_for_so_many_at_once(THREE.len()).await;
    let (token, notes) = (
        SlackToken::new("xoxb-1").unwrap(),
        Arc::new(Notes::default()),
    );
    let slack = SlackClient::new(url.parse().unwrap(), Arc::new(FixedToken(token))).unwrap();
    let slack = limited(&slack, notes.clone());
    let users = timeout(LONG_ENOUGH, slack.users_lookup_by_email(&THREE)).await;
    let users = users.unwrap().unwrap();
    assert!(
        users
            .iter()
            .all(|user| matches!(user, Ok(Some(user)) if user.id == "U1"))
    );
    assert_eq!(users.len(), 3);
    assert_eq!(*notes.asked.lock().unwrap(), [3]);
}

#[tokio::test]
async fn each_of_several_has_an_answer_of_its_own_and_the_limiter_is_told_once_of_a_limit() {
    let server = MockServer::start().await;
    for (name, answer) in [
        (
            "ana",
            json_answer(json!({ "ok": true, "user": { "id": "U1" } })),
        ),
        (
            "bob",
            ResponseTemplate::new(429).insert_header("retry-after", "7"),
        ),
        (
            "eve",
            json_answer(json!({ "ok": false, "error": "ratelimited" })),
        ),
        (
            "gus",
            json_answer(json!({ "ok": false, "error": "users_not_found" })),
        ),
    ] {
        Mock::given(body_string_contains(format!("email={name}")))
            .respond_with(answer)
            .mount(&server)
            .await;
    }
    let notes = Arc::new(Notes::default());
    let slack = limited(&client(&server), notes.clone());
    let people = [
        "ana@example.com",
        "bob@example.com",
        "eve@example.com",
        "gus@example.com",
    ];
    let users = slack.users_lookup_by_email(&people).await.unwrap();
    assert!(matches!(&users[0], Ok(Some(user)) if user.id == "U1"));
    for limited in &users[1..3] {
        let Err(SlackError::RateLimited {
            retry_after,
            is_certain,
            ..
        }) = limited
        else {
            panic!("{limited:?}");
        };
        assert_eq!((retry_after.as_secs(), *is_certain), (30, true));
    }
    assert!(matches!(&users[3], Ok(None)));
    assert_eq!(*notes.refusals.lock().unwrap(), [(2, 30)]);
}

/// An alarm counts these lines.
#[test]
fn each_call_that_slack_refuses_by_a_limit_writes_a_line() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let limited = ResponseTemplate::new(429).insert_header("retry-after", "7");
    let server = runtime.block_on(slack_answers(limited));
    let slack = client(&server);
    let people = ["ana@example.com", "bob@example.com", "eve@example.com"];
    let (answers, log) = logged(|| runtime.block_on(slack.users_lookup_by_email(&people)));
    assert!(answers.unwrap().iter().all(Result::is_err));
    assert_eq!(log.matches(" WARN ").count(), 3, "{log}");
}

#[tokio::test]
async fn nobody_costs_no_call() {
    let server = MockServer::start().await;
    let notes = Arc::new(Notes::default());
    let slack = limited(&client(&server), notes.clone());
    assert!(slack.users_lookup_by_email(&[]).await.unwrap().is_empty());
    assert!(notes.asked.lock().unwrap().is_empty());
}

/// Returns a token or a permit only once both have been requested.
#[derive(Debug)]
struct Both(Barrier);

impl TokenSource for Both {
    fn token(&self) -> TokenFuture<'_> {
        Box::pin(async {
            self.0.wait().await;
            Ok(SlackToken::new("xoxb-1").unwrap())
        })
    }

    fn renewed<'a>(&'a self, _refused: &'a SlackToken) -> TokenFuture<'a> {
        self.token()
    }
}

impl RateLimiter for Both {
    fn acquire<'a>(&'a self, _calls: Calls<'a>) -> AcquireFuture<'a> {
        Box::pin(async {
            self.0.wait().await;
            Ok(Permit::default())
        })
    }

    fn penalize<'a>(
        &'a self,
        _calls: Calls<'a>,
        _permit: &'a Permit,
        _retry_after: Duration,
    ) -> PenalizeFuture<'a> {
        unreachable!("Slack refuses nobody")
    }
}

#[tokio::test]
async fn the_token_and_the_permit_are_asked_for_at_once() {
    let server = slack_answers(json_answer(json!({ "ok": true }))).await;
    let both = Arc::new(Both(Barrier::new(2)));
    let slack = limited(&client_with(&server, both.clone()), both);
    let archived = timeout(LONG_ENOUGH, slack.conversations_archive("C1")).await;
    assert_eq!(archived.unwrap(), Ok(()));
}
