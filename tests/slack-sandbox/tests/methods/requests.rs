//! What every request has in common.

use reqwest::RequestBuilder;
use rstest::rstest;
use serde_json::{Value, json};

use crate::slack::{Slack, TOKEN, error};

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json; charset=utf-8";

async fn sent(request: RequestBuilder) -> Value {
    request.send().await.unwrap().json().await.unwrap()
}

/// Sends this body to the method.
async fn send(slack: &Slack, method: &str, content_type: &str, body: &str) -> Value {
    let url = format!("{}/api/{method}", slack.sandbox.url());
    let request = slack
        .http
        .post(url)
        .bearer_auth(TOKEN)
        .body(body.to_owned());
    sent(request.header("content-type", content_type)).await
}

#[tokio::test]
async fn an_unknown_method_is_reported() {
    assert_eq!(
        error(&Slack::start().await.call("users.frobnicate", &[]).await),
        "unknown_method"
    );
}

#[rstest]
#[case::form("conversations.create", FORM, "name=x&is_private=true", "ok")]
#[case::json(
    "conversations.create",
    JSON,
    r#"{"name":"x","is_private":true}"#,
    "ok"
)]
#[case::null(
    "conversations.create",
    JSON,
    r#"{"name":"x","is_private":null}"#,
    "ok"
)]
#[case::nested(
    "chat.postMessage",
    JSON,
    r#"{"channel":"C00000001","blocks":[{"type":"divider"}]}"#,
    "ok"
)]
#[case::json_for_a_method_that_reads_forms(
    "users.info",
    JSON,
    r#"{"user":"UANA"}"#,
    "invalid_arguments"
)]
#[case::broken_json("conversations.create", JSON, r#"{"name":"#, "invalid_json")]
#[case::list("conversations.create", JSON, "[]", "json_not_object")]
#[case::no_type("conversations.create", "", "name=x", "missing_post_type")]
#[case::other_type(
    "conversations.create",
    "application/xml",
    "<name>x</name>",
    "invalid_post_type"
)]
#[case::other_charset(
    "conversations.create",
    "application/json; charset=utf-16",
    "{}",
    "invalid_charset"
)]
#[tokio::test]
async fn a_body_is_a_form_or_json(
    #[case] method: &str,
    #[case] content_type: &str,
    #[case] body: &str,
    #[case] expected: &str,
) {
    let slack = Slack::start().await;
    let answer = send(&slack, method, content_type, body).await;
    assert_eq!(error(&answer), expected);
}

#[tokio::test]
async fn json_has_the_same_meaning_as_a_form() {
    let slack = Slack::start().await;
    let body = json!({ "name": "x", "is_private": true }).to_string();
    send(&slack, "conversations.create", JSON, &body).await;
    assert!(slack.admin.channel("x").await.unwrap().unwrap().is_private);
}

#[rstest]
#[case("application/json", &["missing_charset"])]
#[case(JSON, &[])]
#[case(FORM, &[])]
#[case("application/x-www-form-urlencoded; charset=utf-8", &["superfluous_charset"])]
#[tokio::test]
async fn slack_warns_of_a_charset_that_is_missing_or_superfluous(
    #[case] content_type: &str,
    #[case] expected: &[&str],
    #[values("C00000001", "C99999999")] channel: &str,
) {
    let slack = Slack::start().await;
    let body = if content_type.contains("json") {
        json!({ "channel": channel }).to_string()
    } else {
        format!("channel={channel}")
    };
    let answer = send(&slack, "conversations.leave", content_type, &body).await;
    let warnings = &answer["response_metadata"]["warnings"];
    match expected {
        [] => assert!(warnings.is_null() && answer["warning"].is_null()),
        [warning] => assert_eq!(
            (&answer["warning"], warnings),
            (&json!(warning), &json!([warning]))
        ),
        _ => unreachable!(),
    }
}

#[tokio::test]
async fn several_warnings_are_separated_by_commas() {
    let slack = Slack::start().await;
    let body = "channel=C00000001";
    let form = format!("{FORM}; charset=utf-8");
    let answer = send(&slack, "conversations.join", &form, body).await;
    assert_eq!(answer["warning"], "already_in_channel,superfluous_charset");
}

#[tokio::test]
async fn a_token_is_accepted_in_a_form_and_in_a_query_but_not_in_json() {
    let slack = Slack::start().await;
    let url = format!("{}/api/auth.test", slack.sandbox.url());
    let in_query = format!("{url}?token={TOKEN}");
    let token = json!({ "token": TOKEN });
    for (request, expected) in [
        (slack.http.post(&url).form(&[("token", TOKEN)]), "ok"),
        (slack.http.get(&in_query), "ok"),
        (slack.http.post(&in_query), "ok"),
        (slack.http.post(&url).json(&token), "not_authed"),
        (slack.http.get(&url), "not_authed"),
    ] {
        assert_eq!(error(&sent(request).await), expected);
    }
    let calls = slack.admin.calls().await.unwrap();
    assert!(calls.iter().all(|call| call.arguments.is_empty()));
}

#[tokio::test]
async fn arguments_are_read_from_the_query_too() {
    let slack = Slack::start().await;
    let url = format!("{}/api/users.info?user=UANA", slack.sandbox.url());
    let info = sent(slack.http.get(url).bearer_auth(TOKEN)).await;
    assert_eq!(info["user"]["id"], "UANA");
}

#[rstest]
#[case("", json!({ "ok": true }))]
#[case("?foo=bar", json!({ "ok": true, "args": { "foo": "bar" } }))]
#[case("?error=my_error", json!({ "ok": false, "error": "my_error", "args": { "error": "my_error" } }))]
#[tokio::test]
async fn api_test_returns_its_arguments_without_a_token(
    #[case] query: &str,
    #[case] expected: Value,
) {
    let slack = Slack::start().await;
    let url = format!("{}/api/api.test{query}", slack.sandbox.url());
    assert_eq!(sent(slack.http.get(url)).await, expected);
}
