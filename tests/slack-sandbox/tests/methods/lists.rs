//! The list of channels and its pages.

use rstest::rstest;
use slack_sandbox::{server::Settings, workspace::Pages};

use crate::slack::{Slack, error};

/// The names on all pages of a list, and the number of empty pages.
async fn all_pages(
    slack: &Slack,
    method: &str,
    arguments: &[(&str, &str)],
) -> (Vec<String>, usize) {
    let (mut names, mut empty, mut cursor) = (Vec::new(), 0, String::new());
    loop {
        let mut arguments = arguments.to_vec();
        arguments.push(("cursor", &cursor));
        let page = slack.call(method, &arguments).await;
        let channels = page["channels"].as_array().unwrap();
        empty += usize::from(channels.is_empty());
        names.extend(
            channels
                .iter()
                .map(|channel| channel["name"].as_str().unwrap().to_owned()),
        );
        page["response_metadata"]["next_cursor"]
            .as_str()
            .unwrap()
            .clone_into(&mut cursor);
        if cursor.is_empty() {
            return (names, empty);
        }
    }
}

#[tokio::test]
async fn a_list_shows_what_the_bot_sees() {
    let slack = Slack::start().await;
    assert_eq!(
        all_pages(&slack, "conversations.list", &[]).await.0,
        ["general", "team", "open", "old"]
    );
    let both = [
        ("types", "public_channel,private_channel"),
        ("exclude_archived", "true"),
    ];
    assert_eq!(
        all_pages(&slack, "conversations.list", &both).await.0,
        ["general", "team", "open", "closed"]
    );
}

#[tokio::test]
async fn a_list_continues_through_short_and_empty_pages() {
    let slack = Slack::start().await;
    let pages = Pages {
        max_size: Some(2),
        empty_between: true,
    };
    slack
        .admin
        .change_settings(&Settings {
            pages: Some(pages),
            ..Settings::default()
        })
        .await
        .unwrap();
    let (names, empty) = all_pages(
        &slack,
        "conversations.list",
        &[("types", "private_channel")],
    )
    .await;
    assert_eq!(names, ["closed"]);
    assert!(empty >= 3);
}

#[rstest]
#[case(&[], &["general", "team", "old"])]
#[case(&[("exclude_archived", "true")], &["general", "team"])]
#[case(&[("types", "private_channel")], &["closed"])]
#[case(&[("types", "public_channel,private_channel")], &["general", "team", "closed", "old"])]
#[case(&[("user", "UANA")], &["team"])]
#[tokio::test]
async fn a_bots_conversations_are_those_that_it_is_a_member_of(
    #[case] arguments: &[(&str, &str)],
    #[case] expected: &[&str],
) {
    let slack = Slack::start().await;
    let arguments = [&[("limit", "2")], arguments].concat();
    let (names, _) = all_pages(&slack, "users.conversations", &arguments).await;
    assert_eq!(names, expected);
    let whole = slack.call("users.conversations", &[]).await;
    assert!(whole["channels"][0]["is_member"].is_null());
}

#[rstest]
#[case(&[("cursor", "nonsense")], "invalid_cursor")]
#[case(&[("limit", "0")], "invalid_limit")]
#[case(&[("limit", "1000")], "invalid_limit")]
#[case(&[("types", "dm")], "invalid_types")]
#[tokio::test]
async fn a_list_rejects_bad_arguments(
    #[case] arguments: &[(&str, &str)],
    #[case] expected: &str,
    #[values("conversations.list", "users.conversations")] method: &str,
) {
    let slack = Slack::start().await;
    assert_eq!(error(&slack.call(method, arguments).await), expected);
}
