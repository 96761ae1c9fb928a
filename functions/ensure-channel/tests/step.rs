//! The step against a Slack sandbox and a table.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, SystemTime};

use apgl_contract::{
    ChannelName, ChannelRef, ChannelText, ErrorName, Recovery, StepError, Visibility,
};
use apgl_rate_limit::SlackClock;
use apgl_stores::{Claims, ClaimsOn, Creation, Entry};
use ensure_channel::{Deps, Input, handle};
use fixture::{Fixture, invocation, redriven, undated};
use futures_util::future::join_all;
use rstest::rstest;
use slack_sandbox::{
    faults::{Effect, How},
    seed::ChannelSeed,
    server::ChannelChange,
};
use tokio::time::{sleep, timeout};

/// The step in a workspace of its own. The name of the channel is `guide`.
struct Ensuring {
    fixture: Fixture,
    deps: Deps,
}

impl Ensuring {
    async fn new() -> Self {
        let fixture = Fixture::new().await;
        let deps = Deps {
            directory: fixture.directory().await,
            clock: SlackClock::default(),
            allow_externally_shared: false,
        };
        Self { fixture, deps }
    }

    /// In a workspace where this channel exists already. The table does not know it.
    async fn with(channel: ChannelSeed) -> (Self, ChannelRef) {
        let step = Self::new().await;
        let channel = ChannelSeed {
            name: "guide".to_owned(),
            ..channel
        };
        let channel = step.fixture.channel(channel).await;
        (step, channel)
    }

    /// Runs one attempt of this execution.
    async fn run(&self, execution: &str, input: Input) -> Result<ChannelRef, StepError> {
        let outcome = handle(&self.deps, &invocation(execution), input).await?;
        Ok(outcome.channel)
    }

    /// Repeats the step as a workflow does. The waits are short here.
    async fn run_to_the_end(&self, execution: &str) -> Result<ChannelRef, StepError> {
        self.run_to_the_end_for(execution, name()).await
    }

    async fn run_to_the_end_for(
        &self,
        execution: &str,
        channel_name: ChannelName,
    ) -> Result<ChannelRef, StepError> {
        let attempts = async {
            loop {
                let input = Input {
                    channel_name: channel_name.clone(),
                    ..private()
                };
                match self.run(execution, input).await {
                    Err(error) if error.name().recovery() == Recovery::Wait => {
                        sleep(Duration::from_millis(50)).await;
                    }
                    ended => return ended,
                }
            }
        };
        let ended = timeout(Duration::from_mins(2), attempts).await;
        ended.expect("the step ends")
    }

    async fn topic(&self) -> String {
        self.fixture.in_slack("guide").await.unwrap().topic
    }
}

fn name() -> ChannelName {
    ChannelName::try_from("guide".to_owned()).unwrap()
}

/// A channel that must be private, with a topic and a purpose.
fn private() -> Input {
    Input {
        channel_name: name(),
        visibility: Visibility::Private,
        require_visibility: true,
        topic: Some(text("the topic")),
        purpose: Some(text("the purpose")),
    }
}

fn text(text: &str) -> ChannelText {
    ChannelText::try_from(text.to_owned()).unwrap()
}

fn broken(effect: Effect) -> How {
    How::Html500 { effect }
}

#[tokio::test]
async fn a_new_channel_is_ours_though_slack_does_not_say_who_we_are() {
    let step = Ensuring::new().await;
    step.fixture
        .fail("auth.test", broken(Effect::None), 9)
        .await;
    let channel = step.run("execution", private()).await.unwrap();
    assert_eq!((channel.created, channel.ours), (true, Some(true)));
    assert_eq!(step.topic().await, "the topic");
}

#[rstest]
#[case(Visibility::Private)]
#[case(Visibility::Public)]
#[tokio::test]
async fn a_new_channel_is_created_with_its_topic_and_purpose(#[case] visibility: Visibility) {
    let step = Ensuring::new().await;
    let input = Input {
        visibility,
        ..private()
    };
    let channel = step.run("execution", input).await.unwrap();
    let in_slack = step.fixture.in_slack("guide").await.unwrap();
    assert_eq!((channel.id, channel.created), (in_slack.id, true));
    assert_eq!(in_slack.is_private, visibility.is_private());
    assert_eq!(
        (in_slack.topic.as_str(), in_slack.purpose.as_str()),
        ("the topic", "the purpose")
    );
}

