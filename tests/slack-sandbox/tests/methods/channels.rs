//! How channels are created, renamed and archived, and who sees them.

use rstest::rstest;

use crate::slack::{Slack, error};

#[rstest]
#[case("project-x", "ok")]
#[case("", "invalid_name_required")]
#[case(&"a".repeat(81), "invalid_name_maxlength")]
#[case("Project", "invalid_name_specials")]
#[case("a b", "invalid_name_specials")]
#[case("a.b", "invalid_name_specials")]
#[case("--", "invalid_name_punctuation")]
#[case("team", "name_taken")]
#[case("old", "name_taken")]
#[case("secret", "name_taken")]
#[tokio::test]
async fn a_channels_name_obeys_slacks_rules(#[case] name: &str, #[case] expected: &str) {
    let slack = Slack::start().await;
    assert_eq!(
        error(&slack.call("conversations.create", &[("name", name)]).await),
        expected
    );
}

#[tokio::test]
async fn a_new_channel_contains_only_the_bot() {
    let slack = Slack::start().await;
    let created = slack
        .call(
            "conversations.create",
            &[("name", "x"), ("is_private", "true")],
        )
        .await;
    assert_eq!(created["channel"]["is_private"], true);
    let state = slack.admin.channel("x").await.unwrap().unwrap();
    assert_eq!((state.members.len(), state.emails.len()), (1, 0));
}

#[rstest]
#[case("team", "ok")]
#[case("old", "already_archived")]
#[case("general", "cant_archive_general")]
#[case("open", "not_in_channel")]
#[case("secret", "channel_not_found")]
#[tokio::test]
async fn only_a_member_may_archive_a_channel_and_only_once(
    #[case] channel: &str,
    #[case] expected: &str,
) {
    let slack = Slack::start().await;
    assert_eq!(
        error(&slack.call_in(channel, "conversations.archive", &[]).await),
        expected
    );
}

#[tokio::test]
async fn a_rename_frees_the_name() {
    let slack = Slack::start().await;
    assert_eq!(
        error(
            &slack
                .call_in("team", "conversations.rename", &[("name", "old")])
                .await
        ),
        "name_taken"
    );
    assert_eq!(
        error(
            &slack
                .call_in("team", "conversations.rename", &[("name", "team-2")])
                .await
        ),
        "ok"
    );
    assert_eq!(
        error(
            &slack
                .call("conversations.create", &[("name", "team")])
                .await
        ),
        "ok"
    );
}

#[tokio::test]
async fn only_its_creator_may_rename_a_channel() {
    let slack = Slack::start().await;
    let renamed = slack
        .call_in("closed", "conversations.rename", &[("name", "ours")])
        .await;
    assert_eq!(error(&renamed), "not_authorized");
}

#[rstest]
#[case("old", "not_in_channel")]
#[case("team", "not_archived")]
#[case("secret", "channel_not_found")]
#[tokio::test]
async fn a_bot_cant_unarchive(#[case] channel: &str, #[case] expected: &str) {
    let slack = Slack::start().await;
    let answer = slack.call_in(channel, "conversations.unarchive", &[]).await;
    assert_eq!(error(&answer), expected);
}

#[tokio::test]
async fn a_private_channel_is_visible_only_to_its_members() {
    let slack = Slack::start().await;
    for method in [
        "conversations.info",
        "conversations.members",
        "conversations.history",
    ] {
        assert_eq!(
            error(&slack.call_in("secret", method, &[]).await),
            "channel_not_found"
        );
        assert_eq!(error(&slack.call_in("closed", method, &[]).await), "ok");
    }
    assert_eq!(
        error(&slack.call_in("open", "conversations.history", &[]).await),
        "not_in_channel"
    );
    assert_eq!(
        error(&slack.call_in("open", "conversations.members", &[]).await),
        "ok"
    );
}

#[rstest]
#[case("team", "U00BOT")]
#[case("open", "USINGLE")]
#[case("general", "U00OWNER")]
#[tokio::test]
async fn a_channel_has_a_creator(#[case] channel: &str, #[case] creator: &str) {
    let slack = Slack::start().await;
    let info = slack.call_in(channel, "conversations.info", &[]).await;
    assert_eq!(info["channel"]["creator"], creator);
    let listed = slack.call("conversations.list", &[]).await;
    let listed = listed["channels"].as_array().unwrap().iter();
    let creators: Vec<_> = listed
        .filter(|listed| listed["name"] == channel)
        .map(|listed| &listed["creator"])
        .collect();
    assert_eq!(creators, [creator]);
}

/// Slack does not document it: elastic/connectors#1972.
#[rstest]
#[case("team", "not_in_channel")]
#[case("closed", "channel_not_found")]
#[tokio::test]
async fn a_channel_that_is_archived_loses_the_bot(
    #[case] channel: &str,
    #[case] expected: &str,
    #[values(true, false)] by_the_bot: bool,
) {
    let slack = Slack::start().await;
    slack.admin.add_member(channel, "UBOB").await.unwrap();
    if by_the_bot {
        let archived = slack.call_in(channel, "conversations.archive", &[]).await;
        assert_eq!(error(&archived), "ok");
    } else {
        slack.admin.archive_channel(channel).await.unwrap();
    }
    assert!(
        slack
            .emails(channel)
            .await
            .contains(&"bob@example.com".to_owned())
    );
    let history = slack.call_in(channel, "conversations.history", &[]).await;
    assert_eq!(error(&history), expected);
}

#[rstest]
#[case("team", 0)]
#[case("closed", 1)]
#[tokio::test]
async fn only_a_private_channel_has_its_members_back_when_it_is_unarchived(
    #[case] channel: &str,
    #[case] members: usize,
) {
    let slack = Slack::start().await;
    slack.admin.add_member(channel, "UBOB").await.unwrap();
    slack.admin.archive_channel(channel).await.unwrap();
    slack.admin.unarchive_channel(channel).await.unwrap();
    let state = slack.admin.channel(channel).await.unwrap().unwrap();
    assert_eq!((state.is_archived, state.members.len()), (false, members));
}
