//! The step against a Slack sandbox and tables. The protocol's model, in `lib/delivery/tests/bundles`, runs it through every
//! order of events.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, SystemTime};

use apgl_contract::{
    DirectMessage, Item, SkipReason, Skipped, SlackUser, SlackUserId, StepError, reminders::Part,
};
use apgl_reminders::Waiting;
use apgl_stores::{Deliveries, KnownUser, SlackUsers};
use fixture::{Fixture, invocation, it_is, waiting_row, waits};
use send_reminder::{Deps, Input, handle};
use serde_json::{Value, json};
use slack_sandbox::{
    faults::{Effect, How},
    workspace::Message,
};

const POST: &str = "chat.postMessage";

/// Items that wait for Ana, whose clock shows UTC. It is 1 December 2026, a Tuesday.
struct Reminding {
    fixture: Fixture,
    deps: Deps,
    ana: SlackUser,
    conversation: DirectMessage,
}

impl Reminding {
    async fn new() -> Self {
        let fixture = Fixture::new().await;
        let ana = fixture.person("ana").await;
        let id = fixture.slack.conversations_open(&ana.id.0).await.unwrap();
        let deps = Deps {
            directory: fixture.directory().await,
            deliveries: Deliveries::new(fixture.table("deliveryId").await),
            planner: fixture.planner("2026-12-01T08:00:00Z").await,
            slack_users: SlackUsers::new(fixture.table("email").await),
        };
        Self {
            conversation: DirectMessage {
                id,
                email: ana.email.clone(),
                user_id: ana.id.clone(),
            },
            fixture,
            deps,
            ana,
        }
    }

    async fn it_is(&self, time: &str) {
        it_is(&self.deps.planner, time).await;
    }

    /// The item waits for Ana.
    async fn waits(&self, item: &Item) {
        waits(&self.deps.planner, item, &[&self.ana]).await;
    }

    /// The item moves to its next version, in which it waits for nobody.
    async fn moves(&self, id: &str) {
        let moved = fixture::item(id, 2, None, &[]);
        waits(&self.deps.planner, &moved, &[]).await;
    }

    async fn row(&self, item: &Item) -> Waiting {
        waiting_row(&self.deps.planner, item, &self.ana).await
    }

    fn item(&self, id: &str, due_date: Option<&str>) -> Item {
        fixture::item(id, 1, due_date, &[&self.ana])
    }

    fn input(&self, day: &str, part: Part) -> Input {
        Input {
            user_id: self.ana.id.clone(),
            day: day.to_owned().try_into().unwrap(),
            part,
            conversation: Some(self.conversation.clone()),
            users: vec![self.ana.clone()],
            skipped: Vec::new(),
        }
    }

    async fn send(&self, day: &str, part: Part) -> Result<Value, StepError> {
        let input = self.input(day, part);
        let outcome = handle(&self.deps, &invocation("e"), input).await?;
        Ok(json!(outcome))
    }

    /// The items and stages of which Ana was reminded, in the message's order.
    async fn told(&self, day: &str, part: Part) -> Vec<String> {
        let outcome = self.send(day, part).await.unwrap();
        let text = |of: &Value| {
            format!(
                "{} {}",
                of["itemId"].as_str().unwrap(),
                of["stage"].as_str().unwrap()
            )
        };
        let reminded = outcome["reminded"].as_array().unwrap();
        reminded.iter().map(text).collect()
    }

    async fn messages(&self) -> Vec<Message> {
        let sandbox = &self.fixture.sandbox;
        let direct = sandbox.direct_message(&self.ana.id.0).await.unwrap();
        direct.unwrap().messages
    }

    async fn fails(&self, how: How) {
        self.fixture.fail(POST, how, 1).await;
    }
}

