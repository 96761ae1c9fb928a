//! How the client reads the answers of particular methods.

use apgl_slack::{Span, UserError};
use rstest::rstest;
use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use crate::{
    errors::{Class, class},
    fake_slack::{client, json_answer, metadata, slack_answers},
};

fn per_user_errors() -> Vec<UserError> {
    vec![UserError {
        user: Some("U2".to_owned()),
        error: "user_not_found".to_owned(),
    }]
}

fn nameless_error(error: &str) -> Vec<UserError> {
    vec![UserError {
        user: None,
        error: error.to_owned(),
    }]
}

#[rstest]
#[case::all_invited(json!({ "ok": true, "channel": {} }), Ok(vec![]))]
#[case::some_invited(json!({ "ok": true, "channel": {}, "errors": [{ "user": "U2", "ok": false, "error": "user_not_found" }] }), Ok(per_user_errors()))]
#[case::some_invited_but_not_ok(json!({ "ok": false, "error": "user_not_found", "errors": [{ "user": "U2", "ok": false, "error": "user_not_found" }] }), Ok(per_user_errors()))]
#[case::an_error_without_a_user(json!({ "ok": true, "errors": [{ "error": "cant_invite" }] }), Ok(nameless_error("cant_invite")))]
#[case::an_error_without_a_user_but_not_ok(json!({ "ok": false, "error": "cant_invite", "errors": [{ "error": "cant_invite" }] }), Ok(nameless_error("cant_invite")))]
#[case::an_unreadable_error(json!({ "ok": true, "errors": ["cant_invite"] }), Ok(nameless_error("")))]
#[case::no_list_of_errors(json!({ "ok": true, "errors": null }), Ok(vec![]))]
#[case::no_errors_in_another_shape(json!({ "ok": true, "errors": {} }), Ok(vec![]))]
#[case::an_error_in_another_shape(json!({ "ok": true, "errors": { "U2": "cant_invite" } }), Ok(nameless_error("")))]
#[case::only_one_error_is_not_about_the_call(json!({ "ok": false, "error": "is_archived", "errors": [{ "user": "U2", "error": "user_not_found" }] }), Ok([per_user_errors(), nameless_error("is_archived")].concat()))]
#[case::the_call_is_refused_in_a_list(json!({ "ok": false, "error": "is_archived", "errors": [{ "error": "is_archived" }] }), Err(Class::Rejected))]
#[case::the_call_is_refused(json!({ "ok": false, "error": "is_archived" }), Err(Class::Rejected))]
#[case::the_bot_lacks_a_scope(json!({ "ok": false, "error": "missing_scope" }), Err(Class::Unauthorized))]
#[tokio::test]
async fn an_invitation_distinguishes_failed_users_from_a_failed_call(
    #[case] answer: Value,
    #[case] expected: Result<Vec<UserError>, Class>,
) {
    let server = slack_answers(json_answer(answer)).await;
    let users = ["U1".to_owned(), "U2".to_owned()];
    let invite = client(&server).conversations_invite("C1", &users).await;
    assert_eq!(
        invite
            .map(|invite| invite.errors)
            .map_err(|error| class(&error)),
        expected
    );
}

#[tokio::test]
async fn an_unreadable_entry_does_not_spoil_its_page() {
    let answer = json!({
        "ok": true,
        "channels": [{ "id": "C1", "name": "x" }, { "id": 7 }, null, { "id": "C2", "name": "y" }],
        "members": ["U1", null, 7, "U2"],
        "response_metadata": { "next_cursor": null, "messages": 7 },
    });
    let server = slack_answers(json_answer(answer)).await;
    let slack = client(&server);
    let channels = slack.conversations_list(None).await.unwrap();
    let ids: Vec<&str> = channels
        .items
        .iter()
        .map(|channel| channel.id.as_str())
        .collect();
    assert_eq!((ids, channels.unreadable), (vec!["C1", "C2"], 2));
    let members = slack.conversations_members("C1", None).await.unwrap();
    assert_eq!(
        (members.items.join(" "), members.unreadable),
        ("U1 U2".to_owned(), 2)
    );
}

