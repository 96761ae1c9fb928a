//! How users are found, and which of their details are shown.

use rstest::rstest;
use serde_json::json;

use crate::slack::{Slack, error};

#[rstest]
#[case("ana@example.com", "ok")]
#[case("Ana@Example.com", "ok")]
#[case("gone@example.com", "users_not_found")]
#[case("nobody@example.com", "users_not_found")]
#[case("", "invalid_arguments")]
#[tokio::test]
async fn people_are_found_by_address_while_they_are_active(
    #[case] email: &str,
    #[case] expected: &str,
) {
    let slack = Slack::start().await;
    assert_eq!(
        error(&slack.call("users.lookupByEmail", &[("email", email)]).await),
        expected
    );
}

#[tokio::test]
async fn a_users_address_is_shown_only_with_the_scope() {
    let slack = Slack::start().await;
    let info = slack.call("users.info", &[("user", "UGUEST")]).await;
    assert_eq!(
        (
            &info["user"]["is_restricted"],
            &info["user"]["profile"]["email"]
        ),
        (&json!(true), &json!("guest@example.com"))
    );
    let poor = slack
        .call_as("xoxb-poor", "users.info", &[("user", "UGUEST")])
        .await;
    assert!(poor["user"]["profile"]["email"].is_null());
    assert_eq!(
        error(&slack.call("users.info", &[("user", "UNOBODY")]).await),
        "user_not_found"
    );
    assert_eq!(
        slack.call("users.list", &[]).await["members"]
            .as_array()
            .unwrap()
            .len(),
        8
    );
}

#[tokio::test]
async fn an_active_user_has_a_time_zone() {
    let slack = Slack::start().await;
    let active = slack.call("users.info", &[("user", "UBOB")]).await;
    assert_eq!(
        (&active["user"]["tz"], &active["user"]["tz_offset"]),
        (&json!("Europe/Berlin"), &json!(7200))
    );
    let deactivated = slack.call("users.info", &[("user", "UGONE")]).await;
    assert!(deactivated["user"]["tz"].is_null());
    assert!(active["user"]["locale"].is_null());
    let arguments = [("user", "UBOB"), ("include_locale", "true")];
    let info = slack.call("users.info", &arguments).await;
    assert_eq!(info["user"]["locale"], "en-US");
}