#[tokio::test]
async fn one_message_lists_everything_that_is_due_with_the_most_urgent_first() {
    let reminding = Reminding::new().await;
    reminding.it_is("2026-11-23T08:00:00Z").await;
    for item in [
        reminding.item("quiet", None),
        reminding.item("soon", Some("2026-12-02")),
        reminding.item("overdue", Some("2026-11-26")),
        reminding.item("later", Some("2026-12-20")),
    ] {
        reminding.waits(&item).await;
    }
    reminding.it_is("2026-11-30T09:00:00Z").await;
    let told = reminding.told("2026-11-30", Part::First).await;
    assert_eq!(told, ["overdue overdue-2", "quiet quiet-1", "soon due-3d"]);
    let messages = reminding.messages().await;
    assert_eq!(messages.len(), 1);
    let text = &messages[0].text;
    assert!(text.starts_with("3 items wait for you: Guide &lt;overdue&gt; (due <!date^"));
    let list = &messages[0].blocks.as_ref().unwrap()[1]["elements"][0]["elements"];
    let first = &list[0]["elements"];
    assert_eq!(first[0]["text"], "Guide <overdue>");
    assert_eq!(first[1]["text"], " · In review · due ");
    assert_eq!(first[3]["text"], ", overdue\nPlease read it.");
}

#[tokio::test]
async fn who_was_told_is_told_once() {
    let reminding = Reminding::new().await;
    let guide = reminding.item("guide", Some("2026-12-04"));
    reminding.waits(&guide).await;
    reminding.it_is("2026-12-01T17:00:00Z").await;
    for _ in 0..3 {
        let told = reminding.told("2026-12-01", Part::First).await;
        assert_eq!(told, ["guide due-3d"]);
    }
    assert_eq!(reminding.messages().await.len(), 1);
    let row = reminding.row(&guide).await;
    assert_eq!(row.told.len(), 1);
    let next = row.next_look_at.unwrap().to_string();
    assert_eq!(next, "2026-12-03T17:00:00Z");
    reminding.it_is("2026-12-02T09:00:00Z").await;
    assert!(reminding.told("2026-12-02", Part::First).await.is_empty());
}

#[tokio::test]
async fn an_item_that_moves_before_the_post_is_not_in_the_message() {
    let reminding = Reminding::new().await;
    let (moves, stays) = (
        reminding.item("moves", Some("2026-12-04")),
        reminding.item("stays", Some("2026-12-04")),
    );
    for item in [&moves, &stays] {
        reminding.waits(item).await;
    }
    reminding.it_is("2026-12-01T17:00:00Z").await;
    // The bundle is stored, and its post is certainly refused.
    reminding.fails(How::RateLimited { retry_after: 1 }).await;
    let error = reminding.send("2026-12-01", Part::First).await.unwrap_err();
    assert!(matches!(error, StepError::SlackRateLimited { .. }));
    reminding.moves("moves").await;
    let told = reminding.told("2026-12-01", Part::First).await;
    assert_eq!(told, ["stays due-3d"]);
    assert_eq!(reminding.messages().await.len(), 1);
    assert!(reminding.row(&moves).await.told.is_empty());
}

#[tokio::test]
async fn a_message_in_doubt_is_found_and_not_sent_again_though_an_item_has_moved() {
    let reminding = Reminding::new().await;
    let (moves, stays) = (
        reminding.item("moves", Some("2026-12-04")),
        reminding.item("stays", Some("2026-12-04")),
    );
    for item in [&moves, &stays] {
        reminding.waits(item).await;
    }
    reminding.it_is("2026-12-01T17:00:00Z").await;
    reminding
        .fails(How::Reset {
            effect: Effect::Done,
        })
        .await;
    let error = reminding.send("2026-12-01", Part::First).await.unwrap_err();
    let StepError::SlackOutcomeUnknown { retry_after, .. } = error else {
        panic!("{error}");
    };
    reminding.moves("moves").await;
    tokio::time::sleep(retry_after + Duration::from_secs(1)).await;
    let told = reminding.told("2026-12-01", Part::First).await;
    assert_eq!(told, ["moves due-3d", "stays due-3d"]);
    assert_eq!(reminding.messages().await.len(), 1);
    assert_eq!(reminding.row(&stays).await.told.len(), 1);
}

