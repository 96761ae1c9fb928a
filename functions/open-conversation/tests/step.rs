//! The step against a Slack sandbox and a table.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, SystemTime};

use apgl_contract::{
    DirectMessage, ErrorName, Invocation, Run, SkipReason, Skipped, SlackUser, SlackUserId,
    StepError,
};
use fixture::{Fixture, invocation, redriven};
use open_conversation::{Deps, Input, Outcome, handle};
use rstest::rstest;
use slack_sandbox::{
    faults::{Effect, How},
    workspace::User,
};

const OPEN: &str = "conversations.open";
const LOOK_UP: &str = "users.lookupByEmail";

struct Opening {
    fixture: Fixture,
    deps: Deps,
}

impl Opening {
    async fn new() -> Self {
        let fixture = Fixture::new().await;
        let deps = Deps {
            people: fixture.people().await,
        };
        Self { fixture, deps }
    }

    async fn run(
        &self,
        invocation: &Invocation,
        users: &[SlackUser],
    ) -> Result<Outcome, StepError> {
        let input = Input {
            users: users.to_vec(),
        };
        handle(&self.deps, invocation, input).await
    }

    /// The step's outcome for this user.
    async fn open(&self, execution: &str, user: &SlackUser) -> Outcome {
        let users = std::slice::from_ref(user);
        self.run(&invocation(execution), users).await.unwrap()
    }

    /// The id of the direct message with this user in Slack.
    async fn in_slack(&self, user: &SlackUser) -> String {
        let direct_message = self.fixture.sandbox.direct_message(&user.id.0).await;
        direct_message.unwrap().unwrap().id
    }

    async fn calls(&self, method: &str) -> usize {
        self.fixture.calls(method).await
    }

    async fn fail(&self, method: &str, how: How) {
        self.fixture.fail(method, how, 1).await;
    }
}

fn conversation(id: String, user: SlackUser) -> Outcome {
    Outcome {
        conversation: Some(DirectMessage {
            id,
            email: user.email,
            user_id: user.id,
        }),
        skipped: Vec::new(),
    }
}

fn skipped(user: SlackUser, reason: SkipReason) -> Outcome {
    Outcome {
        conversation: None,
        skipped: vec![Skipped::new(user.email, reason)],
    }
}

/// The user under an id that Slack does not know.
fn formerly(user: &SlackUser) -> SlackUser {
    SlackUser {
        id: SlackUserId("U0FORMER".to_owned()),
        ..user.clone()
    }
}

#[tokio::test]
async fn a_direct_message_is_opened_once() {
    let step = Opening::new().await;
    let ana = step.fixture.person("ana").await;
    for execution in ["first", "second"] {
        let outcome = step.open(execution, &ana).await;
        assert_eq!(
            outcome,
            conversation(step.in_slack(&ana).await, ana.clone())
        );
    }
    assert_eq!(step.calls(OPEN).await, 1);
}

#[tokio::test]
async fn nobody_to_write_to_costs_no_call() {
    let step = Opening::new().await;
    let outcome = step.run(&invocation("execution"), &[]).await.unwrap();
    let nobody = Outcome {
        conversation: None,
        skipped: Vec::new(),
    };
    assert_eq!(outcome, nobody);
    assert_eq!(step.fixture.sandbox.calls().await.unwrap(), []);
}

#[tokio::test]
async fn the_first_person_who_can_be_written_to_is_chosen() {
    let step = Opening::new().await;
    let ana = step.fixture.person("ana").await;
    let bob = step.fixture.person("bob").await;
    let eve = step.fixture.person("eve").await;
    step.fail(OPEN, How::refused("user_not_visible")).await;
    let users = [ana.clone(), bob.clone(), eve];
    let outcome = step.run(&invocation("execution"), &users).await.unwrap();
    let expected = Outcome {
        skipped: vec![Skipped::new(ana.email, SkipReason::CannotMessage)],
        ..conversation(step.in_slack(&bob).await, bob)
    };
    assert_eq!(outcome, expected);
    assert_eq!(step.calls(OPEN).await, 2);
}

fn after_look_ups(used: u32) -> Invocation {
    let invocation = invocation("execution");
    Invocation {
        run: Run {
            channel_lookups: Some(used),
            ..invocation.run
        },
        ..invocation
    }
}

#[rstest]
#[case::at_first(after_look_ups(0), false)]
#[case::when_slack_did_not_know_the_id(after_look_ups(1), true)]
#[case::after_a_redrive(redriven("execution"), true)]
#[tokio::test]
async fn slack_is_asked_again_if_the_id_in_the_table_may_have_failed(
    #[case] invocation: Invocation,
    #[case] is_asked: bool,
) {
    let step = Opening::new().await;
    let ana = step.fixture.person("ana").await;
    let known = &step.deps.people.known;
    let outdated = known.remember_direct_message(&ana.id, "D0OUTDATED");
    outdated.await.unwrap();
    let users = std::slice::from_ref(&ana);
    let outcome = step.run(&invocation, users).await.unwrap();
    let expected = if is_asked {
        step.in_slack(&ana).await
    } else {
        "D0OUTDATED".to_owned()
    };
    assert_eq!(outcome, conversation(expected.clone(), ana.clone()));
    let in_table = known.direct_message(&ana.id).await.unwrap();
    assert_eq!(in_table, Some(expected));
}

#[tokio::test]
async fn an_id_that_slack_does_not_know_is_looked_up_again() {
    let step = Opening::new().await;
    let ana = step.fixture.person("ana").await;
    let outcome = step.open("execution", &formerly(&ana)).await;
    assert_eq!(outcome, conversation(step.in_slack(&ana).await, ana));
}

