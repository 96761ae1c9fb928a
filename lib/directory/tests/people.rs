//! Looking up people when Slack returns only some of them.
#![allow(clippy::unwrap_used)]

use std::{
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use apgl_contract::{
    Email, ErrorName, Invocation, Run, SkipReason, Skipped, SlackUser, SlackUserId, StepError,
};
use apgl_directory::{People, Purpose, Resolved};
use apgl_slack::{
    FixedToken, LimitedBy, RateLimiter, SlackClient, SlackToken,
    quotas::{AcquireFuture, Calls, Limited, PenalizeFuture, Permit, Wait},
};
use apgl_stores::{SlackUsers, Table};
use aws_sdk_dynamodb::Client;
use aws_smithy_http_client::test_util::infallible_client_fn;
use aws_smithy_types::body::SdkBody;
use rstest::rstest;
use serde_json::{Value, json};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::body_string_contains};

type Requests = Arc<Mutex<Vec<(String, Value)>>>;

/// An empty table, and the requests that it received.
fn empty_table() -> (Table, Requests) {
    let requests = Requests::default();
    let got = requests.clone();
    let http = infallible_client_fn(move |request: http::Request<SdkBody>| {
        let target = request.headers()["x-amz-target"].to_str().unwrap();
        let operation = target.rsplit('.').next().unwrap().to_owned();
        let body = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
        got.lock().unwrap().push((operation, body));
        http::Response::new(SdkBody::from("{}"))
    });
    let dynamodb = Client::new(&fake_aws::config(http));
    let table = Table::new(dynamodb, "users".to_owned());
    (table, requests)
}

fn people(server: &MockServer, table: Table) -> People {
    let token = FixedToken(SlackToken::new("xoxb-1").unwrap());
    let url = format!("{}/api", server.uri()).parse().unwrap();
    People {
        known: SlackUsers::new(table),
        slack: SlackClient::new(url, Arc::new(token)).unwrap(),
        trust: Duration::from_hours(24),
    }
}

fn invocation() -> Invocation {
    Invocation {
        run: Run {
            execution_id: "e1".to_owned(),
            workflow: "w".to_owned(),
            ..Run::default()
        },
        request_id: "r1".to_owned(),
        deadline: SystemTime::now() + Duration::from_mins(1),
    }
}

fn emails(names: &[&str]) -> Vec<Email> {
    let email = |name: &&str| Email::try_from(format!("{name}@example.com")).unwrap();
    names.iter().map(email).collect()
}

/// The addresses that were written to the table.
fn remembered(requests: &[(String, Value)]) -> Vec<Value> {
    let writes = requests.iter().filter(|(name, _)| name == "PutItem");
    writes
        .map(|(_, body)| body["Item"]["email"]["S"].clone())
        .collect()
}

#[tokio::test]
async fn the_other_results_are_kept_when_one_look_up_fails() {
    let slack = MockServer::start().await;
    let user = |id: &str| {
        ResponseTemplate::new(200).set_body_json(json!({ "ok": true, "user": { "id": id } }))
    };
    let not_found = json!({ "ok": false, "error": "users_not_found" });
    for (name, answer) in [
        ("ana", user("U1")),
        ("bob", ResponseTemplate::new(500)),
        ("eve", ResponseTemplate::new(200).set_body_json(not_found)),
        ("gus", user("U2")),
    ] {
        Mock::given(body_string_contains(format!("email={name}")))
            .respond_with(answer)
            .mount(&slack)
            .await;
    }
    let (table, requests) = empty_table();
    let emails = emails(&["ana", "bob", "eve", "gus"]);
    let resolved = people(&slack, table)
        .resolve(emails, Purpose::Invite, &invocation())
        .await;

    assert_eq!(resolved.unwrap_err().name(), ErrorName::SlackUnavailable);
    let requests = requests.lock().unwrap();
    let body = |operation: &str| {
        let mut found = requests.iter().filter(|(name, _)| name == operation);
        found.next().unwrap().1.clone()
    };
    let remembered = remembered(&requests);
    assert_eq!(remembered, ["ana@example.com", "gus@example.com"]);
    let absent = &body("UpdateItem")["ExpressionAttributeValues"][":emails"]["SS"];
    assert_eq!(*absent, json!(["eve@example.com"]));
}

