//! Invitations to channels that are too large to list their members.
#![allow(clippy::unwrap_used)]

use apgl_contract::{ChannelRef, Email, ErrorName, SlackUser, StepError};
use fixture::{Fixture, invocation, with_waits};
use invite_members::{Deps, Input, Outcome, handle};
use rstest::rstest;
use slack_sandbox::faults::{Effect, Fault, How};

const INVITE: &str = "conversations.invite";
const MEMBERS: &str = "conversations.members";
/// More than fit on the pages that are read for fewer than 300 users.
const LARGE: usize = 2_500;
/// How long a second of Slack's limits lasts, in seconds.
const TIME_FACTOR: f64 = 0.005;

struct Inviting {
    fixture: Fixture,
    deps: Deps,
    channel: ChannelRef,
    /// The last members that Slack lists, and people who are not in the channel.
    users: Vec<SlackUser>,
    already: Vec<Email>,
    new: Vec<Email>,
}

impl Inviting {
    /// An invitation of 75 members and 75 others: two calls.
    async fn to_a_large_channel(fixture: Fixture, size: usize) -> Self {
        let deps = Deps {
            directory: fixture.directory().await,
            people: fixture.people().await,
        };
        let (channel, mut members, others) = fixture.large_channel("all", size, 75).await;
        let members = members.split_off(size - 75);
        let emails = |users: &[SlackUser]| users.iter().map(|user| user.email.clone()).collect();
        let (already, new) = (emails(&members), emails(&others));
        // Their ids alternate, so each call has members and others.
        Self {
            fixture,
            deps,
            channel,
            users: members.into_iter().chain(others).collect(),
            already,
            new,
        }
    }

    async fn run(&self, execution: &str, explicit: bool) -> Result<Outcome, StepError> {
        let input = Input {
            channel: self.channel.clone(),
            users: self.users.clone(),
            explicit,
        };
        handle(&self.deps, &invocation(execution), input).await
    }

    async fn run_with_waits(&self, execution: &str) -> Outcome {
        with_waits(TIME_FACTOR, async || self.run(execution, true).await).await
    }

    fn expected(&self) -> Outcome {
        Outcome {
            invited: self.new.clone(),
            already_members: self.already.clone(),
            ..Outcome::default()
        }
    }
}

#[rstest]
#[case::for_a_notification(false)]
#[case::explicit(true)]
#[tokio::test]
async fn a_large_channel_is_not_listed_to_invite_a_few(#[case] explicit: bool) {
    let step = Inviting::to_a_large_channel(Fixture::new().await, LARGE).await;
    let outcome = step.run("first", explicit).await.unwrap();
    assert_eq!(outcome, step.expected());
    assert_eq!(step.fixture.calls(MEMBERS).await, 2);
    assert_eq!(step.fixture.calls(INVITE).await, 2);
    // The same execution gets the same outcome again, and invites nobody again.
    assert_eq!(step.run("first", explicit).await.unwrap(), step.expected());
    assert_eq!(step.fixture.calls(INVITE).await, 2);
    // A notification relies on what Slack said a moment ago.
    let other = step.run("second", false).await.unwrap();
    assert_eq!(other.already_members.len(), 150);
    assert_eq!(step.fixture.calls(INVITE).await, 2);
}

#[rstest]
#[case::rate_limited(How::RateLimited { retry_after: 1 }, ErrorName::SlackRateLimited)]
#[case::unavailable(How::refused("service_unavailable"), ErrorName::SlackUnavailable)]
#[tokio::test]
async fn after_a_call_without_effect_the_next_attempt_tells_members_from_invited_people(
    #[case] how: How,
    #[case] expected: ErrorName,
    #[values(false, true)] explicit: bool,
) {
    let step = Inviting::to_a_large_channel(Fixture::new().await, LARGE).await;
    let last = step.users.iter().map(|user| &user.id.0).max().unwrap();
    let fault = Fault::new(INVITE, how).only_where("users", last).times(1);
    step.fixture.sandbox.add_fault(&fault).await.unwrap();
    let error = step.run("execution", explicit).await.unwrap_err();
    assert_eq!(error.name(), expected);
    let outcome = step.run("execution", explicit).await.unwrap();
    assert_eq!(outcome, step.expected());
    // Nobody of the first call is invited again.
    assert_eq!(step.fixture.calls(INVITE).await, 3);
}

/// Who else has left is unknown, but nobody who was there is invited again.
#[tokio::test]
async fn whoever_was_in_a_large_channel_is_not_invited_again_by_a_notification() {
    let step = Inviting::to_a_large_channel(Fixture::new().await, LARGE).await;
    step.run("first", false).await.unwrap();
    let left = step.users.last().unwrap();
    let sandbox = &step.fixture.sandbox;
    sandbox.remove_member("all", &left.id.0).await.unwrap();
    // An explicit request for others reads a part of the members again.
    let channel = step.channel.clone();
    let users = step.users[..1].to_vec();
    let explicit = Input {
        channel,
        users,
        explicit: true,
    };
    let read = handle(&step.deps, &invocation("add"), explicit).await;
    read.unwrap();
    let outcome = step.run("second", false).await.unwrap();
    assert_eq!(outcome.already_members.len(), 150);
    assert!(!step.fixture.is_member("all", left).await);
}

#[tokio::test]
async fn people_whose_invitation_was_not_answered_count_as_invited() {
    let step = Inviting::to_a_large_channel(Fixture::new().await, LARGE).await;
    let lost = How::Html500 {
        effect: Effect::Done,
    };
    step.fixture.fail(INVITE, lost, 1).await;
    let error = step.run("execution", false).await.unwrap_err();
    assert_eq!(error.name(), ErrorName::SlackUnavailable);
    let outcome = step.run("execution", false).await.unwrap();
    let invited = &outcome.invited;
    assert!(step.new.iter().all(|email| invited.contains(email)));
    assert_eq!(outcome.invited.len() + outcome.already_members.len(), 150);
}

#[tokio::test]
async fn an_invitation_to_25_000_members_finishes_within_slacks_limits() {
    let fixture = Fixture::limited(TIME_FACTOR).await;
    let step = Inviting::to_a_large_channel(fixture, 25_000).await;
    for execution in 0..30 {
        let execution = execution.to_string();
        let outcome = step.run_with_waits(&execution).await;
        if execution == "0" {
            assert_eq!(outcome, step.expected());
        } else {
            assert_eq!(outcome.already_members.len(), 150);
        }
    }
    assert!(step.fixture.calls(MEMBERS).await < 200);
}
