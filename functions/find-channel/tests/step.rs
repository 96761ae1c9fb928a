//! The step against a Slack sandbox and a table.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, SystemTime};

use apgl_contract::{
    ChannelName, ChannelRef, ErrorName, StepError, Visibility, epoch::epoch_millis,
};
use find_channel::{Deps, Input, Outcome, handle};
use fixture::{Fixture, invocation, undated};
use rstest::rstest;
use slack_sandbox::{
    faults::{Fault, How},
    seed::ChannelSeed,
    server::{ChannelChange, Settings},
    workspace::Pages,
};

/// The step in a workspace with the channel `guide`, which the table does not know at first.
struct Finding {
    fixture: Fixture,
    deps: Deps,
    channel: ChannelRef,
}

impl Finding {
    async fn of(channel: ChannelSeed) -> Self {
        let fixture = Fixture::new().await;
        let deps = Deps {
            directory: fixture.directory().await,
        };
        let channel = ChannelSeed {
            name: "guide".to_owned(),
            ..channel
        };
        let channel = undated(fixture.channel(channel).await);
        Self {
            fixture,
            deps,
            channel,
        }
    }

    async fn run(&self, input: Input) -> Result<Outcome, StepError> {
        let mut outcome = handle(&self.deps, &invocation("execution"), input).await?;
        outcome.channel = outcome.channel.map(undated);
        Ok(outcome)
    }

    async fn calls(&self) -> Vec<String> {
        let sandbox = &self.fixture.sandbox;
        let calls = sandbox.calls().await.unwrap();
        sandbox.clear_calls().await.unwrap();
        calls.into_iter().map(|call| call.method).collect()
    }

    fn found(&self) -> Outcome {
        Outcome {
            exists: true,
            channel: Some(self.channel.clone()),
        }
    }
}

fn public_channel() -> ChannelSeed {
    ChannelSeed::default()
}

/// A channel that a public notification needs.
fn required() -> Input {
    Input {
        channel_name: ChannelName::try_from("guide".to_owned()).unwrap(),
        visibility: Some(Visibility::Public),
        required: true,
        verify: false,
    }
}

/// The question whether there is a channel of any kind.
fn asked() -> Input {
    Input {
        visibility: None,
        required: false,
        verify: true,
        ..required()
    }
}

#[tokio::test]
async fn a_channel_is_found_in_slack_and_then_in_the_table() {
    let step = Finding::of(public_channel()).await;
    assert_eq!(step.run(required()).await.unwrap(), step.found());
    assert_eq!(step.calls().await, ["conversations.list", "auth.test"]);
    assert_eq!(step.run(required()).await.unwrap(), step.found());
    assert_eq!(step.calls().await, [""; 0]);
}

#[tokio::test]
async fn the_error_for_a_private_channel_that_somebody_has_archived_says_how_to_get_it_back() {
    let step = Finding::of(ChannelSeed {
        is_private: true,
        ..ChannelSeed::default()
    })
    .await;
    let sandbox = &step.fixture.sandbox;
    sandbox.archive_channel("guide").await.unwrap();
    let wanted = Input {
        visibility: Some(Visibility::Private),
        ..required()
    };
    let error = step.run(wanted).await.unwrap_err();
    assert_eq!(error.name(), ErrorName::ChannelNotFound);
    assert!(error.to_string().contains("unarchive it first"), "{error}");
}

#[tokio::test]
async fn a_check_asks_slack_even_if_the_table_has_the_channel() {
    let step = Finding::of(public_channel()).await;
    step.run(required()).await.unwrap();
    step.calls().await;
    assert_eq!(step.run(asked()).await.unwrap(), step.found());
    assert_eq!(step.calls().await, ["conversations.info"]);
}

#[rstest]
#[case::archived(
    ChannelSeed { is_archived: true, ..public_channel() },
    ErrorName::ChannelArchived
)]
#[case::private(
    ChannelSeed { is_private: true, ..public_channel() },
    ErrorName::ChannelNotFound
)]
#[case::invisible(
    ChannelSeed { is_private: true, bot_is_member: false, ..public_channel() },
    ErrorName::ChannelNotFound
)]
#[tokio::test]
async fn an_unusable_channel_fails_a_step_that_requires_it(
    #[case] channel: ChannelSeed,
    #[case] expected: ErrorName,
) {
    let step = Finding::of(channel).await;
    let error = step.run(required()).await.unwrap_err();
    assert_eq!(error.name(), expected);
}

