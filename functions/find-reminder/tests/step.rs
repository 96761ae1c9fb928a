//! The step against a table.
#![allow(clippy::unwrap_used)]

use apgl_contract::{Item, SlackUser, reminders::Part};
use find_reminder::{Deps, Input, handle};
use fixture::{Fixture, it_is, item, waits};
use rstest::rstest;

struct Finding {
    deps: Deps,
    ana: SlackUser,
}

impl Finding {
    /// An item waits for Ana, whose clock shows UTC, since 1 December 2026, a Tuesday. It is due on Friday.
    async fn new() -> (Self, Item) {
        let fixture = Fixture::new().await;
        let finding = Self {
            ana: fixture.person("ana").await,
            deps: Deps {
                planner: fixture.planner("2026-12-01T08:00:00Z").await,
            },
        };
        let guide = item("guide", 1, Some("2026-12-04"), &[&finding.ana]);
        waits(&finding.deps.planner, &guide, &[&finding.ana]).await;
        (finding, guide)
    }

    /// How many addresses there are, and how long to wait.
    async fn find(&self, now: &str, day: &str, part: Part) -> (usize, u64) {
        it_is(&self.deps.planner, now).await;
        let input = Input {
            user_id: self.ana.id.clone(),
            day: day.to_owned().try_into().unwrap(),
            part,
        };
        let outcome = handle(&self.deps, input).await.unwrap();
        (outcome.emails.len(), outcome.wait_seconds)
    }
}

#[rstest]
#[case::due("2026-12-01T17:00:00Z", "2026-12-01", Part::First, (1, 0))]
#[case::due_later_today("2026-12-01T16:50:00Z", "2026-12-01", Part::First, (1, 1))]
#[case::missed_yesterday("2026-12-02T10:00:00Z", "2026-12-02", Part::First, (1, 0))]
#[case::held_up("2026-12-01T17:15:00Z", "2026-12-01", Part::First, (1, 0))]
#[case::nothing_is_due_today("2026-12-01T17:15:01Z", "2026-12-01", Part::First, (0, 0))]
#[case::due_in_a_later_hour("2026-12-01T15:40:00Z", "2026-12-01", Part::First, (0, 0))]
#[case::another_day("2026-12-01T17:00:00Z", "2026-11-30", Part::First, (0, 0))]
#[case::it_can_wait("2026-12-01T17:00:00Z", "2026-12-01", Part::Second, (0, 0))]
#[case::due_now_in_the_second("2026-12-04T17:00:00Z", "2026-12-04", Part::Second, (1, 0))]
#[tokio::test]
async fn it_waits_until_something_is_due_that_day(
    #[case] now: &str,
    #[case] day: &str,
    #[case] part: Part,
    #[case] expected: (usize, u64),
) {
    let (finding, _) = Finding::new().await;
    assert_eq!(finding.find(now, day, part).await, expected);
}

#[tokio::test]
async fn nothing_is_due_with_an_item_that_has_moved() {
    let (finding, _) = Finding::new().await;
    let moved = item("guide", 2, None, &[]);
    waits(&finding.deps.planner, &moved, &[]).await;
    let found = finding.find("2026-12-01T17:00:00Z", "2026-12-01", Part::First);
    assert_eq!(found.await, (0, 0));
}
