//! The step against a Slack sandbox and a table.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use apgl_contract::{Email, ErrorName, SkipReason, Skipped, SlackUser, StepError};
use fixture::{Fixture, invocation};
use resolve_users::{Deps, Input, Outcome, handle};
use slack_sandbox::{faults::How, workspace::User};

const LOOK_UP: &str = "users.lookupByEmail";

struct Resolving {
    fixture: Fixture,
    deps: Deps,
}

impl Resolving {
    async fn new() -> Self {
        let fixture = Fixture::new().await;
        let deps = Deps {
            people: fixture.people().await,
        };
        Self { fixture, deps }
    }

    async fn run(
        &self,
        execution: &str,
        emails: &[Email],
        leaving: &[Email],
    ) -> Result<Outcome, StepError> {
        let input = Input {
            emails: emails.to_vec(),
            leaving: leaving.to_vec(),
        };
        handle(&self.deps, &invocation(execution), input).await
    }
}

fn email(name: &str) -> Email {
    Email::try_from(format!("{name}@example.com")).unwrap()
}

fn emails(users: &[SlackUser]) -> Vec<Email> {
    users.iter().map(|user| user.email.clone()).collect()
}

#[tokio::test]
async fn addresses_are_resolved_or_skipped_in_the_order_of_the_request() {
    let step = Resolving::new().await;
    let (ana, bob) = (
        step.fixture.person("ana").await,
        step.fixture.person("bob").await,
    );
    let robot = User {
        is_bot: true,
        ..User::default()
    };
    let robot = step.fixture.account("robot", robot).await;
    let gone = User {
        deleted: true,
        ..User::default()
    };
    step.fixture.account("gone", gone).await;
    let asked = ["bob", "gone", "elsewhere", "robot", "ana"].map(email);
    let outcome = step.run("execution", &asked, &asked).await.unwrap();
    let skipped = |name, reason| Skipped::new(email(name), reason);
    assert_eq!(outcome.users, [bob.clone(), ana.clone()]);
    assert_eq!(outcome.leaving, [bob, robot, ana]);
    assert_eq!(
        outcome.skipped,
        [
            skipped("gone", SkipReason::NotInSlack),
            skipped("elsewhere", SkipReason::NotInSlack),
            skipped("robot", SkipReason::Bot),
            skipped("gone", SkipReason::NotInSlack),
            skipped("elsewhere", SkipReason::NotInSlack),
        ]
    );
}

#[tokio::test]
async fn a_user_in_the_table_costs_no_call() {
    let step = Resolving::new().await;
    let ana = step.fixture.person("ana").await;
    for execution in ["first", "second"] {
        let outcome = step.run(execution, &[email("ana")], &[]).await.unwrap();
        assert_eq!(outcome.users, std::slice::from_ref(&ana));
    }
    assert_eq!(step.fixture.calls(LOOK_UP).await, 1);
}

#[tokio::test]
async fn a_person_who_joins_slack_is_found_by_the_next_execution() {
    let step = Resolving::new().await;
    let asked = [email("ana")];
    step.run("first", &asked, &[]).await.unwrap();
    let ana = step.fixture.person("ana").await;
    // An execution does not ask twice.
    let again = step.run("first", &asked, &[]).await.unwrap();
    assert_eq!(again.users, []);
    let outcome = step.run("second", &asked, &[]).await.unwrap();
    assert_eq!(outcome.users, [ana]);
}

#[tokio::test]
async fn users_looked_up_before_a_rate_limit_are_kept() {
    let step = Resolving::new().await;
    let mut people = Vec::new();
    for n in 0..15 {
        people.push(step.fixture.person(&format!("person{n}")).await);
    }
    let limited = How::RateLimited { retry_after: 1 };
    step.fixture.fail(LOOK_UP, limited, 1).await;
    let asked = emails(&people);
    let error = step.run("execution", &asked, &[]).await.unwrap_err();
    assert_eq!(error.name(), ErrorName::SlackRateLimited);
    let outcome = step.run("execution", &asked, &[]).await.unwrap();
    assert_eq!(outcome.users, people);
    // Only the refused call is repeated.
    assert_eq!(step.fixture.calls(LOOK_UP).await, 16);
}

#[tokio::test]
async fn many_addresses_are_looked_up_in_the_list_of_users() {
    let step = Resolving::new().await;
    let mut people = Vec::new();
    for n in 0..60 {
        people.push(step.fixture.person(&format!("person{n}")).await);
    }
    let mut asked = emails(&people);
    asked.push(email("elsewhere"));
    let outcome = step.run("execution", &asked, &[]).await.unwrap();
    assert_eq!(outcome.users, people);
    assert_eq!(outcome.skipped.len(), 1);
    assert_eq!(step.fixture.calls(LOOK_UP).await, 0);
}

#[tokio::test]
async fn an_address_that_passed_to_another_active_account_reaches_the_new_one() {
    let mut step = Resolving::new().await;
    let ana = step.fixture.person("ana").await;
    let eve = step.fixture.person("eve").await;
    step.run("first", &[email("ana")], &[]).await.unwrap();
    step.fixture.pass_address(&ana, &eve).await;
    let outcome = step.run("second", &[email("ana")], &[]).await.unwrap();
    assert_eq!(outcome.users[0].id, ana.id);
    // A day later.
    step.deps.people.trust = Duration::ZERO;
    let outcome = step.run("third", &[email("ana")], &[]).await.unwrap();
    assert_eq!(outcome.users[0].id, eve.id);
}
