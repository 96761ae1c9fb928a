//! What a bot does with a message later: changes, deletes, pins it and reacts to it.

use rstest::rstest;
use serde_json::{Value, json};
use slack_sandbox::faults::{Fault, How};

use crate::slack::{Slack, anas_message, error};

/// A message of the bot with everything that it can have. Returns its `ts`.
async fn rich_message(slack: &Slack) -> String {
    let blocks = json!([{ "type": "divider" }]).to_string();
    let attachments = json!([{ "text": "x" }]).to_string();
    let arguments = [
        ("blocks", blocks.as_str()),
        ("attachments", &attachments),
        ("metadata", METADATA),
    ];
    slack.post("team", "one", &arguments).await
}

const METADATA: &str = r#"{ "event_type": "e", "event_payload": { "n": 1 } }"#;

/// `expected` says whether the message still has its blocks, its attachments and its metadata.
#[rstest]
#[case::text(&[("text", "two")], "two", [false, true, true])]
#[case::blocks(&[("blocks", r#"[{ "type": "divider" }]"#)], "one", [true, true, true])]
#[case::both(&[("text", "two"), ("blocks", r#"[{ "type": "divider" }]"#)], "two", [true, true, true])]
#[case::attachments(&[("attachments", "[]"), ("blocks", "[]")], "one", [false, false, true])]
#[case::metadata(&[("text", "two"), ("metadata", "{}")], "two", [false, true, false])]
#[tokio::test]
async fn an_update_keeps_what_it_omits_but_a_text_alone_removes_the_blocks(
    #[case] changes: &[(&str, &str)],
    #[case] text: &str,
    #[case] expected: [bool; 3],
) {
    let slack = Slack::without_limits().await;
    let ts = rich_message(&slack).await;
    let arguments = [&[("ts", ts.as_str())], changes].concat();
    let updated = slack.call_in("team", "chat.update", &arguments).await;
    assert_eq!(error(&updated), "ok");
    assert_eq!(
        (&updated["ts"], &updated["text"]),
        (&json!(ts), &json!(text))
    );
    let team = slack.admin.channel("team").await.unwrap().unwrap();
    let message = &team.messages[0];
    assert_eq!(message.text, text);
    let has = [&message.blocks, &message.attachments, &message.metadata].map(Option::is_some);
    assert_eq!(has, expected);
}

#[tokio::test]
async fn the_history_says_that_a_message_was_updated_and_still_has_its_metadata() {
    let slack = Slack::without_limits().await;
    let ts = rich_message(&slack).await;
    let message = async || {
        let arguments = [("include_all_metadata", "true")];
        let history = slack
            .call_in("team", "conversations.history", &arguments)
            .await;
        history["messages"][0].clone()
    };
    assert!(message().await["edited"].is_null());
    let arguments = [("ts", ts.as_str()), ("text", "two")];
    let updated = slack.call_in("team", "chat.update", &arguments).await;
    let message = message().await;
    assert_eq!(
        (&message["ts"], &message["text"]),
        (&json!(ts), &json!("two"))
    );
    assert_eq!(message["edited"], updated["message"]["edited"]);
    assert_eq!(message["edited"]["user"], "U00BOT");
    assert!(message["edited"]["ts"].as_str().unwrap() > ts.as_str());
    assert_eq!(message["metadata"], METADATA.parse::<Value>().unwrap());
}

#[tokio::test]
async fn an_update_can_come_too_late_for_the_workspace() {
    let slack = Slack::without_limits().await;
    let ts = slack.post("team", "one", &[]).await;
    let closed = Fault::new("chat.update", How::refused("edit_window_closed"));
    slack.admin.add_fault(&closed.times(1)).await.unwrap();
    let arguments = [("ts", ts.as_str()), ("text", "two")];
    let answer = slack.call_in("team", "chat.update", &arguments).await;
    assert_eq!(error(&answer), "edit_window_closed");
    let texts = slack.texts("team", "conversations.history", &[]).await;
    assert_eq!(texts, ["one"]);
}

/// The id of a direct message is not the user's id.
#[rstest]
#[case("secret")]
#[case("UANA")]
#[case("#team")]
#[tokio::test]
async fn an_update_and_a_pin_need_the_id_of_a_channel_that_the_bot_sees(
    #[case] channel: &str,
    #[values("chat.update", "pins.add")] method: &str,
) {
    let slack = Slack::start().await;
    let arguments = [("ts", "1.0"), ("timestamp", "1.0"), ("text", "x")];
    let answer = slack.call_in(channel, method, &arguments).await;
    assert_eq!(error(&answer), "channel_not_found");
}

