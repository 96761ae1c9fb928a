//! The step against tables.
#![allow(clippy::unwrap_used)]

use std::time::SystemTime;

use apgl_contract::{ErrorName, Item, SlackUser, StepFailure, decode};
use apgl_stores::{Escalating, KnownUser, SlackUsers};
use fixture::{Fixture, invocation, it_is, item, waiting_row};
use plan_reminders::{Deps, Input, handle};
use rstest::rstest;
use serde_json::json;

struct Planning {
    deps: Deps,
    ana: SlackUser,
}

impl Planning {
    /// It is Tuesday, 1 December 2026, 08:00 UTC.
    async fn new(tz: Option<&str>) -> Self {
        let fixture = Fixture::new().await;
        let planning = Self {
            ana: fixture.person("ana").await,
            deps: Deps {
                planner: fixture.planner("2026-12-01T08:00:00Z").await,
                slack_users: SlackUsers::new(fixture.table("email").await),
            },
        };
        planning.is_in(tz).await;
        planning
    }

    /// Slack shows this time zone for Ana.
    async fn is_in(&self, tz: Option<&str>) {
        let known = KnownUser {
            id: self.ana.id.clone(),
            is_bot: false,
            tz: tz.map(str::to_owned),
            seen_at: SystemTime::now(),
        };
        let users = &self.deps.slack_users;
        users
            .remember(&[(self.ana.email.clone(), known)])
            .await
            .unwrap();
    }

    fn item(&self, version: u64, due_date: Option<&str>) -> Item {
        item("guide", version, due_date, &[&self.ana])
    }

    /// The step for this version. Returns when to look at the item next.
    async fn plan(&self, item: &Item) -> Option<String> {
        let input = Input {
            item: item.clone(),
            users: vec![self.ana.clone()],
            card_failure: None,
        };
        let planned = handle(&self.deps, &invocation("e"), input).await;
        planned.unwrap();
        let row = waiting_row(&self.deps.planner, item, &self.ana).await;
        row.next_look_at.map(|at| at.to_string())
    }
}

#[rstest]
#[case::in_berlin(Some("Europe/Berlin"), "2026-12-01T16:00:00Z")]
#[case::in_new_york(Some("America/New_York"), "2026-12-01T22:00:00Z")]
#[case::unknown(None, "2026-12-01T17:00:00Z")]
#[case::not_a_zone(Some("Mars/Olympus"), "2026-12-01T17:00:00Z")]
#[tokio::test]
async fn a_reminder_follows_the_persons_clock(#[case] tz: Option<&str>, #[case] expected: &str) {
    let planning = Planning::new(tz).await;
    let guide = planning.item(1, Some("2026-12-04"));
    assert_eq!(planning.plan(&guide).await.as_deref(), Some(expected));
}

#[tokio::test]
async fn an_item_without_a_due_date_is_looked_at_when_nothing_has_moved_for_three_working_days() {
    let planning = Planning::new(None).await;
    let guide = planning.item(1, None);
    let next = planning.plan(&guide).await;
    assert_eq!(next.as_deref(), Some("2026-12-04T09:00:00Z"));
}

#[rstest]
#[case::first(0, ErrorName::ChannelArchived)]
#[case::redriven(1, ErrorName::ChannelStale)]
#[tokio::test]
async fn people_are_reminded_of_an_item_whose_card_can_not_be_shown(
    #[case] redrive_count: u32,
    #[case] expected: ErrorName,
) {
    let planning = Planning::new(None).await;
    let guide = planning.item(1, Some("2026-12-04"));
    let input = Input {
        item: guide.clone(),
        users: vec![planning.ana.clone()],
        card_failure: Some(StepFailure {
            error: "Channel.Archived".to_owned(),
            reason: "channel `guide-42` is archived".to_owned(),
            slack_error: None,
        }),
    };
    let mut invocation = invocation("e");
    invocation.run.redrive_count = redrive_count;
    invocation.run.channel_lookups = Some(0);
    let failed = handle(&planning.deps, &invocation, input).await;
    assert_eq!(failed.unwrap_err().name(), expected);
    let row = waiting_row(&planning.deps.planner, &guide, &planning.ana).await;
    assert!(row.next_look_at.is_some());
}

