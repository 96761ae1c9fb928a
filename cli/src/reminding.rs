//! Items that wait for people, in a table of MiniStack, for the tests of the commands about them.

use std::time::SystemTime;

use apgl_contract::{Email, Item, SlackUser, SlackUserId};
use apgl_reminders::Waiting;
use apgl_stores::{Planner, WaitingKey, WaitingRow};
use fixture::Fixture;
use serde_json::{from_value, json};

use crate::report::Report;

/// It is 1 December 2026, 08:00 UTC, a Tuesday, until a test says otherwise.
pub struct Reminding {
    pub planner: Planner,
    _fixture: Fixture,
}

impl Reminding {
    pub async fn new() -> Self {
        let fixture = Fixture::new().await;
        Self {
            planner: fixture.planner("2026-12-01T08:00:00Z").await,
            _fixture: fixture,
        }
    }

    pub async fn it_is(&self, time: &str) {
        fixture::it_is(&self.planner, time).await;
    }

    /// The item is recorded.
    pub async fn record(&self, item: &Item) {
        let items = &self.planner.items;
        items.record(item, "e", SystemTime::now()).await.unwrap();
    }

    /// The item is recorded, and planned for each person for whom it waits, whose clocks show this zone's time.
    pub async fn waits(&self, item: &Item, zone: &str) {
        self.record(item).await;
        let now = self.planner.now().await.unwrap();
        for email in item.waiting_for.as_slice() {
            let mut row = Waiting::new(item, user(email), zone, None, now);
            let plan = row.plan(item, None, &self.planner.reminders, now);
            row.next_look_at = plan.next_look_at;
            self.keep(item, &row, None).await;
        }
    }

    /// The person was told everything that is due now.
    pub async fn is_told(&self, item: &Item, person: &str) {
        let now = self.planner.now().await.unwrap();
        let before = self.waiting_row(item, person).await;
        let mut row = before.stored.waiting.clone();
        let plan = self.planner.plan(&before, now).unwrap();
        row.told.insert(plan.due.unwrap(), now);
        row.next_look_at = plan.next_look_at;
        self.keep(item, &row, Some(before.stored.revision)).await;
    }

    async fn keep(&self, item: &Item, row: &Waiting, revision: Option<u64>) {
        let kept = self.planner.items.keep(&item.id, row, revision).await;
        assert!(kept.unwrap());
    }

    pub async fn waiting_row(&self, item: &Item, person: &str) -> WaitingRow {
        let key = WaitingKey {
            item_id: item.id.clone(),
            email: address(person),
        };
        let mut rows = self.planner.items.waiting_rows(&[key]).await.unwrap();
        rows.remove(0)
    }
}

/// An item that waits for these people.
pub fn item(id: &str, due: Option<&str>, people: &[&str]) -> Item {
    let people = people.iter().map(|person| format!("{person}@example.com"));
    let item = json!({
        "id": id, "version": 1, "channelName": "guide-42", "visibility": "private", "ownChannel": true,
        "title": "A secret guide", "state": "in_review", "waitingFor": people.collect::<Vec<_>>(),
        "dueDate": due,
    });
    from_value(item).unwrap()
}

pub fn address(person: &str) -> Email {
    format!("{person}@example.com").try_into().unwrap()
}

pub fn user(email: &Email) -> SlackUser {
    let name = email.as_str().split('@').next().unwrap();
    SlackUser {
        email: email.clone(),
        id: SlackUserId(format!("U0{}", name.to_uppercase())),
    }
}

/// The text without styles.
pub fn plain(report: &Report) -> String {
    anstream::adapter::strip_str(&report.text).to_string()
}