#[rstest]
#[case::archived(ChannelSeed { is_archived: true, ..public_channel() }, true)]
#[case::private(ChannelSeed { is_private: true, ..public_channel() }, true)]
#[case::invisible(
    ChannelSeed { is_private: true, bot_is_member: false, ..public_channel() },
    false
)]
#[tokio::test]
async fn a_check_returns_whether_the_bot_sees_the_channel(
    #[case] channel: ChannelSeed,
    #[case] exists: bool,
) {
    let step = Finding::of(channel).await;
    let outcome = step.run(asked()).await.unwrap();
    assert_eq!(outcome.exists, exists);
    assert_eq!(outcome.channel, exists.then(|| step.channel.clone()));
}

#[rstest]
#[case::typed_on_macos("\u{e9}quipe", "e\u{301}quipe")]
#[case::created_on_macos("e\u{301}quipe", "\u{e9}quipe")]
#[tokio::test]
async fn a_name_is_the_same_in_both_forms_of_unicode(#[case] in_slack: &str, #[case] asked: &str) {
    let step = Finding::of(public_channel()).await;
    let other = ChannelSeed {
        name: in_slack.to_owned(),
        ..public_channel()
    };
    let other = step.fixture.channel(other).await;
    // The second time the table knows it.
    for _ in 0..2 {
        let input = Input {
            channel_name: ChannelName::try_from(asked.to_owned()).unwrap(),
            ..required()
        };
        let found = step.run(input).await.unwrap();
        assert_eq!(
            found.channel.map(|channel| channel.id),
            Some(other.id.clone())
        );
    }
    assert_eq!(step.fixture.calls("conversations.list").await, 1);
}

#[tokio::test]
async fn a_name_that_moved_to_another_channel_is_found_there() {
    let step = Finding::of(public_channel()).await;
    step.run(required()).await.unwrap();
    let renamed = ChannelChange {
        name: Some("old-guide".to_owned()),
        ..ChannelChange::default()
    };
    let sandbox = &step.fixture.sandbox;
    sandbox.change_channel("guide", &renamed).await.unwrap();
    let successor = ChannelSeed {
        name: "guide".to_owned(),
        ..public_channel()
    };
    let successor = undated(step.fixture.channel(successor).await);
    step.calls().await;
    let outcome = step.run(asked()).await.unwrap();
    assert_eq!(outcome.channel, Some(successor));
    assert_eq!(step.fixture.calls("conversations.list").await, 1);
}

#[tokio::test]
async fn a_check_is_not_answered_with_an_old_scan() {
    let mut step = Finding::of(public_channel()).await;
    step.deps.directory = step.fixture.directory_that_trusts(Duration::ZERO).await;
    let ask = async |started_at| {
        let mut invocation = invocation("execution");
        invocation.run.started_at = Some(epoch_millis(started_at));
        let input = Input {
            channel_name: ChannelName::try_from("new".to_owned()).unwrap(),
            ..asked()
        };
        handle(&step.deps, &invocation, input).await.unwrap().exists
    };
    let started_at = SystemTime::now();
    assert!(!ask(started_at).await);
    let new = ChannelSeed {
        name: "new".to_owned(),
        ..public_channel()
    };
    step.fixture.channel(new).await;
    // The same execution, and one that starts later.
    assert!(!ask(started_at).await);
    assert_eq!(step.fixture.calls("conversations.list").await, 1);
    assert!(ask(SystemTime::now()).await);
}

#[tokio::test]
async fn a_rate_limited_scan_is_continued() {
    let step = Finding::of(public_channel()).await;
    let other = ChannelSeed {
        name: "other".to_owned(),
        ..public_channel()
    };
    let other = undated(step.fixture.channel(other).await);
    let pages = Pages {
        max_size: Some(1),
        ..Pages::default()
    };
    let settings = Settings {
        pages: Some(pages),
        ..Settings::default()
    };
    let sandbox = &step.fixture.sandbox;
    sandbox.change_settings(&settings).await.unwrap();
    let limited = How::RateLimited { retry_after: 1 };
    let second_page = Fault::new("conversations.list", limited).skip(1).times(1);
    sandbox.add_fault(&second_page).await.unwrap();
    let input = || Input {
        channel_name: ChannelName::try_from("other".to_owned()).unwrap(),
        ..required()
    };
    let error = step.run(input()).await.unwrap_err();
    assert_eq!(error.name(), ErrorName::SlackRateLimited);
    let outcome = step.run(input()).await.unwrap();
    assert_eq!(outcome.channel, Some(other));
    // The first page is not read again.
    assert_eq!(step.fixture.calls("conversations.list").await, 3);
}
