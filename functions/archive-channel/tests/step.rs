//! The step against a Slack sandbox and a table.
#![allow(clippy::unwrap_used)]

use apgl_contract::{ChannelName, ChannelRef, ErrorName, StepError};
use apgl_stores::Entry;
use archive_channel::{Deps, Input, Outcome, handle};
use fixture::{Fixture, invocation, redriven};
use rstest::rstest;
use slack_sandbox::{
    faults::{Effect, Fault, How},
    seed::ChannelSeed,
};

/// The step in a workspace with the channel `guide`.
struct Archiving {
    fixture: Fixture,
    deps: Deps,
    channel: ChannelRef,
    even_if_not_ours: bool,
}

impl Archiving {
    async fn of(channel: ChannelSeed) -> Self {
        let fixture = Fixture::new().await;
        let seed = ChannelSeed {
            name: "guide".to_owned(),
            ..channel
        };
        let channel = fixture.channel(seed).await;
        let directory = fixture.directory_with(&channel).await;
        Self {
            fixture,
            deps: Deps { directory },
            channel,
            even_if_not_ours: false,
        }
    }

    async fn of_our_channel() -> Self {
        Self::of(ChannelSeed {
            is_private: true,
            created_by_bot: true,
            ..ChannelSeed::default()
        })
        .await
    }

    /// The request says that a channel may be archived that the bot has not created.
    async fn of_any(channel: ChannelSeed) -> Self {
        Self {
            even_if_not_ours: true,
            ..Self::of(channel).await
        }
    }

    async fn run(&self) -> Result<Outcome, StepError> {
        handle(&self.deps, &invocation("execution"), self.input()).await
    }

    fn input(&self) -> Input {
        Input {
            channel_name: name("guide"),
            channel: self.channel.clone(),
            even_if_not_ours: self.even_if_not_ours,
        }
    }

    /// Runs the step in an execution that was redriven now: what Slack confirmed before does not count.
    async fn run_after_trust(&self) -> Result<Outcome, StepError> {
        let input = self.input();
        handle(&self.deps, &redriven("execution"), input).await
    }

    /// The channel as the table knows it by this name.
    async fn known(&self, by: &str) -> Entry {
        let look_up = self.deps.directory.channels.look_up(&name(by)).await;
        look_up.unwrap().entry
    }

    fn deleted_name(&self) -> String {
        format!("guide-deleted-{}", self.channel.id.to_lowercase())
    }

    fn assert_archived(&self, outcome: &Outcome, name: &str) {
        let channel = ChannelRef {
            name: name.to_owned(),
            archived: true,
            confirmed_at: outcome.channel.confirmed_at,
            ..self.channel.clone()
        };
        assert_eq!(outcome.channel, channel);
    }
}

fn name(name: &str) -> ChannelName {
    ChannelName::try_from(name.to_owned()).unwrap()
}

#[tokio::test]
async fn a_channel_is_renamed_and_archived_and_its_name_is_free() {
    let step = Archiving::of_our_channel().await;
    let outcome = step.run().await.unwrap();
    let deleted = step.deleted_name();
    step.assert_archived(&outcome, &deleted);
    assert!(step.fixture.in_slack(&deleted).await.unwrap().is_archived);
    assert_eq!(step.known("guide").await, Entry::Unknown);
    let Entry::Seen(channel) = step.known(&deleted).await else {
        panic!("the table knows the new name");
    };
    assert!(channel.archived);
}

#[rstest]
#[case::is_not_the_creator(false, None)]
#[case::workspace_forbids_it(true, Some("restricted_action"))]
#[tokio::test]
async fn a_channel_that_the_bot_may_not_rename_is_archived_under_its_name(
    #[case] created_by_bot: bool,
    #[case] refusal: Option<&str>,
) {
    let step = Archiving::of_any(ChannelSeed {
        created_by_bot,
        ..ChannelSeed::default()
    })
    .await;
    if let Some(code) = refusal {
        let how = How::refused(code);
        step.fixture.fail("conversations.rename", how, 1).await;
    }
    let outcome = step.run().await.unwrap();
    step.assert_archived(&outcome, "guide");
    assert!(step.fixture.in_slack("guide").await.unwrap().is_archived);
    assert!(matches!(step.known("guide").await, Entry::Seen(channel) if channel.archived));
}

