//! The step against a Slack sandbox and tables.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use apgl_contract::{
    ChannelRef, DirectMessage, ErrorName, Item, SkipReason, Skipped, SlackUser, StepError,
    StepFailure, decode, reminders::ReminderSettings,
};
use apgl_stores::{Deliveries, Escalating};
use fixture::{Fixture, invocation, it_is, item, plans_escalation, waiting_row, waits};
use rstest::rstest;
use send_escalation::{Deps, Input, handle};
use serde_json::{Value, json};
use slack_sandbox::{
    faults::{Effect, Fault, How},
    workspace::Message,
};

const POST: &str = "chat.postMessage";
const CHANNEL: &str = "guide-42";
const DUE: &str = "2026-12-01";

/// An item that has waited for Ana in vain since 1 December. Eve is to be told on the 3rd, at 17:00.
struct Overdue {
    fixture: Fixture,
    deps: Deps,
    ana: SlackUser,
    item: Item,
    eve: DirectMessage,
    channel: ChannelRef,
}

impl Overdue {
    async fn new() -> Self {
        let fixture = Fixture::new().await;
        let [ana, eve] = [fixture.person("ana").await, fixture.person("eve").await];
        let channel = fixture.private_channel(CHANNEL, &[&ana]).await;
        let deps = Deps {
            directory: fixture.directory_with(&channel).await,
            deliveries: Deliveries::new(fixture.table("deliveryId").await),
            planner: fixture.planner("2026-11-30T09:00:00Z").await,
        };
        let escalates: ReminderSettings = decode(json!({ "escalateTo": [eve.email] })).unwrap();
        let item = Item {
            reminders: Some(escalates),
            ..item("guide", 1, Some(DUE), &[&ana])
        };
        waits(&deps.planner, &item, &[&ana]).await;
        plans_escalation(&deps.planner, &item).await;
        it_is(&deps.planner, "2026-12-03T17:00:00Z").await;
        Self {
            eve: DirectMessage {
                id: fixture.slack.conversations_open(&eve.id.0).await.unwrap(),
                email: eve.email,
                user_id: eve.id,
            },
            fixture,
            deps,
            ana,
            item,
            channel,
        }
    }

    /// Ana was reminded at these times.
    async fn has_told(&self, told: &[(&str, &str)]) {
        let planner = &self.deps.planner;
        let mut row = waiting_row(planner, &self.item, &self.ana).await;
        for (stage, at) in told {
            row.told.insert(stage.parse().unwrap(), at.parse().unwrap());
        }
        let kept = planner.items.keep(&self.item.id, &row, Some(1)).await;
        assert!(kept.unwrap());
    }

    fn input(&self) -> Input {
        Input {
            item_id: self.item.id.clone(),
            due_date: self.item.due_date.unwrap(),
            conversation: Some(self.eve.clone()),
            channel: Some(self.channel.clone()),
            channel_failure: None,
            channel_name: self.item.channel_name.clone(),
            skipped: Vec::new(),
        }
    }

    async fn send(&self) -> Result<Value, StepError> {
        let outcome = handle(&self.deps, &invocation("e"), self.input()).await?;
        Ok(json!(outcome))
    }

    /// What the step gets if its channel can't be used.
    fn without_channel(&self) -> Input {
        Input {
            channel: None,
            channel_failure: Some(StepFailure {
                error: "Channel.NameTaken".to_owned(),
                reason: "the channel name `guide-42` is taken".to_owned(),
                slack_error: None,
            }),
            ..self.input()
        }
    }

    /// The direct message is posted, and Slack refuses the channel's with this error.
    async fn refuses_the_channel(&self, error: &str) {
        let to_channel = Fault::new(POST, How::refused(error)).skip(1);
        let sandbox = &self.fixture.sandbox;
        sandbox.add_fault(&to_channel).await.unwrap();
    }

    async fn to_eve(&self) -> Vec<Message> {
        let eve = &self.eve.user_id.0;
        let direct = self.fixture.sandbox.direct_message(eve).await.unwrap();
        direct.unwrap().messages
    }

    async fn in_channel(&self) -> Vec<Message> {
        self.fixture.in_slack(CHANNEL).await.unwrap().messages
    }

    async fn moves(&self) {
        let moved = item("guide", 2, None, &[]);
        waits(&self.deps.planner, &moved, &[]).await;
    }

    async fn row(&self) -> Escalating {
        let items = &self.deps.planner.items;
        items.escalating(&self.item.id).await.unwrap().unwrap()
    }
}

