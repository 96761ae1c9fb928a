//! The step against a Slack sandbox and tables.
#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeSet,
    slice,
    time::{Duration, SystemTime},
};

use apgl_contract::{
    ChannelRef, Email, ErrorName, Invocation, SkipReason, Skipped, SlackUser, SlackUserId,
    StepError, epoch::epoch_millis,
};
use apgl_directory::Purpose;
use apgl_stores::{KnownUser, Members, Snapshot};
use fixture::{Fixture, invocation, redriven};
use remove_members::{Deps, Input, Outcome, handle};
use rstest::rstest;
use slack_sandbox::{
    faults::{Effect, Fault, How},
    seed::ChannelSeed,
    workspace::{BOT_USER_ID, User},
};

const KICK: &str = "conversations.kick";

/// The step in a workspace with the private channel `guide`, where these people are.
struct Removing {
    fixture: Fixture,
    deps: Deps,
    channel: ChannelRef,
    people: Vec<SlackUser>,
}

impl Removing {
    async fn of(names: &[&str]) -> Self {
        let fixture = Fixture::new().await;
        let deps = Deps {
            directory: fixture.directory().await,
            people: fixture.people().await,
        };
        let mut people = Vec::new();
        for name in names {
            people.push(fixture.person(name).await);
        }
        let members: Vec<&SlackUser> = people.iter().collect();
        let channel = fixture.private_channel("guide", &members).await;
        Self {
            fixture,
            deps,
            channel,
            people,
        }
    }

    async fn run(&self, execution: &str, users: &[SlackUser]) -> Result<Outcome, StepError> {
        let input = Input {
            channel: self.channel.clone(),
            users: users.to_vec(),
        };
        handle(&self.deps, &invocation(execution), input).await
    }

    /// The removals of this user fail like this.
    async fn fail_for(&self, user: &SlackUser, how: How, times: u64) {
        let fault = Fault::new(KICK, how).only_where("user", &user.id.0);
        let added = self.fixture.sandbox.add_fault(&fault.times(times)).await;
        added.unwrap();
    }

    async fn is_there(&self, user: &SlackUser) -> bool {
        self.fixture.is_member("guide", user).await
    }
}

fn emails(users: &[SlackUser]) -> Vec<Email> {
    users.iter().map(|user| user.email.clone()).collect()
}

fn skipped(user: &SlackUser, reason: SkipReason) -> Skipped {
    Skipped::new(user.email.clone(), reason)
}

#[tokio::test]
async fn members_are_removed_and_others_are_skipped() {
    let step = Removing::of(&["ana", "bob"]).await;
    let eve = step.fixture.person("eve").await;
    let users = [step.people[0].clone(), eve.clone()];
    let outcome = step.run("execution", &users).await.unwrap();
    let expected = Outcome {
        removed: vec![users[0].email.clone()],
        skipped: vec![skipped(&eve, SkipReason::NotAMember)],
    };
    assert_eq!(outcome, expected);
    assert!(!step.is_there(&users[0]).await);
    assert!(step.is_there(&step.people[1]).await);
    // The same execution gets the same outcome again, and another one finds nobody.
    assert_eq!(step.run("execution", &users).await.unwrap(), expected);
    let other = step.run("other", &users).await.unwrap();
    let not_there = users.map(|user| skipped(&user, SkipReason::NotAMember));
    assert_eq!(other.skipped, not_there);
    assert_eq!(step.fixture.calls(KICK).await, 1);
}

/// Thousands of removals take hours, since Slack removes one person per call.
#[rstest]
#[case::since_the_execution_began(3, 0)]
#[case::before_a_redrive(1, 1)]
#[tokio::test]
async fn ids_are_looked_up_again_only_if_they_are_older_than_the_execution(
    #[case] began_hours_ago: u64,
    #[case] look_ups: usize,
) {
    let step = Removing::of(&["ana"]).await;
    let hours_ago = |hours| {
        let time = SystemTime::now() - Duration::from_hours(hours);
        let since_epoch = time.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        u64::try_from(since_epoch.as_millis()).ok()
    };
    let mut invocation = invocation("execution");
    invocation.run.started_at = hours_ago(began_hours_ago);
    invocation.run.resolved_at = hours_ago(2);
    let input = Input {
        channel: step.channel.clone(),
        users: step.people.clone(),
    };
    let outcome = handle(&step.deps, &invocation, input).await.unwrap();
    assert_eq!(outcome.removed, emails(&step.people));
    assert_eq!(step.fixture.calls("users.lookupByEmail").await, look_ups);
}

