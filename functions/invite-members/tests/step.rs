//! The step against a Slack sandbox and tables.
#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeSet,
    slice,
    time::{Duration, SystemTime},
};

use apgl_contract::{
    ChannelRef, Email, ErrorName, SkipReason, Skipped, SlackUser, SlackUserId, StepError,
};
use apgl_directory::Directory;
use apgl_stores::{Channels, Table};
use aws_sdk_dynamodb::Client;
use aws_smithy_http_client::test_util::infallible_client_fn;
use aws_smithy_types::body::SdkBody;
use fixture::{Fixture, invocation, redriven};
use invite_members::{Deps, Input, Outcome, handle};
use rstest::rstest;
use serde_json::{Value, json};
use slack_sandbox::{
    faults::{Effect, Fault, How},
    seed::ChannelSeed,
    workspace::User,
};

const INVITE: &str = "conversations.invite";

struct Inviting {
    fixture: Fixture,
    deps: Deps,
}

impl Inviting {
    async fn new() -> Self {
        let fixture = Fixture::new().await;
        let deps = Deps {
            directory: fixture.directory().await,
            people: fixture.people().await,
        };
        Self { fixture, deps }
    }

    async fn run(
        &self,
        execution: &str,
        channel: &ChannelRef,
        users: &[SlackUser],
    ) -> Result<Outcome, StepError> {
        let input = Input {
            channel: channel.clone(),
            users: users.to_vec(),
            explicit: false,
        };
        handle(&self.deps, &invocation(execution), input).await
    }

    async fn people(&self, count: usize) -> Vec<SlackUser> {
        let mut people = Vec::new();
        for n in 0..count {
            people.push(self.fixture.person(&format!("person{n}")).await);
        }
        people
    }

    async fn calls(&self, method: &str) -> usize {
        self.fixture.calls(method).await
    }
}

fn emails(users: &[SlackUser]) -> Vec<Email> {
    users.iter().map(|user| user.email.clone()).collect()
}

fn broken(effect: Effect) -> How {
    How::Html500 { effect }
}

#[tokio::test]
async fn only_people_who_are_not_members_are_invited() {
    let step = Inviting::new().await;
    let people = step.people(3).await;
    let channel = step.fixture.private_channel("guide", &[&people[1]]).await;
    let expected = Outcome {
        invited: vec![people[0].email.clone(), people[2].email.clone()],
        already_members: vec![people[1].email.clone()],
        ..Outcome::default()
    };
    let outcome = step.run("first", &channel, &people).await.unwrap();
    assert_eq!(outcome, expected);
    // The same execution gets the same outcome again.
    let again = step.run("first", &channel, &people).await.unwrap();
    assert_eq!(again, expected);
    let other = step.run("second", &channel, &people).await.unwrap();
    assert_eq!(other.already_members, emails(&people));
    assert_eq!(step.calls("conversations.members").await, 1);
    assert_eq!(step.calls(INVITE).await, 1);
}

#[tokio::test]
async fn inviting_nobody_costs_no_call() {
    let step = Inviting::new().await;
    let channel = step.fixture.private_channel("guide", &[]).await;
    let outcome = step.run("execution", &channel, &[]).await.unwrap();
    assert_eq!(outcome, Outcome::default());
    assert_eq!(step.fixture.sandbox.calls().await.unwrap(), []);
}

#[tokio::test]
async fn the_members_of_a_channel_that_this_execution_created_are_not_requested() {
    let step = Inviting::new().await;
    let people = step.people(1).await;
    let channel = step.fixture.private_channel("guide", &[]).await;
    let created = ChannelRef {
        created: true,
        ..channel
    };
    let outcome = step.run("execution", &created, &people).await.unwrap();
    assert_eq!(outcome.invited, emails(&people));
    assert_eq!(step.calls("conversations.members").await, 0);
}

#[tokio::test]
async fn more_than_a_hundred_people_are_invited_in_batches() {
    let step = Inviting::new().await;
    let people = step.people(150).await;
    let channel = step.fixture.private_channel("guide", &[]).await;
    let outcome = step.run("execution", &channel, &people).await.unwrap();
    assert_eq!(outcome.invited, emails(&people));
    assert_eq!(step.calls(INVITE).await, 2);
}