#[tokio::test]
async fn a_channel_that_may_not_be_archived_gets_its_name_back() {
    let step = Archiving::of_our_channel().await;
    let how = How::refused("restricted_action");
    step.fixture.fail("conversations.archive", how, 1).await;
    let error = step.run().await.unwrap_err();
    assert_eq!(error.name(), ErrorName::SlackRejected);
    assert!(!step.fixture.in_slack("guide").await.unwrap().is_archived);
    assert!(matches!(step.known("guide").await, Entry::Seen(channel) if !channel.archived));
}

#[tokio::test]
async fn a_channel_that_gets_its_name_back_is_remembered_as_slack_shows_it() {
    let step = Archiving::of_our_channel().await;
    let how = How::refused("restricted_action");
    step.fixture.fail("conversations.archive", how, 1).await;
    let sandbox = &step.fixture.sandbox;
    sandbox.share_channel("guide", true).await.unwrap();
    step.run().await.unwrap_err();
    let known = step.known("guide").await;
    assert!(
        matches!(&known, Entry::Seen(channel) if channel.externally_shared),
        "{known:?}"
    );
}

#[tokio::test]
async fn a_channel_that_can_be_neither_archived_nor_renamed_back_keeps_its_new_name() {
    let step = Archiving::of_our_channel().await;
    let how = || How::refused("restricted_action");
    step.fixture.fail("conversations.archive", how(), 1).await;
    let rename_back = Fault::new("conversations.rename", how()).skip(1).times(1);
    let sandbox = &step.fixture.sandbox;
    sandbox.add_fault(&rename_back).await.unwrap();
    let error = step.run().await.unwrap_err();
    assert_eq!(error.name(), ErrorName::SlackRejected);
    let deleted = step.deleted_name();
    assert!(!step.fixture.in_slack(&deleted).await.unwrap().is_archived);
}

#[tokio::test]
async fn a_channel_that_somebody_has_just_archived_is_archived() {
    let step = Archiving::of_our_channel().await;
    let already = How::Error {
        error: "already_archived".to_owned(),
        effect: Effect::Done,
    };
    step.fixture.fail("conversations.archive", already, 1).await;
    let outcome = step.run().await.unwrap();
    step.assert_archived(&outcome, &step.deleted_name());
}

#[rstest]
#[case::response_to_the_renaming_is_lost("conversations.rename", broken(Effect::Done))]
#[case::response_to_the_archiving_is_lost("conversations.archive", broken(Effect::Done))]
#[case::slack_fails_before_the_archiving("conversations.archive", broken(Effect::None))]
#[case::slack_rate_limits_the_archiving("conversations.archive", How::RateLimited { retry_after: 2 })]
#[tokio::test]
async fn the_next_attempt_finishes_an_unfinished_deletion(
    #[case] method: &str,
    #[case] how: How,
    #[values(false, true)] is_private: bool,
) {
    let step = Archiving::of(ChannelSeed {
        is_private,
        created_by_bot: true,
        ..ChannelSeed::default()
    })
    .await;
    step.fixture.fail(method, how, 1).await;
    step.run().await.unwrap_err();
    let outcome = step.run().await.unwrap();
    let deleted = step.deleted_name();
    step.assert_archived(&outcome, &deleted);
    assert!(step.fixture.in_slack(&deleted).await.unwrap().is_archived);
}

fn broken(effect: Effect) -> How {
    How::Html500 { effect }
}

#[tokio::test]
async fn the_bot_joins_a_public_channel_to_archive_it() {
    let step = Archiving::of_any(ChannelSeed {
        bot_is_member: false,
        ..ChannelSeed::default()
    })
    .await;
    step.run().await.unwrap();
    assert_eq!(step.fixture.calls("conversations.join").await, 1);
    assert!(step.fixture.in_slack("guide").await.unwrap().is_archived);
}

#[tokio::test]
async fn a_channel_that_slack_no_longer_shows_becomes_outdated_in_the_table() {
    let step = Archiving::of_our_channel().await;
    let how = How::refused("channel_not_found");
    step.fixture.fail("conversations.rename", how, 1).await;
    let error = step.run().await.unwrap_err();
    assert_eq!(error.name(), ErrorName::ChannelNotFound);
    let known = step.known("guide").await;
    assert!(matches!(known, Entry::Outdated { .. }), "{known:?}");
}

