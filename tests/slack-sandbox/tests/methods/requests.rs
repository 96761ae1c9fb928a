//! What every request has in common.

use serde_json::json;

use crate::slack::{Slack, TOKEN, error};

#[tokio::test]
async fn an_unknown_method_is_reported() {
    assert_eq!(
        error(&Slack::start().await.call("users.frobnicate", &[]).await),
        "unknown_method"
    );
}

#[tokio::test]
async fn arguments_are_read_only_from_a_form() {
    let slack = Slack::start().await;
    let url = format!("{}/api/conversations.create", slack.sandbox.url());
    let answer = slack
        .http
        .post(url)
        .bearer_auth(TOKEN)
        .json(&json!({ "name": "x" }))
        .send()
        .await
        .unwrap();
    assert_eq!(
        error(&answer.json().await.unwrap()),
        "invalid_name_required"
    );
}