#[tokio::test]
async fn an_unreadable_user_does_not_spoil_the_list_of_users() {
    let answer = json!({ "ok": true, "members": [{ "name": "without an id" }, { "id": "U1" }] });
    let server = slack_answers(json_answer(answer)).await;
    let users = client(&server).users_list(None).await.unwrap();
    assert_eq!((users.items.len(), users.unreadable), (1, 1));
    assert_eq!(users.items[0].id, "U1");
}

/// Slack documents `metadata` with `entities` and without `event_type`: "Work Objects".
#[rstest]
#[case(json!({ "entities": [{ "url": "https://example.com" }] }))]
#[case(json!({ "event_type": 7, "event_payload": {} }))]
#[case(json!("text"))]
#[case(json!(null))]
#[tokio::test]
async fn metadata_of_another_shape_hides_no_message(#[case] foreign: Value) {
    let ours = json!({ "event_type": "e", "event_payload": {} });
    let answer = json!({
        "ok": true,
        "messages": [
            { "ts": "2.0", "bot_id": "B2", "metadata": foreign, "text": "\u{fffd}" },
            { "ts": "1.0", "bot_id": "B1", "metadata": ours },
        ],
    });
    // Half of an emoji, which is no Unicode text.
    let answer = answer.to_string().replace('\u{fffd}', r"\ud83e");
    let answer = ResponseTemplate::new(200).set_body_string(answer);
    let server = slack_answers(answer).await;
    let slack = client(&server);
    let page = slack
        .conversations_history("C1", Span::ALL, None)
        .await
        .unwrap();
    assert_eq!(page.items[0].metadata, None);
    assert_eq!(page.items[1].metadata, Some(metadata()));
    assert_eq!(page.unreadable, 0);
}

#[tokio::test]
async fn a_message_of_ours_without_a_timestamp_is_still_seen() {
    let ours = json!({ "ts": null, "bot_id": "B1", "metadata": metadata() });
    let answer = json!({ "ok": true, "messages": [ours] });
    let server = slack_answers(json_answer(answer)).await;
    let slack = client(&server);
    let page = slack
        .conversations_history("C1", Span::ALL, None)
        .await
        .unwrap();
    assert_eq!(page.items[0].ts, "");
    assert_eq!(page.items[0].metadata, Some(metadata()));
}

#[tokio::test]
async fn a_single_users_error_may_come_without_a_list() {
    let server = slack_answers(json_answer(
        json!({ "ok": false, "error": "user_not_found" }),
    ))
    .await;
    let invite = client(&server)
        .conversations_invite("C1", &["U2".to_owned()])
        .await
        .unwrap();
    assert_eq!(invite.errors, per_user_errors());
}

#[tokio::test]
async fn a_list_continues_while_there_is_a_cursor_even_after_an_empty_page() {
    let answer =
        json!({ "ok": true, "channels": [], "response_metadata": { "next_cursor": "abc" } });
    let server = slack_answers(json_answer(answer)).await;
    let page = client(&server).conversations_list(None).await.unwrap();
    assert_eq!(
        (page.items.len(), page.next_cursor.as_deref()),
        (0, Some("abc"))
    );
}

#[tokio::test]
async fn auth_test_returns_what_the_token_may_do() {
    let answer = json!({
        "ok": true, "team": "Library", "team_id": "T1", "user_id": "U1", "bot_id": "B1",
    });
    let answer = json_answer(answer).insert_header("x-oauth-scopes", "chat:write, users:read");
    let server = slack_answers(answer).await;
    let auth = client(&server).auth_test().await.unwrap();
    assert_eq!(auth.team, "Library");
    let scopes: Vec<String> = auth.scopes.unwrap().into_iter().collect();
    assert_eq!(scopes, ["chat:write", "users:read"]);
}