#[tokio::test]
async fn removing_nobody_costs_no_call() {
    let step = Removing::of(&["ana"]).await;
    let outcome = step.run("execution", &[]).await.unwrap();
    assert_eq!(outcome, Outcome::default());
    assert_eq!(step.fixture.sandbox.calls().await.unwrap(), []);
}

#[rstest]
#[case::slack_rate_limits_it(How::RateLimited { retry_after: 1 }, ErrorName::SlackRateLimited)]
#[case::slack_fails_before_it(How::Html500 { effect: Effect::None }, ErrorName::SlackUnavailable)]
#[case::its_response_is_lost(How::Html500 { effect: Effect::Done }, ErrorName::SlackUnavailable)]
#[tokio::test]
async fn the_next_attempt_continues_with_the_remaining_members(
    #[case] how: How,
    #[case] expected: ErrorName,
) {
    let step = Removing::of(&["ana", "bob", "eve"]).await;
    step.fail_for(&step.people[1], how, 1).await;
    let error = step.run("execution", &step.people).await.unwrap_err();
    assert_eq!(error.name(), expected);
    assert!(!step.is_there(&step.people[0]).await);
    let outcome = step.run("execution", &step.people).await.unwrap();
    // Everybody was removed by this execution, whichever attempt it was.
    assert_eq!(outcome.removed, emails(&step.people));
}

#[tokio::test]
async fn an_invocation_without_time_leaves_the_removals_to_the_next() {
    let step = Removing::of(&["ana"]).await;
    let mut late = invocation("execution");
    late.deadline = SystemTime::now();
    let input = Input {
        channel: step.channel.clone(),
        users: step.people.clone(),
    };
    let error = handle(&step.deps, &late, input).await.unwrap_err();
    assert_eq!(error.name(), ErrorName::StepUnfinished);
    assert_eq!(step.fixture.calls(KICK).await, 0);
    let outcome = step.run("execution", &step.people).await.unwrap();
    assert_eq!(outcome.removed, emails(&step.people));
}

#[tokio::test]
async fn a_member_who_cannot_be_removed_does_not_stop_the_others() {
    let step = Removing::of(&["ana", "bob"]).await;
    let refused = How::refused("cant_kick_owner");
    step.fail_for(&step.people[0], refused, 1).await;
    let outcome = step.run("execution", &step.people).await.unwrap();
    let cannot = skipped(&step.people[0], SkipReason::CannotRemove);
    assert_eq!(outcome.removed, [step.people[1].email.clone()]);
    assert_eq!(outcome.skipped, [cannot]);
}

#[tokio::test]
async fn an_unknown_refusal_of_every_removal_is_not_about_the_people() {
    let step = Removing::of(&["ana", "bob"]).await;
    let eve = step.fixture.person("eve").await;
    let refused = How::refused("a_code_of_tomorrow");
    step.fixture.fail(KICK, refused, 2).await;
    let users = [step.people.clone(), vec![eve.clone()]].concat();
    let error = step.run("execution", &users).await.unwrap_err();
    assert_eq!(error.name(), ErrorName::SlackRejected);
    assert_eq!(step.fixture.calls(KICK).await, 2);
    // Once it is fixed, a redrive removes them.
    let outcome = step.run("execution", &users).await.unwrap();
    assert_eq!(outcome.removed, emails(&step.people));
    assert_eq!(outcome.skipped, [skipped(&eve, SkipReason::NotAMember)]);
}

#[tokio::test]
async fn a_refusal_is_about_the_person_if_an_earlier_attempt_has_removed_another() {
    let step = Removing::of(&["ana", "bob"]).await;
    let limited = How::RateLimited { retry_after: 1 };
    step.fail_for(&step.people[1], limited, 1).await;
    step.run("execution", &step.people).await.unwrap_err();
    let refused = How::refused("a_code_of_tomorrow");
    step.fail_for(&step.people[1], refused, 1).await;
    let outcome = step.run("execution", &step.people).await.unwrap();
    let cannot = skipped(&step.people[1], SkipReason::CannotRemove);
    assert_eq!(outcome.removed, [step.people[0].email.clone()]);
    assert_eq!(outcome.skipped, [cannot]);
}