#[tokio::test]
async fn the_address_of_somebody_who_left_reaches_their_successor() {
    let step = Opening::new().await;
    let gone = User {
        deleted: true,
        ..User::default()
    };
    let gone = step.fixture.account("gone", gone).await;
    let ana = step.fixture.person("ana").await;
    let outdated = SlackUser {
        id: gone.id,
        ..ana.clone()
    };
    let outcome = step.open("execution", &outdated).await;
    assert_eq!(outcome, conversation(step.in_slack(&ana).await, ana));
    assert_eq!(step.calls(OPEN).await, 2);
}

#[tokio::test]
async fn a_person_who_has_left_slack_is_skipped() {
    let step = Opening::new().await;
    let gone = User {
        deleted: true,
        ..User::default()
    };
    let gone = step.fixture.account("gone", gone).await;
    let outcome = step.open("execution", &gone).await;
    assert_eq!(outcome, skipped(gone, SkipReason::NotInSlack));
    assert_eq!(step.calls(OPEN).await, 1);
}

#[tokio::test]
async fn a_person_whose_address_has_passed_to_a_bot_is_skipped() {
    let step = Opening::new().await;
    let robot = User {
        is_bot: true,
        ..User::default()
    };
    let robot = step.fixture.account("robot", robot).await;
    let outcome = step.open("execution", &formerly(&robot)).await;
    assert_eq!(outcome, skipped(robot, SkipReason::Bot));
}

#[tokio::test]
async fn a_person_whose_address_can_no_longer_be_looked_up_is_skipped() {
    let step = Opening::new().await;
    let ana = step.fixture.person("ana").await;
    step.fail(LOOK_UP, How::refused("invalid_arguments")).await;
    let outcome = step.open("execution", &formerly(&ana)).await;
    assert_eq!(outcome, skipped(ana, SkipReason::CannotLookUp));
}

#[rstest]
#[case("user_not_found", SkipReason::NotInSlack)]
#[case("user_disabled", SkipReason::NotInSlack)]
#[case("cannot_dm_bot", SkipReason::Bot)]
#[case("user_not_visible", SkipReason::CannotMessage)]
#[case("invalid_user_combination", SkipReason::CannotMessage)]
#[case("user_is_restricted", SkipReason::CannotMessage)]
#[case("org_user_not_in_team", SkipReason::CannotMessage)]
#[tokio::test]
async fn a_person_to_whom_slack_lets_nobody_write_is_skipped(
    #[case] code: &str,
    #[case] reason: SkipReason,
) {
    let step = Opening::new().await;
    let ana = step.fixture.person("ana").await;
    step.fail(OPEN, How::refused(code)).await;
    assert_eq!(step.open("execution", &ana).await, skipped(ana, reason));
    // If the address still has the id that Slack has refused, asking again makes no difference.
    assert_eq!(step.calls(OPEN).await, 1);
}

#[rstest]
#[case::scope(How::refused("missing_scope"), ErrorName::SlackUnauthorized)]
#[case::token(How::refused("is_bot"), ErrorName::SlackUnauthorized)]
#[case::workspace(How::refused("restricted_action"), ErrorName::SlackRejected)]
#[case::new_code(How::refused("a_code_of_tomorrow"), ErrorName::SlackRejected)]
#[case::call(How::refused("invalid_arg_name"), ErrorName::StepBug)]
#[case::rate_limit(How::RateLimited { retry_after: 1 }, ErrorName::SlackRateLimited)]
#[case::lost_answer(How::Html500 { effect: Effect::Done }, ErrorName::SlackUnavailable)]
#[tokio::test]
async fn what_is_not_about_the_person_fails_the_step_and_a_later_attempt_goes_on(
    #[case] how: How,
    #[case] expected: ErrorName,
) {
    let step = Opening::new().await;
    let ana = step.fixture.person("ana").await;
    step.fail(OPEN, how).await;
    let users = std::slice::from_ref(&ana);
    let failed = step.run(&invocation("execution"), users).await;
    assert_eq!(failed.unwrap_err().name(), expected);
    let outcome = step.open("execution", &ana).await;
    assert_eq!(outcome, conversation(step.in_slack(&ana).await, ana));
}

#[tokio::test]
async fn an_invocation_that_has_no_time_for_a_call_leaves_it_to_the_next() {
    let step = Opening::new().await;
    let ana = step.fixture.person("ana").await;
    let late = Invocation {
        deadline: SystemTime::now() + Duration::from_secs(5),
        ..invocation("execution")
    };
    let unfinished = step.run(&late, &[ana]).await;
    assert_eq!(unfinished.unwrap_err().name(), ErrorName::StepUnfinished);
    assert_eq!(step.calls(OPEN).await, 0);
}

#[tokio::test]
async fn a_person_who_was_resolved_long_ago_is_resolved_again() {
    let mut step = Opening::new().await;
    let ana = step.fixture.person("ana").await;
    let eve = step.fixture.person("eve").await;
    step.open("first", &ana).await;
    step.fixture.pass_address(&ana, &eve).await;
    // A day later.
    step.deps.people.trust = Duration::ZERO;
    let owner = SlackUser {
        email: ana.email.clone(),
        id: eve.id.clone(),
    };
    let outcome = step.open("second", &ana).await;
    assert_eq!(outcome, conversation(step.in_slack(&eve).await, owner));
    // The address belongs to nobody any more.
    let freed = step
        .fixture
        .sandbox
        .change_email(&eve.id.0, "eve@example.com");
    freed.await.unwrap();
    let outcome = step.open("third", &ana).await;
    assert_eq!(outcome, skipped(ana, SkipReason::NotInSlack));
}
