//! What a token, its scopes and the workspace allow.

use rstest::rstest;
use serde_json::{Value, json};
use slack_sandbox::{seed::TokenSeed, server::Settings, workspace::Restrictions};

use crate::slack::{Slack, TOKEN, error};

#[tokio::test]
async fn only_known_tokens_are_accepted() {
    let slack = Slack::start().await;
    let url = format!("{}/api/auth.test", slack.sandbox.url());
    let without: Value = slack
        .http
        .post(url)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(error(&without), "not_authed");
    assert_eq!(
        error(&slack.call_as("xoxb-other", "auth.test", &[]).await),
        "invalid_auth"
    );
    let who = slack.call("auth.test", &[]).await;
    assert_eq!((error(&who), who["bot_id"].is_string()), ("ok", true));
    let person = TokenSeed::new("xoxp-person");
    slack.admin.add_token(&person).await.unwrap();
    let who = slack.call_as(&person.token, "auth.test", &[]).await;
    assert_eq!(
        (who["user"].as_str(), &who["bot_id"]),
        (Some("owner"), &Value::Null)
    );
    slack.admin.revoke_token(TOKEN).await.unwrap();
    assert_eq!(error(&slack.call("auth.test", &[]).await), "token_revoked");
}

#[rstest]
#[case("users.lookupByEmail", &[("email", "ana@example.com")], "users:read.email")]
#[case("conversations.create", &[("name", "x")], "channels:manage")]
#[case("conversations.create", &[("name", "x"), ("is_private", "true")], "groups:write")]
#[case("conversations.list", &[], "channels:read")]
#[case("conversations.list", &[("types", "private_channel")], "groups:read")]
#[case("conversations.info", &[("channel", "C00000001")], "channels:read")]
#[case("conversations.members", &[("channel", "C00000001")], "channels:read")]
#[case("conversations.invite", &[("channel", "C00000001"), ("users", "UBOB")], "channels:manage")]
#[case("conversations.kick", &[("channel", "C00000003"), ("user", "UBOB")], "groups:write")]
#[case("conversations.archive", &[("channel", "C00000001")], "channels:manage")]
#[case("conversations.rename", &[("channel", "C00000001"), ("name", "x")], "channels:manage")]
#[case("conversations.setTopic", &[("channel", "C00000001")], "channels:manage")]
#[case("conversations.join", &[("channel", "C00000002")], "channels:join")]
#[case("conversations.history", &[("channel", "C00000001")], "channels:history")]
#[case("conversations.history", &[("channel", "C00000003")], "groups:history")]
#[case("chat.postMessage", &[("channel", "C00000001"), ("text", "x")], "chat:write")]
#[case("chat.postEphemeral", &[("channel", "C00000001"), ("text", "x")], "chat:write")]
#[case("chat.update", &[("channel", "C00000001"), ("ts", "1.0")], "chat:write")]
#[case("chat.delete", &[("channel", "C00000001"), ("ts", "1.0")], "chat:write")]
#[case("users.conversations", &[("types", "im")], "im:read")]
#[case("users.conversations", &[("types", "mpim")], "mpim:read")]
#[case("conversations.leave", &[("channel", "C00000003")], "groups:write")]
#[case("conversations.unarchive", &[("channel", "C00000005")], "channels:manage")]
#[case("conversations.open", &[("users", "UANA")], "im:write")]
#[case("conversations.open", &[("users", "UNOBODY")], "im:write")]
#[case("conversations.open", &[("users", "UANA,UBOB")], "mpim:write")]
#[case("pins.add", &[("channel", "C00000001")], "pins:write")]
#[case("pins.remove", &[("channel", "C00000001")], "pins:write")]
#[case("pins.list", &[("channel", "C00000001")], "pins:read")]
#[case("reactions.add", &[("channel", "C00000001")], "reactions:write")]
#[case("reactions.remove", &[("channel", "C00000001")], "reactions:write")]
#[case("reactions.get", &[("channel", "C00000001")], "reactions:read")]
#[case("reactions.list", &[], "reactions:read")]
#[tokio::test]
async fn a_missing_scope_is_reported_with_the_scopes_that_are_needed(
    #[case] method: &str,
    #[case] arguments: &[(&str, &str)],
    #[case] needed: &str,
) {
    let slack = Slack::start().await;
    let answer = slack.call_as("xoxb-poor", method, arguments).await;
    assert_eq!(error(&answer), "missing_scope");
    assert_eq!(
        (&answer["needed"], &answer["provided"]),
        (&json!(needed), &json!("users:read"))
    );
}

#[rstest]
#[case::the_id("D", "messages_tab_disabled")]
#[case::the_user("UANA", "messages_tab_disabled")]
#[case::a_channel("#team", "ok")]
#[tokio::test]
async fn an_app_without_a_messages_tab_posts_to_channels_only(
    #[case] target: &str,
    #[case] expected: &str,
) {
    let slack = Slack::start().await;
    let opened = slack.call("conversations.open", &[("users", "UANA")]).await;
    let id = opened["channel"]["id"].as_str().unwrap();
    let target = if target == "D" { id } else { target };
    let post = async || {
        let arguments = [("channel", target), ("text", "hi")];
        let answer = slack.call("chat.postMessage", &arguments).await;
        error(&answer).to_owned()
    };
    assert_eq!(post().await, "ok");
    let restrictions = Restrictions {
        messages_tab: true,
        ..Restrictions::default()
    };
    let settings = Settings {
        restrictions: Some(restrictions),
        ..Settings::default()
    };
    slack.admin.change_settings(&settings).await.unwrap();
    assert_eq!(post().await, expected);
}

#[rstest]
#[case("conversations.kick", &[("user", "UANA")], "restricted_action")]
#[case("conversations.archive", &[], "restricted_action")]
#[case("conversations.rename", &[("name", "x")], "restricted_action")]
#[tokio::test]
async fn a_workspace_can_forbid_what_the_scopes_allow(
    #[case] method: &str,
    #[case] arguments: &[(&str, &str)],
    #[case] expected: &str,
) {
    let slack = Slack::start().await;
    let restrictions = Restrictions {
        kick: true,
        archive: true,
        rename: true,
        create: true,
        messages_tab: true,
    };
    slack
        .admin
        .change_settings(&Settings {
            restrictions: Some(restrictions),
            ..Settings::default()
        })
        .await
        .unwrap();
    assert_eq!(
        error(&slack.call_in("team", method, arguments).await),
        expected
    );
}
