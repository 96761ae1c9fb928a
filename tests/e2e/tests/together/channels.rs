//! Every state in which a workflow can find a channel.
#![allow(clippy::unwrap_used)]

use e2e::{World, unique};
use rstest::rstest;
use serde_json::{Value, json};
use slack_sandbox::seed::ChannelSeed;

/// The state of the channel in Slack before the workflow starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Situation {
    Missing,
    There,
    /// Archived by a person, and public. Slack has removed the bot.
    Archived,
    /// Archived by a person, and private. Slack has removed the bot.
    ArchivedPrivate,
    /// Private, and the bot is not a member.
    Invisible,
    /// Exists, but the request writes its name with a capital letter.
    NamedOtherwise,
}

/// How the execution ends: with a value at a place in its output, or with an error whose cause contains a
/// word.
#[derive(Debug, Clone, Copy)]
enum End {
    With(&'static str, bool),
    Error(&'static str, &'static str),
}

use End::{Error, With};
use Situation::{Archived, ArchivedPrivate, Invisible, Missing, NamedOtherwise, There};

const NOT_VALID: End = Error("InvalidRequest", "lower-case");

#[rstest]
#[case("create-channel", Missing, With("/channel/created", true))]
#[case("create-channel", There, With("/channel/created", false))]
#[case("create-channel", Archived, Error("Channel.NameTaken", "archived"))]
#[case(
    "create-channel",
    Invisible,
    Error("Channel.NameTaken", "not a member")
)]
#[case(
    "create-channel",
    ArchivedPrivate,
    Error("Channel.NameTaken", "unarchive")
)]
#[case("create-channel", NamedOtherwise, NOT_VALID)]
#[case("notify-private-channel", Missing, With("/channel/created", true))]
#[case("notify-private-channel", There, With("/channel/created", false))]
#[case(
    "notify-private-channel",
    Archived,
    Error("Channel.NameTaken", "archived")
)]
#[case(
    "notify-private-channel",
    Invisible,
    Error("Channel.NameTaken", "not a member")
)]
#[case(
    "notify-private-channel",
    ArchivedPrivate,
    Error("Channel.NameTaken", "unarchive")
)]
#[case("notify-private-channel", NamedOtherwise, NOT_VALID)]
#[case(
    "notify-public-channel",
    Missing,
    Error("Channel.NotFound", "create it")
)]
#[case("notify-public-channel", There, With("/message/duplicate", false))]
#[case(
    "notify-public-channel",
    Archived,
    Error("Channel.Archived", "unarchive")
)]
#[case(
    "notify-public-channel",
    Invisible,
    Error("Channel.NotFound", "invite the bot")
)]
#[case("notify-public-channel", NamedOtherwise, NOT_VALID)]
#[case(
    "change-channel-members",
    Missing,
    Error("Channel.NotFound", "create it")
)]
#[case("change-channel-members", There, With("/channel/created", false))]
#[case(
    "change-channel-members",
    Archived,
    Error("Channel.Archived", "unarchive")
)]
#[case(
    "change-channel-members",
    Invisible,
    Error("Channel.NotFound", "invite the bot")
)]
#[case("change-channel-members", NamedOtherwise, NOT_VALID)]
#[case("check-channel-exists", Missing, With("/exists", false))]
#[case("check-channel-exists", There, With("/exists", true))]
#[case("check-channel-exists", Archived, With("/channel/archived", true))]
#[case("check-channel-exists", Invisible, With("/exists", false))]
#[case("check-channel-exists", NamedOtherwise, NOT_VALID)]
#[case("delete-channel", Missing, With("/deleted", false))]
#[case("delete-channel", There, With("/deleted", true))]
#[case("delete-channel", Archived, With("/deleted", false))]
#[case("delete-channel", ArchivedPrivate, With("/deleted", false))]
#[case("delete-channel", Invisible, With("/deleted", false))]
#[case("delete-channel", NamedOtherwise, NOT_VALID)]
#[tokio::test]
async fn a_workflow_ends_according_to_the_channels_situation(
    #[case] workflow: &str,
    #[case] situation: Situation,
    #[case] end: End,
) {
    let world = World::here();
    let channel = unique("situation");
    let is_private = match situation {
        Archived => false,
        ArchivedPrivate | Invisible => true,
        _ => workflow != "notify-public-channel",
    };
    if situation != Missing {
        let seed = ChannelSeed {
            is_private,
            is_archived: matches!(situation, Archived | ArchivedPrivate),
            bot_is_member: matches!(situation, There | NamedOtherwise),
            created_by_bot: true,
            ..ChannelSeed::default()
        };
        world.channel(&channel, seed).await;
    }
    let before = world.find_in_slack(&channel).await;

    let name = match situation {
        NamedOtherwise => channel.to_uppercase(),
        _ => channel.clone(),
    };
    let ended = world.run(workflow, &request(workflow, &name)).await;

    match end {
        With(place, expected) => {
            let output = ended.output();
            assert_eq!(output.pointer(place), Some(&json!(expected)), "{output}");
        }
        Error(expected, word) => {
            let (error, cause) = ended.failure();
            assert_eq!(error, expected);
            assert!(cause["message"].as_str().unwrap().contains(word), "{cause}");
            // The workflow leaves channels that it can't use unchanged.
            assert_eq!(world.find_in_slack(&channel).await, before);
        }
    }
}

fn request(workflow: &str, channel: &str) -> Value {
    match workflow {
        "notify-private-channel" | "notify-public-channel" => {
            json!({ "channelName": channel, "message": "hello" })
        }
        "change-channel-members" => json!({ "channelName": channel, "add": [] }),
        _ => json!({ "channelName": channel }),
    }
}
