//! Posts to a user, to a channel's name and for one user's eyes; direct messages; the home tab.

use rstest::rstest;
use serde_json::json;
use slack_sandbox::seed::TokenSeed;

use crate::slack::{Slack, error};

#[tokio::test]
async fn a_post_to_a_user_opens_a_direct_message() {
    let slack = Slack::start().await;
    let post = async || {
        let arguments = [("channel", "UANA"), ("text", "hi")];
        slack.call("chat.postMessage", &arguments).await["channel"].clone()
    };
    let id = post().await;
    assert!(id.as_str().unwrap().starts_with('D'));
    assert_eq!(post().await, id);
    let arguments = [("channel", id.as_str().unwrap())];
    let info = slack.call("conversations.info", &arguments).await;
    let channel = &info["channel"];
    assert_eq!(
        (&channel["is_im"], &channel["user"]),
        (&json!(true), &json!("UANA"))
    );
    let history = slack.call("conversations.history", &arguments).await;
    assert_eq!(history["messages"].as_array().unwrap().len(), 2);
}

#[rstest]
#[case("#team", "ok")]
#[case("team", "ok")]
#[case("#closed", "ok")]
#[case("#secret", "channel_not_found")]
#[case("#open", "not_in_channel")]
#[case("#old", "is_archived")]
#[case("#nowhere", "channel_not_found")]
#[case("UNOBODY", "channel_not_found")]
#[case("UGONE", "channel_not_found")]
#[case("UAPP", "cannot_dm_bot")]
#[tokio::test]
async fn a_post_can_name_its_channel(#[case] channel: &str, #[case] expected: &str) {
    let slack = Slack::start().await;
    let arguments = [("channel", channel), ("text", "hi")];
    let answer = slack.call("chat.postMessage", &arguments).await;
    assert_eq!(error(&answer), expected);
    let info = slack
        .call("conversations.info", &[("channel", "#team")])
        .await;
    assert_eq!(error(&info), "channel_not_found");
}

#[tokio::test]
async fn a_channel_has_one_limit_for_its_id_and_its_name() {
    let slack = Slack::start().await;
    let mut errors = Vec::new();
    for channel in ["#team", "team", "C00000001", "C00000001", "#team"] {
        let arguments = [("channel", channel), ("text", "hi")];
        let answer = slack.call("chat.postMessage", &arguments).await;
        errors.push(error(&answer).to_owned());
    }
    assert_eq!(errors, ["ok", "ok", "ok", "ok", "ratelimited"]);
}

#[rstest]
#[case(&[("users", "UANA")], "ok")]
#[case(&[("users", "UANA,UBOB")], "ok")]
#[case(&[], "users_list_not_supplied")]
#[case(&[("users", "UANA,UNOBODY")], "user_not_found")]
#[case(&[("users", "UGONE")], "user_disabled")]
#[case(&[("users", "UAPP")], "cannot_dm_bot")]
#[case(&[("users", "UANA"), ("prevent_creation", "true")], "channel_not_found")]
#[case(&[("channel", "C00000001")], "method_not_supported_for_channel_type")]
#[tokio::test]
async fn a_direct_message_has_users_who_exist(
    #[case] arguments: &[(&str, &str)],
    #[case] expected: &str,
) {
    let slack = Slack::start().await;
    let answer = slack.call("conversations.open", arguments).await;
    assert_eq!(error(&answer), expected);
}

#[tokio::test]
async fn a_direct_message_is_closed_and_opened_again() {
    let slack = Slack::start().await;
    let users = [("users", "UANA"), ("return_im", "true")];
    let opened = slack.call("conversations.open", &users).await;
    assert!(opened["already_open"].is_null());
    assert_eq!(opened["channel"]["user"], "UANA");
    let id = opened["channel"]["id"].as_str().unwrap();
    let channel = [("channel", id)];
    let open = slack.call("conversations.open", &channel).await;
    assert_eq!(
        (&open["already_open"], &open["channel"]["id"]),
        (&json!(true), &json!(id))
    );
    let closed = slack.call("conversations.close", &channel).await;
    assert_eq!((error(&closed), &closed["no_op"]), ("ok", &json!(null)));
    let closed = slack.call("conversations.close", &channel).await;
    assert_eq!(closed["already_closed"], true);
    let opened = slack.call("conversations.open", &users).await;
    assert!(opened["already_open"].is_null());
    assert_eq!(opened["channel"]["id"], id);
}

#[tokio::test]
async fn a_message_to_a_person_is_found_in_the_history_of_the_direct_message() {
    let slack = Slack::start().await;
    let opened = slack.call("conversations.open", &[("users", "UANA")]).await;
    let id = opened["channel"]["id"].as_str().unwrap();
    let metadata = json!({ "event_type": "e", "event_payload": { "n": 1 } });
    let post = [
        ("channel", id),
        ("text", "hi"),
        ("metadata", &metadata.to_string()),
    ];
    let posted = slack.call("chat.postMessage", &post).await;
    assert_eq!((error(&posted), &posted["channel"]), ("ok", &json!(id)));
    let arguments = [("channel", id), ("include_all_metadata", "true")];
    let history = slack.call("conversations.history", &arguments).await;
    let message = &history["messages"][0];
    assert_eq!(
        (&message["ts"], &message["metadata"]),
        (&posted["ts"], &metadata)
    );
}