#[tokio::test]
async fn somebody_and_the_channel_are_told_once_who_was_reminded_when_and_how_often() {
    let overdue = Overdue::new().await;
    overdue
        .has_told(&[
            ("due", "2026-12-01T17:00:00Z"),
            ("overdue-1", "2026-12-02T09:00:00Z"),
        ])
        .await;
    for _ in 0..2 {
        let outcome = overdue.send().await.unwrap();
        assert_eq!(outcome["escalated"], true);
        assert_eq!(outcome["told"], "eve@example.com");
    }
    let (to_eve, in_channel) = (overdue.to_eve().await, overdue.in_channel().await);
    assert_eq!((to_eve.len(), in_channel.len()), (1, 1));
    for message in [&to_eve[0], &in_channel[0]] {
        assert!(
            message
                .text
                .starts_with("Overdue: Guide &lt;guide&gt; (due <!date^")
        );
        let blocks = message.blocks.as_ref().unwrap();
        let list = &blocks[1]["elements"][1]["elements"];
        let ana = &list[0]["elements"];
        assert_eq!(ana[1]["text"], "ana");
        assert_eq!(ana[2]["text"], ": reminded ");
        assert_eq!(ana[3]["text"], "2 times, last ");
        assert_eq!(ana[4]["timestamp"], 1_796_202_000);
    }
    let about = &in_channel[0].blocks.as_ref().unwrap()[1]["elements"][0]["elements"];
    assert_eq!(
        about[4],
        json!({ "type": "user", "user_id": overdue.eve.user_id })
    );
    let row = overdue.row().await;
    assert_eq!(row.told.unwrap().as_str(), "eve@example.com");
    assert!(row.escalated_at.is_some() && row.next_look_at.is_none());
}

#[tokio::test]
async fn the_channel_is_told_if_nobody_else_may_be_written_to() {
    let overdue = Overdue::new().await;
    let skipped = vec![Skipped::new(
        overdue.eve.email.clone(),
        SkipReason::OptedOut,
    )];
    let input = Input {
        conversation: None,
        skipped,
        ..overdue.input()
    };
    let outcome = handle(&overdue.deps, &invocation("e"), input).await;
    let outcome = json!(outcome.unwrap());
    assert_eq!(outcome["escalated"], true);
    assert_eq!(outcome["told"], Value::Null);
    assert_eq!(outcome["skipped"][0]["reason"], "opted_out");
    assert_eq!(overdue.in_channel().await.len(), 1);
    assert!(overdue.to_eve().await.is_empty());
    assert!(overdue.row().await.escalated_at.is_some());
}

#[tokio::test]
async fn a_channel_that_can_not_be_used_does_not_keep_the_person_from_being_told() {
    let overdue = Overdue::new().await;
    for _ in 0..2 {
        let outcome = handle(&overdue.deps, &invocation("e"), overdue.without_channel()).await;
        let outcome = json!(outcome.unwrap());
        assert_eq!(outcome["escalated"], true);
        assert_eq!(outcome["told"], "eve@example.com");
        assert_eq!(outcome["channel"], Value::Null);
        let not_told = json!(overdue.without_channel().channel_failure);
        assert_eq!(outcome["channelNotTold"], not_told);
    }
    assert_eq!(overdue.to_eve().await.len(), 1);
    let row = overdue.row().await;
    assert!(row.escalated_at.is_some() && row.next_look_at.is_none());
}

#[rstest]
#[case::not_allowed("restricted_action", "Slack.Rejected")]
#[case::archived("is_archived", "Channel.Archived")]
#[case::gone("channel_not_found", "Channel.NotFound")]
#[case::refused_message("invalid_blocks", "Slack.MessageRejected")]
#[tokio::test]
async fn a_channel_in_which_slack_refuses_the_message_is_reported(
    #[case] code: &str,
    #[case] error: &str,
) {
    let overdue = Overdue::new().await;
    overdue.refuses_the_channel(code).await;
    let outcome = overdue.send().await.unwrap();
    assert_eq!(outcome["told"], "eve@example.com");
    assert_eq!(outcome["channelNotTold"]["error"], error);
    assert!(overdue.row().await.escalated_at.is_some());
    assert!(overdue.in_channel().await.is_empty());
}

#[tokio::test]
async fn a_channel_that_is_gone_is_looked_up_again_before_it_is_reported() {
    let overdue = Overdue::new().await;
    overdue.refuses_the_channel("channel_not_found").await;
    let mut invocation = invocation("e");
    invocation.run.channel_lookups = Some(0);
    let gone = handle(&overdue.deps, &invocation, overdue.input()).await;
    assert_eq!(gone.unwrap_err().name(), ErrorName::ChannelStale);
}

