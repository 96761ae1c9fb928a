//! The sweep against a table, and a Step Functions whose executions stay running or succeed at once.
#![allow(clippy::unwrap_used)]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::SystemTime,
};

use apgl_client::{Client, Operation, StateMachineArn, StateMachines};
use apgl_contract::{
    DueDate, Item, MessageTs, SlackUser, decode,
    reminders::{Part, RemindedOf},
};
use apgl_stores::{
    Bundle, BundleContent, BundleEntry, BundleLedger, Escalating, KnownUser, Planner, SlackUsers,
};
use aws_smithy_http_client::test_util::infallible_client_fn;
use aws_smithy_types::body::SdkBody;
use fixture::{Fixture, it_is, item, plans_escalation, waiting_row, waits};
use serde_json::{Value, json};
use sweep_reminders::{Deps, handle};

const MACHINE: &str = "arn:aws:states:us-east-1:1:stateMachine:apgl-remind";

/// Executions that are started in a Step Functions of our own: name → input.
type Started = Arc<Mutex<BTreeMap<String, Value>>>;

fn refused(code: &str) -> http::Response<SdkBody> {
    let body = json!({ "__type": code }).to_string();
    let response = http::Response::builder().status(400);
    response.body(SdkBody::from(body)).unwrap()
}

/// Starts an execution of a name once. It has this status from then on. Nothing is started for who is refused.
fn step_functions(started: Started, status: &'static str) -> aws_sdk_sfn::Client {
    let http = infallible_client_fn(move |request: http::Request<SdkBody>| {
        let action = request.headers()["x-amz-target"]
            .to_str()
            .unwrap()
            .to_owned();
        let body: Value = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
        let mut started = started.lock().unwrap();
        let answer = if action.ends_with("StartExecution") {
            let name = body["name"].as_str().unwrap();
            let input = body["input"].as_str().unwrap().parse().unwrap();
            let arn = format!("{}:{name}", MACHINE.replace("stateMachine", "execution"));
            if body["input"].as_str().unwrap().contains("REFUSED") {
                return refused("AccessDeniedException");
            }
            let is_new = started.insert(name.to_owned(), input).is_none();
            if is_new || status == "RUNNING" {
                Ok(json!({ "executionArn": arn, "startDate": 1 }))
            } else {
                Err("ExecutionAlreadyExists")
            }
        } else {
            let arn = body["executionArn"].as_str().unwrap();
            let name = arn.rsplit(':').next().unwrap();
            if !started.contains_key(name) {
                return refused("ExecutionDoesNotExist");
            }
            Ok(json!({
                "executionArn": arn, "stateMachineArn": MACHINE, "status": status, "startDate": 1,
                "input": started[name].to_string(), "output": r#"{"reminded":[],"skipped":[]}"#,
            }))
        };
        match answer {
            Ok(body) => http::Response::new(SdkBody::from(body.to_string())),
            Err(code) => refused(code),
        }
    });
    aws_sdk_sfn::Client::new(&fake_aws::config(http))
}

struct Sweeping {
    fixture: Fixture,
    deps: Deps,
    started: Started,
}

impl Sweeping {
    /// It is Tuesday, 1 December 2026, 08:00 UTC. What is started stays running.
    async fn new() -> Self {
        Self::with("RUNNING").await
    }

    async fn with(status: &'static str) -> Self {
        let fixture = Fixture::new().await;
        let started = Started::default();
        let arn = StateMachineArn::new(MACHINE).unwrap();
        let machines = StateMachines::default()
            .with(Operation::Remind, arn.clone())
            .with(Operation::Escalate, arn);
        let sfn = step_functions(started.clone(), status);
        let deps = Deps {
            planner: fixture.planner("2026-12-01T08:00:00Z").await,
            slack_users: SlackUsers::new(fixture.table("email").await),
            client: Client::new(sfn, machines, "sweep").unwrap(),
        };
        Self {
            fixture,
            deps,
            started,
        }
    }

    fn planner(&self) -> &Planner {
        &self.deps.planner
    }

    /// An item waits for this person since now.
    async fn waits(&self, id: &str, due_date: &str, person: &SlackUser) -> Item {
        let item = item(id, 1, Some(due_date), &[person]);
        waits(self.planner(), &item, &[person]).await;
        item
    }

    async fn sweep_at(&self, now: &str) {
        it_is(self.planner(), now).await;
        handle(&self.deps).await.unwrap();
    }

