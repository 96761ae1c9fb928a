//! `apgl items`: lists the items that wait for people, and what each person was told.

use apgl_contract::{DueDate, Email, reminders::Stage};
use apgl_reminders::{PersonZone, Waiting};
use apgl_stores::{AllItems, ItemRows, Planner};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    deployment::{Deployment, Target},
    report::{Exit, Failure, Report, STRONG, WARNING, styled},
    time::shown,
    values::email,
};

const NOTHING: &str = "–";

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Only the items that wait for this person.
    #[arg(long, value_name = "EMAIL", value_parser = email)]
    waiting_for: Option<Email>,
    /// Only the items whose due day is over: for somebody for whom they wait, it is later than 17:00 of that day, in the
    /// person's time zone.
    #[arg(long)]
    overdue: bool,
    /// Also the items that wait for nobody.
    #[arg(long, conflicts_with_all = ["waiting_for", "overdue"])]
    all: bool,
}

pub async fn run(target: &Target, arguments: &Arguments) -> Result<Report, Failure> {
    let planner = Deployment::of(target).await?.planner().await?;
    list(&planner, arguments).await
}

async fn list(planner: &Planner, arguments: &Arguments) -> Result<Report, Failure> {
    let now = planner.now().await.map_err(Failure::aws)?;
    let AllItems { items, unreadable } = planner.items.all().await.map_err(Failure::aws)?;
    let zone = planner.unknown_zone();
    let all = items.into_iter().map(|rows| Listed::of(rows, now, &zone));
    let mut listed: Vec<Listed> = all.filter(|item| arguments.include(item)).collect();
    listed.sort_by_key(Listed::order);
    Ok(report(&listed, &unreadable, arguments))
}

impl Arguments {
    fn include(&self, item: &Listed) -> bool {
        let waiting_for = item.rows.item.waiting_for.as_slice();
        let waits = match &self.waiting_for {
            Some(person) => waiting_for.contains(person),
            None => self.all || !waiting_for.is_empty(),
        };
        waits && (!self.overdue || item.is_overdue)
    }

    fn include_everything_that_waits(&self) -> bool {
        self.waiting_for.is_none() && !self.overdue
    }
}

/// An item of the list.
struct Listed {
    rows: ItemRows,
    is_overdue: bool,
    /// If that is not over.
    snoozed_until: Option<Timestamp>,
}

impl Listed {
    /// `zone` is that of people whose own is unknown.
    fn of(rows: ItemRows, now: Timestamp, zone: &PersonZone) -> Self {
        Self {
            is_overdue: rows.is_overdue(zone, now),
            snoozed_until: rows.snoozed_until.filter(|until| now < *until),
            rows,
        }
    }

    /// By due date and then by id. Items without a due date come last.
    fn order(&self) -> (bool, Option<jiff::civil::Date>, String) {
        let item = &self.rows.item;
        let due = item.due_date.map(DueDate::date);
        (due.is_none(), due, item.id.as_str().to_owned())
    }

    /// What is known about a person for whom the item waits. `None` if nothing is planned for them yet, or they are not
    /// in Slack.
    fn waiting(&self, email: &Email) -> Option<&Waiting> {
        let rows = self.rows.waiting.iter().map(|stored| &stored.waiting);
        let mut current = rows.filter(|waiting| waiting.is_current(Some(&self.rows.item)));
        current.find(|waiting| waiting.email == *email)
    }

    /// A line for each person. Only the first one says what is the item's.
    fn lines(&self) -> Vec<[String; COLUMNS]> {
        let item = &self.rows.item;
        let due = item.due_date.map(|due| due.date().to_string());
        let snoozed_until = self.snoozed_until.map(shown);
        let or_nothing = |text: Option<String>| text.unwrap_or_else(|| NOTHING.to_owned());
        let of_item = [
            item.id.to_string(),
            item.state.as_str().to_owned(),
            or_nothing(due),
        ];
        let people = item.waiting_for.as_slice();
        let people = people.iter().map(|email| {
            let waiting = self.waiting(email);
            let next_look_at = waiting.and_then(|waiting| waiting.next_look_at);
            [
                email.as_str().to_owned(),
                or_nothing(waiting.map(told)),
                or_nothing(next_look_at.map(shown)),
            ]
        });
        let mut people: Vec<[String; 3]> = people.collect();
        if people.is_empty() {
            people.push([NOTHING; 3].map(str::to_owned));
        }
        let lines = people.into_iter().enumerate().map(|(at, of_person)| {
            let (of_item, snoozed_until) = match at {
                0 => (of_item.clone(), or_nothing(snoozed_until.clone())),
                _ => ([const { String::new() }; 3], String::new()),
            };
            let ([id, state, due], [email, told, next_look]) = (of_item, of_person);
            [id, state, due, email, told, next_look, snoozed_until]
        });
        lines.collect()
    }

