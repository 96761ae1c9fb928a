//! The people who must act: mentions, direct messages, and notices that are late or out of order.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, SystemTime};

use apgl_client::{ExecutionName, StateMachineArn};
use aws_smithy_types::date_time::{DateTime, Format};
use e2e::{Ended, World, schemas::check_against, unique};
use local_stack::{
    execution::state_machine_arn,
    invoke::{Answer, invoke},
};
use serde_json::{Value, json};
use slack_sandbox::faults::{Effect, How};
use tokio::time::sleep;

const EVENT_HANDLER: &str = "mpc-event-handler";

/// A change of an item that waits for these people.
struct Change {
    id: String,
    channel: String,
    state: &'static str,
    waiting_for: Vec<String>,
    version: Option<u64>,
}

impl Change {
    /// The first change of an item: it is in review, and waits for these people.
    fn in_review(waiting_for: &[&String]) -> Self {
        Self {
            id: unique("change"),
            channel: unique("item"),
            state: "in_review",
            waiting_for: waiting_for.iter().map(|email| (*email).clone()).collect(),
            version: None,
        }
    }

    fn version(self, version: u64) -> Self {
        Self {
            version: Some(version),
            ..self
        }
    }

    /// The item's next change: its authors must act.
    fn then_changes_are_requested(&self) -> Self {
        Self {
            id: unique("change"),
            channel: self.channel.clone(),
            state: "changes_requested",
            waiting_for: self.waiting_for.clone(),
            version: self.version.map(|version| version + 1),
        }
    }

    fn event(&self) -> Value {
        let mut detail = json!({
            "id": self.id, "channelName": self.channel, "members": self.waiting_for,
            "waitingFor": self.waiting_for, "actorEmail": "editor@example.com",
            "contentItem": {
                "title": "Rust on Lambda", "link": "https://example.com/guide",
                "state": self.state, "actor": "The editor", "dueDate": "2026-12-01",
            },
        });
        if let Some(version) = self.version {
            detail["version"] = json!(version);
        }
        check_against("mpc-event-handler.content-item-state-changed", &detail);
        json!({
            "version": "0", "id": unique("envelope"), "detail-type": "Content Item State Changed",
            "source": "apgl.mpc", "account": "000000000000", "time": "2026-11-25T10:00:00Z",
            "region": "us-east-1", "resources": [], "detail": detail,
        })
    }

    /// Delivers the event. Returns the ARN of the channel's execution.
    async fn deliver(&self, world: &World) -> String {
        match invoke(&world.aws, EVENT_HANDLER, &self.event())
            .await
            .unwrap()
        {
            Answer::Outcome(arn) => arn.as_str().unwrap().to_owned(),
            Answer::Failure { error, cause } => panic!("{error}: {cause}"),
        }
    }

    /// Delivers the event, and waits for the end of the channel's execution.
    async fn posted(&self, world: &World) -> Ended {
        let arn = self.deliver(world).await;
        world.end_of(&arn).await
    }

    /// The texts in the item's channel without the card, which alone has blocks.
    async fn messages_beside_the_card(&self, world: &World) -> Vec<String> {
        let messages = world.in_slack(&self.channel).await.messages.into_iter();
        let short = messages.filter(|message| message.blocks.is_none());
        short.map(|message| message.text).collect()
    }

    /// The end of the execution of this person's direct message.
    async fn told(&self, world: &World, email: &str) -> Value {
        let name = ExecutionName::from_key("mpc-event", &format!("{}\n{email}", self.id)).unwrap();
        let machine = StateMachineArn::new(&state_machine_arn("notify-person")).unwrap();
        let ended = world.end_of(&machine.execution(name)).await;
        ended.output().clone()
    }
}

/// The time so long from now, as requests give it.
fn rfc3339(after: Duration) -> String {
    let at = DateTime::from(SystemTime::now() + after);
    at.fmt(Format::DateTime).unwrap()
}

