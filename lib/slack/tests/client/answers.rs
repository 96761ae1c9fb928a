//! How the client reads the answers of particular methods.

use apgl_slack::UserError;
use rstest::rstest;
use serde_json::{Value, json};

use crate::{
    errors::{Class, class},
    fake_slack::{client, json_answer, slack_answers},
};

fn per_user_errors() -> Vec<UserError> {
    vec![UserError {
        user: "U2".to_owned(),
        error: "user_not_found".to_owned(),
    }]
}

#[rstest]
#[case::all_invited(json!({ "ok": true, "channel": {} }), Ok(vec![]))]
#[case::some_invited(json!({ "ok": true, "channel": {}, "errors": [{ "user": "U2", "ok": false, "error": "user_not_found" }] }), Ok(per_user_errors()))]
#[case::some_invited_but_not_ok(json!({ "ok": false, "error": "user_not_found", "errors": [{ "user": "U2", "ok": false, "error": "user_not_found" }] }), Ok(per_user_errors()))]
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