    fn json(&self) -> Value {
        let item = &self.rows.item;
        let person = |email: &Email| {
            let waiting = self.waiting(email);
            let told = waiting.map(in_time_order).unwrap_or_default();
            let told = told
                .iter()
                .map(|(at, stage)| json!({ "stage": stage, "at": at }));
            json!({
                "email": email.as_str(),
                "told": told.collect::<Vec<_>>(),
                "passedOver": waiting.map(|waiting| &waiting.passed_over),
                "nextLookAt": waiting.and_then(|waiting| waiting.next_look_at),
                "timeZone": waiting.map(|waiting| &waiting.zone),
            })
        };
        let people = item.waiting_for.as_slice().iter().map(person);
        json!({
            "id": item.id,
            "version": item.version,
            "state": item.state.as_str(),
            "dueDate": item.due_date,
            "overdue": self.is_overdue,
            "waitingFor": people.collect::<Vec<_>>(),
            "snoozedUntil": self.snoozed_until,
        })
    }
}

/// How many reminders there were, and the last one.
fn told(waiting: &Waiting) -> String {
    let told = in_time_order(waiting);
    match told.last() {
        None => "0".to_owned(),
        Some((at, stage)) => format!("{}, {stage} at {}", told.len(), shown(*at)),
    }
}

fn in_time_order(waiting: &Waiting) -> Vec<(Timestamp, Stage)> {
    let told = waiting.told.iter().map(|(stage, at)| (*at, *stage));
    let mut told: Vec<_> = told.collect();
    told.sort_by_key(|(at, stage)| (*at, stage.urgency()));
    told
}

const COLUMNS: usize = 7;
const HEAD: [&str; COLUMNS] = [
    "ITEM",
    "STATE",
    "DUE",
    "WAITING FOR",
    "TOLD",
    "NEXT LOOK",
    "SNOOZED UNTIL",
];

fn report(listed: &[Listed], unreadable: &[String], arguments: &Arguments) -> Report {
    let mut lines = if listed.is_empty() {
        let none = match arguments {
            Arguments { all: true, .. } => "there are no items",
            arguments if arguments.include_everything_that_waits() => "no item waits for anybody",
            _ => "there are no such items",
        };
        vec![none.to_owned()]
    } else {
        table(listed.iter().flat_map(Listed::lines).collect())
    };
    lines.extend(left_out(unreadable));
    Report {
        text: lines.join("\n"),
        json: json!({
            "items": listed.iter().map(Listed::json).collect::<Vec<_>>(),
            "unreadable": unreadable,
        }),
        exit: Exit::Fine,
    }
}

/// Says which items are left out, if any are.
pub fn left_out(unreadable: &[String]) -> Option<String> {
    let ids = unreadable.join(", ");
    let text = format!("left out, because a row of the item is unreadable: {ids}");
    (!unreadable.is_empty()).then(|| styled(WARNING, text))
}