#[rstest]
#[case::slack_rate_limits_it(How::RateLimited { retry_after: 1 }, ErrorName::SlackRateLimited)]
#[case::slack_fails_before_it(broken(Effect::None), ErrorName::SlackUnavailable)]
#[case::its_response_is_lost(broken(Effect::Done), ErrorName::SlackUnavailable)]
#[tokio::test]
async fn the_next_attempt_continues_where_the_second_batch_failed(
    #[case] how: How,
    #[case] expected: ErrorName,
) {
    let step = Inviting::new().await;
    let people = step.people(150).await;
    let channel = step.fixture.private_channel("guide", &[]).await;
    let last = &people.iter().map(|user| &user.id.0).max().unwrap();
    let fault = Fault::new(INVITE, how).only_where("users", last).times(1);
    step.fixture.sandbox.add_fault(&fault).await.unwrap();
    let error = step.run("execution", &channel, &people).await.unwrap_err();
    assert_eq!(error.name(), expected);
    assert_eq!(step.calls(INVITE).await, 2);
    let outcome = step.run("execution", &channel, &people).await.unwrap();
    // Everybody came by this execution, whichever attempt it was.
    assert_eq!(outcome.invited, emails(&people));
    assert_eq!(step.calls(INVITE).await, 3);
}

#[rstest]
#[case::a_guest(User { is_restricted: true, ..User::default() }, SkipReason::Restricted)]
#[case::a_bot(User { is_bot: true, ..User::default() }, SkipReason::Bot)]
#[case::a_deactivated_user(User { deleted: true, ..User::default() }, SkipReason::NotInSlack)]
#[tokio::test]
async fn a_person_who_cannot_be_invited_does_not_stop_the_others(
    #[case] user: User,
    #[case] reason: SkipReason,
) {
    let step = Inviting::new().await;
    let ana = step.fixture.person("ana").await;
    let other = step.fixture.account("other", user).await;
    let channel = step.fixture.private_channel("guide", &[]).await;
    let users = [other.clone(), ana.clone()];
    let outcome = step.run("execution", &channel, &users).await.unwrap();
    let skipped = Skipped::new(other.email, reason);
    assert_eq!(outcome.invited, slice::from_ref(&ana.email));
    assert_eq!(outcome.skipped, [skipped]);
    assert!(step.fixture.is_member("guide", &ana).await);
}

#[tokio::test]
async fn an_address_that_moved_to_another_account_is_invited_with_its_new_id() {
    let step = Inviting::new().await;
    let ana = step.fixture.person("ana").await;
    let channel = step.fixture.private_channel("guide", &[]).await;
    let outdated = SlackUser {
        id: SlackUserId("U0GONE".to_owned()),
        ..ana.clone()
    };
    let users = [outdated];
    let outcome = step.run("execution", &channel, &users).await.unwrap();
    assert_eq!(outcome.invited, slice::from_ref(&ana.email));
    assert_eq!(
        json!(outcome.new_ids),
        json!({ ana.email.as_str(): ana.id })
    );
    assert!(step.fixture.is_member("guide", &ana).await);
    let people = &step.deps.people;
    let asked = slice::from_ref(&ana.email);
    let look_ups = people.known.look_up(asked, "other").await.unwrap();
    assert_eq!(look_ups.known[&ana.email].id, ana.id);
    // The next attempt has the outdated id again, and the same outcome.
    let again = step.run("execution", &channel, &users).await.unwrap();
    assert_eq!(again, outcome);
}

#[tokio::test]
async fn an_address_that_moved_to_a_bot_is_skipped() {
    let step = Inviting::new().await;
    let bot = User {
        is_bot: true,
        ..User::default()
    };
    let robot = step.fixture.account("robot", bot).await;
    let channel = step.fixture.private_channel("guide", &[]).await;
    let outdated = SlackUser {
        id: SlackUserId("U0GONE".to_owned()),
        ..robot.clone()
    };
    let outcome = step.run("execution", &channel, &[outdated]).await.unwrap();
    let skipped = Skipped::new(robot.email, SkipReason::Bot);
    assert_eq!(outcome.skipped, [skipped]);
    assert_eq!(step.calls(INVITE).await, 1);
}

