//! Reminders: whom an item waits for is told in time, once, and not any more when it has moved.
//!
//! The tests set the calendar of the stack, so they run one after the other, each in a later week.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use apgl_client::{ExecutionName, StateMachineArn};
use apgl_stores::{Items, Table};
use e2e::{Ended, ITEMS_TABLE, World, unique};
use jiff::{
    Timestamp, ToSpan,
    civil::{DateTime, Weekday, date},
    tz::TimeZone,
};
use local_stack::{
    execution::state_machine_arn,
    invoke::{Answer, invoke},
};
use serde_json::{Value, json};
use slack_sandbox::{
    faults::How,
    seed::ChannelSeed,
    server::ChannelChange,
    workspace::{Message, User},
};
use tokio::{
    sync::{Mutex, MutexGuard},
    time::sleep,
};

/// A week that no other test has used.
struct Week<'a> {
    world: &'a World,
    monday: DateTime,
    _alone: MutexGuard<'static, i64>,
}

impl<'a> Week<'a> {
    async fn new(world: &'a World) -> Self {
        static WEEKS: Mutex<i64> = Mutex::const_new(0);
        let mut weeks = WEEKS.lock().await;
        *weeks += 1;
        Self {
            world,
            monday: date(2027, 1, 4).at(0, 0, 0, 0) + weeks.weeks(),
            _alone: weeks,
        }
    }

    fn at(&self, day: Weekday, hour: i64, minute: i64) -> DateTime {
        let days = i64::from(day.to_monday_zero_offset());
        self.monday + days.days().hours(hour).minutes(minute)
    }

    fn day(&self, day: Weekday) -> String {
        self.at(day, 0, 0).date().to_string()
    }

    /// It is this time in UTC.
    async fn is(&self, day: Weekday, hour: i64, minute: i64) {
        let now = self.at(day, hour, minute);
        let now: Timestamp = TimeZone::UTC.to_timestamp(now).unwrap();
        let dynamodb = aws_sdk_dynamodb::Client::new(&self.world.aws);
        let items = Items::new(Table::new(dynamodb, ITEMS_TABLE.to_owned()));
        items.set_calendar(now).await.unwrap();
    }

    /// The hourly schedule fires, twice.
    async fn sweep(&self) {
        for _ in 0..2 {
            let swept = invoke(&self.world.aws, "sweep-reminders", &json!({})).await;
            assert!(matches!(swept.unwrap(), Answer::Outcome(_)));
        }
    }

    /// The end of the execution that reminds this user on this day.
    async fn end_of(&self, user: &str, day: Weekday) -> Ended {
        let key = format!("{user}/{}", self.day(day));
        self.end_of_key("remind", &key).await
    }

    /// The end of the execution that a sweep has started with this key.
    async fn end_of_key(&self, workflow: &str, key: &str) -> Ended {
        let name = ExecutionName::from_key("sweep", key).unwrap();
        let machine = StateMachineArn::new(&state_machine_arn(workflow)).unwrap();
        self.world.end_of(&machine.execution(name)).await
    }
}

/// A person whose clock shows UTC: address and id.
async fn person(world: &World, name: &str) -> (String, String) {
    person_in(world, name, "Etc/UTC").await
}

async fn person_in(world: &World, name: &str, tz: &str) -> (String, String) {
    let id = format!("U{}", unique(name).to_uppercase().replace('-', ""));
    let user = User {
        id: id.clone(),
        tz: tz.to_owned(),
        ..User::default()
    };
    (world.account(name, user).await, id)
}

fn item(channel: &str, version: u64, state: &str, due: &str, waiting_for: &[&str]) -> Value {
    json!({
        "itemId": format!("item-{channel}"), "version": version, "channelName": channel,
        "ownChannel": true, "title": format!("Guide {channel}"), "state": state,
        "link": "https://example.com/guide", "waitingFor": waiting_for, "dueDate": due,
    })
}

async fn moves_to(world: &World, item: &Value) -> Ended {
    world.run("update-item", item).await
}

async fn messages(world: &World, user: &str) -> Vec<Message> {
    let direct_message = world.sandbox.direct_message(user).await.unwrap();
    direct_message.map_or_else(Vec::new, |it| it.messages)
}

