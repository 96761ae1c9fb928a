//! Batches as DynamoDB really answers them: in hundreds, and with a part left undone.
#![allow(clippy::unwrap_used)]

use apgl_contract::{Email, ErrorName};
use apgl_stores::{Preference, Table, UserProfiles};
use aws_credential_types::Credentials;
use aws_sdk_dynamodb::{
    Client, Config,
    config::{BehaviorVersion, Region},
};
use aws_smithy_http_client::test_util::{ReplayEvent, StaticReplayClient};
use aws_smithy_types::body::SdkBody;
use serde_json::{Value, json};

fn emails(count: usize) -> Vec<Email> {
    (0..count)
        .map(|n| Email::try_from(format!("user{n}@example.com")).unwrap())
        .collect()
}

fn profile(n: usize) -> Value {
    json!({
        "email": { "S": format!("user{n}@example.com") },
        "notificationPreferences": { "M": { "slack": { "BOOL": true } } },
    })
}

fn profiles_of(range: std::ops::Range<usize>) -> Vec<Value> {
    range.map(profile).collect()
}

fn key(n: usize) -> Value {
    json!({ "email": { "S": format!("user{n}@example.com") } })
}

fn answer(found: &[Value], left: &[Value]) -> ReplayEvent {
    let mut body = json!({ "Responses": { "profiles": found }, "UnprocessedKeys": {} });
    if !left.is_empty() {
        body["UnprocessedKeys"]["profiles"] = json!({ "Keys": left });
    }
    let request = http::Request::builder()
        .uri("http://127.0.0.1/")
        .body(SdkBody::empty())
        .unwrap();
    let response = http::Response::builder()
        .status(200)
        .body(SdkBody::from(body.to_string()))
        .unwrap();
    ReplayEvent::new(request, response)
}

fn profiles(answers: Vec<ReplayEvent>) -> (UserProfiles, StaticReplayClient) {
    let http = StaticReplayClient::new(answers);
    let config = Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::for_tests())
        .endpoint_url("http://127.0.0.1")
        .http_client(http.clone())
        .build();
    (
        UserProfiles::new(Table::new(Client::from_conf(config), "profiles".to_owned())),
        http,
    )
}

/// How many keys each request asked for.
fn keys_asked(http: &StaticReplayClient) -> Vec<usize> {
    http.actual_requests()
        .map(|request| {
            let body: Value = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
            body["RequestItems"]["profiles"]["Keys"]
                .as_array()
                .unwrap()
                .len()
        })
        .collect()
}

#[tokio::test]
async fn profiles_are_read_in_hundreds() {
    let answers = vec![
        answer(&profiles_of(0..100), &[]),
        answer(&profiles_of(100..200), &[]),
        answer(&profiles_of(200..250), &[]),
    ];
    let (profiles, http) = profiles(answers);
    let preferences = profiles.preferences(&emails(250)).await.unwrap();
    assert_eq!(preferences.len(), 250);
    assert!(
        preferences
            .values()
            .all(|preference| *preference == Preference::Wanted)
    );
    assert_eq!(keys_asked(&http), [100, 100, 50]);
}

#[tokio::test]
async fn what_dynamodb_leaves_undone_is_asked_for_again() {
    let (profiles, http) = profiles(vec![
        answer(&[profile(0)], &[key(1), key(2)]),
        answer(&[profile(1)], &[key(2)]),
        answer(&[profile(2)], &[]),
    ]);
    assert_eq!(profiles.preferences(&emails(3)).await.unwrap().len(), 3);
    assert_eq!(keys_asked(&http), [3, 2, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_stays_undone_is_store_unavailable() {
    let answers = (0..6).map(|_| answer(&[], &[key(0)])).collect();
    let (profiles, _) = profiles(answers);
    let error = profiles.preferences(&emails(1)).await.unwrap_err();
    assert_eq!(error.name(), ErrorName::StoreUnavailable);
}

#[tokio::test]
async fn nobody_costs_no_request() {
    let (profiles, http) = profiles(vec![]);
    assert!(profiles.preferences(&[]).await.unwrap().is_empty());
    assert!(keys_asked(&http).is_empty());
}