    /// An earlier execution has found the person in Slack.
    async fn is_known(&self, person: &SlackUser, is_bot: bool) {
        let known = KnownUser {
            id: person.id.clone(),
            is_bot,
            tz: Some("Europe/Berlin".to_owned()),
            seen_at: SystemTime::now(),
        };
        let users = [(person.email.clone(), known)];
        self.deps.slack_users.remember(&users).await.unwrap();
    }

    /// The person was sent the first message of the day.
    async fn has_told(&self, person: &SlackUser, of: &Item, day: &str) {
        let day = DueDate::try_from(day.to_owned()).unwrap();
        let content = BundleContent {
            text: "x".to_owned(),
            blocks: Vec::new(),
        };
        let entry = BundleEntry {
            email: person.email.clone(),
            of: RemindedOf::new(of.id.clone(), of.version, "due-3d".parse().unwrap()),
        };
        let now = self.planner().now().await.unwrap();
        let bundle = Bundle::next(None, (day, Part::First), vec![entry], content, now);
        let sent = bundle.as_sent(&MessageTs::try_from("1.0".to_owned()).unwrap());
        let items = &self.planner().items;
        let stored = items.replace_bundle(&person.id, None, &sent).await;
        assert!(stored.unwrap());
    }

    async fn next_look_at(&self, item: &Item, person: &SlackUser) -> Option<String> {
        let row = waiting_row(self.planner(), item, person).await;
        row.next_look_at.map(|at| at.to_string())
    }

    /// The inputs of the executions.
    fn started(&self) -> BTreeSet<String> {
        let text = |input: &Value| {
            let field = |name: &str| input[name].as_str().unwrap().to_owned();
            match input.get("itemId") {
                None => ["userId", "day", "part"].map(field).join(" "),
                Some(_) => ["itemId", "dueDate"].map(field).join(" "),
            }
        };
        self.started.lock().unwrap().values().map(text).collect()
    }
}

fn expect(started: &[&str]) -> BTreeSet<String> {
    started.iter().map(|&one| one.to_owned()).collect()
}

#[tokio::test]
async fn one_execution_is_started_for_each_person_however_often_the_hour_is_swept() {
    let sweeping = Sweeping::new().await;
    let ana = sweeping.fixture.person("ana").await;
    let bob = sweeping.fixture.person("bob").await;
    sweeping.waits("a", "2026-12-04", &ana).await;
    sweeping.waits("b", "2026-12-04", &ana).await;
    sweeping.waits("c", "2026-12-04", &bob).await;
    sweeping.waits("later", "2026-12-20", &bob).await;
    sweeping.sweep_at("2026-12-01T15:50:00Z").await;
    assert_eq!(sweeping.started(), expect(&[]));
    it_is(sweeping.planner(), "2026-12-01T16:50:00Z").await;
    let (one, other) = tokio::join!(handle(&sweeping.deps), handle(&sweeping.deps));
    one.and(other).unwrap();
    let expected = ["U0ANA 2026-12-01 first", "U0BOB 2026-12-01 first"];
    assert_eq!(sweeping.started(), expect(&expected));
    for again in ["2026-12-01T16:55:00Z", "2026-12-01T17:50:00Z"] {
        sweeping.sweep_at(again).await;
        assert_eq!(sweeping.started(), expect(&expected));
    }
}

#[tokio::test]
async fn a_sweep_also_does_what_earlier_ones_have_missed() {
    let sweeping = Sweeping::new().await;
    let ana = sweeping.fixture.person("ana").await;
    let guide = sweeping.waits("guide", "2026-12-04", &ana).await;
    sweeping.sweep_at("2026-12-01T08:50:00Z").await;
    // Nothing runs until the next day.
    sweeping.sweep_at("2026-12-02T06:50:00Z").await;
    assert_eq!(sweeping.started(), expect(&[]));
    let opening = "2026-12-02T09:00:00Z";
    assert_eq!(
        sweeping.next_look_at(&guide, &ana).await.as_deref(),
        Some(opening)
    );
    sweeping.sweep_at("2026-12-02T08:50:00Z").await;
    assert_eq!(sweeping.started(), expect(&["U0ANA 2026-12-02 first"]));
}