/// Opens a direct message, posts to it and reads it, without one of the app's scopes.
#[rstest]
#[case("im:write", "conversations.open")]
#[case("chat:write", "chat.postMessage")]
#[case("im:history", "conversations.history")]
#[tokio::test]
async fn each_call_for_a_direct_message_needs_its_own_scope(
    #[case] missing: &str,
    #[case] fails: &str,
) {
    let slack = Slack::start().await;
    let opened = slack.call("conversations.open", &[("users", "UANA")]).await;
    let id = opened["channel"]["id"].as_str().unwrap();
    let mut token = TokenSeed::new("xoxb-app");
    assert!(token.scopes.remove(missing));
    slack.admin.add_token(&token).await.unwrap();
    let calls: [(&str, &[(&str, &str)]); 3] = [
        ("conversations.open", &[("users", "UANA")]),
        ("chat.postMessage", &[("channel", id), ("text", "hi")]),
        ("conversations.history", &[("channel", id)]),
    ];
    for (method, arguments) in calls {
        let answer = slack.call_as(&token.token, method, arguments).await;
        let (expected, needed) = if method == fails {
            ("missing_scope", json!(missing))
        } else {
            ("ok", json!(null))
        };
        assert_eq!((error(&answer), &answer["needed"]), (expected, &needed));
    }
}

#[tokio::test]
async fn a_direct_message_is_in_no_list_of_channels() {
    let slack = Slack::start().await;
    slack.call("conversations.open", &[("users", "UANA")]).await;
    let count = async |types: &str| {
        let arguments = [("types", types)];
        let list = slack.call("users.conversations", &arguments).await;
        list["channels"].as_array().unwrap().len()
    };
    assert_eq!(count("private_channel").await, 1);
    assert_eq!(count("im").await, 1);
}

#[rstest]
#[case("conversations.archive", &[])]
#[case("conversations.rename", &[("name", "x")])]
#[case("conversations.invite", &[("users", "UBOB")])]
#[case("conversations.kick", &[("user", "UANA")])]
#[case("conversations.leave", &[])]
#[case("conversations.join", &[])]
#[tokio::test]
async fn a_direct_message_is_no_channel(#[case] method: &str, #[case] arguments: &[(&str, &str)]) {
    let slack = Slack::start().await;
    let opened = slack.call("conversations.open", &[("users", "UANA")]).await;
    let channel = [("channel", opened["channel"]["id"].as_str().unwrap())];
    let answer = slack.call(method, &[&channel, arguments].concat()).await;
    assert_eq!(error(&answer), "method_not_supported_for_channel_type");
}

#[rstest]
#[case("team", "UANA", "x", "ok")]
#[case("team", "UBOB", "x", "user_not_in_channel")]
#[case("team", "UANA", "", "no_text")]
#[case("open", "USINGLE", "x", "not_in_channel")]
#[case("old", "UANA", "x", "is_archived")]
#[tokio::test]
async fn only_a_member_gets_an_ephemeral_message(
    #[case] channel: &str,
    #[case] user: &str,
    #[case] text: &str,
    #[case] expected: &str,
) {
    let slack = Slack::start().await;
    let arguments = [("user", user), ("text", text)];
    let answer = slack
        .call_in(channel, "chat.postEphemeral", &arguments)
        .await;
    assert_eq!(error(&answer), expected);
    assert_eq!(answer["message_ts"].is_string(), expected == "ok");
    let state = slack.admin.channel(channel).await.unwrap().unwrap();
    assert!(state.messages.is_empty());
}

#[tokio::test]
async fn a_home_tab_is_replaced_only_with_its_hash() {
    let slack = Slack::start().await;
    let view = json!({ "type": "home", "blocks": [{ "type": "divider" }] }).to_string();
    let publish = async |user: &str, view: &str, hash: &str| {
        let arguments = [("user_id", user), ("view", view), ("hash", hash)];
        slack.call("views.publish", &arguments).await
    };
    let first = publish("UANA", &view, "").await;
    let hash = first["view"]["hash"].as_str().unwrap();
    let second = publish("UANA", &view, hash).await;
    assert_eq!(second["view"]["id"], first["view"]["id"]);
    assert_eq!(error(&publish("UANA", &view, hash).await), "hash_conflict");
    for (user, view) in [
        ("UNOBODY", view.as_str()),
        ("UANA", "x"),
        ("UANA", r#"{ "type": "modal", "blocks": [] }"#),
        ("UANA", r#"{ "type": "home" }"#),
    ] {
        let answer = publish(user, view, "").await;
        assert_eq!(error(&answer), "invalid_arguments");
        assert!(answer["response_metadata"]["messages"][0].is_string());
    }
}