#[tokio::test]
async fn a_channel_in_the_table_costs_no_call() {
    let step = Ensuring::new().await;
    let created = step.run("first", private()).await.unwrap();
    step.fixture.sandbox.clear_calls().await.unwrap();
    let known = step.run("second", private()).await.unwrap();
    assert_eq!(step.fixture.sandbox.calls().await.unwrap(), []);
    let existing = ChannelRef {
        created: false,
        ..created.clone()
    };
    assert_eq!(known, existing);
    // The execution that created the channel is told so again when it repeats the step.
    assert_eq!(step.run("first", private()).await.unwrap(), created);
}

#[tokio::test]
async fn a_channel_that_somebody_else_created_is_found_and_keeps_its_topic() {
    let (step, existing) = Ensuring::with(ChannelSeed {
        is_private: true,
        ..ChannelSeed::default()
    })
    .await;
    let found = step.run("execution", private()).await.unwrap();
    assert_eq!(undated(found), undated(existing));
    assert_eq!(step.topic().await, "");
}

#[tokio::test]
async fn a_channel_of_another_visibility_is_used_unless_the_visibility_is_required() {
    let (step, existing) = Ensuring::with(ChannelSeed::default()).await;
    let input = Input {
        require_visibility: false,
        ..private()
    };
    let found = step.run("execution", input).await.unwrap();
    let expected = ChannelRef {
        requested_visibility: Some(Visibility::Private),
        ..undated(existing)
    };
    assert_eq!(undated(found), expected);
}

#[rstest]
#[case::public(ChannelSeed::default(), "by a public channel")]
#[case::archived(
    ChannelSeed { is_private: true, is_archived: true, ..ChannelSeed::default() },
    "by an archived channel"
)]
#[case::invisible(
    ChannelSeed { is_private: true, bot_is_member: false, ..ChannelSeed::default() },
    "by a private channel that the bot is not a member of"
)]
#[tokio::test]
async fn the_name_of_an_unusable_channel_is_taken(
    #[case] channel: ChannelSeed,
    #[case] holder: &str,
) {
    let (step, _) = Ensuring::with(channel).await;
    // The second attempt meets what the first one has learned.
    for _ in 0..2 {
        let error = step.run("execution", private()).await.unwrap_err();
        assert_eq!(error.name(), ErrorName::ChannelNameTaken);
        assert!(error.to_string().contains(holder), "{error}");
    }
}

#[tokio::test]
async fn an_unarchived_channel_is_used_again() {
    let (step, existing) = Ensuring::with(ChannelSeed {
        is_private: true,
        is_archived: true,
        ..ChannelSeed::default()
    })
    .await;
    step.run("first", private()).await.unwrap_err();
    let change = ChannelChange {
        is_archived: Some(false),
        ..ChannelChange::default()
    };
    let sandbox = &step.fixture.sandbox;
    sandbox.change_channel("guide", &change).await.unwrap();
    let found = step.run("second", private()).await.unwrap();
    assert_eq!(found.id, existing.id);
}

#[tokio::test]
async fn a_channel_that_the_bot_no_longer_sees_is_created_again() {
    let step = Ensuring::new().await;
    let first = step.run("first", private()).await.unwrap();
    let change = ChannelChange {
        name: Some("elsewhere".to_owned()),
        bot_is_member: Some(false),
        ..ChannelChange::default()
    };
    let sandbox = &step.fixture.sandbox;
    sandbox.change_channel("guide", &change).await.unwrap();
    // A later step learns from Slack that the table is wrong.
    let directory = &step.deps.directory;
    let outdated = directory
        .channels
        .mark_outdated("guide", &first.id, SystemTime::now());
    outdated.await.unwrap();
    let second = step.run("second", private()).await.unwrap();
    assert!(second.created);
    assert_ne!(second.id, first.id);
}

#[tokio::test]
async fn a_channel_whose_creation_got_no_response_belongs_to_this_execution() {
    let step = Ensuring::new().await;
    let lost = broken(Effect::Done);
    step.fixture.fail("conversations.create", lost, 1).await;
    step.run("execution", private()).await.unwrap_err();
    let channel = step.run_to_the_end("execution").await.unwrap();
    assert!(channel.created);
    assert_eq!(step.topic().await, "the topic");
}

#[tokio::test]
async fn a_channel_whose_creation_failed_is_created_by_the_next_attempt() {
    let step = Ensuring::new().await;
    let failed = broken(Effect::None);
    step.fixture.fail("conversations.create", failed, 1).await;
    step.run("execution", private()).await.unwrap_err();
    let channel = step.run_to_the_end("execution").await.unwrap();
    assert!(channel.created);
}