#[tokio::test]
async fn the_second_message_of_a_day_has_only_what_is_due_now() {
    let reminding = Reminding::new().await;
    reminding.it_is("2026-11-27T10:00:00Z").await;
    let (overdue, today, soon) = (
        reminding.item("overdue", Some("2026-11-30")),
        reminding.item("today", Some("2026-12-01")),
        reminding.item("soon", Some("2026-12-02")),
    );
    for item in [&overdue, &today, &soon] {
        reminding.waits(item).await;
    }
    reminding.it_is("2026-12-01T09:00:00Z").await;
    let told = reminding.told("2026-12-01", Part::First).await;
    assert_eq!(told, ["overdue overdue-1", "today due-24h", "soon due-3d"]);
    reminding.it_is("2026-12-01T17:00:00Z").await;
    let told = reminding.told("2026-12-01", Part::Second).await;
    assert_eq!(told, ["today due"]);
    let next = reminding.row(&soon).await.next_look_at.unwrap();
    assert_eq!(next.to_string(), "2026-12-02T09:00:00Z");
    assert_eq!(reminding.messages().await.len(), 2);
    // The first message is not sent again after the second one.
    assert!(reminding.told("2026-12-01", Part::First).await.is_empty());
    assert_eq!(reminding.messages().await.len(), 2);
}

#[tokio::test]
async fn an_execution_that_comes_too_late_sends_nothing() {
    let reminding = Reminding::new().await;
    let guide = reminding.item("guide", Some("2026-12-04"));
    reminding.waits(&guide).await;
    reminding.it_is("2026-12-01T17:00:00Z").await;
    reminding.fails(How::RateLimited { retry_after: 1 }).await;
    reminding.send("2026-12-01", Part::First).await.unwrap_err();
    reminding.it_is("2026-12-01T19:00:00Z").await;
    assert!(reminding.told("2026-12-01", Part::First).await.is_empty());
    reminding.it_is("2026-12-02T09:00:00Z").await;
    assert!(reminding.told("2026-12-01", Part::First).await.is_empty());
    assert_eq!(reminding.messages().await.len(), 0);
    let told = reminding.told("2026-12-02", Part::First).await;
    assert_eq!(told, ["guide due-3d"]);
}

#[tokio::test]
async fn who_is_unreachable_is_passed_over() {
    let reminding = Reminding::new().await;
    let guide = reminding.item("guide", Some("2026-12-04"));
    reminding.waits(&guide).await;
    reminding.it_is("2026-12-01T17:00:00Z").await;
    let opted_out = Skipped::new(reminding.ana.email.clone(), SkipReason::OptedOut);
    let input = Input {
        conversation: None,
        users: Vec::new(),
        skipped: vec![opted_out],
        ..reminding.input("2026-12-01", Part::First)
    };
    let outcome = handle(&reminding.deps, &invocation("e"), input).await;
    let outcome = json!(outcome.unwrap());
    assert_eq!(outcome["reminded"], json!([]));
    assert_eq!(outcome["skipped"][0]["reason"], "opted_out");
    let row = reminding.row(&guide).await;
    assert_eq!(row.passed_over.len(), 1);
    assert_eq!(
        row.next_look_at.unwrap().to_string(),
        "2026-12-03T17:00:00Z"
    );
}

#[tokio::test]
async fn an_address_that_has_passed_to_another_account_is_theirs_from_now_on() {
    let reminding = Reminding::new().await;
    let guide = reminding.item("guide", Some("2026-12-04"));
    reminding.waits(&guide).await;
    reminding.it_is("2026-12-01T17:00:00Z").await;
    let other = SlackUserId("U0OTHER".to_owned());
    let input = Input {
        users: vec![SlackUser {
            id: other.clone(),
            ..reminding.ana.clone()
        }],
        // Another address of hers.
        conversation: Some(DirectMessage {
            email: "a@example.com".to_owned().try_into().unwrap(),
            ..reminding.conversation.clone()
        }),
        ..reminding.input("2026-12-01", Part::First)
    };
    handle(&reminding.deps, &invocation("e"), input)
        .await
        .unwrap();
    assert_eq!(reminding.messages().await.len(), 0);
    assert_eq!(reminding.row(&guide).await.user_id, other);
}