#[rstest]
#[case("users_not_found", SkipReason::NotInSlack)]
#[case("invalid_arguments", SkipReason::CannotLookUp)]
#[case("a_code_of_tomorrow", SkipReason::CannotLookUp)]
#[tokio::test]
async fn a_refusal_that_is_about_one_address_does_not_stop_the_others(
    #[case] code: &str,
    #[case] expected: SkipReason,
) {
    let slack = MockServer::start().await;
    let refusal = json!({ "ok": false, "error": code });
    for (name, answer) in [
        ("ana", json!({ "ok": true, "user": { "id": "U1" } })),
        ("bob", refusal),
    ] {
        Mock::given(body_string_contains(format!("email={name}")))
            .respond_with(ResponseTemplate::new(200).set_body_json(answer))
            .mount(&slack)
            .await;
    }
    let emails = emails(&["ana", "bob"]);
    let people = people(&slack, empty_table().0);
    let [ana, bob] = [emails[0].clone(), emails[1].clone()];
    let found = people.resolve(emails, Purpose::Invite, &invocation()).await;
    let found = found.unwrap();
    let id = SlackUserId("U1".to_owned());
    assert_eq!(found.users, [SlackUser { email: ana, id }]);
    assert_eq!(found.skipped, [Skipped::new(bob, expected)]);
}

/// Slack's answers to the look-ups of `ana` and `bob`.
async fn resolve_two(codes: [&str; 2]) -> Result<Resolved, StepError> {
    let slack = MockServer::start().await;
    for (name, code) in ["ana", "bob"].iter().zip(codes) {
        let refusal = json!({ "ok": false, "error": code });
        Mock::given(body_string_contains(format!("email={name}")))
            .respond_with(ResponseTemplate::new(200).set_body_json(refusal))
            .mount(&slack)
            .await;
    }
    let people = people(&slack, empty_table().0);
    let emails = emails(&["ana", "bob"]);
    people.resolve(emails, Purpose::Invite, &invocation()).await
}

#[tokio::test]
async fn an_unknown_refusal_of_every_look_up_is_not_about_the_addresses() {
    let refused = resolve_two(["a_code_of_tomorrow"; 2]).await;
    assert_eq!(refused.unwrap_err().name(), ErrorName::SlackRejected);
}

#[rstest]
#[case::two_codes(["a_code_of_tomorrow", "another_code"], [SkipReason::CannotLookUp; 2])]
#[case::a_known_code(["invalid_arguments"; 2], [SkipReason::CannotLookUp; 2])]
#[case::one_of_them_is_absent(["a_code_of_tomorrow", "users_not_found"], [SkipReason::CannotLookUp, SkipReason::NotInSlack])]
#[tokio::test]
async fn any_other_refusals_are_about_the_addresses(
    #[case] codes: [&str; 2],
    #[case] expected: [SkipReason; 2],
) {
    let resolved = resolve_two(codes).await.unwrap();
    let reasons: Vec<SkipReason> = resolved
        .skipped
        .iter()
        .map(|skipped| skipped.reason)
        .collect();
    assert_eq!(reasons, expected);
}

#[tokio::test]
async fn an_unknown_refusal_of_one_address_does_not_fail_the_step() {
    let slack = MockServer::start().await;
    let refusal = json!({ "ok": false, "error": "a_code_of_tomorrow" });
    Mock::given(body_string_contains("email="))
        .respond_with(ResponseTemplate::new(200).set_body_json(refusal))
        .mount(&slack)
        .await;
    let people = people(&slack, empty_table().0);
    let emails = emails(&["ana"]);
    let ana = emails[0].clone();
    let resolved = people.resolve(emails, Purpose::Invite, &invocation()).await;
    let expected = [Skipped::new(ana, SkipReason::CannotLookUp)];
    assert_eq!(resolved.unwrap().skipped, expected);
}

