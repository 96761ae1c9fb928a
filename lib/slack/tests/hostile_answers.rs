//! Responses that Slack, or a server in its place, should never return.
#![allow(clippy::unwrap_used)]

use std::{
    fmt,
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use apgl_contract::StepError;
use apgl_slack::{FixedToken, Metadata, Post, SlackClient, SlackError, SlackToken};
use hostile_input::{anything, config, leaks, logged, mutated, text};
use proptest::{collection::vec, prelude::*, sample::select, test_runner::TestRunner};
use rstest::rstest;
use serde_json::{Value, json};
use wiremock::{
    Mock, MockServer, Request, Respond, ResponseTemplate,
    http::{HeaderName, HeaderValue},
    matchers::any as any_request,
};

/// A call of the client, and the response that Slack documents for it.
#[derive(Debug, Clone, Copy)]
enum Call {
    AuthTest,
    Post,
    Create,
    List,
    Invite,
    Members,
    History,
    LookUp,
    Users,
    Archive,
}

impl Call {
    const ALL: [Self; 10] = [
        Self::AuthTest,
        Self::Post,
        Self::Create,
        Self::List,
        Self::Invite,
        Self::Members,
        Self::History,
        Self::LookUp,
        Self::Users,
        Self::Archive,
    ];

    fn answer(self) -> Value {
        let channel = json!({
            "id": "C1", "name": "x", "is_private": true, "is_archived": false, "created": 1_700_000_000,
        });
        let user = json!({
            "id": "U1", "deleted": false, "is_bot": false, "profile": { "email": "ana@example.com" },
        });
        let more = json!({ "next_cursor": "abc" });
        match self {
            Self::AuthTest => json!({
                "ok": true, "team": "T", "team_id": "T1", "user_id": "U1", "bot_id": "B1",
            }),
            Self::Post => json!({ "ok": true, "channel": "C1", "ts": "1712345678.000200" }),
            Self::Create => json!({ "ok": true, "channel": channel }),
            Self::List => json!({ "ok": true, "channels": [channel], "response_metadata": more }),
            Self::Invite => json!({
                "ok": false, "error": "cant_invite",
                "errors": [{ "user": "U1", "ok": false, "error": "cant_invite" }],
            }),
            Self::Members => json!({ "ok": true, "members": ["U1"], "response_metadata": more }),
            Self::History => json!({
                "ok": true, "response_metadata": more,
                "messages": [{
                    "ts": "1.0", "text": "hello", "bot_id": "B1",
                    "metadata": { "event_type": "e", "event_payload": { "delivery": "abc" } },
                }],
            }),
            Self::LookUp => json!({ "ok": true, "user": user }),
            Self::Users => json!({ "ok": true, "members": [user], "response_metadata": more }),
            Self::Archive => json!({ "ok": true }),
        }
    }

    async fn make(self, slack: &SlackClient) -> Result<(), SlackError> {
        let metadata = Metadata {
            event_type: "e".to_owned(),
            event_payload: serde_json::Map::new(),
        };
        let post = Post {
            channel: "C1",
            text: "hello",
            blocks: None,
            thread_ts: None,
            metadata: &metadata,
        };
        match self {
            Self::AuthTest => slack.auth_test().await.map(drop),
            Self::Post => slack.chat_post_message(post).await.map(drop),
            Self::Create => slack.conversations_create("x", true).await.map(drop),
            Self::List => slack.conversations_list(None).await.map(drop),
            Self::Invite => slack
                .conversations_invite("C1", &["U1".to_owned()])
                .await
                .map(drop),
            Self::Members => slack.conversations_members("C1", None).await.map(drop),
            Self::History => slack.conversations_history("C1", "0", None).await.map(drop),
            Self::LookUp => {
                let users = slack.users_lookup_by_email(&["ana@example.com"]).await?;
                users.into_iter().try_for_each(|user| user.map(drop))
            }
            Self::Users => slack.users_list(None).await.map(drop),
            Self::Archive => slack.conversations_archive("C1").await,
        }
    }
}

#[derive(Clone)]
struct Answer {
    status: u16,
    headers: Vec<(&'static str, Vec<u8>)>,
    body: Vec<u8>,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = String::from_utf8_lossy(&self.body);
        write!(f, "{} {:?} {body}", self.status, self.headers)
    }
}

impl Answer {
    fn template(&self) -> ResponseTemplate {
        let answer = ResponseTemplate::new(self.status).set_body_bytes(self.body.clone());
        self.headers.iter().fold(
            answer,
            |answer, (name, value)| match HeaderValue::from_bytes(value) {
                Ok(value) => answer.append_header(HeaderName::from_static(name), value),
                Err(_) => answer,
            },
        )
    }
}

fn hostile_answer() -> impl Strategy<Value = (Call, Answer)> {
    select(&Call::ALL[..]).prop_flat_map(|call| {
        let answer = (status(), vec(header(), 0..4), body(call.answer()));
        let answer = answer.prop_map(|(status, headers, body)| Answer {
            status,
            headers,
            body,
        });
        (Just(call), answer)
    })
}

fn status() -> impl Strategy<Value = u16> {
    prop_oneof![8 => Just(200), 2 => Just(429), 1 => 200..600_u16]
}

fn header() -> impl Strategy<Value = (&'static str, Vec<u8>)> {
    let time = prop_oneof![
        any::<u64>().prop_map(|n| n.to_string()),
        any::<i64>().prop_map(|n| n.to_string()),
        any::<f64>().prop_map(|n| n.to_string()),
        Just("18446744073709551615".to_owned()),
        Just("Fri, 31 Dec 9999 23:59:59 GMT".to_owned()),
        text(),
    ];
    prop_oneof![
        time.prop_map(|time| ("retry-after", time.into_bytes())),
        vec(any::<u8>(), 0..8).prop_map(|time| ("retry-after", time)),
        text().prop_map(|scopes| ("x-oauth-scopes", scopes.into_bytes())),
        select(&["gzip", "br", "deflate", "identity", "x"][..])
            .prop_map(|coding| ("content-encoding", coding.into())),
        text().prop_map(|kind| ("content-type", kind.into_bytes())),
    ]
    .prop_filter("a header that a server can send", |(_, value)| {
        value.len() < 8_000
    })
}

fn body(documented: Value) -> impl Strategy<Value = Vec<u8>> {
    let refusal = (code(), text(), text(), anything()).prop_map(|(error, needed, provided, errors)| {
        json!({ "ok": false, "error": error, "needed": needed, "provided": provided, "errors": errors })
    });
    let whole = documented.to_string().into_bytes();
    prop_oneof![
        4 => mutated(documented).prop_map(|body| body.to_string().into_bytes()),
        2 => refusal.prop_map(|body| body.to_string().into_bytes()),
        1 => anything().prop_map(|body| body.to_string().into_bytes()),
        1 => vec(any::<u8>(), 0..100),
        1 => text().prop_map(String::into_bytes),
        1 => (0..whole.len()).prop_map(move |end| whole[..end].to_vec()),
    ]
}

fn code() -> impl Strategy<Value = String> {
    let known = prop_oneof![
        Just("missing_scope"),
        Just("ratelimited"),
        Just("internal_error"),
        Just("is_archived"),
        Just("no_permission"),
    ];
    prop_oneof![known.prop_map(str::to_owned), text()]
}

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
fn any_answer_is_a_value_or_an_error_that_says_nothing_of_it() {
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
            assert_says_nothing(error)?;
        }
        Ok(())
    });
    outcome.unwrap_or_else(|failed| panic!("{failed}"));
}

