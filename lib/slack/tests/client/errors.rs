//! How errors are classified and reported.

use std::sync::Arc;

use apgl_slack::{FixedToken, SlackClient, SlackError, SlackToken};
use rstest::rstest;
use serde_json::json;
use wiremock::ResponseTemplate;

use crate::fake_slack::{client, json_answer, slack_answers};

#[derive(Debug, PartialEq)]
pub enum Class {
    RateLimited(u64),
    Unavailable,
    OutcomeUnknown,
    Unauthorized,
    Rejected,
}

pub fn class(error: &SlackError) -> Class {
    match error {
        SlackError::QueueTooLong { .. } => panic!("Slack has no queue"),
        SlackError::TooLate { .. } => panic!("the call has no time limit"),
        SlackError::RateLimited { retry_after, .. } => Class::RateLimited(retry_after.as_secs()),
        SlackError::Unavailable { .. } => Class::Unavailable,
        SlackError::OutcomeUnknown { .. } => Class::OutcomeUnknown,
        SlackError::Unauthorized { .. } => Class::Unauthorized,
        SlackError::Rejected { .. } => Class::Rejected,
        SlackError::NoToken(_) => panic!("there is a token"),
    }
}

async fn create_with_response(answer: ResponseTemplate) -> Result<String, SlackError> {
    let server = slack_answers(answer).await;
    client(&server)
        .conversations_create("x", true)
        .await
        .map(|channel| channel.id)
}

#[rstest]
#[case("ratelimited", Class::RateLimited(30))]
#[case("rate_limited", Class::RateLimited(30))]
#[case("service_unavailable", Class::Unavailable)]
#[case("request_timeout", Class::Unavailable)]
#[case("team_added_to_org", Class::Unavailable)]
#[case("fetch_members_failed", Class::Unavailable)]
#[case("internal_error", Class::OutcomeUnknown)]
#[case("fatal_error", Class::OutcomeUnknown)]
#[case("not_authed", Class::Unauthorized)]
#[case("invalid_auth", Class::Unauthorized)]
#[case("token_revoked", Class::Unauthorized)]
#[case("token_expired", Class::Unauthorized)]
#[case("account_inactive", Class::Unauthorized)]
#[case("missing_scope", Class::Unauthorized)]
#[case("not_allowed_token_type", Class::Unauthorized)]
#[case("no_permission", Class::Unauthorized)]
#[case("access_denied", Class::Unauthorized)]
#[case("accesslimited", Class::Unauthorized)]
#[case("ekm_access_denied", Class::Unauthorized)]
#[case("enterprise_is_restricted", Class::Unauthorized)]
#[case("org_login_required", Class::Unauthorized)]
#[case("two_factor_setup_required", Class::Unauthorized)]
#[case("is_bot", Class::Unauthorized)]
#[case("name_taken", Class::Rejected)]
#[case("invalid_arguments", Class::Rejected)]
#[case("a_code_of_tomorrow", Class::Rejected)]
#[case("", Class::Rejected)]
#[tokio::test]
async fn every_code_has_one_class_and_an_unknown_code_is_permanent(
    #[case] code: &str,
    #[case] expected: Class,
) {
    let error = create_with_response(json_answer(json!({ "ok": false, "error": code })))
        .await
        .unwrap_err();
    assert_eq!(class(&error), expected);
}

/// The codes of Slack's page, and the one for a bot.
#[rstest]
#[case("user_not_found")]
#[case("user_not_visible")]
#[case("user_disabled")]
#[case("cannot_dm_bot")]
#[case("invalid_user_combination")]
#[case("channel_not_found")]
#[case("method_not_supported_for_channel_type")]
#[case("too_many_users")]
#[case("not_enough_users")]
#[case("users_list_not_supplied")]
#[tokio::test]
async fn a_direct_message_that_slack_does_not_open_is_refused_with_its_code(#[case] code: &str) {
    let server = slack_answers(json_answer(json!({ "ok": false, "error": code }))).await;
    let error = client(&server).conversations_open("U1").await.unwrap_err();
    assert_eq!(error.rejected_code(), Some(code));
}