#[tokio::test]
async fn the_bot_joins_a_public_channel_to_invite_people() {
    let step = Inviting::new().await;
    let people = step.people(1).await;
    let channel = ChannelSeed {
        name: "guide".to_owned(),
        bot_is_member: false,
        ..ChannelSeed::default()
    };
    let channel = step.fixture.channel(channel).await;
    let outcome = step.run("execution", &channel, &people).await.unwrap();
    assert_eq!(outcome.invited, emails(&people));
    assert_eq!(step.calls("conversations.join").await, 1);
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
    let step = Inviting::new().await;
    let people = step.people(1).await;
    let channel = step.fixture.private_channel("guide", &[]).await;
    step.fixture.fail(INVITE, How::refused(code), 2).await;
    let error = step.run("execution", &channel, &people).await.unwrap_err();
    assert_eq!(error.name(), expected);
}

#[tokio::test]
async fn an_invocation_without_time_left_leaves_the_invitations_to_the_next() {
    let step = Inviting::new().await;
    let users = step.people(1).await;
    let channel = step.fixture.private_channel("guide", &[]).await;
    let mut late = invocation("execution");
    late.deadline = SystemTime::now();
    let input = Input {
        channel: channel.clone(),
        users: users.clone(),
        explicit: false,
    };
    let error = handle(&step.deps, &late, input).await.unwrap_err();
    assert_eq!(error.name(), ErrorName::StepUnfinished);
    assert_eq!(step.calls(INVITE).await, 0);
    let outcome = step.run("execution", &channel, &users).await.unwrap();
    assert_eq!(outcome.invited, emails(&users));
}

/// An empty DynamoDB that accepts every write, except for items whose key begins with `refused`.
fn dynamodb(refused: &'static str) -> Client {
    Client::new(&fake_aws::config(infallible_client_fn(
        move |request: http::Request<SdkBody>| {
            let body: Value = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
            let key = body["Item"]["name"]["S"].as_str().unwrap_or_default();
            let (status, answer) = if key.starts_with(refused) {
                (400, json!({ "__type": "AccessDeniedException" }))
            } else {
                (200, json!({}))
            };
            http::Response::builder()
                .status(status)
                .body(SdkBody::from(answer.to_string()))
                .unwrap()
        },
    )))
}

#[rstest]
#[case::the_snapshot("#first-look/")]
#[case::the_members("#members/")]
#[tokio::test]
async fn nobody_is_invited_until_the_current_members_are_stored(#[case] refused: &'static str) {
    let mut step = Inviting::new().await;
    let users = step.people(1).await;
    let channel = step.fixture.private_channel("guide", &[]).await;
    let created = ChannelRef {
        created: true,
        ..channel
    };
    step.deps.directory = Directory::new(
        Channels::new(Table::new(dynamodb(refused), "channels".to_owned())),
        step.fixture.slack.clone(),
        Duration::from_mins(15),
    );
    let error = step.run("execution", &created, &users).await.unwrap_err();
    assert_eq!(error.name(), ErrorName::StoreRejected);
    assert_eq!(step.calls(INVITE).await, 0);
}

/// What `change-channel-members` asks for.
async fn add(step: &Inviting, channel: &ChannelRef, users: &[SlackUser]) -> Outcome {
    let input = Input {
        channel: channel.clone(),
        users: users.to_vec(),
        explicit: true,
    };
    let outcome = handle(&step.deps, &invocation("explicit"), input).await;
    outcome.unwrap()
}

#[tokio::test]
async fn somebody_who_has_left_is_invited_again_by_an_explicit_request_only() {
    let step = Inviting::new().await;
    let users = step.people(1).await;
    let channel = step.fixture.private_channel("guide", &[]).await;
    step.run("first", &channel, &users).await.unwrap();
    let sandbox = &step.fixture.sandbox;
    let left = sandbox.remove_member("guide", &users[0].id.0).await;
    left.unwrap();
    let notified = step.run("second", &channel, &users).await.unwrap();
    assert_eq!(notified.already_members, [users[0].email.clone()]);
    assert!(!step.fixture.is_member("guide", &users[0]).await);
    let added = add(&step, &channel, &users).await;
    assert_eq!(added.invited, [users[0].email.clone()]);
    assert!(step.fixture.is_member("guide", &users[0]).await);
}

#[tokio::test]
async fn nobody_is_invited_to_a_channel_that_has_another_name_now() {
    let step = Inviting::new().await;
    let users = step.people(1).await;
    let channel = step.fixture.private_channel("guide", &[]).await;
    let sandbox = &step.fixture.sandbox;
    sandbox.rename_channel("guide", "guide-old").await.unwrap();
    let input = Input {
        channel,
        users: users.clone(),
        explicit: false,
    };
    let error = handle(&step.deps, &redriven("execution"), input).await;
    assert_eq!(error.unwrap_err().name(), ErrorName::ChannelNotFound);
    assert_eq!(step.calls(INVITE).await, 0);
}

