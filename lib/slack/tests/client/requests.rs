//! What the client sends.

use std::collections::HashMap;

use apgl_slack::{Post, Update};
use serde_json::{Value, json};
use wiremock::{
    Mock, MockServer,
    matchers::{body_string_contains, header, path},
};

use crate::fake_slack::{client, json_answer, metadata, slack_answers};

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
async fn blocks_and_metadata_are_sent_as_json_strings() {
    let server = slack_answers(json_answer(json!({ "ok": true, "ts": "1.000100" }))).await;
    let blocks = [json!({ "type": "divider" })];
    let post = Post {
        channel: "C1",
        text: "a & b",
        blocks: Some(&blocks),
        thread_ts: None,
        unfurl_links: false,
        unfurl_media: false,
        metadata: &metadata(),
        not_after: None,
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
    assert_eq!(
        (&*sent["unfurl_links"], &*sent["unfurl_media"]),
        ("false", "false")
    );
}

#[tokio::test]
async fn a_direct_message_is_opened_for_one_user() {
    let channel = json!({ "id": "D069C7QFK" });
    let answer = json!({ "ok": true, "no_op": true, "already_open": true, "channel": channel });
    let server = slack_answers(json_answer(answer)).await;
    let id = client(&server).conversations_open("U1").await.unwrap();
    assert_eq!(id, "D069C7QFK");
    let sent = &server.received_requests().await.unwrap()[0];
    assert_eq!(sent.url.path(), "/api/conversations.open");
    let arguments = [("users".to_owned(), "U1".to_owned())];
    assert_eq!(form_of(sent), arguments.into());
}

#[tokio::test]
async fn an_update_leaves_the_metadata_as_it_is() {
    let server = slack_answers(json_answer(json!({ "ok": true, "ts": "1.000100" }))).await;
    let blocks = [json!({ "type": "divider" })];
    let update = Update {
        channel: "C1",
        ts: "1.000100",
        text: "a & b",
        blocks: &blocks,
    };
    client(&server).chat_update(update).await.unwrap();
    let sent = &server.received_requests().await.unwrap()[0];
    assert_eq!(sent.url.path(), "/api/chat.update");
    let mut sent = form_of(sent);
    let blocks_sent = sent.remove("blocks").unwrap();
    assert_eq!(blocks_sent.parse::<Value>().unwrap(), json!(blocks));
    let arguments = [("channel", "C1"), ("ts", "1.000100"), ("text", "a & b")];
    let arguments = arguments.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(sent, arguments.into());
}

#[tokio::test]
async fn a_message_is_pinned_by_its_timestamp() {
    let server = slack_answers(json_answer(json!({ "ok": true }))).await;
    client(&server).pins_add("C1", "1.000100").await.unwrap();
    let sent = &server.received_requests().await.unwrap()[0];
    assert_eq!(sent.url.path(), "/api/pins.add");
    let arguments = [("channel", "C1"), ("timestamp", "1.000100")];
    let arguments = arguments.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(form_of(sent), arguments.into());
}

fn form_of(request: &wiremock::Request) -> HashMap<String, String> {
    let body = std::str::from_utf8(&request.body).unwrap();
    let url: reqwest::Url = format!("http://form/?{body}").parse().unwrap();
    url.query_pairs().into_owned().collect()
}
