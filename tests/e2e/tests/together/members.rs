//! Every kind of person that a request can name, and what becomes of them.
#![allow(clippy::unwrap_used)]

use e2e::{World, unique};
use rstest::rstest;
use serde_json::{Value, json};
use slack_sandbox::{
    faults::{Effect, How},
    seed::ChannelSeed,
    workspace::User,
};

/// The kinds of people, by their account in Slack and their profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    OptedIn,
    OptedOut,
    WithoutProfile,
    NotInSlack,
    Deactivated,
    Guest,
    Bot,
    AlreadyIn,
    TheBotItself,
}

use Who::{
    AlreadyIn, Bot, Deactivated, Guest, NotInSlack, OptedIn, OptedOut, TheBotItself, WithoutProfile,
};

impl Who {
    /// Adds such a person to Slack and their profile to the table. Returns the address.
    async fn arrive(self, world: &World) -> String {
        let user = User::default();
        match self {
            OptedIn | AlreadyIn => world.person("wants", Some(true)).await,
            OptedOut => world.person("does-not", Some(false)).await,
            WithoutProfile => world.slack_user("unknown", user).await,
            NotInSlack => {
                let email = format!("{}@example.com", unique("elsewhere"));
                world.profile(&email, Some(true)).await;
                email
            }
            Deactivated => {
                let deleted = User {
                    deleted: true,
                    ..user
                };
                world.account("gone", deleted).await
            }
            Guest => {
                let guest = User {
                    is_restricted: true,
                    ..user
                };
                world.account("guest", guest).await
            }
            Bot => {
                let bot = User {
                    is_bot: true,
                    ..user
                };
                world.account("robot", bot).await
            }
            TheBotItself => world.bot_itself().await,
        }
    }
}

#[rstest]
#[case(OptedIn, "invited")]
#[case(OptedOut, "opted_out")]
#[case(WithoutProfile, "no_profile")]
#[case(NotInSlack, "not_in_slack")]
#[case(Deactivated, "not_in_slack")]
#[case(Guest, "restricted")]
#[case(Bot, "bot")]
#[case(AlreadyIn, "alreadyMembers")]
#[case(TheBotItself, "bot")]
#[tokio::test]
async fn whoever_shall_be_in_a_channel_is_in_the_outcome(
    #[case] who: Who,
    #[case] fate: &str,
    #[values("create-channel", "notify-private-channel", "change-channel-members")] workflow: &str,
) {
    let world = World::here();
    let (channel, email) = (unique("members"), who.arrive(&world).await);
    let there: &[&str] = if who == AlreadyIn { &[&email] } else { &[] };
    world.private_channel(&channel, there).await;
    let request = match workflow {
        "change-channel-members" => json!({ "channelName": channel, "add": [email] }),
        "notify-private-channel" => {
            json!({ "channelName": channel, "message": "hello", "members": [email] })
        }
        _ => json!({ "channelName": channel, "members": [email] }),
    };

    let ended = world.run(workflow, &request).await;

    let expected = match fate {
        "invited" | "alreadyMembers" => fates(workflow, fate, &json!(email)),
        reason => fates(
            workflow,
            "skipped",
            &json!({ "email": email, "reason": reason }),
        ),
    };
    assert_eq!(ended.output()["members"], expected);
    let is_in = world.in_slack(&channel).await.emails.contains(&email);
    assert_eq!(is_in, matches!(who, OptedIn | AlreadyIn));
}

#[rstest]
#[case(OptedIn, true, "removed")]
#[case(OptedOut, true, "removed")]
#[case(WithoutProfile, true, "removed")]
#[case(Guest, true, "removed")]
#[case(Bot, true, "removed")]
#[case(OptedIn, false, "not_a_member")]
#[case(NotInSlack, false, "not_in_slack")]
#[case(Deactivated, false, "not_in_slack")]
#[case(TheBotItself, true, "bot")]
#[tokio::test]
async fn whoever_shall_not_be_in_a_channel_is_in_the_outcome(
    #[case] who: Who,
    #[case] is_there: bool,
    #[case] fate: &str,
) {
    let world = World::here();
    let (channel, email) = (unique("leaving"), who.arrive(&world).await);
    let there: &[&str] = if is_there { &[&email] } else { &[] };
    let before = world.private_channel(&channel, there).await.members.len();

    let request = json!({ "channelName": channel, "remove": [email] });
    let ended = world.run("change-channel-members", &request).await;

    let workflow = "change-channel-members";
    let expected = match fate {
        "removed" => fates(workflow, fate, &json!(email)),
        reason => fates(
            workflow,
            "skipped",
            &json!({ "email": email, "reason": reason }),
        ),
    };
    assert_eq!(ended.output()["members"], expected);
    let left = before - world.in_slack(&channel).await.members.len();
    assert_eq!(left, usize::from(fate == "removed"));
}