#[tokio::test]
async fn different_refusals_are_about_the_people() {
    let step = Removing::of(&["ana", "bob"]).await;
    for (user, code) in step.people.iter().zip(["a_code_of_tomorrow", "another"]) {
        step.fail_for(user, How::refused(code), 1).await;
    }
    let outcome = step.run("execution", &step.people).await.unwrap();
    assert_eq!(outcome.skipped.len(), 2);
}

#[tokio::test]
async fn the_bot_itself_stays() {
    let step = Removing::of(&["ana"]).await;
    let itself = SlackUser {
        id: SlackUserId(BOT_USER_ID.to_owned()),
        ..step.people[0].clone()
    };
    let outcome = step
        .run("execution", slice::from_ref(&itself))
        .await
        .unwrap();
    assert_eq!(outcome.skipped, [skipped(&itself, SkipReason::Bot)]);
    assert!(step.is_there(&itself).await);
}

#[tokio::test]
async fn a_member_who_left_in_the_meantime_counts_as_removed() {
    let step = Removing::of(&["ana"]).await;
    // Slack returns this error if the user left after the step had read the members.
    let left = How::Error {
        error: "user_not_in_channel".to_owned(),
        effect: Effect::Done,
    };
    step.fail_for(&step.people[0], left, 1).await;
    let outcome = step.run("execution", &step.people).await.unwrap();
    assert_eq!(outcome.removed, emails(&step.people));
}

#[tokio::test]
async fn the_bot_joins_a_public_channel_to_remove_people() {
    let mut step = Removing::of(&["ana"]).await;
    step.channel = step
        .fixture
        .channel(ChannelSeed {
            name: "public".to_owned(),
            members: vec![step.people[0].id.0.clone()],
            bot_is_member: false,
            ..ChannelSeed::default()
        })
        .await;
    let outcome = step.run("execution", &step.people).await.unwrap();
    assert_eq!(outcome.removed, emails(&step.people));
    assert_eq!(step.fixture.calls("conversations.join").await, 1);
}

#[rstest]
#[case("channel_not_found", ErrorName::ChannelNotFound)]
#[case("is_archived", ErrorName::ChannelArchived)]
#[case("restricted_action", ErrorName::SlackRejected)]
#[case("invalid_auth", ErrorName::SlackUnauthorized)]
#[tokio::test]
async fn an_error_that_concerns_everybody_fails_the_step(
    #[case] code: &str,
    #[case] expected: ErrorName,
) {
    let step = Removing::of(&["ana"]).await;
    step.fixture.fail(KICK, How::refused(code), 2).await;
    let error = step.run("execution", &step.people).await.unwrap_err();
    assert_eq!(error.name(), expected);
    assert!(step.is_there(&step.people[0]).await);
}

#[tokio::test]
async fn a_user_unknown_to_slack_is_forgotten() {
    let step = Removing::of(&["ana"]).await;
    let people = &step.deps.people;
    let ana = &step.people[0];
    let asked = slice::from_ref(&ana.email);
    let resolving = invocation("execution");
    let known = people.resolve(asked.to_vec(), Purpose::Invite, &resolving);
    known.await.unwrap();
    let unknown = How::refused("user_not_found");
    step.fail_for(ana, unknown, 1).await;
    let outcome = step.run("execution", &step.people).await.unwrap();
    assert_eq!(outcome.skipped, [skipped(ana, SkipReason::NotInSlack)]);
    let look_ups = people.known.look_up(asked, "execution").await.unwrap();
    assert!(look_ups.known.is_empty());
}

#[tokio::test]
async fn the_table_lists_no_removed_person_as_a_member() {
    let step = Removing::of(&["ana"]).await;
    let channels = &step.deps.directory.channels;
    let ids: BTreeSet<_> = step.people.iter().map(|user| user.id.clone()).collect();
    let all = Members {
        ids: ids.clone(),
        is_complete: true,
    };
    let id = &step.channel.id;
    let asked_at = SystemTime::now();
    channels.remember_members(id, &all, asked_at).await.unwrap();
    step.run("execution", &step.people).await.unwrap();
    // Another execution has read the members before, and is slow to write them.
    channels.remember_members(id, &all, asked_at).await.unwrap();
    channels.add_members(id, &ids, asked_at).await.unwrap();
    let members = channels.members(Snapshot::BeforeInviting, id, "other");
    assert_eq!(members.await.unwrap().present, None);
}

