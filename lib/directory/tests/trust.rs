//! How long a channel in the table is trusted, and how many channels are confirmed together.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use apgl_contract::{ChannelName, ErrorName, StepError, Visibility};
use apgl_directory::{Directory, Found};
use apgl_stores::{Channel, Channels, Table};
use aws_sdk_dynamodb::types::AttributeValue;
use fixture::{Fixture, invocation};
use slack_sandbox::faults::How;

const INFO: &str = "conversations.info";
const REFRESH: &str = "users.conversations";

/// A workspace with these private channels of the bot. Slack has confirmed them an hour ago.
async fn confirmed_an_hour_ago(names: &[&str]) -> (Fixture, Directory) {
    let fixture = Fixture::new().await;
    let directory = fixture.directory().await;
    for name in names {
        let channel = fixture.private_channel(name, &[]).await;
        let known = Channel {
            name: channel.name,
            id: channel.id,
            visibility: channel.visibility,
            archived: channel.archived,
            externally_shared: false,
            ours: Some(true),
            confirmed_at: SystemTime::now() - Duration::from_hours(1),
        };
        directory.channels.remember(name, &known).await.unwrap();
    }
    (fixture, directory)
}

async fn known(directory: &Directory, by: &str) -> Result<Option<Found>, StepError> {
    let execution = format!("execution-{by}");
    let name = ChannelName::try_from(by.to_owned()).unwrap();
    directory
        .known(&name, &invocation(&execution), |_| true)
        .await
}

async fn is_found(directory: &Directory, by: &str) -> bool {
    known(directory, by).await.unwrap().is_some()
}

#[tokio::test]
async fn a_channel_is_confirmed_once_in_its_trust() {
    let (fixture, directory) = confirmed_an_hour_ago(&["guide"]).await;
    for _ in 0..3 {
        assert!(is_found(&directory, "guide").await);
    }
    assert_eq!(fixture.calls(INFO).await, 1);
}

#[tokio::test]
async fn when_slack_limits_the_confirmations_one_list_confirms_all_channels() {
    let (fixture, directory) = confirmed_an_hour_ago(&["one", "two", "three"]).await;
    let limited = How::RateLimited { retry_after: 300 };
    fixture.fail(INFO, limited, 9).await;
    for name in ["one", "two", "three"] {
        assert!(is_found(&directory, name).await);
    }
    assert_eq!(fixture.calls(INFO).await, 1);
    assert_eq!(fixture.calls(REFRESH).await, 1);
}

#[tokio::test]
async fn a_channel_that_the_list_does_not_show_waits_for_its_own_confirmation() {
    let (fixture, directory) = confirmed_an_hour_ago(&["one", "two"]).await;
    fixture.sandbox.remove_bot("two").await.unwrap();
    let limited = How::RateLimited { retry_after: 300 };
    fixture.fail(INFO, limited, 2).await;
    for _ in 0..2 {
        let error = known(&directory, "two").await.unwrap_err();
        assert_eq!(error.name(), ErrorName::SlackRateLimited);
    }
    assert!(!is_found(&directory, "two").await);
    assert_eq!(fixture.calls(REFRESH).await, 1);
}

#[tokio::test]
async fn an_execution_waits_while_another_reads_the_list() {
    let (fixture, directory) = confirmed_an_hour_ago(&["one", "two"]).await;
    let limited = || How::RateLimited { retry_after: 300 };
    fixture.fail(INFO, limited(), 2).await;
    fixture.fail(REFRESH, limited(), 1).await;
    for name in ["one", "two"] {
        let error = known(&directory, name).await.unwrap_err();
        assert_eq!(error.name(), ErrorName::SlackRateLimited, "{name}");
    }
    assert_eq!(fixture.calls(REFRESH).await, 1);
}