#[rstest]
#[case("chat.update", "1.0", "message_not_found")]
#[case("chat.update", "", "invalid_arguments")]
#[case("chat.delete", "1.0", "message_not_found")]
#[case("pins.add", "1.0", "message_not_found")]
#[case("pins.add", "yesterday", "bad_timestamp")]
#[case("pins.add", "", "no_item_specified")]
#[case("reactions.add", "1.0", "message_not_found")]
#[case("reactions.get", "1.0", "message_not_found")]
#[case("chat.getPermalink", "1.0", "message_not_found")]
#[tokio::test]
async fn a_message_must_exist(#[case] method: &str, #[case] ts: &str, #[case] expected: &str) {
    let slack = Slack::start().await;
    let arguments = [
        ("ts", ts),
        ("timestamp", ts),
        ("message_ts", ts),
        ("text", "x"),
        ("name", "eyes"),
    ];
    let answer = slack.call_in("team", method, &arguments).await;
    assert_eq!(error(&answer), expected);
}

#[rstest]
#[case("chat.update", "cant_update_message")]
#[case("chat.delete", "cant_delete_message")]
#[tokio::test]
async fn a_bot_changes_only_its_own_messages(#[case] method: &str, #[case] expected: &str) {
    let slack = Slack::start().await;
    let ts = anas_message(&slack).await;
    let arguments = [("ts", ts.as_str()), ("text", "x")];
    let answer = slack.call_in("team", method, &arguments).await;
    assert_eq!(error(&answer), expected);
}

#[tokio::test]
async fn an_update_has_one_message_and_an_archived_channel_has_none() {
    let slack = Slack::start().await;
    let ts = slack.post("team", "one", &[]).await;
    let long = "x".repeat(4_001);
    let arguments = [("ts", ts.as_str()), ("text", long.as_str())];
    let answer = slack.call_in("team", "chat.update", &arguments).await;
    assert_eq!(error(&answer), "msg_too_long");
    slack.admin.archive_channel("team").await.unwrap();
    let arguments = [("ts", ts.as_str()), ("text", "x")];
    let answer = slack.call_in("team", "chat.update", &arguments).await;
    assert_eq!(error(&answer), "is_inactive");
}

#[rstest]
#[case(true)]
#[case(false)]
#[tokio::test]
async fn a_deleted_message_leaves_a_placeholder_if_it_has_replies(#[case] by_the_bot: bool) {
    let slack = Slack::without_limits().await;
    let parent = slack.post("team", "parent", &[]).await;
    let reply = slack.post("team", "reply", &[("thread_ts", &parent)]).await;
    let delete = async |ts: &str| {
        if by_the_bot {
            let deleted = slack.call_in("team", "chat.delete", &[("ts", ts)]).await;
            assert_eq!((error(&deleted), &deleted["ts"]), ("ok", &json!(ts)));
        } else {
            slack.admin.delete_message("team", ts).await.unwrap();
        }
    };
    delete(&parent).await;
    let thread = [("ts", parent.as_str())];
    let texts = slack.texts("team", "conversations.replies", &thread).await;
    assert_eq!(texts, ["This message was deleted.", "reply"]);
    delete(&reply).await;
    let texts = slack.texts("team", "conversations.replies", &thread).await;
    assert_eq!(texts, ["This message was deleted."]);
    let other = slack.post("team", "other", &[]).await;
    delete(&other).await;
    let gone = [("ts", other.as_str())];
    let gone = slack.call_in("team", "conversations.replies", &gone).await;
    assert_eq!(error(&gone), "thread_not_found");
}

#[tokio::test]
async fn a_permalink_names_the_thread_of_a_reply() {
    let slack = Slack::without_limits().await;
    let parent = slack.post("team", "parent", &[]).await;
    let reply = slack.post("team", "reply", &[("thread_ts", &parent)]).await;
    let link = async |ts: &str| {
        let arguments = [("message_ts", ts)];
        let answer = slack.call_in("team", "chat.getPermalink", &arguments).await;
        answer["permalink"].as_str().unwrap().to_owned()
    };
    let digits = parent.replace('.', "");
    let archive = "https://sandbox.slack.com/archives/C00000001";
    assert_eq!(link(&parent).await, format!("{archive}/p{digits}"));
    let thread = format!("?thread_ts={parent}&cid=C00000001");
    assert!(link(&reply).await.ends_with(&thread));
}