#[tokio::test]
async fn nobody_is_removed_from_a_channel_that_has_another_name_now() {
    let step = Removing::of(&["ana"]).await;
    let sandbox = &step.fixture.sandbox;
    sandbox.rename_channel("guide", "guide-old").await.unwrap();
    let input = Input {
        channel: step.channel.clone(),
        users: step.people.clone(),
    };
    let error = handle(&step.deps, &redriven("execution"), input).await;
    assert_eq!(error.unwrap_err().name(), ErrorName::ChannelNotFound);
    assert_eq!(step.fixture.calls(KICK).await, 0);
}

#[tokio::test]
async fn the_former_owner_of_an_address_is_not_removed() {
    let step = Removing::of(&["ana", "eve"]).await;
    let [ana, eve] = [&step.people[0], &step.people[1]];
    step.fixture.pass_address(ana, eve).await;
    let input = Input {
        channel: step.channel.clone(),
        users: vec![ana.clone()],
    };
    // An old workflow does not say when it resolved the users.
    let mut old = redriven("execution");
    old.run.resolved_at = None;
    let outcome = handle(&step.deps, &old, input).await;
    assert_eq!(outcome.unwrap().removed, slice::from_ref(&ana.email));
    assert!(step.is_there(ana).await);
    assert!(!step.is_there(eve).await);
}

/// An invocation of an execution that began now, and uses ids from this many minutes ago.
fn with_ids_from(minutes_ago: u64) -> Invocation {
    let mut invocation = invocation("execution");
    let now = SystemTime::now();
    invocation.run.started_at = Some(epoch_millis(now - Duration::from_mins(1)));
    let resolved_at = now - Duration::from_mins(minutes_ago);
    invocation.run.resolved_at = Some(epoch_millis(resolved_at));
    invocation
}

#[tokio::test]
async fn the_new_owner_of_an_address_is_removed_if_the_former_one_is_not_there() {
    let step = Removing::of(&["eve"]).await;
    let ana = step.fixture.person("ana").await;
    let eve = &step.people[0];
    let seen_at = SystemTime::now() - Duration::from_mins(20);
    let known = KnownUser {
        id: ana.id.clone(),
        is_bot: false,
        tz: None,
        seen_at,
    };
    let users = &step.deps.people.known;
    users.remember(&[(ana.email.clone(), known)]).await.unwrap();
    step.fixture.pass_address(&ana, eve).await;
    for _ in 0..2 {
        let input = Input {
            channel: step.channel.clone(),
            users: vec![ana.clone()],
        };
        let outcome = handle(&step.deps, &with_ids_from(20), input).await;
        assert_eq!(outcome.unwrap().removed, slice::from_ref(&ana.email));
        assert!(!step.is_there(eve).await);
    }
    // The next attempt knows the new id.
    assert_eq!(step.fixture.calls("users.lookupByEmail").await, 1);
}

#[rstest]
#[case::older_than_the_execution(20, 1)]
#[case::of_the_execution(0, 0)]
#[tokio::test]
async fn somebody_who_is_not_there_is_looked_up_again_only_if_the_id_is_older_than_the_execution(
    #[case] minutes_ago: u64,
    #[case] look_ups: usize,
) {
    let step = Removing::of(&["ana"]).await;
    let eve = step.fixture.person("eve").await;
    let input = Input {
        channel: step.channel.clone(),
        users: vec![step.people[0].clone(), eve.clone()],
    };
    let outcome = handle(&step.deps, &with_ids_from(minutes_ago), input).await;
    let expected = Outcome {
        removed: emails(&step.people),
        skipped: vec![skipped(&eve, SkipReason::NotAMember)],
    };
    assert_eq!(outcome.unwrap(), expected);
    assert_eq!(step.fixture.calls("users.lookupByEmail").await, look_ups);
}

#[tokio::test]
async fn somebody_who_is_not_there_and_has_left_slack_is_reported_so() {
    let step = Removing::of(&["ana"]).await;
    let gone = User {
        deleted: true,
        ..User::default()
    };
    let eve = step.fixture.account("eve", gone).await;
    let input = Input {
        channel: step.channel.clone(),
        users: vec![eve.clone()],
    };
    let outcome = handle(&step.deps, &with_ids_from(20), input).await;
    let expected = [skipped(&eve, SkipReason::NotInSlack)];
    assert_eq!(outcome.unwrap().skipped, expected);
}
