//! Messages, threads and the history of a channel.

use rstest::rstest;
use serde_json::json;
use slack_sandbox::{seed::TokenSeed, server::PersonsMessage};

use crate::slack::{Slack, error};

#[rstest]
#[case("team", &[("text", "hi")], "ok")]
#[case("team", &[("text", "")], "no_text")]
#[case("team", &[("blocks", "[{\"type\":\"divider\"}]")], "ok")]
#[case("team", &[("text", "x"), ("blocks", "{}")], "invalid_blocks_format")]
#[case("team", &[("text", "x"), ("blocks", "[{}]")], "invalid_blocks")]
#[case("team", &[("text", "x"), ("metadata", "x")], "invalid_metadata_format")]
#[case("team", &[("text", "x"), ("metadata", "{\"event_type\":\"e\",\"event_payload\":{\"a\":{}}}")], "invalid_metadata_schema")]
#[case("team", &[("text", "x"), ("metadata", "{\"entities\":[]}")], "ok")]
#[case("team", &[("attachments", "[{\"text\":\"x\"}]")], "ok")]
#[case("team", &[("attachments", "{}")], "invalid_attachments")]
#[case("open", &[("text", "x")], "not_in_channel")]
#[case("secret", &[("text", "x")], "channel_not_found")]
#[case("old", &[("text", "x")], "is_archived")]
#[tokio::test]
async fn the_result_of_a_post_depends_on_channel_and_content(
    #[case] channel: &str,
    #[case] arguments: &[(&str, &str)],
    #[case] expected: &str,
) {
    let slack = Slack::start().await;
    assert_eq!(
        error(&slack.call_in(channel, "chat.postMessage", arguments).await),
        expected
    );
}

fn section(length: usize) -> String {
    json!([{ "type": "section", "text": { "type": "mrkdwn", "text": "x".repeat(length) } }])
        .to_string()
}

#[tokio::test]
async fn blocks_have_a_maximum_length() {
    let slack = Slack::start().await;
    let section =
        json!({ "type": "section", "text": { "type": "mrkdwn", "text": "x".repeat(2_641) } });
    let blocks = json!([section, section, section, section, section]).to_string();
    let arguments = [("text", "x"), ("blocks", blocks.as_str())];
    let too_long = slack.call_in("team", "chat.postMessage", &arguments).await;
    assert_eq!(error(&too_long), "msg_blocks_too_long");
}

#[tokio::test]
async fn the_text_of_a_section_has_a_maximum_length_which_slack_names() {
    let slack = Slack::start().await;
    let post = async |length| {
        let blocks = section(length);
        let arguments = [("text", "x"), ("blocks", blocks.as_str())];
        slack.call_in("team", "chat.postMessage", &arguments).await
    };
    assert_eq!(error(&post(3_000).await), "ok");
    let too_long = post(3_001).await;
    assert_eq!(error(&too_long), "invalid_blocks");
    let reason = "[ERROR] must be less than 3001 characters [json-pointer:/blocks/0/text/text]";
    assert_eq!(too_long["response_metadata"]["messages"], json!([reason]));
}

#[rstest]
#[case::short(4_000, &[4_000])]
#[case::long(4_001, &[4_000, 1])]
#[case::longest(40_000, &[4_000; 10])]
#[case::too_long(40_001, &[4_000; 10])]
#[tokio::test]
async fn a_long_text_is_split_into_several_messages(
    #[case] length: usize,
    #[case] expected: &[usize],
    #[values(None, Some(section(10)))] blocks: Option<String>,
) {
    let slack = Slack::start().await;
    let text = "é".repeat(length);
    let mut arguments = vec![("text", text.as_str())];
    arguments.extend(blocks.iter().map(|blocks| ("blocks", blocks.as_str())));
    let posted = slack.call_in("team", "chat.postMessage", &arguments).await;
    let messages = slack.admin.channel("team").await.unwrap().unwrap().messages;
    let lengths: Vec<usize> = messages
        .iter()
        .map(|message| message.text.chars().count())
        .collect();
    assert_eq!(lengths, expected);
    assert_eq!(posted["ts"], messages[0].ts);
    assert!(
        messages
            .iter()
            .all(|message| message.blocks.is_some() == blocks.is_some())
    );
    let is_truncated = length > 40_000;
    assert_eq!(posted["warning"] == "message_truncated", is_truncated);
}

