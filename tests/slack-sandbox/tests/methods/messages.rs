//! Messages, threads and the history of a channel.

use rstest::rstest;
use serde_json::{Value, json};
use slack_sandbox::server::Settings;

use crate::slack::{Slack, error};

#[rstest]
#[case("team", &[("text", "hi")], "ok")]
#[case("team", &[("text", "")], "no_text")]
#[case("team", &[("blocks", "[{\"type\":\"divider\"}]")], "ok")]
#[case("team", &[("text", "x"), ("blocks", "{}")], "invalid_blocks_format")]
#[case("team", &[("text", "x"), ("blocks", "[{}]")], "invalid_blocks")]
#[case("team", &[("text", "x"), ("metadata", "x")], "invalid_metadata_format")]
#[case("team", &[("text", "x"), ("metadata", "{\"event_type\":\"e\",\"event_payload\":{\"a\":{}}}")], "invalid_metadata_schema")]
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

#[tokio::test]
async fn blocks_have_a_maximum_length_and_a_long_text_is_truncated() {
    let slack = Slack::start().await;
    let section = |length| {
        json!([{ "type": "section", "text": { "type": "mrkdwn", "text": "x".repeat(length) } }])
            .to_string()
    };
    let too_long = slack
        .call_in(
            "team",
            "chat.postMessage",
            &[("text", "x"), ("blocks", &section(13_201))],
        )
        .await;
    assert_eq!(error(&too_long), "msg_blocks_too_long");
    let cut = slack
        .call_in(
            "closed",
            "chat.postMessage",
            &[("text", &"é".repeat(40_001))],
        )
        .await;
    assert_eq!(cut["warning"], "message_truncated");
    assert_eq!(
        cut["message"]["text"].as_str().unwrap().chars().count(),
        40_000
    );
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
async fn a_reply_is_in_its_thread_but_not_in_the_history() {
    let slack = Slack::start().await;
    let settings = Settings {
        limits: Some(false),
        ..Settings::default()
    };
    slack.admin.change_settings(&settings).await.unwrap();
    let parent = slack
        .call_in("team", "chat.postMessage", &[("text", "parent")])
        .await;
    let ts = parent["ts"].as_str().unwrap();
    slack
        .call_in(
            "team",
            "chat.postMessage",
            &[("text", "reply"), ("thread_ts", ts)],
        )
        .await;
    let texts = |answer: Value| {
        answer["messages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|message| message["text"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        texts(slack.call_in("team", "conversations.history", &[]).await),
        ["parent"]
    );
    assert_eq!(
        texts(
            slack
                .call_in("team", "conversations.replies", &[("ts", ts)])
                .await
        ),
        ["parent", "reply"]
    );
    assert_eq!(
        error(
            &slack
                .call_in("team", "conversations.replies", &[("ts", "1.0")])
                .await
        ),
        "thread_not_found"
    );
}

#[tokio::test]
async fn history_is_newest_first_from_oldest_to_latest() {
    let slack = Slack::start().await;
    slack
        .admin
        .change_settings(&Settings {
            limits: Some(false),
            ..Settings::default()
        })
        .await
        .unwrap();
    let mut times = Vec::new();
    for text in ["a", "b", "c"] {
        let posted = slack
            .call_in("team", "chat.postMessage", &[("text", text)])
            .await;
        times.push(posted["ts"].as_str().unwrap().to_owned());
    }
    let texts = async |arguments: &[(&str, &str)]| {
        let answer = slack
            .call_in("team", "conversations.history", arguments)
            .await;
        let texts = answer["messages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|message| message["text"].as_str().unwrap().to_owned());
        texts.collect::<Vec<_>>()
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