#[tokio::test]
async fn what_was_told_counts_until_the_state_or_the_due_date_changes() {
    let planning = Planning::new(None).await;
    let guide = planning.item(1, Some("2026-12-04"));
    planning.plan(&guide).await;
    let planner = &planning.deps.planner;
    let items = &planner.items;
    let mut row = waiting_row(planner, &guide, &planning.ana).await;
    row.told.insert("due-3d".parse().unwrap(), row.since);
    assert!(items.keep(&guide.id, &row, Some(1)).await.unwrap());
    it_is(planner, "2026-12-02T08:00:00Z").await;

    let next = planning.plan(&planning.item(2, Some("2026-12-04"))).await;
    assert_eq!(next.as_deref(), Some("2026-12-03T17:00:00Z"));
    let kept = waiting_row(planner, &guide, &planning.ana).await;
    assert_eq!((kept.told, kept.since), (row.told.clone(), row.since));

    let next = planning.plan(&planning.item(3, Some("2026-12-10"))).await;
    assert_eq!(next.as_deref(), Some("2026-12-07T17:00:00Z"));
    let anew = waiting_row(planner, &guide, &planning.ana).await;
    assert!(anew.told.is_empty() && anew.since > row.since);
}

#[tokio::test]
async fn a_changed_time_zone_counts_from_the_next_day() {
    let planning = Planning::new(Some("Europe/Berlin")).await;
    let guide = planning.item(1, Some("2026-12-04"));
    planning.plan(&guide).await;
    planning.is_in(Some("America/New_York")).await;
    let again = planning.item(2, Some("2026-12-04"));
    // Today at 17:00 in Berlin.
    let next = planning.plan(&again).await;
    assert_eq!(next.as_deref(), Some("2026-12-01T16:00:00Z"));
    let row = waiting_row(&planning.deps.planner, &again, &planning.ana).await;
    assert_eq!(row.zone, "America/New_York");
    assert_eq!(row.previous_zone.unwrap().0, "Europe/Berlin");
}

#[tokio::test]
async fn an_older_version_does_not_replace_a_newer_one() {
    let planning = Planning::new(None).await;
    let newer = planning.item(5, Some("2026-12-04"));
    planning.plan(&newer).await;
    planning.plan(&planning.item(4, None)).await;
    let row = waiting_row(&planning.deps.planner, &newer, &planning.ana).await;
    assert_eq!(row.version.get(), 5);
    assert_eq!(row.due_date, newer.due_date);
}

#[tokio::test]
async fn an_escalation_is_planned_once_for_each_due_date() {
    let planning = Planning::new(Some("America/New_York")).await;
    let planner = &planning.deps.planner;
    let of = |version, due_date| Item {
        reminders: Some(decode(json!({ "escalateTo": ["eve@example.com"] })).unwrap()),
        ..planning.item(version, Some(due_date))
    };
    let first = of(1, "2026-12-04");
    planning.plan(&first).await;
    let row = planner.items.escalating(&first.id).await.unwrap().unwrap();
    // 17:00 in New York, two working days after Friday.
    let at = row.next_look_at.unwrap().to_string();
    assert_eq!(at, "2026-12-08T22:00:00Z");
    let told = Escalating {
        escalated_at: row.next_look_at,
        next_look_at: None,
        ..row
    };
    assert!(
        planner
            .items
            .keep_escalating(&first.id, &told)
            .await
            .unwrap()
    );

    for (due_date, expected) in [
        ("2026-12-04", None),
        ("2026-12-11", Some("2026-12-15T22:00:00Z")),
    ] {
        planning.plan(&of(2, due_date)).await;
        let row = planner.items.escalating(&first.id).await.unwrap().unwrap();
        let at = row.next_look_at.map(|at| at.to_string());
        assert_eq!(at.as_deref(), expected);
    }
}

#[tokio::test]
async fn an_item_of_which_nobody_else_is_to_be_told_has_no_escalation() {
    let planning = Planning::new(None).await;
    let guide = planning.item(1, Some("2026-12-04"));
    planning.plan(&guide).await;
    let items = &planning.deps.planner.items;
    assert_eq!(items.escalating(&guide.id).await.unwrap(), None);
}

#[test]
fn an_execution_goes_on_that_began_before_failures_of_cards_were_passed_on() {
    let input = json!({ "item": item("guide", 1, None, &[]), "users": [] });
    assert_eq!(decode::<Input>(input).unwrap().card_failure, None);
}
