//! `create-channel`: what a caller gets and what is in Slack afterwards.
#![allow(clippy::unwrap_used)]

use e2e::{World, unique};
use rstest::rstest;
use serde_json::json;
use slack_sandbox::seed::ChannelSeed;

const WORKFLOW: &str = "create-channel";

#[rstest]
#[case(json!(null), true)]
#[case(json!("private"), true)]
#[case(json!("public"), false)]
#[tokio::test]
async fn a_channel_is_created_with_its_members_topic_and_purpose(
    #[case] visibility: serde_json::Value,
    #[case] is_private: bool,
) {
    let world = World::here();
    let (channel, ana) = (unique("made"), world.person("ana", Some(true)).await);
    let mut request = json!({
        "channelName": channel, "members": [ana], "topic": "what now", "purpose": "what for",
    });
    if !visibility.is_null() {
        request["visibility"] = visibility;
    }
    let ended = world.run(WORKFLOW, &request).await;

    let in_slack = world.in_slack(&channel).await;
    assert_eq!(
        (in_slack.is_private, in_slack.emails),
        (is_private, vec![ana.clone()])
    );
    assert_eq!(
        (in_slack.topic, in_slack.purpose),
        ("what now".to_owned(), "what for".to_owned())
    );
    assert_eq!(
        ended.output_without_time(),
        json!({
            "channel": {
                "id": in_slack.id, "name": channel, "archived": false, "created": true,
                "ours": true, "externallyShared": false,
                "visibility": if is_private { "private" } else { "public" },
            },
            "members": { "invited": [ana], "alreadyMembers": [], "skipped": [] },
        })
    );
    assert_eq!(
        ended.steps(),
        [
            "CheckRequest",
            "FilterByPreference",
            "ResolveUsers",
            "EnsureChannel",
            "InviteMembers"
        ]
    );
}

#[tokio::test]
async fn an_existing_channel_gets_its_missing_members_and_keeps_everything_else() {
    let world = World::here();
    let channel = unique("kept");
    let (ana, bob) = (
        world.person("ana", Some(true)).await,
        world.person("bob", Some(true)).await,
    );
    let seed = ChannelSeed {
        members: vec![ana.clone()],
        ..ChannelSeed::default()
    };
    let id = world.channel(&channel, seed).await.id;
    let request = json!({ "channelName": channel, "members": [ana, bob], "topic": "new" });
    let ended = world.run(WORKFLOW, &request).await;
    assert_eq!(
        ended.output_without_time(),
        json!({
            "channel": {
                "id": id, "name": channel, "visibility": "public", "requestedVisibility": "private",
                "archived": false, "created": false, "ours": false, "externallyShared": false,
            },
            "members": { "invited": [bob], "alreadyMembers": [ana], "skipped": [] },
        })
    );
    let in_slack = world.in_slack(&channel).await;
    assert_eq!((in_slack.is_private, in_slack.topic.as_str()), (false, ""));
}