#[tokio::test]
async fn metadata_is_returned_only_on_request() {
    let slack = Slack::start().await;
    let metadata = json!({ "event_type": "e", "event_payload": { "n": 1 } });
    slack
        .call_in(
            "team",
            "chat.postMessage",
            &[("text", "hi"), ("metadata", &metadata.to_string())],
        )
        .await;
    let plain = slack.call_in("team", "conversations.history", &[]).await;
    assert!(plain["messages"][0]["metadata"].is_null());
    let all = slack
        .call_in(
            "team",
            "conversations.history",
            &[("include_all_metadata", "true")],
        )
        .await;
    assert_eq!(all["messages"][0]["metadata"], metadata);
}

#[tokio::test]
async fn other_apps_can_add_metadata_of_another_shape() {
    let slack = Slack::start().await;
    let metadata = json!({ "entities": [{ "url": "https://example.com" }] });
    let message = PersonsMessage {
        user: "ana@example.com".to_owned(),
        metadata: Some(metadata.clone()),
        ..PersonsMessage::default()
    };
    let posted = slack.admin.post_as_person("team", &message).await;
    let arguments = [("include_all_metadata", "true")];
    let history = slack
        .call_in("team", "conversations.history", &arguments)
        .await;
    let message = &history["messages"][0];
    assert_eq!(message["ts"], posted.unwrap());
    assert_eq!(message["metadata"], metadata);
    assert!(message["bot_id"].is_null());
}

#[rstest]
#[case("open", "ok")]
#[case("secret", "channel_not_found")]
#[tokio::test]
async fn a_scope_allows_posts_to_public_channels_without_joining(
    #[case] channel: &str,
    #[case] expected: &str,
) {
    let slack = Slack::start().await;
    let token: TokenSeed = serde_json::from_value(json!({
        "token": "xoxb-anywhere", "scopes": ["chat:write", "chat:write.public"],
    }))
    .unwrap();
    slack.admin.add_token(&token).await.unwrap();
    let arguments = [("channel", channel), ("text", "x")];
    let answer = slack
        .call_as("xoxb-anywhere", "chat.postMessage", &arguments)
        .await;
    assert_eq!(error(&answer), expected);
}

#[tokio::test]
async fn a_reply_is_in_its_thread_but_not_in_the_history() {
    let slack = Slack::without_limits().await;
    let parent = slack.post("team", "parent", &[]).await;
    slack.post("team", "reply", &[("thread_ts", &parent)]).await;
    assert_eq!(
        slack.texts("team", "conversations.history", &[]).await,
        ["parent"]
    );
    let thread = [("ts", parent.as_str())];
    assert_eq!(
        slack.texts("team", "conversations.replies", &thread).await,
        ["parent", "reply"]
    );
    let unknown = slack
        .call_in("team", "conversations.replies", &[("ts", "1.0")])
        .await;
    assert_eq!(error(&unknown), "thread_not_found");
}

#[tokio::test]
async fn a_reply_to_a_reply_is_in_the_parents_thread() {
    let slack = Slack::without_limits().await;
    let parent = slack.post("team", "parent", &[]).await;
    let reply = slack.post("team", "reply", &[("thread_ts", &parent)]).await;
    slack.post("team", "second", &[("thread_ts", &reply)]).await;
    let of_reply = [("ts", reply.as_str())];
    assert_eq!(
        slack
            .texts("team", "conversations.replies", &of_reply)
            .await,
        ["reply"]
    );
    let of_parent = [("ts", parent.as_str())];
    assert_eq!(
        slack
            .texts("team", "conversations.replies", &of_parent)
            .await,
        ["parent", "reply", "second"]
    );
}

#[tokio::test]
async fn history_is_newest_first_from_oldest_to_latest() {
    let slack = Slack::without_limits().await;
    let mut times = Vec::new();
    for text in ["a", "b", "c"] {
        times.push(slack.post("team", text, &[]).await);
    }
    let texts = async |arguments: &[(&str, &str)]| {
        slack
            .texts("team", "conversations.history", arguments)
            .await
    };
    assert_eq!(texts(&[]).await, ["c", "b", "a"]);
    assert_eq!(texts(&[("oldest", &times[1])]).await, ["c"]);
    assert_eq!(
        texts(&[("oldest", &times[1]), ("inclusive", "true")]).await,
        ["c", "b"]
    );
    assert_eq!(texts(&[("latest", &times[1])]).await, ["a"]);
    let bad = slack
        .call_in("team", "conversations.history", &[("oldest", "yesterday")])
        .await;
    assert_eq!(error(&bad), "invalid_ts_oldest");
}
