//! `apgl remind --dry-run`: shows who would be reminded of which items.

use std::{cmp::Reverse, collections::BTreeMap};

use apgl_contract::{
    DueDate, Email, ItemId, SlackUserId,
    reminders::{Part, Stage},
};
use apgl_reminders::local_day;
use apgl_stores::{Bundle, BundleLedger, ItemRows, Planner, WaitingRow};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    deployment::{Deployment, Target},
    items::left_out,
    report::{Exit, Failure, Report, STRONG, styled},
    time::shown,
    values::instant,
};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Only shows it. Without this it is an error, because the hourly sweep reminds people.
    #[arg(long)]
    dry_run: bool,
    /// At this time instead of now, if nothing changes until then; such as 2026-11-25T10:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = instant)]
    at: Option<Timestamp>,
}

pub async fn run(target: &Target, arguments: &Arguments) -> Result<Report, Failure> {
    if !arguments.dry_run {
        return Err(Failure::input(
            "the hourly sweep reminds people; --dry-run shows what it would do",
        ));
    }
    let planner = Deployment::of(target).await?.planner().await?;
    dry_run(&planner, arguments.at).await
}

/// A reminder of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Reminder {
    at: Timestamp,
    item: ItemId,
    stage: Stage,
}

/// A person for whom items wait.
#[derive(Debug, Default)]
struct Person {
    due: Vec<Reminder>,
    /// The first one after that; `None` if nothing else will be due.
    next: Option<Reminder>,
}

async fn dry_run(planner: &Planner, at: Option<Timestamp>) -> Result<Report, Failure> {
    let at = match at {
        Some(at) => at,
        None => planner.now().await.map_err(Failure::aws)?,
    };
    let all = planner.items.all().await.map_err(Failure::aws)?;
    let mut bundles = Bundles::default();
    let mut people: BTreeMap<Email, Person> = BTreeMap::new();
    for row in all.items.iter().flat_map(ItemRows::waiting_rows) {
        let Some(plan) = planner.plan(&row, at) else {
            continue;
        };
        let person = people.entry(row.key.email.clone()).or_default();
        let look_at = match plan.due {
            Some(stage) if bundles.leave_room(planner, &row, stage, at).await? => {
                person.due.push(Reminder::of(&row, at, stage));
                continue;
            }
            Some(_) => planner.next_day(&row, at),
            None => plan.next_look_at,
        };
        let next = look_at.and_then(|look_at| first_reminder(planner, &row, look_at));
        person.next = earlier(person.next.take(), next);
    }
    for person in people.values_mut() {
        person
            .due
            .sort_by_key(|of| (Reverse(of.stage.urgency()), of.item.clone()));
    }
    Ok(report(at, &people, &all.unreadable))
}

/// The last messages to people, each read once.
#[derive(Default)]
struct Bundles(BTreeMap<SlackUserId, Option<Bundle>>);

impl Bundles {
    /// Whether it may still be sent on the person's day: they are told of everything once a day, and of what can't wait
    /// once more.
    async fn leave_room(
        &mut self,
        planner: &Planner,
        row: &WaitingRow,
        stage: Stage,
        at: Timestamp,
    ) -> Result<bool, Failure> {
        let waiting = &row.stored.waiting;
        let user = &waiting.user_id;
        if !self.0.contains_key(user) {
            let last = planner.items.latest_bundle(user).await;
            self.0.insert(user.clone(), last.map_err(Failure::aws)?);
        }
        let day = DueDate::from(local_day(at, waiting.zone().at(at)));
        let last = self.0.get(user).and_then(Option::as_ref);
        Ok(last.is_none_or(|last| has_room(last, day, stage)))
    }
}

fn has_room(last: &Bundle, day: DueDate, stage: Stage) -> bool {
    let has_room = |part| stage.belongs_in(part) && !last.has_sent(day, part);
    has_room(Part::First) || has_room(Part::Second)
}

/// The first reminder from then on.
fn first_reminder(planner: &Planner, row: &WaitingRow, from: Timestamp) -> Option<Reminder> {
    let mut looks = planner.looks(row, from);
    looks.find_map(|(at, due)| Some(Reminder::of(row, at, due?)))
}

fn earlier(a: Option<Reminder>, b: Option<Reminder>) -> Option<Reminder> {
    let both = a.into_iter().chain(b);
    both.min_by(|a, b| (a.at, &a.item).cmp(&(b.at, &b.item)))
}

impl Reminder {
    fn of(row: &WaitingRow, at: Timestamp, stage: Stage) -> Self {
        Self {
            at,
            item: row.key.item_id.clone(),
            stage,
        }
    }

    fn json(&self) -> Value {
        json!({ "at": self.at, "item": self.item, "stage": self.stage })
    }
}

impl Person {
    fn json(&self, email: &Email) -> Value {
        let due = self.due.iter();
        let due = due.map(|reminder| json!({ "item": reminder.item, "stage": reminder.stage }));
        json!({
            "email": email.as_str(),
            "due": due.collect::<Vec<_>>(),
            "next": self.next.as_ref().map(Reminder::json),
        })
    }
}

