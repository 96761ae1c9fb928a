//! The list of channels and its pages.

use rstest::rstest;
use slack_sandbox::{server::Settings, workspace::Pages};

use crate::slack::{Slack, error};

/// The names on all pages of a list, and the number of empty pages.
async fn all_pages(slack: &Slack, arguments: &[(&str, &str)]) -> (Vec<String>, usize) {
    let (mut names, mut empty, mut cursor) = (Vec::new(), 0, String::new());
    loop {
        let mut arguments = arguments.to_vec();
        arguments.push(("cursor", &cursor));
        let page = slack.call("conversations.list", &arguments).await;
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
        all_pages(&slack, &[]).await.0,
        ["general", "team", "open", "old"]
    );
    let both = [
        ("types", "public_channel,private_channel"),
        ("exclude_archived", "true"),
    ];
    assert_eq!(
        all_pages(&slack, &both).await.0,
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
    let (names, empty) = all_pages(&slack, &[("types", "private_channel")]).await;
    assert_eq!(names, ["closed"]);
    assert!(empty >= 3);
}

#[rstest]
#[case(&[("cursor", "nonsense")], "invalid_cursor")]
#[case(&[("limit", "0")], "invalid_limit")]
#[case(&[("limit", "1000")], "invalid_limit")]
#[case(&[("types", "dm")], "invalid_types")]
#[tokio::test]
async fn a_list_rejects_bad_arguments(#[case] arguments: &[(&str, &str)], #[case] expected: &str) {
    assert_eq!(
        error(
            &Slack::start()
                .await
                .call("conversations.list", arguments)
                .await
        ),
        expected
    );
}