#[tokio::test]
async fn what_is_due_between_a_sweep_and_its_hour_is_found_by_the_next_one() {
    let sweeping = Sweeping::new().await;
    let ana = sweeping.fixture.person("ana").await;
    sweeping.sweep_at("2026-12-01T09:50:00Z").await;
    it_is(sweeping.planner(), "2026-12-01T09:55:00Z").await;
    let guide = sweeping.waits("guide", "2026-12-04", &ana).await;
    let mut row = waiting_row(sweeping.planner(), &guide, &ana).await;
    row.since = "2026-11-30T09:00:00Z".parse().unwrap();
    row.due_date = Some("2026-11-27".to_owned().try_into().unwrap());
    let overdue = Item {
        due_date: row.due_date,
        ..item("guide", 2, None, &[&ana])
    };
    let items = &sweeping.planner().items;
    let recorded = items.record(&overdue, "e", SystemTime::now()).await;
    assert!(!recorded.unwrap().superseded);
    row.next_look_at = Some("2026-12-01T09:55:00Z".parse().unwrap());
    assert!(items.keep(&guide.id, &row, Some(1)).await.unwrap());
    sweeping.sweep_at("2026-12-01T10:50:00Z").await;
    assert_eq!(sweeping.started(), expect(&["U0ANA 2026-12-01 first"]));
}

#[tokio::test]
async fn nobody_is_reminded_of_an_item_that_has_moved() {
    let sweeping = Sweeping::new().await;
    let ana = sweeping.fixture.person("ana").await;
    let guide = sweeping.waits("guide", "2026-12-04", &ana).await;
    let moved = item("guide", 2, None, &[]);
    waits(sweeping.planner(), &moved, &[]).await;
    sweeping.sweep_at("2026-12-01T16:50:00Z").await;
    assert_eq!(sweeping.started(), expect(&[]));
    assert_eq!(sweeping.next_look_at(&guide, &ana).await, None);
}

#[tokio::test]
async fn after_the_days_first_message_only_what_is_due_now_has_another() {
    let sweeping = Sweeping::new().await;
    let ana = sweeping.fixture.person("ana").await;
    let soon = sweeping.waits("soon", "2026-12-04", &ana).await;
    sweeping.has_told(&ana, &soon, "2026-12-01").await;
    sweeping.sweep_at("2026-12-01T16:50:00Z").await;
    assert_eq!(sweeping.started(), expect(&[]));
    let next = sweeping.next_look_at(&soon, &ana).await;
    assert_eq!(next.as_deref(), Some("2026-12-02T09:00:00Z"));
    sweeping.waits("today", "2026-12-01", &ana).await;
    sweeping.sweep_at("2026-12-01T17:00:00Z").await;
    assert_eq!(sweeping.started(), expect(&[]), "it was swept already");
}

#[tokio::test]
async fn an_execution_that_has_ended_without_a_message_is_followed_by_one_an_hour() {
    let sweeping = Sweeping::with("FAILED").await;
    let ana = sweeping.fixture.person("ana").await;
    sweeping.waits("guide", "2026-12-04", &ana).await;
    let executions = || sweeping.started.lock().unwrap().len();
    sweeping.sweep_at("2026-12-01T16:50:00Z").await;
    assert_eq!(executions(), 2);
    sweeping.sweep_at("2026-12-01T17:50:00Z").await;
    assert_eq!(executions(), 2, "work is over");
    for (hour, expected) in [(8, 4), (9, 5), (10, 6)] {
        sweeping
            .sweep_at(&format!("2026-12-02T{hour:02}:50:00Z"))
            .await;
        assert_eq!(executions(), expected);
    }
    let expected = ["U0ANA 2026-12-01 first", "U0ANA 2026-12-02 first"];
    assert_eq!(sweeping.started(), expect(&expected));
}

#[tokio::test]
async fn what_can_not_wait_does_not_depend_on_an_execution_that_may_have_read_before() {
    let sweeping = Sweeping::new().await;
    let ana = sweeping.fixture.person("ana").await;
    sweeping.waits("soon", "2026-12-04", &ana).await;
    sweeping.waits("today", "2026-12-02", &ana).await;
    sweeping.sweep_at("2026-12-01T16:50:00Z").await;
    let first = "U0ANA 2026-12-01 first";
    assert_eq!(sweeping.started(), expect(&[first]));
    sweeping.sweep_at("2026-12-02T08:50:00Z").await;
    let next = "U0ANA 2026-12-02 first";
    assert_eq!(sweeping.started(), expect(&[first, next]));
    sweeping.sweep_at("2026-12-02T16:50:00Z").await;
    let second = "U0ANA 2026-12-02 second";
    assert_eq!(sweeping.started(), expect(&[first, next, second]));
}

#[tokio::test]
async fn one_person_for_whom_nothing_can_be_started_holds_up_nobody_else() {
    let sweeping = Sweeping::new().await;
    let refused = sweeping.fixture.person("aarefused").await;
    let bob = sweeping.fixture.person("bob").await;
    for person in [&refused, &bob] {
        let id = format!("of-{}", person.id.0);
        sweeping.waits(&id, "2026-12-04", person).await;
    }
    it_is(sweeping.planner(), "2026-12-01T16:50:00Z").await;
    handle(&sweeping.deps).await.unwrap_err();
    assert_eq!(sweeping.started(), expect(&["U0BOB 2026-12-01 first"]));
}