#[tokio::test]
async fn an_item_in_review_tells_each_reviewer_as_they_want_and_as_slack_allows() {
    let world = World::here();
    let ana = world.person("ana", Some(true)).await;
    let bob = world.person("bob", Some(false)).await;
    let cem = format!("{}@example.com", unique("cem"));
    world.profile(&cem, Some(true)).await;
    let change = Change::in_review(&[&ana, &bob, &cem]);
    let outcome = change.posted(&world).await.output().clone();
    let not = |email: &str, reason: &str| json!({ "email": email, "reason": reason });
    assert_eq!(outcome["message"]["mentioned"], json!([ana]));
    let not_mentioned = json!([not(&bob, "opted_out"), not(&cem, "not_in_slack")]);
    assert_eq!(outcome["message"]["notMentioned"], not_mentioned);
    assert_eq!(outcome["members"]["skipped"], not_mentioned);
    assert_eq!(outcome["members"]["invited"], json!([ana]));

    let posted = world.in_slack(&change.channel).await.messages.remove(0);
    let blocks = json!(posted.blocks).to_string();
    let mentions = blocks.matches(r#""type":"user""#).count();
    assert_eq!(mentions, 1, "{blocks}");
    for email in [&bob, &cem] {
        let name = email.split('@').next().unwrap();
        assert!(blocks.contains(name) && posted.text.contains(name));
    }

    assert_eq!(
        change.told(&world, &ana).await["message"]["duplicate"],
        false
    );
    let skipped = async |email: &str| change.told(&world, email).await["skipped"].clone();
    assert_eq!(skipped(&bob).await, json!([not(&bob, "opted_out")]));
    assert_eq!(skipped(&cem).await, json!([not(&cem, "not_in_slack")]));
    let [told] = &world.direct_messages(&ana).await[..] else {
        panic!("one direct message");
    };
    assert!(
        told.starts_with("Waiting for your review: Rust on Lambda"),
        "{told}"
    );
    assert_eq!(world.direct_messages(&bob).await, [""; 0]);
}

#[tokio::test]
async fn the_same_event_three_times_is_one_direct_message() {
    let world = World::here();
    let ana = world.person("ana", Some(true)).await;
    let change = Change::in_review(&[&ana]);
    for _ in 0..3 {
        change.posted(&world).await.output();
        change.told(&world, &ana).await;
    }
    assert_eq!(world.direct_messages(&ana).await.len(), 1);
    assert_eq!(world.in_slack(&change.channel).await.messages.len(), 1);
}

#[tokio::test]
async fn an_older_version_that_arrives_after_a_newer_one_is_not_posted() {
    let world = World::here();
    let ana = world.person("ana", Some(true)).await;
    let older = Change::in_review(&[&ana]).version(7);
    let newer = older.then_changes_are_requested();
    newer.posted(&world).await.output();
    newer.told(&world, &ana).await;
    let superseded = json!({ "superseded": true });
    assert_eq!(older.posted(&world).await.output()["message"], superseded);
    assert_eq!(older.told(&world, &ana).await["message"], superseded);
    assert_eq!(older.messages_beside_the_card(&world).await.len(), 1);
    assert_eq!(world.direct_messages(&ana).await.len(), 1);
}

#[tokio::test]
async fn two_versions_at_once_stay_in_order_though_slack_loses_an_answer() {
    let world = World::here();
    let first = Change::in_review(&[]).version(1);
    let channel = world.private_channel(&first.channel, &[]).await;
    let lost = How::Reset {
        effect: Effect::Done,
    };
    world
        .fault("chat.postMessage", "channel", &channel.id, 1, lost)
        .await;
    let second = first.then_changes_are_requested();
    let (first_arn, second_arn) = tokio::join!(first.deliver(&world), second.deliver(&world));
    let outcome = async |arn: &str| world.end_of(arn).await.output()["message"].clone();
    let (of_first, of_second) = tokio::join!(outcome(&first_arn), outcome(&second_arn));
    assert!(of_second["ts"].is_string(), "{of_second}");
    let posted = first.messages_beside_the_card(&world).await;
    let headlines = posted.iter().map(|text| text.split(':').next().unwrap());
    let headlines: Vec<&str> = headlines.collect();
    if of_first["superseded"] == true {
        assert_eq!(headlines, ["Changes requested"]);
    } else {
        assert_eq!(headlines, ["In review", "Changes requested"]);
    }
}

#[tokio::test]
async fn a_notice_that_expires_while_slack_limits_the_channel_is_not_posted() {
    let world = World::here();
    let name = unique("expires");
    let channel = world.public_channel(&name).await;
    // A minute of real time.
    world.fill_queue(&channel.id, 1_200).await;
    let request = json!({
        "channelName": name, "message": "hello", "expiresAt": rfc3339(Duration::from_secs(40)),
    });
    let ended = world.run("notify-public-channel", &request).await;
    assert_eq!(ended.output()["message"], json!({ "expired": true }));
    assert!(ended.states().contains(&"WaitToPostMessage"));
    assert_eq!(world.in_slack(&name).await.messages, []);
}

#[tokio::test]
async fn a_redrive_after_the_expiry_posts_nothing() {
    let world = World::here();
    let name = unique("redriven");
    let channel = world.public_channel(&name).await;
    let refused = How::refused("not_allowed_token_type");
    world
        .fault("chat.postMessage", "channel", &channel.id, 1, refused)
        .await;
    let expires_after = Duration::from_secs(45);
    let request = json!({
        "channelName": name, "message": "hello", "expiresAt": rfc3339(expires_after),
    });
    let failed = world.run("notify-public-channel", &request).await;
    assert_eq!(failed.failure().0, "Slack.Unauthorized");
    sleep(expires_after).await;
    let redriven = world.redrive(&failed.execution.arn).await;
    assert_eq!(redriven.output()["message"], json!({ "expired": true }));
    assert_eq!(world.in_slack(&name).await.messages, []);
}

#[tokio::test]
async fn somebody_who_has_left_is_not_invited_again_but_told_if_they_must_act() {
    let world = World::here();
    let ana = world.person("ana", Some(true)).await;
    let bob = world.person("bob", Some(true)).await;
    let first = Change::in_review(&[&ana, &bob]);
    first.posted(&world).await.output();
    let left = world.sandbox.remove_member(&first.channel, &ana);
    left.await.unwrap();
    let others = world.in_slack(&first.channel).await.members;
    // An explicit request for somebody else makes Slack list the members again, as it happens once a day.
    let request = json!({ "channelName": first.channel, "add": [bob] });
    world.run("change-channel-members", &request).await.output();

    let second = first.then_changes_are_requested();
    let outcome = second.posted(&world).await.output().clone();
    let left = json!([{ "email": ana, "reason": "left_channel" }]);
    assert_eq!(outcome["members"]["skipped"], left);
    assert_eq!(outcome["message"]["notMentioned"], left);
    assert_eq!(outcome["message"]["mentioned"], json!([bob]));
    assert_eq!(world.in_slack(&first.channel).await.members, others);
    second.told(&world, &ana).await;
    assert_eq!(world.direct_messages(&ana).await.len(), 2);

    let request = json!({ "channelName": first.channel, "add": [ana] });
    let added = world.run("change-channel-members", &request).await;
    assert_eq!(added.output()["members"]["invited"], json!([ana]));
}