#[rstest]
#[case::public(ChannelSeed::default())]
#[case::private(ChannelSeed { is_private: true, ..ChannelSeed::default() })]
#[tokio::test]
async fn a_channel_that_the_bot_has_not_created_is_archived_only_if_the_request_says_so(
    #[case] channel: ChannelSeed,
) {
    let mut step = Archiving::of(channel).await;
    let error = step.run().await.unwrap_err();
    assert_eq!(error.name(), ErrorName::ChannelNotOurs);
    assert!(!step.fixture.in_slack("guide").await.unwrap().is_archived);
    step.even_if_not_ours = true;
    step.run().await.unwrap();
    assert!(step.fixture.in_slack("guide").await.unwrap().is_archived);
}

#[tokio::test]
async fn a_private_channel_that_slack_hides_after_it_was_archived_is_deleted() {
    let step = Archiving::of_our_channel().await;
    let how = broken(Effect::Done);
    step.fixture.fail("conversations.archive", how, 1).await;
    step.run().await.unwrap_err();
    // Slack has removed the bot from the archived channel, and the execution is redriven later. Another execution
    // that deletes the channel must not count it as its own.
    let hidden = || How::refused("channel_not_found");
    for method in ["conversations.info", "conversations.rename"] {
        step.fixture.fail(method, hidden(), 1).await;
    }
    let outcome = step.run_after_trust().await.unwrap();
    step.assert_archived(&outcome, &step.deleted_name());
}

#[rstest]
#[case::right_away(false)]
#[case::after_a_redrive(true)]
#[tokio::test]
async fn a_hidden_channel_that_the_bot_could_not_rename_still_has_its_name(
    #[case] is_redriven: bool,
) {
    let step = Archiving::of_any(ChannelSeed {
        is_private: true,
        ..ChannelSeed::default()
    })
    .await;
    let how = broken(Effect::Done);
    step.fixture.fail("conversations.archive", how, 1).await;
    step.run().await.unwrap_err();
    let outcome = if is_redriven {
        step.run_after_trust().await
    } else {
        step.run().await
    };
    step.assert_archived(&outcome.unwrap(), "guide");
    let known = step.known("guide").await;
    assert!(matches!(known, Entry::Outdated { .. }), "{known:?}");
}

#[tokio::test]
async fn a_channel_that_was_renamed_since_it_was_found_is_not_archived() {
    let step = Archiving::of_our_channel().await;
    let sandbox = &step.fixture.sandbox;
    sandbox.rename_channel("guide", "guide-old").await.unwrap();
    let error = step.run_after_trust().await.unwrap_err();
    assert_eq!(error.name(), ErrorName::ChannelNotFound);
    let renamed = step.fixture.in_slack("guide-old").await.unwrap();
    assert!(!renamed.is_archived);
}

#[tokio::test]
async fn a_private_channel_that_this_execution_has_not_archived_is_not_found() {
    let step = Archiving::of_our_channel().await;
    let refused = How::refused("restricted_action");
    step.fixture.fail("conversations.archive", refused, 1).await;
    step.run().await.unwrap_err();
    step.fixture.sandbox.remove_bot("guide").await.unwrap();
    for _ in 0..2 {
        let error = step.run_after_trust().await.unwrap_err();
        assert_eq!(error.name(), ErrorName::ChannelNotFound);
    }
}

#[tokio::test]
async fn a_private_channel_from_which_the_bot_is_removed_in_between_is_not_deleted() {
    let step = Archiving::of_our_channel().await;
    let hidden = How::refused("channel_not_found");
    step.fixture.fail("conversations.archive", hidden, 1).await;
    let error = step.run().await.unwrap_err();
    assert_eq!(error.name(), ErrorName::ChannelNotFound);
    // Somebody has invited it again.
    assert!(step.run_after_trust().await.unwrap().channel.archived);
}

#[tokio::test]
async fn the_old_name_is_free_as_soon_as_the_channel_is_renamed() {
    let step = Archiving::of_our_channel().await;
    let limited = How::RateLimited { retry_after: 300 };
    step.fixture.fail("conversations.archive", limited, 1).await;
    step.run().await.unwrap_err();
    assert_eq!(step.known("guide").await, Entry::Unknown);
}