#[tokio::test]
async fn what_was_read_earlier_does_not_replace_what_was_learnt_later() {
    let (_fixture, directory) = confirmed_an_hour_ago(&["guide"]).await;
    let channels = &directory.channels;
    let known = channels.known("guide").await.unwrap().unwrap();
    let page = Channel {
        confirmed_at: SystemTime::now(),
        visibility: Visibility::Public,
        ..known.clone()
    };
    let later = Channel {
        confirmed_at: page.confirmed_at + Duration::from_millis(5),
        ..known.clone()
    };
    channels.remember("guide", &later).await.unwrap();
    let page = [page];
    channels.remember_all(&page).await.unwrap();
    let stored = channels.known("guide").await.unwrap().unwrap();
    assert_eq!(stored.visibility, Visibility::Private);
    channels
        .mark_outdated("guide", &known.id, SystemTime::now())
        .await
        .unwrap();
    channels.remember_all(&page).await.unwrap();
    assert_eq!(channels.known("guide").await.unwrap(), None);
}

#[tokio::test]
async fn a_scan_writes_what_has_changed_and_confirms_nothing_else() {
    let (_fixture, directory) = confirmed_an_hour_ago(&["changed", "kept", "gone"]).await;
    let channels = &directory.channels;
    let mut page = Vec::new();
    for name in ["changed", "kept", "gone"] {
        let known = channels.known(name).await.unwrap().unwrap();
        page.push(Channel {
            archived: name == "changed",
            confirmed_at: SystemTime::now(),
            ..known
        });
    }
    let marked = channels
        .mark_outdated("gone", &page[2].id, SystemTime::now())
        .await;
    marked.unwrap();
    for channel in &mut page {
        channel.confirmed_at = SystemTime::now() + Duration::from_millis(5);
    }
    page.push(Channel {
        name: "new".to_owned(),
        id: "C0NEW".to_owned(),
        ..page[1].clone()
    });
    channels.remember_changes(&page).await.unwrap();
    for (name, is_written) in [
        ("changed", true),
        ("kept", false),
        ("gone", true),
        ("new", true),
    ] {
        let known = channels.known(name).await.unwrap().unwrap();
        let is_now = known.confirmed_at > SystemTime::now() - Duration::from_mins(30);
        assert_eq!(
            (known.archived, is_now),
            (name == "changed", is_written),
            "{name}"
        );
    }
}

#[tokio::test]
async fn of_two_channels_with_one_name_the_active_one_is_remembered() {
    let (_fixture, directory) = confirmed_an_hour_ago(&["guide"]).await;
    let channels = &directory.channels;
    let active = Channel {
        confirmed_at: SystemTime::now(),
        ..channels.known("guide").await.unwrap().unwrap()
    };
    let archived = Channel {
        id: "C0OLD".to_owned(),
        archived: true,
        ..active.clone()
    };
    let page = [archived.clone(), active.clone(), archived.clone()];
    // The second time the archived one is on a later page.
    for page in [&page[..], &[archived]] {
        channels.remember_all(page).await.unwrap();
        channels.remember_changes(page).await.unwrap();
        let known = channels.known("guide").await.unwrap().unwrap();
        assert_eq!(known.id, active.id);
    }
}

#[tokio::test]
async fn a_channel_of_release_0_1_is_confirmed_before_it_is_used() {
    let fixture = Fixture::new().await;
    let channel = fixture.private_channel("guide", &[]).await;
    let table = fixture.create_table(&["name"]).await;
    let channels = Channels::new(Table::new(fixture.dynamodb.clone(), table.clone()));
    let directory = Directory::new(channels, fixture.slack.clone(), Duration::from_mins(15));
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let old = fixture
        .dynamodb
        .put_item()
        .table_name(table)
        .item("name", text("guide"))
        .item("id", text(&channel.id))
        .item("slackName", text("guide"))
        .item("visibility", text("private"))
        .item("archived", AttributeValue::Bool(false))
        .item("seenAt", AttributeValue::N(now.as_millis().to_string()));
    old.send().await.unwrap();
    assert!(is_found(&directory, "guide").await);
    assert_eq!(fixture.calls(INFO).await, 1);
}