/// The `members` part of an outcome with one person in one list.
fn fates(workflow: &str, list: &str, person: &Value) -> Value {
    let mut members = json!({ "invited": [], "alreadyMembers": [], "skipped": [] });
    if workflow == "change-channel-members" {
        members["removed"] = json!([]);
    }
    members[list] = json!([person]);
    members
}

#[tokio::test]
async fn two_hundred_and_fifty_members_are_invited_to_a_new_channel_by_one_execution() {
    let world = World::here();
    let channel = unique("many");
    let members = world.people("m", 250).await;
    let request = json!({ "channelName": channel, "members": members });
    let ended = world.run("create-channel", &request).await;
    assert_eq!(ended.output()["members"]["invited"], json!(members));
    let mut in_slack = world.in_slack(&channel).await.emails;
    let mut expected = members;
    in_slack.sort();
    expected.sort();
    assert_eq!(in_slack, expected);
}

#[tokio::test]
async fn invitations_that_take_too_long_for_one_invocation_go_on_in_the_next() {
    let world = World::here();
    let channel = unique("slow");
    let members = world.people("slow", 350).await;
    let id = world.private_channel(&channel, &[]).await.id;
    // Four batches. After three of them there is no time left for the fourth.
    let slow = How::Slow { millis: 8_000 };
    world
        .fault("conversations.invite", "channel", &id, 3, slow)
        .await;
    let request = json!({ "channelName": channel, "members": members });
    let ended = world.run("create-channel", &request).await;
    assert_eq!(ended.output()["members"]["invited"], json!(members));
    assert!(ended.states().contains(&"WaitToInviteMembers"));
    assert_eq!(world.in_slack(&channel).await.emails.len(), members.len());
}

#[tokio::test]
async fn sixty_are_removed_one_by_one_and_slacks_limit_is_waited_for() {
    let world = World::here();
    let channel = unique("exodus");
    let members = world.people("leaver", 60).await;
    let there: Vec<&str> = members.iter().map(String::as_str).collect();
    let id = world.private_channel(&channel, &there).await.id;
    let limit = How::RateLimited { retry_after: 5 };
    world
        .fault("conversations.kick", "channel", &id, 2, limit)
        .await;
    let request = json!({ "channelName": channel, "remove": members });
    let ended = world.run("change-channel-members", &request).await;
    assert_eq!(ended.output()["members"]["removed"], json!(members));
    assert!(ended.states().contains(&"WaitToRemoveMembers"));
    assert_eq!(world.in_slack(&channel).await.emails, Vec::<String>::new());
}

#[tokio::test]
async fn a_kick_whose_answer_was_lost_is_a_removal_and_a_refused_one_stops_nobody_else() {
    let world = World::here();
    let channel = unique("kicks");
    let people = world.people("leaver", 3).await;
    let there: Vec<&str> = people.iter().map(String::as_str).collect();
    let ids = world.private_channel(&channel, &there).await.members;
    let id_of = |n: usize| ids[n].clone();
    let lost = How::Html500 {
        effect: Effect::Done,
    };
    let refused = How::refused("cant_kick_self_or_owner");
    for (n, times, how) in [(0, 1, lost), (1, 9, refused)] {
        world
            .fault("conversations.kick", "user", &id_of(n), times, how)
            .await;
    }
    let request = json!({ "channelName": channel, "remove": people });
    let ended = world.run("change-channel-members", &request).await;
    assert_eq!(
        ended.output()["members"],
        json!({
            "invited": [], "removed": [people[0], people[2]], "alreadyMembers": [],
            "skipped": [{ "email": people[1], "reason": "cannot_remove" }],
        })
    );
    assert_eq!(world.in_slack(&channel).await.emails, [people[1].as_str()]);
}

