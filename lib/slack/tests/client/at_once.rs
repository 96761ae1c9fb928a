//! Several calls at once, and what the rate limiter is told of them.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use apgl_slack::{
    FixedToken, LimitedBy, RateLimiter, SlackClient, SlackError, SlackToken, TokenFuture,
    TokenSource,
    quotas::{AcquireFuture, Calls, PenalizeFuture, Permit, Wait},
};
use hostile_input::logged;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    runtime::Builder,
    sync::Barrier,
    time::timeout,
};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::body_string_contains};

use crate::fake_slack::{THREE, client, client_with, json_answer, slack_answers};

const LONG_ENOUGH: Duration = Duration::from_mins(1);

/// A fake Slack that does not respond until it has received this many calls. Returns its URL.
async fn slack_that_needs_concurrent_calls(calls: usize) -> String {
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

#[tokio::test]
async fn several_people_are_looked_up_concurrently_with_one_request_to_the_limiter() {
    let url = slack_that_needs_concurrent_calls(THREE.len()).await;
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
async fn each_look_up_has_its_own_result_and_the_limiter_learns_of_a_refusal_once() {
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
fn each_rate_limited_call_writes_a_log_line() {
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
async fn no_people_cost_no_call() {
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
async fn the_token_and_the_permit_are_requested_concurrently() {
    let server = slack_answers(json_answer(json!({ "ok": true }))).await;
    let both = Arc::new(Both(Barrier::new(2)));
    let slack = limited(&client_with(&server, both.clone()), both);
    let archived = timeout(LONG_ENOUGH, slack.conversations_archive("C1")).await;
    assert_eq!(archived.unwrap(), Ok(()));
}