#[tokio::test]
async fn changed_settings_apply_to_items_that_are_there() {
    let mut sweeping = Sweeping::new().await;
    let ana = sweeping.fixture.person("ana").await;
    let off = |off: bool| decode(json!({ "default": { "off": off } })).unwrap();
    sweeping.deps.planner.reminders = off(true);
    sweeping.sweep_at("2026-12-01T08:50:00Z").await;
    let guide = sweeping.waits("guide", "2026-12-04", &ana).await;
    assert_eq!(sweeping.next_look_at(&guide, &ana).await, None);
    sweeping.deps.planner.reminders = off(false);
    sweeping.sweep_at("2026-12-01T09:50:00Z").await;
    let next = sweeping.next_look_at(&guide, &ana).await;
    assert_eq!(next.as_deref(), Some("2026-12-01T17:00:00Z"));
}

#[tokio::test]
async fn people_are_reminded_of_items_that_a_version_without_reminders_has_recorded() {
    let sweeping = Sweeping::new().await;
    let ana = sweeping.fixture.person("ana").await;
    let unknown = sweeping.fixture.person("unknown").await;
    let bot = sweeping.fixture.person("bot").await;
    sweeping.is_known(&ana, false).await;
    sweeping.is_known(&bot, true).await;
    let guide = item("guide", 1, Some("2026-12-04"), &[&ana, &unknown, &bot]);
    waits(sweeping.planner(), &guide, &[]).await;
    sweeping.sweep_at("2026-12-01T08:50:00Z").await;
    let rows = sweeping.planner().items.waiting(&guide.id).await.unwrap();
    assert_eq!(rows.len(), 1);
    let next = sweeping.next_look_at(&guide, &ana).await;
    assert_eq!(next.as_deref(), Some("2026-12-01T16:00:00Z"));
    sweeping.sweep_at("2026-12-01T15:50:00Z").await;
    assert_eq!(sweeping.started(), expect(&["U0ANA 2026-12-01 first"]));
}

#[tokio::test]
async fn the_clock_of_an_escalation_is_that_of_the_first_person() {
    let sweeping = Sweeping::new().await;
    let ana = sweeping.fixture.person("ana").await;
    let zoe = sweeping.fixture.person("zoe").await;
    sweeping.is_known(&ana, false).await;
    let guide = Item {
        reminders: Some(decode(json!({ "escalateTo": ["eve@example.com"] })).unwrap()),
        ..item("guide", 1, Some("2026-12-01"), &[&ana, &zoe])
    };
    waits(sweeping.planner(), &guide, &[&zoe]).await;
    sweeping.sweep_at("2026-12-01T08:50:00Z").await;
    let row = sweeping.planner().items.escalating(&guide.id).await;
    assert_eq!(row.unwrap().unwrap().zone, "Europe/Berlin");
}

#[tokio::test]
async fn an_item_that_stays_overdue_is_escalated_once_a_day_until_somebody_was_told() {
    let sweeping = Sweeping::with("SUCCEEDED").await;
    let ana = sweeping.fixture.person("ana").await;
    let items = &sweeping.planner().items;
    let escalates = decode(json!({ "escalateTo": ["eve@example.com"], "overdue": 0 }));
    let guide = Item {
        reminders: Some(escalates.unwrap()),
        ..item("guide", 1, Some("2026-12-01"), &[&ana])
    };
    waits(sweeping.planner(), &guide, &[]).await;
    plans_escalation(sweeping.planner(), &guide).await;

    sweeping.sweep_at("2026-12-02T16:50:00Z").await;
    assert_eq!(sweeping.started(), expect(&[]));
    sweeping.sweep_at("2026-12-03T16:50:00Z").await;
    assert_eq!(sweeping.started(), expect(&["guide 2026-12-01"]));
    let row = items.escalating(&guide.id).await.unwrap().unwrap();
    let at = row.next_look_at.unwrap().to_string();
    assert_eq!(at, "2026-12-04T17:00:00Z");

    let told = Escalating {
        escalated_at: row.next_look_at,
        ..row
    };
    assert!(items.keep_escalating(&guide.id, &told).await.unwrap());
    sweeping.sweep_at("2026-12-04T16:50:00Z").await;
    let row = items.escalating(&guide.id).await.unwrap().unwrap();
    assert_eq!(row.next_look_at, None);
    assert_eq!(sweeping.started.lock().unwrap().len(), 1);
}