#[tokio::test]
async fn nothing_goes_to_somebody_else_who_has_the_address_by_now() {
    let reminding = Reminding::new().await;
    let guide = reminding.item("guide", Some("2026-12-04"));
    reminding.waits(&guide).await;
    reminding.it_is("2026-12-01T17:00:00Z").await;
    let eve = reminding.fixture.person("eve").await;
    let opened = reminding.fixture.slack.conversations_open(&eve.id.0);
    let input = Input {
        conversation: Some(DirectMessage {
            id: opened.await.unwrap(),
            user_id: eve.id.clone(),
            ..reminding.conversation.clone()
        }),
        ..reminding.input("2026-12-01", Part::First)
    };
    let outcome = handle(&reminding.deps, &invocation("e"), input).await;
    assert!(outcome.unwrap().reminded.is_empty());
    let to_eve = reminding.fixture.sandbox.direct_message(&eve.id.0).await;
    assert!(to_eve.unwrap().unwrap().messages.is_empty());
    assert_eq!(reminding.row(&guide).await.user_id, eve.id);
}

#[tokio::test]
async fn a_message_that_is_held_up_when_work_ends_is_still_sent() {
    let reminding = Reminding::new().await;
    let guide = reminding.item("guide", Some("2026-12-01"));
    reminding.waits(&guide).await;
    reminding.it_is("2026-12-01T17:10:00Z").await;
    let told = reminding.told("2026-12-01", Part::First).await;
    assert_eq!(told, ["guide due"]);
}

#[tokio::test]
async fn a_new_time_zone_counts_from_the_day_after_the_reminder_that_has_noticed_it() {
    let reminding = Reminding::new().await;
    let guide = reminding.item("guide", Some("2026-11-30"));
    reminding.waits(&guide).await;
    let known = KnownUser {
        id: reminding.ana.id.clone(),
        is_bot: false,
        tz: Some("America/New_York".to_owned()),
        seen_at: SystemTime::now(),
    };
    let users = &reminding.deps.slack_users;
    let ana = reminding.ana.email.clone();
    users.remember(&[(ana, known)]).await.unwrap();
    reminding.it_is("2026-12-01T09:00:00Z").await;
    let told = reminding.told("2026-12-01", Part::First).await;
    assert_eq!(told, ["guide overdue-1"]);
    // 09:00 in New York.
    let next = reminding.row(&guide).await.next_look_at.unwrap();
    assert_eq!(next.to_string(), "2026-12-02T00:00:00Z");
    reminding.it_is("2026-12-02T14:00:00Z").await;
    let told = reminding.told("2026-12-02", Part::First).await;
    assert_eq!(told, ["guide overdue-2"]);
}

#[tokio::test]
async fn an_item_that_names_a_person_by_two_addresses_is_shown_once() {
    let reminding = Reminding::new().await;
    let second = SlackUser {
        email: "ana.b@example.com".to_owned().try_into().unwrap(),
        ..reminding.ana.clone()
    };
    let people = [&reminding.ana, &second];
    let guide = fixture::item("guide", 1, Some("2026-12-04"), &people);
    waits(&reminding.deps.planner, &guide, &people).await;
    reminding.it_is("2026-12-01T17:00:00Z").await;
    let input = Input {
        users: vec![reminding.ana.clone(), second.clone()],
        ..reminding.input("2026-12-01", Part::First)
    };
    handle(&reminding.deps, &invocation("e"), input)
        .await
        .unwrap();
    let text = reminding.messages().await.remove(0).text;
    assert!(text.starts_with("An item waits for you: Guide"), "{text}");
    for person in people {
        let row = waiting_row(&reminding.deps.planner, &guide, person).await;
        assert_eq!(row.told.len(), 1);
    }
}