fn assert_says_nothing(error: SlackError) -> Result<(), TestCaseError> {
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
async fn nobody_waits_for_longer_than_an_hour(#[case] header: &str, #[case] seconds: u64) {
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
async fn what_people_wrote_is_not_shown_when_a_value_is() {
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
    let messages = slack.conversations_history("C1", "0", None).await.unwrap();
    let users = slack.users_list(None).await.unwrap();
    let shown = format!("{messages:?} {users:?}");
    assert!(!leaks(&shown), "{shown}");
}

/// A compressed response could be a thousand times larger than the bytes that are counted.
#[tokio::test]
async fn the_client_takes_no_compressed_answers() {
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

/// A server that returns 200 and then writes `part` repeatedly, with `pause` in between, until the client stops
/// reading. Also returns the number of bytes written.
fn endless(part: &'static [u8], pause: Duration) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let written = Arc::new(AtomicUsize::new(0));
    let count = written.clone();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 8_192]);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
        while stream.write_all(part).is_ok() {
            count.fetch_add(part.len(), Ordering::Relaxed);
            thread::sleep(pause);
        }
    });
    (address, written)
}

/// A chunk of 64 spaces.
const SPACES: &[u8] = b"40\r\n                                                                \r\n";

#[tokio::test]
async fn an_answer_without_an_end_is_read_to_the_limit_and_no_further() {
    const MIB: usize = 1_024 * 1_024;
    let chunk: &'static [u8] = SPACES.repeat(1_024).leak();
    let (address, written) = endless(chunk, Duration::ZERO);
    let error = client(&format!("http://{address}"))
        .auth_test()
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the outcome of auth.test is unknown: the answer is too large"
    );
    // The bytes beyond the limit are in the buffers of the two sockets.
    let written = written.load(Ordering::Relaxed);
    assert!(written < 32 * MIB, "{written} bytes");
}

#[tokio::test]
async fn an_answer_that_trickles_ends_with_the_calls_time() {
    let (address, _) = endless(SPACES, Duration::from_millis(50));
    let began = Instant::now();
    let error = client(&format!("http://{address}"))
        .auth_test()
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the outcome of auth.test is unknown: no answer in time"
    );
    assert!(began.elapsed() < SlackClient::CALL_TIMEOUT + Duration::from_secs(2));
}
