//! AWS clients with the shared HTTP client: what they send and receive, and what they retry.
#![allow(clippy::unwrap_used)]

use std::{
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use aws_credential_types::Credentials;
use aws_sdk_secretsmanager::{Client, error::ProvideErrorMetadata};
use hostile_input::logged;
use serde_json::json;
use tokio::runtime::Builder;
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{body_json, header, method},
};

/// A client with the project's own time-outs and retries.
fn client(url: &str) -> Client {
    let credentials = Credentials::new("id", "key", None, None, "test");
    let config = apgl_aws::config("eu-west-1".to_owned(), Some(url.to_owned()), credentials);
    Client::new(&config.unwrap())
}

#[tokio::test]
async fn a_request_and_its_response_arrive_unchanged() {
    let aws = MockServer::start().await;
    let answer = json!({ "Name": "token", "SecretString": "xoxb-1" });
    Mock::given(method("POST"))
        .and(header("x-amz-target", "secretsmanager.GetSecretValue"))
        .and(body_json(json!({ "SecretId": "token" })))
        .respond_with(ResponseTemplate::new(200).set_body_json(answer))
        .expect(1)
        .mount(&aws)
        .await;
    let client = client(&aws.uri());
    let secret = client.get_secret_value().secret_id("token").send().await;
    assert_eq!(secret.unwrap().secret_string(), Some("xoxb-1"));
}

#[tokio::test]
async fn a_refusal_keeps_its_code_and_its_request_id() {
    let aws = MockServer::start().await;
    let refusal = ResponseTemplate::new(400)
        .insert_header("x-amzn-requestid", "request-7")
        .set_body_json(json!({ "__type": "ResourceNotFoundException" }));
    Mock::given(method("POST"))
        .respond_with(refusal)
        .expect(1)
        .mount(&aws)
        .await;
    let client = client(&aws.uri());
    let error = client.get_secret_value().secret_id("token").send().await;
    let error = error.unwrap_err();
    assert_eq!(error.code(), Some("ResourceNotFoundException"));
    let response = error.raw_response().unwrap();
    assert_eq!(
        response.headers().get("x-amzn-requestid"),
        Some("request-7")
    );
}

/// An alarm counts error lines, so a temporary problem must not log one.
#[test]
fn a_failure_that_a_retry_fixes_is_not_logged_as_an_error() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let aws = runtime.block_on(async {
        let aws = MockServer::start().await;
        let unavailable = Mock::given(method("POST")).respond_with(ResponseTemplate::new(503));
        unavailable.up_to_n_times(1).expect(1).mount(&aws).await;
        let answer = ResponseTemplate::new(200).set_body_json(json!({ "SecretString": "xoxb-1" }));
        let answers = Mock::given(method("POST")).respond_with(answer);
        answers.expect(1).mount(&aws).await;
        aws
    });
    let client = client(&aws.uri());
    let secret = client.get_secret_value().secret_id("token").send();
    let (secret, log) = logged(|| runtime.block_on(async { secret.await.unwrap() }));
    assert_eq!(secret.secret_string(), Some("xoxb-1"));
    assert_eq!(log.matches(" ERROR ").count(), 0, "{log}");
}

#[tokio::test]
async fn a_broken_connection_is_retried() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = connections.clone();
    thread::spawn(move || {
        for connection in listener.incoming() {
            counted.fetch_add(1, Ordering::SeqCst);
            drop(connection);
        }
    });
    let client = client(&url);
    let error = client.get_secret_value().secret_id("token").send().await;
    assert!(error.unwrap_err().as_service_error().is_none());
    assert_eq!(connections.load(Ordering::SeqCst), 3);
}
