//! A fake Slack, a client of it, and what the tests send.

use std::sync::Arc;

use apgl_slack::{FixedToken, Metadata, SlackClient, SlackToken, TokenSource};
use serde_json::Value;
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::method};

pub const THREE: [&str; 3] = ["ana@example.com", "bob@example.com", "eve@example.com"];

pub fn client(server: &MockServer) -> SlackClient {
    client_with(
        server,
        Arc::new(FixedToken(SlackToken::new("xoxb-1").unwrap())),
    )
}

pub fn client_with(server: &MockServer, tokens: Arc<dyn TokenSource>) -> SlackClient {
    SlackClient::new(format!("{}/api", server.uri()).parse().unwrap(), tokens).unwrap()
}

pub fn client_at(url: &str) -> SlackClient {
    let token = FixedToken(SlackToken::new("xoxb-1").unwrap());
    SlackClient::new(url.parse().unwrap(), Arc::new(token)).unwrap()
}

pub async fn slack_answers(answer: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(answer)
        .mount(&server)
        .await;
    server
}

pub fn json_answer(body: Value) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(body)
}

pub fn metadata() -> Metadata {
    Metadata {
        event_type: "e".to_owned(),
        event_payload: serde_json::Map::new(),
    }
}