#[rstest]
#[case("missing_scope", ErrorName::SlackUnauthorized)]
#[case("fatal_error", ErrorName::SlackUnavailable)]
#[case("method_deprecated", ErrorName::StepBug)]
#[tokio::test]
async fn a_refusal_that_is_not_about_the_address_fails_the_step(
    #[case] code: &str,
    #[case] expected: ErrorName,
) {
    let slack = MockServer::start().await;
    let refusal = json!({ "ok": false, "error": code });
    Mock::given(body_string_contains("email="))
        .respond_with(ResponseTemplate::new(200).set_body_json(refusal))
        .mount(&slack)
        .await;
    let people = people(&slack, empty_table().0);
    let emails = emails(&["ana"]);
    let resolved = people.resolve(emails, Purpose::Invite, &invocation()).await;
    assert_eq!(resolved.unwrap_err().name(), expected);
}

#[tokio::test]
async fn a_rate_limit_takes_precedence_over_other_errors() {
    let slack = MockServer::start().await;
    for (name, answer) in [
        ("ana", ResponseTemplate::new(500)),
        ("bob", ResponseTemplate::new(429)),
        ("eve", ResponseTemplate::new(500)),
    ] {
        Mock::given(body_string_contains(format!("email={name}")))
            .respond_with(answer)
            .mount(&slack)
            .await;
    }
    let resolved = people(&slack, empty_table().0)
        .resolve(
            emails(&["ana", "bob", "eve"]),
            Purpose::Invite,
            &invocation(),
        )
        .await;
    assert_eq!(resolved.unwrap_err().name(), ErrorName::SlackRateLimited);
}

/// Allows the first calls; all others must wait.
#[derive(Debug, Default)]
struct AllowsOnce {
    /// The number of calls requested, and the number planned.
    asked: Mutex<Vec<(u32, u32)>>,
}

impl RateLimiter for AllowsOnce {
    fn acquire<'a>(&'a self, calls: Calls<'a>) -> AcquireFuture<'a> {
        let mut asked = self.asked.lock().unwrap();
        asked.push((calls.count, calls.planned));
        let answer = match asked.len() {
            1 => Ok(Permit::default()),
            _ => Err(Limited::Wait(Wait {
                retry_after: Duration::from_secs(5),
                is_certain: true,
            })),
        };
        Box::pin(async { answer })
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
async fn people_looked_up_before_a_rate_limit_are_kept() {
    let slack = MockServer::start().await;
    let user = json!({ "ok": true, "user": { "id": "U1" } });
    Mock::given(body_string_contains("email="))
        .respond_with(ResponseTemplate::new(200).set_body_json(user))
        .mount(&slack)
        .await;
    let allows_once = Arc::new(AllowsOnce::default());
    let limiter: Arc<dyn RateLimiter> = allows_once.clone();
    let (table, requests) = empty_table();
    let people = people(&slack, table).limited_by(&limiter);
    let emails: Vec<Email> = (0..12)
        .map(|n| Email::try_from(format!("user{n}@example.com")).unwrap())
        .collect();
    let error = people
        .resolve(emails, Purpose::Invite, &invocation())
        .await
        .unwrap_err();
    assert_eq!(error.name(), ErrorName::SlackRateLimited);
    assert!(error.is_certain());
    assert_eq!(*allows_once.asked.lock().unwrap(), [(10, 12), (2, 2)]);
    assert_eq!(remembered(&requests.lock().unwrap()).len(), 10);
}

#[tokio::test]
async fn no_people_cost_no_request() {
    let slack = MockServer::start().await;
    let (table, requests) = empty_table();
    let resolved = people(&slack, table)
        .resolve(Vec::new(), Purpose::Invite, &invocation())
        .await;
    assert_eq!(resolved.unwrap().users, []);
    assert!(requests.lock().unwrap().is_empty());
}
