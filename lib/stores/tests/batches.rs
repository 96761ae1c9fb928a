//! Batches as DynamoDB really processes them: a hundred at a time, several at once, and with a part left unprocessed.
#![allow(clippy::unwrap_used)]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use apgl_contract::{Email, ErrorName, Visibility};
use apgl_stores::{Channel, Channels, Preference, Table, UserProfiles};
use aws_sdk_dynamodb::Client;
use aws_smithy_http_client::test_util::{ReplayEvent, StaticReplayClient};
use aws_smithy_runtime_api::client::{
    http::{
        HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
        http_client_fn,
    },
    orchestrator::{HttpRequest, HttpResponse},
    runtime_components::RuntimeComponents,
};
use aws_smithy_types::body::SdkBody;
use serde_json::{Value, json};
use tokio::time::sleep;

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
    (UserProfiles::new(table("profiles", http.clone())), http)
}

fn table(name: &str, http: impl HttpClient + 'static) -> Table {
    let dynamodb = Client::new(&fake_aws::config(http));
    Table::new(dynamodb, name.to_owned())
}

/// A fake DynamoDB that finds nothing, leaves nothing unprocessed, and counts simultaneous requests.
#[derive(Debug, Clone, Default)]
struct Busy {
    under_way: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl Busy {
    fn client(&self) -> impl HttpClient + 'static {
        let connector = SharedHttpConnector::new(self.clone());
        http_client_fn(move |_: &HttpConnectorSettings, _: &RuntimeComponents| connector.clone())
    }
}

impl HttpConnector for Busy {
    fn call(&self, _request: HttpRequest) -> HttpConnectorFuture {
        let Self { under_way, most } = self.clone();
        HttpConnectorFuture::new(async move {
            let now = under_way.fetch_add(1, Ordering::SeqCst) + 1;
            most.fetch_max(now, Ordering::SeqCst);
            sleep(Duration::from_millis(10)).await;
            under_way.fetch_sub(1, Ordering::SeqCst);
            let ok = 200.try_into().unwrap();
            Ok(HttpResponse::new(ok, SdkBody::from("{}")))
        })
    }
}

/// The number of keys in each request.
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
            .all(|preferences| preferences.slack == Preference::Wanted)
    );
    let mut asked = keys_asked(&http);
    asked.sort_unstable();
    assert_eq!(asked, [50, 100, 100]);
}

#[tokio::test(start_paused = true)]
async fn four_batches_are_read_at_once() {
    let dynamodb = Busy::default();
    let profiles = UserProfiles::new(table("profiles", dynamodb.client()));
    assert!(profiles.preferences(&emails(650)).await.unwrap().is_empty());
    assert_eq!(dynamodb.most.load(Ordering::SeqCst), 4);
}

#[tokio::test(start_paused = true)]
async fn thirty_two_channels_of_a_page_are_written_at_once() {
    let dynamodb = Busy::default();
    let channels = Channels::new(table("channels", dynamodb.client()));
    let page: Vec<Channel> = (0..160)
        .map(|n| Channel {
            id: format!("C{n}"),
            name: format!("channel-{n}"),
            visibility: Visibility::Public,
            archived: false,
            externally_shared: false,
            ours: None,
            confirmed_at: SystemTime::now(),
        })
        .collect();
    channels.remember_all(&page).await.unwrap();
    assert_eq!(dynamodb.most.load(Ordering::SeqCst), 32);
}

#[tokio::test]
async fn unprocessed_keys_are_requested_again() {
    let (profiles, http) = profiles(vec![
        answer(&[profile(0)], &[key(1), key(2)]),
        answer(&[profile(1)], &[key(2)]),
        answer(&[profile(2)], &[]),
    ]);
    assert_eq!(profiles.preferences(&emails(3)).await.unwrap().len(), 3);
    assert_eq!(keys_asked(&http), [3, 2, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_stays_unprocessed_is_store_unavailable() {
    let answers = (0..6).map(|_| answer(&[], &[key(0)])).collect();
    let (profiles, _) = profiles(answers);
    let error = profiles.preferences(&emails(1)).await.unwrap_err();
    assert_eq!(error.name(), ErrorName::StoreUnavailable);
}

#[tokio::test]
async fn no_people_cost_no_request() {
    let (profiles, http) = profiles(vec![]);
    assert!(profiles.preferences(&[]).await.unwrap().is_empty());
    assert!(keys_asked(&http).is_empty());
}