#[tokio::test]
async fn a_message_is_pinned_once() {
    let slack = Slack::start().await;
    let ts = anas_message(&slack).await;
    let pin = async |method: &str| {
        let arguments = [("timestamp", ts.as_str())];
        let answer = slack.call_in("team", method, &arguments).await;
        error(&answer).to_owned()
    };
    assert_eq!(pin("pins.remove").await, "no_pin");
    assert_eq!(pin("pins.add").await, "ok");
    assert_eq!(pin("pins.add").await, "already_pinned");
    let pins = slack.call_in("team", "pins.list", &[]).await;
    let item = &pins["items"][0];
    assert_eq!(
        (&item["created_by"], &item["message"]["ts"]),
        (&json!("U00BOT"), &json!(ts))
    );
    assert_eq!(pin("pins.remove").await, "ok");
    let pins = slack.call_in("team", "pins.list", &[]).await;
    assert_eq!(pins["items"], json!([]));
}

#[tokio::test]
async fn a_channel_has_at_most_a_hundred_pins() {
    let slack = Slack::without_limits().await;
    let pin = async |ts: &str| {
        let arguments = [("timestamp", ts)];
        let answer = slack.call_in("team", "pins.add", &arguments).await;
        error(&answer).to_owned()
    };
    let first = anas_message(&slack).await;
    assert_eq!(pin(&first).await, "ok");
    for _ in 1..100 {
        assert_eq!(pin(&anas_message(&slack).await).await, "ok");
    }
    assert_eq!(pin(&anas_message(&slack).await).await, "too_many_pins");
    assert_eq!(pin(&first).await, "already_pinned");
}

/// Slack removes the bot from a channel that is archived.
#[rstest]
#[case("team", "not_in_channel", "is_inactive")]
#[case("closed", "channel_not_found", "channel_not_found")]
#[tokio::test]
async fn nothing_is_pinned_or_updated_in_an_archived_channel(
    #[case] channel: &str,
    #[case] of_pin: &str,
    #[case] of_update: &str,
) {
    let slack = Slack::start().await;
    let ts = slack.post(channel, "one", &[]).await;
    let id = slack.admin.channel(channel).await.unwrap().unwrap().id;
    slack.admin.archive_channel(channel).await.unwrap();
    let arguments = [
        ("channel", id.as_str()),
        ("ts", &ts),
        ("timestamp", &ts),
        ("text", "two"),
    ];
    let pin = slack.call("pins.add", &arguments).await;
    assert_eq!(error(&pin), of_pin);
    let update = slack.call("chat.update", &arguments).await;
    assert_eq!(error(&update), of_update);
}

#[tokio::test]
async fn a_user_reacts_with_an_emoji_once() {
    let slack = Slack::start().await;
    let ts = anas_message(&slack).await;
    let react = async |method: &str, name: &str| {
        let arguments = [("timestamp", ts.as_str()), ("name", name)];
        let answer = slack.call_in("team", method, &arguments).await;
        error(&answer).to_owned()
    };
    assert_eq!(react("reactions.remove", "eyes").await, "no_reaction");
    assert_eq!(react("reactions.add", ":eyes:").await, "invalid_name");
    assert_eq!(react("reactions.add", "eyes").await, "ok");
    assert_eq!(react("reactions.add", "eyes").await, "already_reacted");
    let expected = json!([{ "name": "eyes", "users": ["U00BOT"], "count": 1 }]);
    let arguments = [("timestamp", ts.as_str())];
    let message = slack.call_in("team", "reactions.get", &arguments).await;
    assert_eq!(message["message"]["reactions"], expected);
    let history = slack.call_in("team", "conversations.history", &[]).await;
    assert_eq!(history["messages"][0]["reactions"], expected);
    let list = slack.call("reactions.list", &[]).await;
    assert_eq!(list["items"][0]["message"]["ts"], ts);
    let anas = slack.call("reactions.list", &[("user", "UANA")]).await;
    assert_eq!(anas["items"], json!([]));
    assert_eq!(react("reactions.remove", "eyes").await, "ok");
    let history = slack.call_in("team", "conversations.history", &[]).await;
    assert!(history["messages"][0]["reactions"].is_null());
}

#[rstest]
#[case("pins.add", "not_in_channel")]
#[case("reactions.add", "not_in_channel")]
#[tokio::test]
async fn a_bot_pins_and_reacts_only_where_it_is_a_member(
    #[case] method: &str,
    #[case] expected: &str,
) {
    let slack = Slack::start().await;
    let arguments = [("timestamp", "1.0"), ("name", "eyes")];
    let answer = slack.call_in("open", method, &arguments).await;
    assert_eq!(error(&answer), expected);
}