#[tokio::test]
async fn nobody_can_be_told_if_neither_a_person_nor_the_channel_can_be_written_to() {
    let overdue = Overdue::new().await;
    let nobody = || Input {
        conversation: None,
        ..overdue.without_channel()
    };
    let mut invocation = invocation("e");
    invocation.run.channel_lookups = Some(0);
    let failed = handle(&overdue.deps, &invocation, nobody()).await;
    assert_eq!(failed.unwrap_err().name(), ErrorName::ChannelNameTaken);
    assert!(overdue.row().await.escalated_at.is_none());
    invocation.run.redrive_count = 1;
    let redriven = handle(&overdue.deps, &invocation, nobody()).await;
    assert_eq!(redriven.unwrap_err().name(), ErrorName::ChannelStale);
    overdue.moves().await;
    let moved = handle(&overdue.deps, &invocation, nobody()).await;
    assert!(!moved.unwrap().escalated);
}

#[tokio::test]
async fn nobody_is_told_of_an_item_that_has_moved() {
    let overdue = Overdue::new().await;
    overdue.moves().await;
    let outcome = overdue.send().await.unwrap();
    assert_eq!(outcome, json!({ "escalated": false, "skipped": [] }));
    assert!(overdue.to_eve().await.is_empty() && overdue.in_channel().await.is_empty());
    assert!(overdue.row().await.escalated_at.is_none());
}

#[tokio::test]
async fn a_message_in_doubt_is_found_and_the_channel_follows_only_if_the_item_has_not_moved() {
    let overdue = Overdue::new().await;
    let lost = How::Reset {
        effect: Effect::Done,
    };
    overdue.fixture.fail(POST, lost, 1).await;
    let error = overdue.send().await.unwrap_err();
    let StepError::SlackOutcomeUnknown { retry_after, .. } = error else {
        panic!("{error}");
    };
    overdue.moves().await;
    tokio::time::sleep(retry_after + Duration::from_secs(1)).await;
    let outcome = overdue.send().await.unwrap();
    assert_eq!(outcome["told"], "eve@example.com");
    assert_eq!(outcome["channelMessage"], Value::Null);
    assert_eq!(overdue.to_eve().await.len(), 1);
    assert!(overdue.in_channel().await.is_empty());
}

#[tokio::test]
async fn nobody_is_told_outside_working_hours_but_the_channel_follows_the_person() {
    let overdue = Overdue::new().await;
    it_is(&overdue.deps.planner, "2026-12-03T18:00:00Z").await;
    let outcome = overdue.send().await.unwrap();
    assert_eq!(outcome["escalated"], false);
    it_is(&overdue.deps.planner, "2026-12-04T09:00:00Z").await;
    let refused = How::RateLimited { retry_after: 1 };
    // The direct message is posted, and the channel's is refused.
    let to_channel = Fault::new(POST, refused).times(1).skip(1);
    overdue
        .fixture
        .sandbox
        .add_fault(&to_channel)
        .await
        .unwrap();
    overdue.send().await.unwrap_err();
    it_is(&overdue.deps.planner, "2026-12-04T18:00:00Z").await;
    let outcome = overdue.send().await.unwrap();
    assert_eq!(outcome["told"], "eve@example.com");
    assert_eq!(overdue.in_channel().await.len(), 1);
    assert_eq!(overdue.to_eve().await.len(), 1);
}

#[tokio::test]
async fn an_item_that_has_moved_to_another_channel_or_state_is_not_told_of_here() {
    let overdue = Overdue::new().await;
    let elsewhere = Item {
        version: 2.try_into().unwrap(),
        channel_name: "another".to_owned().try_into().unwrap(),
        ..overdue.item.clone()
    };
    let approved = Item {
        version: 3.try_into().unwrap(),
        state: "approved".to_owned().try_into().unwrap(),
        ..overdue.item.clone()
    };
    for item in [elsewhere, approved] {
        waits(&overdue.deps.planner, &item, &[]).await;
        assert_eq!(overdue.send().await.unwrap()["escalated"], false);
    }
    assert!(overdue.to_eve().await.is_empty() && overdue.in_channel().await.is_empty());
}

#[test]
fn an_execution_goes_on_that_began_before_failures_of_channels_were_passed_on() {
    let channel = json!({ "id": "C1", "name": "guide-42", "visibility": "private", "archived": false, "created": false });
    let input = json!({
        "itemId": "guide", "dueDate": DUE, "conversation": null, "channel": channel,
        "channelName": "guide-42", "skipped": [],
    });
    assert_eq!(decode::<Input>(input).unwrap().channel_failure, None);
}