/// The lines below their head, each column as wide as it needs to be.
fn table(rows: Vec<[String; COLUMNS]>) -> Vec<String> {
    let mut widths = HEAD.map(str::len);
    for (at, cell) in rows.iter().flat_map(|row| row.iter().enumerate()) {
        widths[at] = widths[at].max(cell.chars().count());
    }
    let line = |row: [String; COLUMNS]| {
        let cells = row.into_iter().zip(widths);
        let padded = cells.map(|(cell, width)| format!("{cell:<width$}"));
        let line = padded.collect::<Vec<_>>().join("  ");
        line.trim_end().to_owned()
    };
    let head = styled(STRONG, line(HEAD.map(str::to_owned)));
    [head]
        .into_iter()
        .chain(rows.into_iter().map(line))
        .collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::reminding::{Reminding, address, item, plain};

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    async fn listed(reminding: &Reminding, arguments: &[&str]) -> Report {
        let line = Line::try_parse_from([&["items"], arguments].concat()).unwrap();
        list(&reminding.planner, &line.arguments).await.unwrap()
    }

    /// The ids of what is listed, in this order.
    async fn ids(reminding: &Reminding, arguments: &[&str]) -> Vec<String> {
        let report = listed(reminding, arguments).await;
        let items = report.json["items"].as_array().unwrap();
        let id = |item: &Value| item["id"].as_str().unwrap().to_owned();
        items.iter().map(id).collect()
    }

    #[tokio::test]
    async fn the_items_that_wait_are_listed_with_what_people_were_told() {
        let reminding = Reminding::new().await;
        let guide = item("guide", Some("2026-12-04"), &["ana", "bob"]);
        let quiet = item("a-quiet-one", None, &["ana"]);
        for item in [&guide, &quiet] {
            reminding.waits(item, "UTC").await;
        }
        let nobody_in_slack = item("other", Some("2026-12-04"), &["carl"]);
        reminding.record(&nobody_in_slack).await;
        reminding.record(&item("done", None, &[])).await;
        let until = "2026-12-07T09:00:00Z".parse().unwrap();
        let items = &reminding.planner.items;
        items.snooze(&quiet.id, until).await.unwrap();
        for time in ["2026-12-01T17:00:00Z", "2026-12-03T17:00:00Z"] {
            reminding.it_is(time).await;
            reminding.is_told(&guide, "ana").await;
        }
        let report = listed(&reminding, &[]).await;
        insta::assert_snapshot!(plain(&report), @"
        ITEM         STATE      DUE         WAITING FOR       TOLD                                   NEXT LOOK                SNOOZED UNTIL
        guide        in_review  2026-12-04  ana@example.com   2, due-24h at 2026-12-03 17:00:00 UTC  2026-12-04 17:00:00 UTC  –
                                            bob@example.com   0                                      2026-12-01 17:00:00 UTC
        other        in_review  2026-12-04  carl@example.com  –                                      –                        –
        a-quiet-one  in_review  –           ana@example.com   0                                      2026-12-04 09:00:00 UTC  2026-12-07 09:00:00 UTC
        ");
        assert!(!report.json.to_string().contains("secret"));
        let expected = json!({
            "id": "guide", "version": 1, "state": "in_review", "dueDate": "2026-12-04",
            "overdue": false, "snoozedUntil": null,
            "waitingFor": [
                {
                    "email": "ana@example.com",
                    "told": [
                        { "stage": "due-3d", "at": "2026-12-01T17:00:00Z" },
                        { "stage": "due-24h", "at": "2026-12-03T17:00:00Z" },
                    ],
                    "passedOver": {}, "nextLookAt": "2026-12-04T17:00:00Z", "timeZone": "UTC",
                },
                {
                    "email": "bob@example.com", "told": [], "passedOver": {},
                    "nextLookAt": "2026-12-01T17:00:00Z", "timeZone": "UTC",
                },
            ],
        });
        assert_eq!(report.json["items"][0], expected);
        let all = ids(&reminding, &["--all"]).await;
        assert_eq!(all, ["guide", "other", "a-quiet-one", "done"]);
        let of_bob = ids(&reminding, &["--waiting-for", "Bob@example.com"]).await;
        assert_eq!(of_bob, ["guide"]);
    }

    #[tokio::test]
    async fn an_item_is_overdue_when_it_is_after_five_for_somebody() {
        let reminding = Reminding::new().await;
        for (id, due, person, zone) in [
            ("yesterdays", "2026-11-30", "ana", "UTC"),
            ("in-kiritimati", "2026-12-02", "bob", "Pacific/Kiritimati"),
            ("in-utc", "2026-12-02", "ana", "UTC"),
        ] {
            reminding.waits(&item(id, Some(due), &[person]), zone).await;
        }
        let unknown = item("in-an-unknown-zone", Some("2026-12-02"), &["carl"]);
        reminding.record(&unknown).await;
        reminding
            .record(&item("done", Some("2026-11-01"), &[]))
            .await;
        reminding.it_is("2026-12-02T17:00:00Z").await;
        let overdue = ids(&reminding, &["--overdue"]).await;
        assert_eq!(overdue, ["yesterdays", "in-kiritimati"]);
        reminding.it_is("2026-12-02T17:00:01Z").await;
        let overdue = ids(
            &reminding,
            &["--overdue", "--waiting-for", "carl@example.com"],
        )
        .await;
        assert_eq!(overdue, ["in-an-unknown-zone"]);
    }

    #[tokio::test]
    async fn what_a_person_was_told_before_an_item_moved_no_longer_counts() {
        let reminding = Reminding::new().await;
        let guide = item("guide", Some("2026-12-04"), &["ana"]);
        reminding.waits(&guide, "UTC").await;
        let mut moved = item("guide", Some("2026-12-09"), &["ana"]);
        moved.version = 2.try_into().unwrap();
        reminding.record(&moved).await;
        let report = listed(&reminding, &[]).await;
        let ana = &report.json["items"][0]["waitingFor"][0];
        assert_eq!(ana["email"], address("ana").as_str());
        assert_eq!(ana["nextLookAt"], Value::Null);
    }

    #[test]
    fn unreadable_items_are_named() {
        assert_eq!(left_out(&[]), None);
        let text = left_out(&["guide".to_owned(), "bounty:7".to_owned()]).unwrap();
        let text = anstream::adapter::strip_str(&text).to_string();
        let expected = "left out, because a row of the item is unreadable: guide, bounty:7";
        assert_eq!(text, expected);
    }

    #[tokio::test]
    async fn without_items_it_says_so() {
        let reminding = Reminding::new().await;
        for (arguments, expected) in [
            (&[][..], "no item waits for anybody"),
            (&["--overdue"], "there are no such items"),
            (&["--all"], "there are no items"),
        ] {
            assert_eq!(plain(&listed(&reminding, arguments).await), expected);
        }
    }
}