fn report(at: Timestamp, people: &BTreeMap<Email, Person>, unreadable: &[String]) -> Report {
    let (told, others): (Vec<_>, Vec<_>) = people
        .iter()
        .partition(|(_, person)| !person.due.is_empty());
    let mut lines = vec![match told.len() {
        0 => format!("nobody would be told anything at {}", shown(at)),
        1 => format!("1 person would be told at {}:", shown(at)),
        several => format!("{several} people would be told at {}:", shown(at)),
    }];
    for (email, person) in &told {
        lines.push(styled(STRONG, email.as_str()));
        let due = person.due.iter();
        lines.extend(
            due.map(|Reminder { item, stage, .. }| format!("  {:<11}{item}", stage.to_string())),
        );
    }
    if !others.is_empty() {
        let whose = if told.is_empty() {
            "the next reminders:"
        } else {
            "the next reminders of others:"
        };
        lines.push(whose.to_owned());
    }
    let widest = others
        .iter()
        .map(|(email, _)| email.as_str().chars().count());
    let widest = widest.max().unwrap_or_default();
    for (email, person) in others {
        let email = styled(STRONG, format!("{:<widest$}", email.as_str()));
        lines.push(match &person.next {
            Some(Reminder { at, item, stage }) => {
                format!("{email}  {}  {stage}  {item}", shown(*at))
            }
            None => format!("{email}  nothing else will be due"),
        });
    }
    lines.extend(left_out(unreadable));
    let all = people.iter().map(|(email, person)| person.json(email));
    Report {
        text: lines.join("\n"),
        json: json!({
            "at": at,
            "people": all.collect::<Vec<_>>(),
            "unreadable": unreadable,
        }),
        exit: Exit::Fine,
    }
}

#[cfg(test)]
mod tests {
    use apgl_contract::MessageTs;
    use apgl_stores::BundleContent;
    use jiff::civil::Date;

    use super::*;
    use crate::reminding::{Reminding, address, item, plain, user};

    async fn at(reminding: &Reminding, at: &str) -> Report {
        dry_run(&reminding.planner, Some(at.parse().unwrap()))
            .await
            .unwrap()
    }

    /// Ana and Bob wait; it is Tuesday, 09:00.
    async fn on_a_tuesday() -> Reminding {
        let reminding = Reminding::new().await;
        reminding.it_is("2026-11-27T10:00:00Z").await;
        for item in [
            item("overdue", Some("2026-11-30"), &["ana"]),
            item("today", Some("2026-12-01"), &["ana", "bob"]),
            item("later", Some("2026-12-18"), &["carl"]),
            item("done", Some("2026-12-18"), &[]),
        ] {
            reminding.waits(&item, "UTC").await;
        }
        let quiet = item("quiet", None, &["dora"]);
        reminding.waits(&quiet, "America/Lima").await;
        reminding.it_is("2026-12-01T09:00:00Z").await;
        reminding
    }

    #[tokio::test]
    async fn it_shows_who_would_be_told_and_when_others_are_told_next() {
        let reminding = on_a_tuesday().await;
        let report = dry_run(&reminding.planner, None).await.unwrap();
        insta::assert_snapshot!(plain(&report), @"
        2 people would be told at 2026-12-01 09:00:00 UTC:
        ana@example.com
          overdue-1  overdue
          due-24h    today
        bob@example.com
          due-24h    today
        the next reminders of others:
        carl@example.com  2026-12-15 17:00:00 UTC  due-3d  later
        dora@example.com  2026-12-02 14:00:00 UTC  quiet-1  quiet
        ");
        let people = report.json["people"].as_array().unwrap();
        let expected = json!({
            "email": "bob@example.com", "next": null,
            "due": [{ "item": "today", "stage": "due-24h" }],
        });
        assert_eq!(people[1], expected);
        assert!(!report.json.to_string().contains("secret"));
    }

    #[tokio::test]
    async fn it_shows_another_time_and_changes_nothing() {
        let reminding = on_a_tuesday().await;
        let before = reminding.planner.items.all().await.unwrap();
        let night = at(&reminding, "2026-12-01T20:00:00Z").await;
        insta::assert_snapshot!(plain(&night), @"
        nobody would be told anything at 2026-12-01 20:00:00 UTC
        the next reminders:
        ana@example.com   2026-12-02 09:00:00 UTC  overdue-2  overdue
        bob@example.com   2026-12-02 09:00:00 UTC  overdue-1  today
        carl@example.com  2026-12-15 17:00:00 UTC  due-3d  later
        dora@example.com  2026-12-02 14:00:00 UTC  quiet-1  quiet
        ");
        assert_eq!(reminding.planner.items.all().await.unwrap(), before);
    }

    #[tokio::test]
    async fn who_was_told_today_is_told_of_the_rest_tomorrow() {
        let reminding = on_a_tuesday().await;
        let today = DueDate::from(Date::constant(2026, 12, 1));
        let now = reminding.planner.now().await.unwrap();
        let content = BundleContent {
            text: String::new(),
            blocks: Vec::new(),
        };
        let ana = user(&address("ana")).id;
        let items = &reminding.planner.items;
        let first = Bundle::next(None, (today, Part::First), Vec::new(), content, now);
        let sent = first.as_sent(&MessageTs::try_from("1.000001".to_owned()).unwrap());
        assert!(items.replace_bundle(&ana, None, &sent).await.unwrap());
        let morning = at(&reminding, "2026-12-01T09:00:00Z").await;
        let ana = &morning.json["people"][0];
        assert_eq!(ana["due"], json!([]));
        let next = json!({ "at": "2026-12-02T09:00:00Z", "item": "overdue", "stage": "overdue-2" });
        assert_eq!(ana["next"], next);
        // Only that something is due now can't wait.
        let evening = at(&reminding, "2026-12-01T17:00:00Z").await;
        let ana = &evening.json["people"][0];
        assert_eq!(ana["due"], json!([{ "item": "today", "stage": "due" }]));
    }

    #[tokio::test]
    async fn without_items_nobody_is_told() {
        let reminding = Reminding::new().await;
        let report = dry_run(&reminding.planner, None).await.unwrap();
        let expected = "nobody would be told anything at 2026-12-01 08:00:00 UTC";
        assert_eq!(plain(&report), expected);
    }
}
