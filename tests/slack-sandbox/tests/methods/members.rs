//! How people are invited to a channel, join it and are removed.

use rstest::rstest;
use serde_json::json;

use crate::slack::{Slack, error};

#[rstest]
#[case("team", "UBOB", "ok")]
#[case("team", "UANA", "already_in_channel")]
#[case("team", "UGONE", "user_not_found")]
#[case("team", "UNOBODY", "user_not_found")]
#[case("team", "UGUEST", "user_is_restricted")]
#[case("team", "USINGLE", "ura_max_channels")]
#[case("team", "UAPP", "app_cannot_join_channel")]
#[case("team", "U00BOT", "cant_invite_self")]
#[case("team", "", "no_user")]
#[case("open", "UBOB", "not_in_channel")]
#[case("secret", "UBOB", "channel_not_found")]
#[case("nowhere", "UBOB", "channel_not_found")]
#[case("old", "UBOB", "is_archived")]
#[tokio::test]
async fn the_result_of_an_invitation_depends_on_user_and_channel(
    #[case] channel: &str,
    #[case] user: &str,
    #[case] expected: &str,
) {
    let slack = Slack::start().await;
    let answer = slack
        .call_in(channel, "conversations.invite", &[("users", user)])
        .await;
    assert_eq!(error(&answer), expected);
}

#[tokio::test]
async fn one_bad_id_fails_the_batch_unless_it_is_forced() {
    let slack = Slack::start().await;
    let users = ("users", "UBOB,UGONE");
    let answer = slack
        .call_in("team", "conversations.invite", &[users])
        .await;
    assert_eq!(
        answer["errors"],
        json!([{ "user": "UGONE", "ok": false, "error": "user_not_found" }])
    );
    assert_eq!(slack.emails("team").await, ["ana@example.com"]);
    let forced = slack
        .call_in("team", "conversations.invite", &[users, ("force", "true")])
        .await;
    assert_eq!(
        (error(&forced), forced["errors"].as_array().unwrap().len()),
        ("ok", 1)
    );
    assert_eq!(
        slack.emails("team").await,
        ["ana@example.com", "bob@example.com"]
    );
}

#[tokio::test]
async fn at_most_a_hundred_users_are_invited_at_once() {
    let slack = Slack::start().await;
    let users = |count| {
        (0..count)
            .map(|n| format!("U{n}"))
            .collect::<Vec<_>>()
            .join(",")
    };
    let answer = slack
        .call_in("team", "conversations.invite", &[("users", &users(101))])
        .await;
    assert_eq!(error(&answer), "invalid_arguments");
    let answer = slack
        .call_in("team", "conversations.invite", &[("users", &users(100))])
        .await;
    assert_eq!(error(&answer), "user_not_found");
}

#[rstest]
#[case("team", "UANA", "ok")]
#[case("team", "UBOB", "not_in_channel")]
#[case("team", "UNOBODY", "user_not_found")]
#[case("team", "U00BOT", "cant_kick_self")]
#[case("general", "UANA", "cant_kick_from_general")]
#[case("open", "USINGLE", "not_in_channel")]
#[tokio::test]
async fn the_result_of_a_kick_depends_on_user_and_channel(
    #[case] channel: &str,
    #[case] user: &str,
    #[case] expected: &str,
) {
    let slack = Slack::start().await;
    assert_eq!(
        error(
            &slack
                .call_in(channel, "conversations.kick", &[("user", user)])
                .await
        ),
        expected
    );
}

#[tokio::test]
async fn joining_a_public_channel_twice_is_a_warning() {
    let slack = Slack::start().await;
    assert!(slack.call_in("open", "conversations.join", &[]).await["warning"].is_null());
    assert_eq!(
        slack.call_in("open", "conversations.join", &[]).await["warning"],
        "already_in_channel"
    );
    assert_eq!(
        error(&slack.call_in("closed", "conversations.join", &[]).await),
        "method_not_supported_for_channel_type"
    );
    assert_eq!(
        error(&slack.call_in("old", "conversations.join", &[]).await),
        "is_archived"
    );
}

#[rstest]
#[case("team", "ok")]
#[case("closed", "last_member")]
#[case("general", "cant_leave_general")]
#[case("open", "not_in_channel")]
#[case("old", "is_archived")]
#[case("secret", "channel_not_found")]
#[tokio::test]
async fn the_result_of_leaving_depends_on_the_channel(
    #[case] channel: &str,
    #[case] expected: &str,
) {
    let slack = Slack::start().await;
    let answer = slack.call_in(channel, "conversations.leave", &[]).await;
    assert_eq!(error(&answer), expected);
    let members = slack.admin.channel(channel).await.unwrap().unwrap().members;
    let was_in = !["open", "secret"].contains(&channel);
    let is_in = members.contains(&"U00BOT".to_owned());
    assert_eq!(is_in, was_in && expected != "ok");
}