#[tokio::test]
async fn a_workspace_that_forbids_removals_fails_the_workflow_with_slacks_code() {
    let world = World::here();
    let (channel, ana) = (unique("forbidden"), world.person("ana", Some(true)).await);
    let id = world.private_channel(&channel, &[&ana]).await.id;
    let forbidden = How::refused("restricted_action");
    world
        .fault("conversations.kick", "channel", &id, 9, forbidden)
        .await;
    let request = json!({ "channelName": channel, "remove": [ana] });
    let ended = world.run("change-channel-members", &request).await;
    let (error, cause) = ended.failure();
    assert_eq!(
        (error, &cause["slackError"]),
        ("Slack.Rejected", &json!("restricted_action"))
    );
    assert_eq!(world.in_slack(&channel).await.emails, [ana]);
}

#[tokio::test]
async fn some_come_and_others_go_in_one_execution() {
    let world = World::here();
    let (channel, ana) = (unique("change"), world.person("ana", Some(true)).await);
    let (bob, eve) = (
        world.person("bob", Some(false)).await,
        world.person("eve", Some(false)).await,
    );
    world.private_channel(&channel, &[&bob]).await;
    let request = json!({ "channelName": channel, "add": [ana, eve], "remove": [bob] });
    let ended = world.run("change-channel-members", &request).await;
    assert_eq!(
        ended.output()["members"],
        json!({
            "invited": [ana], "removed": [bob], "alreadyMembers": [],
            "skipped": [{ "email": eve, "reason": "opted_out" }],
        })
    );
    assert_eq!(world.in_slack(&channel).await.emails, [ana]);
    assert_eq!(
        ended.steps(),
        [
            "CheckRequest",
            "FindChannel",
            "FilterByPreference",
            "ResolveUsers",
            "InviteMembers",
            "RemoveMembers"
        ]
    );
}

#[tokio::test]
async fn who_was_removed_is_invited_again_when_asked_for() {
    let world = World::here();
    let (channel, ana) = (unique("back"), world.person("ana", Some(true)).await);
    world.private_channel(&channel, &[]).await;
    let add = json!({ "channelName": channel, "add": [ana] });
    let remove = json!({ "channelName": channel, "remove": [ana] });
    for (request, list) in [(&add, "invited"), (&remove, "removed"), (&add, "invited")] {
        let ended = world.run("change-channel-members", request).await;
        assert_eq!(ended.output()["members"][list], json!([ana]));
    }
    assert_eq!(world.in_slack(&channel).await.emails, [ana]);
}

#[tokio::test]
async fn the_bot_joins_a_public_channel_to_change_its_members() {
    let world = World::here();
    let channel = unique("public-change");
    let (ana, bob) = (
        world.person("ana", Some(true)).await,
        world.person("bob", Some(true)).await,
    );
    let seed = ChannelSeed {
        members: vec![bob.clone()],
        bot_is_member: false,
        ..ChannelSeed::default()
    };
    world.channel(&channel, seed).await;
    let remove = json!({ "channelName": channel, "remove": [bob] });
    let ended = world.run("change-channel-members", &remove).await;
    assert_eq!(ended.output()["members"]["removed"], json!([bob]));
    let add = json!({ "channelName": channel, "add": [ana] });
    let ended = world.run("change-channel-members", &add).await;
    assert_eq!(ended.output()["members"]["invited"], json!([ana]));
    assert_eq!(world.in_slack(&channel).await.emails, [ana]);
}

#[tokio::test]
async fn an_address_that_moved_to_another_account_is_invited_with_its_new_id() {
    let world = World::here();
    let (first, second, ana) = (
        unique("moved"),
        unique("moved"),
        world.person("ana", Some(true)).await,
    );
    let request = |channel: &str| json!({ "channelName": channel, "members": [ana] });
    world.run("create-channel", &request(&first)).await.output();
    let old_id = world.in_slack(&first).await.members.remove(0);
    world.move_address(&ana, &old_id).await;

    let ended = world.run("create-channel", &request(&second)).await;

    assert_eq!(ended.output()["members"]["invited"], json!([ana]));
    let in_slack = world.in_slack(&second).await;
    assert_eq!(in_slack.emails, [ana.as_str()]);
    assert!(!in_slack.members.contains(&old_id));
    // By now the table has the new id.
    let third = unique("moved");
    let calls = world.calls_with(&ana).await.len();
    world.run("create-channel", &request(&third)).await.output();
    assert_eq!(world.calls_with(&ana).await.len(), calls);
}