#[rstest]
#[case("conversations.setTopic")]
#[case("conversations.setPurpose")]
#[tokio::test]
async fn the_next_attempt_sets_a_topic_or_purpose_that_could_not_be_set(#[case] method: &str) {
    let step = Ensuring::new().await;
    step.fixture.fail(method, broken(Effect::None), 1).await;
    let error = step.run("execution", private()).await.unwrap_err();
    assert_eq!(error.name(), ErrorName::SlackUnavailable);
    assert!(step.run("execution", private()).await.unwrap().created);
    let in_slack = step.fixture.in_slack("guide").await.unwrap();
    assert_eq!(
        (in_slack.topic.as_str(), in_slack.purpose.as_str()),
        ("the topic", "the purpose")
    );
    assert_eq!(step.fixture.calls("conversations.create").await, 1);
}

#[tokio::test]
async fn a_new_channel_that_is_archived_at_once_is_archived_in_the_table_too() {
    let step = Ensuring::new().await;
    let how = How::refused("is_archived");
    step.fixture.fail("conversations.setTopic", how, 1).await;
    let error = step.run("execution", private()).await.unwrap_err();
    assert_eq!(error.name(), ErrorName::ChannelArchived);
    let known = step.deps.directory.channels.look_up(&name()).await.unwrap();
    assert!(matches!(known.entry, Entry::Seen(channel) if channel.archived));
    // Slack is asked again before the name counts as taken.
    step.run("execution", private()).await.unwrap();
    assert_eq!(step.fixture.calls("conversations.info").await, 1);
}

#[tokio::test]
async fn an_execution_waits_while_another_creates_the_channel() {
    let step = Ensuring::new().await;
    let name = name();
    let claims = ClaimsOn {
        channels: &step.deps.directory.channels,
        name: &name,
    };
    let claimed = claims.claim(None, "other", SystemTime::now()).await;
    assert!(matches!(claimed.unwrap(), Creation::Mine { .. }));
    let error = step.run("execution", private()).await.unwrap_err();
    assert_eq!(error.name(), ErrorName::ChannelBeingCreated);
    assert_eq!(step.fixture.calls("conversations.create").await, 0);
}

#[tokio::test]
async fn an_execution_that_waits_to_create_the_channel_keeps_its_claim() {
    let step = Ensuring::new().await;
    let limited = How::RateLimited { retry_after: 300 };
    step.fixture.fail("conversations.create", limited, 1).await;
    let error = step.run("first", private()).await.unwrap_err();
    assert_eq!(error.name(), ErrorName::SlackRateLimited);
    // The second execution waits as long as the first one, and makes no call.
    let error = step.run("second", private()).await.unwrap_err();
    let StepError::ChannelBeingCreated { retry_after, .. } = error else {
        panic!("{error}");
    };
    assert!(retry_after > Duration::from_secs(200), "{retry_after:?}");
    assert_eq!(step.fixture.calls("conversations.create").await, 1);
    assert!(step.run("first", private()).await.unwrap().created);
    assert!(!step.run("second", private()).await.unwrap().created);
}

#[tokio::test]
async fn twenty_executions_at_once_create_one_channel() {
    let step = Ensuring::new().await;
    let executions: Vec<String> = (0..20).map(|n| format!("execution-{n}")).collect();
    let ended = join_all(executions.iter().map(|id| step.run_to_the_end(id))).await;
    let channels: Vec<ChannelRef> = ended.into_iter().map(Result::unwrap).collect();
    let created = channels.iter().filter(|channel| channel.created).count();
    let mut ids: Vec<&str> = channels.iter().map(|channel| channel.id.as_str()).collect();
    ids.dedup();
    assert_eq!((ids.len(), created), (1, 1));
    assert_eq!(step.fixture.calls("conversations.create").await, 1);
    assert_eq!(step.topic().await, "the topic");
}

/// What a person does to a private channel of ours.
#[derive(Debug, Clone, Copy)]
enum Deed {
    MakesPublic,
    Shares,
    Archives,
    RemovesTheBot,
}

impl Ensuring {
    async fn a_person(&self, deed: Deed) {
        let sandbox = &self.fixture.sandbox;
        let done = match deed {
            Deed::MakesPublic => sandbox.convert_to_public("guide").await,
            Deed::Shares => sandbox.share_channel("guide", true).await,
            Deed::Archives => sandbox.archive_channel("guide").await,
            Deed::RemovesTheBot => sandbox.remove_bot("guide").await,
        };
        done.unwrap();
    }

