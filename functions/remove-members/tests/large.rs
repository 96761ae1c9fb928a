//! Removals from channels that are too large to list their members.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, SystemTime};

use apgl_contract::{
    ChannelRef, Email, ErrorName, SkipReason, Skipped, SlackUser, StepError, epoch::epoch_millis,
};
use fixture::{Fixture, invocation, with_waits};
use remove_members::{Deps, Input, Outcome, handle};
use rstest::rstest;
use slack_sandbox::faults::{Effect, Fault, How};

const KICK: &str = "conversations.kick";
const MEMBERS: &str = "conversations.members";
/// How long a second of Slack's limits lasts, in seconds.
const TIME_FACTOR: f64 = 0.005;

struct Removing {
    fixture: Fixture,
    deps: Deps,
    channel: ChannelRef,
    /// Members and people who are not in the channel, in turn.
    users: Vec<SlackUser>,
    members: Vec<Email>,
    others: Vec<Email>,
}

impl Removing {
    /// A removal of `count` members and as many others from a channel of this size.
    async fn from_a_large_channel(fixture: Fixture, size: usize, count: usize) -> Self {
        let deps = Deps {
            directory: fixture.directory().await,
            people: fixture.people().await,
        };
        let (channel, mut members, others) = fixture.large_channel("all", size, count).await;
        // The last that Slack lists.
        let members = members.split_off(size - count);
        let emails = |users: &[SlackUser]| users.iter().map(|user| user.email.clone()).collect();
        let pairs = members.iter().zip(&others);
        Self {
            fixture,
            deps,
            channel,
            users: pairs.flat_map(|(a, b)| [a.clone(), b.clone()]).collect(),
            members: emails(&members),
            others: emails(&others),
        }
    }

    async fn run(&self, execution: &str) -> Result<Outcome, StepError> {
        let input = Input {
            channel: self.channel.clone(),
            users: self.users.clone(),
        };
        handle(&self.deps, &invocation(execution), input).await
    }

    async fn run_with_waits(&self, execution: &str) -> Outcome {
        with_waits(TIME_FACTOR, async || self.run(execution).await).await
    }

    fn assert_expected(&self, outcome: &Outcome) {
        assert_eq!(outcome.removed, self.members);
        let others = self.others.iter().cloned();
        let skipped = others.map(|email| Skipped::new(email, SkipReason::NotAMember));
        assert_eq!(outcome.skipped, skipped.collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_large_channel_is_not_listed_to_remove_a_few() {
    let step = Removing::from_a_large_channel(Fixture::new().await, 5_000, 2).await;
    let outcome = step.run("first").await.unwrap();
    step.assert_expected(&outcome);
    for user in &step.users {
        assert!(!step.fixture.is_member("all", user).await);
    }
    assert_eq!(step.fixture.calls(MEMBERS).await, 4);
    assert_eq!(step.fixture.calls(KICK).await, 4);
    // The same execution gets the same outcome again, without another removal.
    step.assert_expected(&step.run("first").await.unwrap());
    assert_eq!(step.fixture.calls(KICK).await, 4);
    let other = step.run("second").await.unwrap();
    assert_eq!((other.removed.len(), other.skipped.len()), (0, 4));
}

#[rstest]
#[case::slack_rate_limits_it(How::RateLimited { retry_after: 1 }, ErrorName::SlackRateLimited)]
#[case::its_response_is_lost(How::Html500 { effect: Effect::Done }, ErrorName::SlackUnavailable)]
#[tokio::test]
async fn the_next_attempt_tells_removed_people_from_those_who_were_never_there(
    #[case] how: How,
    #[case] expected: ErrorName,
    #[values(0, 2)] failing: usize,
) {
    let step = Removing::from_a_large_channel(Fixture::new().await, 5_000, 2).await;
    let user = &step.users[failing].id.0;
    let fault = Fault::new(KICK, how).only_where("user", user).times(1);
    step.fixture.sandbox.add_fault(&fault).await.unwrap();
    let error = step.run("execution").await.unwrap_err();
    assert_eq!(error.name(), expected);
    let outcome = step.run("execution").await.unwrap();
    step.assert_expected(&outcome);
}

#[tokio::test]
async fn a_rate_limited_call_about_somebody_who_was_never_there_removes_nobody() {
    let step = Removing::from_a_large_channel(Fixture::new().await, 5_000, 2).await;
    let limited = How::RateLimited { retry_after: 1 };
    let never_there = &step.users[1].id.0;
    let fault = Fault::new(KICK, limited).only_where("user", never_there);
    step.fixture
        .sandbox
        .add_fault(&fault.times(1))
        .await
        .unwrap();
    step.run("execution").await.unwrap_err();
    step.assert_expected(&step.run("execution").await.unwrap());
}

#[tokio::test]
async fn a_large_channel_without_the_bot_is_not_a_channel_without_the_people() {
    let step = Removing::from_a_large_channel(Fixture::new().await, 5_000, 2).await;
    let sandbox = &step.fixture.sandbox;
    let bot = slack_sandbox::workspace::BOT_USER_ID;
    sandbox.remove_member("all", bot).await.unwrap();
    let error = step.run("execution").await.unwrap_err();
    assert_eq!(error.name(), ErrorName::ChannelNotFound);
}

#[tokio::test]
async fn the_new_owner_of_an_address_is_removed_from_a_large_channel() {
    let step = Removing::from_a_large_channel(Fixture::new().await, 2_500, 1).await;
    let [member, other] = [&step.users[0], &step.users[1]];
    step.fixture.pass_address(other, member).await;
    for _ in 0..2 {
        let mut invocation = invocation("execution");
        invocation.run.started_at = Some(epoch_millis(SystemTime::now()));
        invocation.run.resolved_at =
            Some(epoch_millis(SystemTime::now() - Duration::from_mins(20)));
        let input = Input {
            channel: step.channel.clone(),
            users: vec![other.clone()],
        };
        let outcome = handle(&step.deps, &invocation, input).await.unwrap();
        assert_eq!(outcome.removed, std::slice::from_ref(&other.email));
        assert!(!step.fixture.is_member("all", member).await);
    }
}

#[rstest]
#[case::straight_away(10)]
#[case::after_listing(30)]
#[tokio::test]
async fn a_removal_among_25_000_members_finishes_within_slacks_limits(#[case] count: usize) {
    let fixture = Fixture::limited(TIME_FACTOR).await;
    let step = Removing::from_a_large_channel(fixture, 25_000, count).await;
    let outcome = step.run_with_waits("execution").await;
    step.assert_expected(&outcome);
    assert!(step.fixture.calls(MEMBERS).await < 100);
}