#[tokio::test]
async fn a_direct_message_without_an_id_has_an_unknown_outcome() {
    let server = slack_answers(json_answer(json!({ "ok": true, "channel": {} }))).await;
    let error = client(&server).conversations_open("U1").await.unwrap_err();
    assert_eq!(class(&error), Class::OutcomeUnknown);
}

#[rstest]
#[case::html_500(ResponseTemplate::new(500).set_body_string("<html>"), Class::OutcomeUnknown)]
#[case::http_503(ResponseTemplate::new(503), Class::OutcomeUnknown)]
#[case::html_200(ResponseTemplate::new(200).set_body_string("<html>"), Class::OutcomeUnknown)]
#[case::ok_without_channel(json_answer(json!({ "ok": true })), Class::OutcomeUnknown)]
#[case::http_408(ResponseTemplate::new(408), Class::OutcomeUnknown)]
#[case::page_of_a_proxy(ResponseTemplate::new(403).set_body_string("<html>"), Class::Unavailable)]
#[case::http_404(ResponseTemplate::new(404), Class::Unavailable)]
#[case::redirect(ResponseTemplate::new(302).insert_header("location", "http://127.0.0.1:1/"), Class::Unavailable)]
#[case::http_429(ResponseTemplate::new(429).insert_header("retry-after", "17"), Class::RateLimited(17))]
#[case::http_429_without_a_time(ResponseTemplate::new(429), Class::RateLimited(30))]
#[case::http_429_with_an_invalid_time(ResponseTemplate::new(429).insert_header("retry-after", "soon"), Class::RateLimited(30))]
#[tokio::test]
async fn every_http_response_has_one_class(
    #[case] answer: ResponseTemplate,
    #[case] expected: Class,
) {
    let error = create_with_response(answer).await.unwrap_err();
    assert_eq!(class(&error), expected);
}

#[tokio::test]
async fn a_failed_connection_is_unavailable_since_nothing_was_sent() {
    let address = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let tokens = Arc::new(FixedToken(SlackToken::new("xoxb-1").unwrap()));
    let client = SlackClient::new(format!("http://{address}").parse().unwrap(), tokens).unwrap();
    assert_eq!(
        class(&client.auth_test().await.unwrap_err()),
        Class::Unavailable
    );
}

#[tokio::test]
async fn a_connection_that_breaks_after_the_request_leaves_the_outcome_unknown() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        use std::io::Read;
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 1024]);
    });
    let tokens = Arc::new(FixedToken(SlackToken::new("xoxb-1").unwrap()));
    let client = SlackClient::new(format!("http://{address}").parse().unwrap(), tokens).unwrap();
    assert_eq!(
        class(&client.auth_test().await.unwrap_err()),
        Class::OutcomeUnknown
    );
}

#[tokio::test]
async fn a_missing_scope_is_named() {
    let answer = json!({ "ok": false, "error": "missing_scope", "needed": "groups:write", "provided": "chat:write" });
    let error = create_with_response(json_answer(answer)).await.unwrap_err();
    let step = apgl_contract::StepError::from(error).to_string();
    assert_eq!(
        step,
        "Slack does not accept the token for conversations.create: missing_scope, needs groups:write, has chat:write"
    );
}

#[tokio::test]
async fn an_error_code_that_quotes_the_request_is_not_repeated() {
    let answer = json!({ "ok": false, "error": "no such text: the secret plan" });
    let error = create_with_response(json_answer(answer)).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("secret"));
}

#[tokio::test]
async fn slacks_reason_for_invalid_blocks_reaches_the_cause() {
    let answer = json!({
        "ok": false, "error": "invalid_blocks",
        "response_metadata": { "messages": [
            "[ERROR] must be less than 3001 characters [json-pointer:/blocks/0/text/text]",
            "[ERROR] unsupported type: the secret plan [json-pointer:/blocks/1]",
            "the secret plan",
        ] },
    });
    let error = create_with_response(json_answer(answer)).await.unwrap_err();
    let cause = apgl_contract::StepError::from(error).cause();
    assert_eq!(
        cause["message"],
        "Slack refused conversations.create: invalid_blocks (must be less than 3001 characters at \
         /blocks/0/text/text; unsupported type at /blocks/1)"
    );
    assert_eq!(cause["slackError"], "invalid_blocks");
}