    /// Runs the step when what Slack has confirmed before is no longer trusted.
    async fn run_later(&self) -> Result<ChannelRef, StepError> {
        let outcome = handle(&self.deps, &redriven("later"), private()).await?;
        Ok(outcome.channel)
    }
}

#[rstest]
#[case(Deed::MakesPublic, "by a public channel")]
#[case(Deed::Shares, "by a channel that another organisation can read")]
#[case(Deed::Archives, "by a private channel that the bot is not a member of")]
#[case(
    Deed::RemovesTheBot,
    "by a private channel that the bot is not a member of"
)]
#[tokio::test]
async fn a_channel_that_a_person_has_changed_is_not_used_once_its_trust_is_over(
    #[case] deed: Deed,
    #[case] holder: &str,
) {
    let step = Ensuring::new().await;
    step.run("first", private()).await.unwrap();
    step.a_person(deed).await;
    let trusted = step.run("second", private()).await.unwrap();
    assert_eq!(trusted.visibility, Visibility::Private);
    let error = step.run_later().await.unwrap_err();
    assert_eq!(error.name(), ErrorName::ChannelNameTaken);
    assert!(error.to_string().contains(holder), "{error}");
}

#[tokio::test]
async fn a_renamed_channel_does_not_get_the_messages_of_its_old_name() {
    let step = Ensuring::new().await;
    let first = step.run("first", private()).await.unwrap();
    let sandbox = &step.fixture.sandbox;
    sandbox.rename_channel("guide", "guide-old").await.unwrap();
    let later = step.run_later().await.unwrap();
    assert_eq!((later.name.as_str(), later.created), ("guide", true));
    assert_ne!(later.id, first.id);
}

#[tokio::test]
async fn an_externally_shared_channel_is_used_if_the_settings_allow_it() {
    let (mut step, _) = Ensuring::with(ChannelSeed {
        is_private: true,
        is_ext_shared: true,
        ..ChannelSeed::default()
    })
    .await;
    step.run("first", private()).await.unwrap_err();
    step.deps.allow_externally_shared = true;
    let channel = step.run("second", private()).await.unwrap();
    assert!(channel.externally_shared);
}

#[tokio::test]
async fn a_channel_says_whether_the_bot_has_created_it() {
    let step = Ensuring::new().await;
    let created = step.run("first", private()).await.unwrap();
    assert_eq!(created.ours, Some(true));
    assert_eq!(step.run_later().await.unwrap().ours, Some(true));
    let (step, _) = Ensuring::with(ChannelSeed {
        is_private: true,
        ..ChannelSeed::default()
    })
    .await;
    let theirs = step.run("execution", private()).await.unwrap();
    assert_eq!(theirs.ours, Some(false));
}

#[tokio::test]
async fn a_name_that_was_freed_since_slack_said_that_it_is_taken_is_used() {
    let (step, _) = Ensuring::with(ChannelSeed {
        is_private: true,
        bot_is_member: false,
        ..ChannelSeed::default()
    })
    .await;
    // The scan is limited, so the execution keeps what it has learnt about the name.
    let limited = How::RateLimited { retry_after: 1 };
    step.fixture.fail("conversations.list", limited, 1).await;
    let error = step.run("execution", private()).await.unwrap_err();
    assert_eq!(error.name(), ErrorName::SlackRateLimited);
    let sandbox = &step.fixture.sandbox;
    sandbox.rename_channel("guide", "guide-old").await.unwrap();
    let redriven = redriven("execution");
    let outcome = handle(&step.deps, &redriven, private()).await.unwrap();
    assert!(outcome.channel.created);
}

#[tokio::test]
async fn a_channel_with_a_name_in_another_script_is_used_but_not_created() {
    let step = Ensuring::new().await;
    let channel = step.fixture.private_channel("お知らせ", &[]).await;
    let name = |name: &str| ChannelName::try_from(name.to_owned()).unwrap();
    let found = step.run_to_the_end_for("one", name("お知らせ")).await;
    assert_eq!(found.unwrap().id, channel.id);
    let missing = step.run_to_the_end_for("two", name("équipe")).await;
    let error = missing.unwrap_err();
    assert_eq!(error.name(), ErrorName::ChannelNotFound);
    assert!(error.to_string().contains("channelName"), "{error}");
    assert_eq!(step.fixture.calls("conversations.create").await, 0);
}