#[rstest]
#[case::for_a_notification(false)]
#[case::explicit(true)]
#[tokio::test]
async fn an_explicit_request_for_members_of_a_channel_that_has_another_name_now_fails(
    #[case] explicit: bool,
) {
    let step = Inviting::new().await;
    let users = step.people(1).await;
    let members: Vec<_> = users.iter().collect();
    let channel = step.fixture.private_channel("guide", &members).await;
    let sandbox = &step.fixture.sandbox;
    sandbox.rename_channel("guide", "guide-old").await.unwrap();
    let input = Input {
        channel,
        users: users.clone(),
        explicit,
    };
    let outcome = handle(&step.deps, &redriven("execution"), input).await;
    if explicit {
        assert_eq!(outcome.unwrap_err().name(), ErrorName::ChannelNotFound);
    } else {
        assert_eq!(outcome.unwrap().already_members, emails(&users));
    }
}

#[tokio::test]
async fn after_a_redrive_those_who_are_to_be_invited_are_looked_up_again_once() {
    let step = Inviting::new().await;
    let users = step.people(1).await;
    let channel = step.fixture.private_channel("guide", &[]).await;
    let run = async |lookups, users: &[SlackUser]| {
        let input = Input {
            channel: channel.clone(),
            users: users.to_vec(),
            explicit: false,
        };
        let mut redriven = redriven("execution");
        redriven.run.channel_lookups = Some(lookups);
        handle(&step.deps, &redriven, input).await
    };
    let error = run(0, &users).await.unwrap_err();
    assert_eq!(error.name(), ErrorName::ChannelNotFound);
    assert_eq!(step.calls(INVITE).await, 0);
    assert_eq!(run(2, &users).await.unwrap().invited, emails(&users));
    // With nobody to invite there is nobody to look up.
    assert_eq!(run(0, &[]).await.unwrap(), Outcome::default());
}

#[tokio::test]
async fn an_address_that_passed_to_another_active_account_is_looked_up_again_after_a_redrive() {
    let step = Inviting::new().await;
    let ana = step.fixture.person("ana").await;
    let eve = step.fixture.person("eve").await;
    let channel = step.fixture.private_channel("guide", &[]).await;
    step.fixture.pass_address(&ana, &eve).await;
    let input = Input {
        channel,
        users: vec![ana.clone()],
        explicit: false,
    };
    let mut later = redriven("execution");
    later.run.resolved_at = Some(0);
    let outcome = handle(&step.deps, &later, input).await.unwrap();
    assert_eq!(outcome.invited, slice::from_ref(&ana.email));
    // The message mentions the new owner.
    assert_eq!(
        json!(outcome.new_ids),
        json!({ ana.email.as_str(): eve.id })
    );
    assert!(step.fixture.is_member("guide", &eve).await);
    assert!(!step.fixture.is_member("guide", &ana).await);
}

#[rstest]
#[case::invited_by_us(false)]
#[case::seen_there(true)]
#[tokio::test]
async fn whoever_was_in_the_channel_and_is_gone_is_invited_again_only_by_an_explicit_request(
    #[case] was_there_before: bool,
) {
    let step = Inviting::new().await;
    let people = step.people(3).await;
    let [ana, bob, cem] = &people[..] else {
        panic!("three people");
    };
    let before = if was_there_before {
        vec![ana, bob]
    } else {
        vec![bob]
    };
    let channel = step.fixture.private_channel("guide", &before).await;
    let seen = if was_there_before {
        // Ana is in no request, but Slack lists her.
        slice::from_ref(bob)
    } else {
        &people[..2]
    };
    step.run("first", &channel, seen).await.unwrap();
    let sandbox = &step.fixture.sandbox;
    sandbox.remove_member("guide", &ana.id.0).await.unwrap();
    // Slack lists the members again.
    add(&step, &channel, slice::from_ref(bob)).await;
    for execution in ["second", "third"] {
        let outcome = step.run(execution, &channel, &people).await.unwrap();
        let left = Skipped::new(ana.email.clone(), SkipReason::LeftChannel);
        assert_eq!(outcome.skipped, [left]);
        let (invited, already) = match execution {
            "second" => (vec![cem], vec![bob]),
            _ => (vec![], vec![bob, cem]),
        };
        let emails = |users: Vec<&SlackUser>| -> Vec<Email> {
            users.into_iter().map(|user| user.email.clone()).collect()
        };
        assert_eq!(outcome.invited, emails(invited));
        assert_eq!(outcome.already_members, emails(already));
    }
    assert!(!step.fixture.is_member("guide", ana).await);

    let added = add(&step, &channel, slice::from_ref(ana)).await;
    assert_eq!(added.invited, slice::from_ref(&ana.email));
    let outcome = step.run("fourth", &channel, &people).await.unwrap();
    assert_eq!(outcome.already_members, emails(&people));
}