#[tokio::test]
async fn a_person_is_reminded_once_and_not_any_more_when_the_item_has_moved() {
    let world = World::here();
    let week = Week::new(&world).await;
    let (ana, id) = person(&world, "ana").await;
    let channel = unique("remind");
    week.is(Weekday::Monday, 8, 0).await;
    let due = week.day(Weekday::Friday);
    let waits = moves_to(&world, &item(&channel, 1, "in_review", &due, &[&ana])).await;
    assert_eq!(waits.output()["skipped"], json!([]));
    assert!(waits.steps().contains(&"PlanReminders"));

    // Three days before, the sweep comes ahead of the hour, and the execution sleeps.
    week.is(Weekday::Tuesday, 16, 50).await;
    week.sweep().await;
    sleep(Duration::from_secs(1)).await;
    assert!(messages(&world, &id).await.is_empty());
    week.is(Weekday::Tuesday, 17, 0).await;
    let reminded = week.end_of(&id, Weekday::Tuesday).await;
    let outcome = reminded.output();
    assert_eq!(outcome["reminded"][0]["stage"], "due-3d");
    let told = messages(&world, &id).await;
    assert_eq!(told.len(), 1);
    assert_eq!(outcome["message"]["ts"], json!(told[0].ts));
    assert!(told[0].text.contains(&format!("Guide {channel}")));

    // The day before, the item moves while the execution sleeps.
    week.is(Weekday::Thursday, 16, 50).await;
    week.sweep().await;
    moves_to(&world, &item(&channel, 2, "approved", &due, &[])).await;
    week.is(Weekday::Thursday, 17, 0).await;
    let asked = week.end_of(&id, Weekday::Thursday).await;
    assert_eq!(*asked.output(), json!({ "reminded": [], "skipped": [] }));
    assert_eq!(messages(&world, &id).await.len(), 1);
}

#[tokio::test]
async fn everything_that_is_due_is_in_one_message_by_the_persons_clock() {
    let world = World::here();
    let week = Week::new(&world).await;
    let (ana, id) = person_in(&world, "ana", "America/New_York").await;
    week.is(Weekday::Monday, 8, 0).await;
    let (today, later) = (week.day(Weekday::Tuesday), week.day(Weekday::Thursday));
    for due in [&today, &later] {
        let channel = unique("remind");
        moves_to(&world, &item(&channel, 1, "in_review", due, &[&ana])).await;
    }
    // 24 hours before the first and 3 days before the second: 17:00 on Monday in New York.
    week.is(Weekday::Monday, 22, 0).await;
    week.sweep().await;
    let reminded = week.end_of(&id, Weekday::Monday).await;
    let stages = |ended: &Ended| {
        let reminded = ended.output()["reminded"].as_array().unwrap().clone();
        let stages = reminded
            .iter()
            .map(|of| of["stage"].as_str().unwrap().to_owned());
        stages.collect::<Vec<_>>()
    };
    assert_eq!(stages(&reminded), ["due-24h", "due-3d"]);
    week.is(Weekday::Tuesday, 22, 0).await;
    week.sweep().await;
    let reminded = week.end_of(&id, Weekday::Tuesday).await;
    assert_eq!(stages(&reminded), ["due"]);
    week.is(Weekday::Wednesday, 14, 0).await;
    week.sweep().await;
    let reminded = week.end_of(&id, Weekday::Wednesday).await;
    assert_eq!(stages(&reminded), ["overdue-1"]);
    assert_eq!(messages(&world, &id).await.len(), 3);
}

#[tokio::test]
async fn who_does_not_want_direct_messages_is_passed_over() {
    let world = World::here();
    let week = Week::new(&world).await;
    let (ana, id) = person(&world, "ana").await;
    world.turn_off_direct_messages(&ana).await;
    let channel = unique("remind");
    week.is(Weekday::Monday, 8, 0).await;
    let due = week.day(Weekday::Friday);
    moves_to(&world, &item(&channel, 1, "in_review", &due, &[&ana])).await;
    week.is(Weekday::Tuesday, 17, 0).await;
    week.sweep().await;
    let asked = week.end_of(&id, Weekday::Tuesday).await;
    let skipped = json!([{ "email": ana, "reason": "opted_out" }]);
    assert_eq!(
        *asked.output(),
        json!({ "reminded": [], "skipped": skipped })
    );
    assert!(messages(&world, &id).await.is_empty());
}

#[tokio::test]
async fn an_item_that_stays_overdue_is_escalated_once_to_the_first_who_may_be_told() {
    let world = World::here();
    let week = Week::new(&world).await;
    let (ana, _) = person(&world, "ana").await;
    let (opted_out, _) = person(&world, "joe").await;
    world.turn_off_direct_messages(&opted_out).await;
    let (eve, eve_id) = person(&world, "eve").await;
    let (channel, due) = (unique("escalate"), week.day(Weekday::Tuesday));
    week.is(Weekday::Monday, 8, 0).await;
    let mut waits = item(&channel, 1, "in_review", &due, &[&ana]);
    waits["reminders"] = json!({ "escalateTo": [opted_out, eve], "escalateAfterWorkingDays": 1 });
    moves_to(&world, &waits).await.output();
    week.is(Weekday::Tuesday, 17, 0).await;
    week.sweep().await;
    week.is(Weekday::Wednesday, 16, 50).await;
    week.sweep().await;
    week.is(Weekday::Wednesday, 17, 0).await;
    let key = format!("item-{channel}/{due}/{}", week.day(Weekday::Wednesday));
    let escalated = week.end_of_key("escalate", &key).await;
    let outcome = escalated.output();
    assert_eq!(outcome["escalated"], true);
    assert_eq!(outcome["told"], json!(eve));
    let passed_over = json!([{ "email": opted_out, "reason": "opted_out" }]);
    assert_eq!(outcome["skipped"], passed_over);
    let told = messages(&world, &eve_id).await;
    assert_eq!(told.len(), 1);
    assert!(
        told[0]
            .text
            .starts_with(&format!("Overdue: Guide {channel}"))
    );
    let in_channel = world.in_slack(&channel).await.messages;
    let about_it = in_channel
        .iter()
        .filter(|it| it.text.starts_with("Overdue"));
    assert_eq!(about_it.count(), 1);

    week.is(Weekday::Thursday, 17, 0).await;
    week.sweep().await;
    assert_eq!(messages(&world, &eve_id).await.len(), 1);
}

