//! A message's category: each workflow that notifies asks for the preferences about it.
#![allow(clippy::unwrap_used)]

use e2e::{World, unique};
use rstest::rstest;
use serde_json::{Value, json};

const PRIVATE: &str = "notify-private-channel";
const PUBLIC: &str = "notify-public-channel";

fn opted_out(email: &str) -> Value {
    json!([{ "email": email, "reason": "opted_out" }])
}

#[rstest]
#[tokio::test]
async fn whoever_wants_no_news_is_mentioned_in_other_messages_only(
    #[values(PRIVATE, PUBLIC)] workflow: &str,
) {
    let world = World::here();
    let channel = unique("category");
    if workflow == PUBLIC {
        world.public_channel(&channel).await;
    }
    let (ana, id) = world.person_with_id("ana").await;
    world.turn_off_category(&ana, "news").await;
    let notify = async |category: &str| {
        let request = json!({
            "channelName": channel, "message": category, "category": category, "mention": [ana],
        });
        world.run(workflow, &request).await.output()["message"].clone()
    };
    assert_eq!(notify("news").await["notMentioned"], opted_out(&ana));
    assert_eq!(notify("action").await["mentioned"], json!([ana]));
    let name = ana.split('@').next().unwrap();
    let texts = world.messages_in(&channel).await;
    assert_eq!(texts, [format!("{name}\nnews"), format!("<@{id}>\naction")]);
}

#[tokio::test]
async fn whoever_wants_no_news_is_invited_because_of_other_messages_only() {
    let world = World::here();
    let (channel, ana) = (unique("category"), world.person("ana", Some(true)).await);
    world.turn_off_category(&ana, "news").await;
    let notify = async |category: &str| {
        let request = json!({
            "channelName": channel, "message": "hello", "category": category, "members": [ana],
        });
        world.run(PRIVATE, &request).await.output()["members"].clone()
    };
    let nobody = json!({ "invited": [], "alreadyMembers": [], "skipped": opted_out(&ana) });
    assert_eq!(notify("news").await, nobody);
    assert_eq!(world.in_slack(&channel).await.emails, [""; 0]);
    assert_eq!(notify("action").await["invited"], json!([ana]));
    assert_eq!(world.in_slack(&channel).await.emails, [ana]);
}

/// What a person has turned off.
#[derive(Debug, Clone, Copy)]
enum Off {
    News,
    DirectMessages,
}

#[rstest]
#[case::news(Off::News, "news", "action")]
#[case::direct_messages(Off::DirectMessages, "action", "critical")]
#[tokio::test]
async fn a_person_gets_direct_messages_of_the_categories_that_they_want(
    #[case] off: Off,
    #[case] unwanted: &str,
    #[case] wanted: &str,
) {
    let world = World::here();
    let ana = world.person("ana", Some(true)).await;
    match off {
        Off::News => world.turn_off_category(&ana, "news").await,
        Off::DirectMessages => world.turn_off_direct_messages(&ana).await,
    }
    let notify = async |category: &str| {
        let request = json!({ "email": ana, "message": category, "category": category });
        world.run("notify-person", &request).await.output().clone()
    };
    assert_eq!(
        notify(unwanted).await,
        json!({ "skipped": opted_out(&ana) })
    );
    assert!(world.direct_message(&ana).await.is_none());
    assert_eq!(notify(wanted).await["skipped"], json!([]));
    assert_eq!(world.direct_messages(&ana).await, [wanted]);
}