#[tokio::test]
async fn whoever_comes_back_by_themselves_is_a_member_again() {
    let step = Inviting::new().await;
    let people = step.people(2).await;
    let channel = step.fixture.private_channel("guide", &[]).await;
    step.run("first", &channel, &people).await.unwrap();
    let (sandbox, ana) = (&step.fixture.sandbox, &people[0]);
    sandbox.remove_member("guide", &ana.id.0).await.unwrap();
    add(&step, &channel, &people[1..]).await;
    let gone = step.run("second", &channel, &people).await.unwrap();
    assert_eq!(gone.skipped.len(), 1);
    sandbox.add_member("guide", &ana.id.0).await.unwrap();
    add(&step, &channel, &people[1..]).await;
    let back = step.run("third", &channel, &people).await.unwrap();
    assert_eq!(back.already_members, emails(&people));
}

#[tokio::test]
async fn whom_a_request_has_removed_is_invited_by_the_next_notification() {
    let step = Inviting::new().await;
    let people = step.people(2).await;
    let channel = step.fixture.private_channel("guide", &[]).await;
    step.run("first", &channel, &people).await.unwrap();
    let (sandbox, ana) = (&step.fixture.sandbox, &people[0]);
    // As remove-members does.
    let removed = BTreeSet::from([ana.id.clone()]);
    let channels = &step.deps.directory.channels;
    let forgotten = channels.forget_members(&channel.id, &removed, SystemTime::now());
    forgotten.await.unwrap();
    sandbox.remove_member("guide", &ana.id.0).await.unwrap();
    let outcome = step.run("second", &channel, &people).await.unwrap();
    assert_eq!(outcome.invited, slice::from_ref(&ana.email));
}

#[tokio::test]
async fn somebody_who_was_invited_while_another_was_removed_is_not_gone() {
    let step = Inviting::new().await;
    let people = step.people(3).await;
    let channel = step.fixture.private_channel("guide", &[]).await;
    step.run("first", &channel, &people[..2]).await.unwrap();
    // Another execution is removing somebody: what is read from Slack meanwhile is not remembered.
    let removed = BTreeSet::from([people[0].id.clone()]);
    let until = SystemTime::now() + Duration::from_secs(2);
    let channels = &step.deps.directory.channels;
    let begun = channels.forget_members(&channel.id, &removed, until);
    begun.await.unwrap();
    let invited = step.run("second", &channel, &people[2..]).await.unwrap();
    assert_eq!(invited.invited.len(), 1);
    tokio::time::sleep(Duration::from_secs(3)).await;
    let outcome = step.run("third", &channel, &people[2..]).await.unwrap();
    assert_eq!(outcome.skipped, []);
    assert_eq!(outcome.invited.len() + outcome.already_members.len(), 1);
}

#[tokio::test]
async fn before_somebody_counts_as_gone_slack_is_asked_if_the_list_is_not_recent() {
    let step = Inviting::new().await;
    let people = step.people(2).await;
    let channel = step.fixture.private_channel("guide", &[]).await;
    step.run("first", &channel, &people).await.unwrap();
    let (sandbox, ana) = (&step.fixture.sandbox, &people[0]);
    sandbox.remove_member("guide", &ana.id.0).await.unwrap();
    add(&step, &channel, &people[1..]).await;
    let listed = step.calls("conversations.members").await;
    for execution in ["second", "third"] {
        let gone = step.run(execution, &channel, &people).await.unwrap();
        assert_eq!(gone.skipped.len(), 1);
    }
    assert_eq!(step.calls("conversations.members").await, listed);
}