#[tokio::test]
async fn an_item_is_escalated_to_a_person_if_its_channel_is_archived() {
    let world = World::here();
    let week = Week::new(&world).await;
    let [(ana, _), (eve, eve_id)] = [person(&world, "ana").await, person(&world, "eve").await];
    let (channel, due) = (unique("escalate"), week.day(Weekday::Tuesday));
    week.is(Weekday::Monday, 8, 0).await;
    let mut waits = item(&channel, 1, "in_review", &due, &[&ana]);
    waits["reminders"] = json!({ "escalateTo": [eve], "escalateAfterWorkingDays": 1 });
    moves_to(&world, &waits).await.output();
    world.sandbox.archive_channel(&channel).await.unwrap();
    for day in [Weekday::Wednesday, Weekday::Thursday] {
        week.is(day, 17, 0).await;
        week.sweep().await;
    }
    let key = format!("item-{channel}/{due}/{}", week.day(Weekday::Wednesday));
    let escalated = week.end_of_key("escalate", &key).await;
    let outcome = escalated.output();
    assert_eq!(outcome["told"], json!(eve));
    assert_eq!(outcome["channel"], Value::Null);
    assert_eq!(outcome["channelNotTold"]["error"], "Channel.NameTaken");
    assert_eq!(messages(&world, &eve_id).await.len(), 1);
}

#[tokio::test]
async fn a_person_is_reminded_of_an_item_whose_card_is_shown_after_a_redrive() {
    let world = World::here();
    let week = Week::new(&world).await;
    let (ana, id) = person(&world, "ana").await;
    let (channel, due) = (unique("remind"), week.day(Weekday::Friday));
    let archived = ChannelSeed {
        is_private: true,
        is_archived: true,
        bot_is_member: false,
        ..ChannelSeed::default()
    };
    world.channel(&channel, archived).await;
    week.is(Weekday::Monday, 8, 0).await;
    let waits = item(&channel, 1, "in_review", &due, &[&ana]);
    let failed = moves_to(&world, &waits).await;
    assert_eq!(failed.failure().0, "Channel.NameTaken");
    let arn = &failed.execution.arn;
    assert_eq!(world.redrive(arn).await.failure().0, "Channel.NameTaken");
    week.is(Weekday::Tuesday, 17, 0).await;
    week.sweep().await;
    let reminded = week.end_of(&id, Weekday::Tuesday).await;
    assert_eq!(reminded.output()["reminded"][0]["stage"], "due-3d");

    let renamed = ChannelChange {
        name: Some(unique("other")),
        ..ChannelChange::default()
    };
    world.change_channel(&channel, renamed).await;
    let shown = world.redrive(arn).await;
    assert_eq!(shown.output()["card"]["change"], "posted");
    assert_eq!(world.in_slack(&channel).await.messages.len(), 1);
}

#[tokio::test]
async fn a_card_is_shown_even_if_nobody_can_be_looked_up() {
    let world = World::here();
    let week = Week::new(&world).await;
    let (ana, _) = person(&world, "ana").await;
    let (channel, due) = (unique("remind"), week.day(Weekday::Friday));
    week.is(Weekday::Monday, 8, 0).await;
    let unauthorized = How::refused("not_allowed_token_type");
    world
        .fault("users.lookupByEmail", "email", &ana, 1, unauthorized)
        .await;
    let waits = item(&channel, 1, "in_review", &due, &[&ana]);
    let failed = moves_to(&world, &waits).await;
    assert_eq!(failed.failure().0, "Slack.Unauthorized");
    assert_eq!(failed.last_state(), "ResolveUsers");
    assert_eq!(world.in_slack(&channel).await.messages.len(), 1);

    let planned = world.redrive(&failed.execution.arn).await;
    assert_eq!(planned.output()["card"]["change"], "posted");
    assert_eq!(planned.last_state(), "PlanReminders");
}
