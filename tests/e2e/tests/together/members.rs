//! Every kind of person that a request can name, and what becomes of them.
#![allow(clippy::unwrap_used)]

use e2e::{World, unique};
use rstest::rstest;
use serde_json::{Value, json};
use slack_sandbox::{
    faults::How,
    workspace::{BOT_USER_ID, User},
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
    TheBotItself,
}

use Who::{Bot, Deactivated, Guest, NotInSlack, OptedIn, OptedOut, TheBotItself, WithoutProfile};

impl Who {
    /// Adds such a person to Slack and their profile to the table. Returns the address.
    async fn arrive(self, world: &World) -> String {
        let user = User::default();
        match self {
            OptedIn => world.person("wants", Some(true)).await,
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
#[tokio::test]
async fn the_outcome_lists_everyone_who_was_to_be_invited(
    #[values("create-channel", "notify-private-channel", "change-channel-members")] workflow: &str,
) {
    let world = World::here();
    let channel = unique("members");
    let mut skipped = Vec::new();
    for (who, reason) in [
        (OptedOut, "opted_out"),
        (WithoutProfile, "no_profile"),
        (NotInSlack, "not_in_slack"),
        (Deactivated, "not_in_slack"),
        (Bot, "bot"),
        (TheBotItself, "bot"),
        (Guest, "restricted"),
    ] {
        let email = who.arrive(&world).await;
        skipped.push(json!({ "email": email, "reason": reason }));
    }
    skipped.insert(
        0,
        json!({ "email": "svc-build", "reason": "invalid_address" }),
    );
    let (new, existing) = (OptedIn.arrive(&world).await, OptedIn.arrive(&world).await);
    // The deployment's default decides.
    let undecided = world.person("undecided", None).await;
    world.private_channel(&channel, &[&existing]).await;
    let mut emails: Vec<&Value> = skipped.iter().map(|skipped| &skipped["email"]).collect();
    let wanted = [json!(new), json!(undecided), json!(existing)];
    emails.extend(&wanted);
    let mut request = match workflow {
        "change-channel-members" => json!({ "channelName": channel, "add": emails }),
        "notify-private-channel" => {
            json!({ "channelName": channel, "message": "hello", "members": emails })
        }
        _ => json!({ "channelName": channel, "members": emails }),
    };
    request["onInvalidAddress"] = json!("skip");

    let ended = world.run(workflow, &request).await;

    let mut expected = json!({
        "invited": [new, undecided], "alreadyMembers": [existing], "skipped": skipped,
    });
    if workflow == "change-channel-members" {
        expected["removed"] = json!([]);
    }
    assert_eq!(ended.output()["members"], expected);
    let mut in_slack = world.in_slack(&channel).await.emails;
    let mut expected = [new, undecided, existing];
    in_slack.sort();
    expected.sort();
    assert_eq!(in_slack, expected);
}

#[tokio::test]
async fn the_outcome_lists_everyone_who_was_to_be_removed() {
    let world = World::here();
    let channel = unique("leaving");
    let mut removed = Vec::new();
    for who in [OptedIn, OptedOut, WithoutProfile, Guest, Bot] {
        removed.push(who.arrive(&world).await);
    }
    let itself = TheBotItself.arrive(&world).await;
    let mut members: Vec<&str> = removed.iter().map(String::as_str).collect();
    members.push(&itself);
    world.private_channel(&channel, &members).await;
    let mut emails = removed.clone();
    let mut skipped = Vec::new();
    for (who, reason) in [
        (NotInSlack, "not_in_slack"),
        (Deactivated, "not_in_slack"),
        (OptedIn, "not_a_member"),
    ] {
        let email = who.arrive(&world).await;
        skipped.push(json!({ "email": email, "reason": reason }));
        emails.push(email);
    }
    skipped.push(json!({ "email": itself, "reason": "bot" }));
    emails.push(itself);

    let request = json!({ "channelName": channel, "remove": emails });
    let ended = world.run("change-channel-members", &request).await;

    assert_eq!(
        ended.output()["members"],
        json!({ "invited": [], "alreadyMembers": [], "removed": removed, "skipped": skipped })
    );
    assert_eq!(world.in_slack(&channel).await.members, [BOT_USER_ID]);
}

#[tokio::test]
async fn one_execution_invites_two_hundred_and_fifty_members_to_a_new_channel() {
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
async fn invitations_that_take_too_long_for_one_invocation_continue_in_the_next() {
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
async fn sixty_members_are_removed_one_by_one_within_slacks_rate_limit() {
    let world = World::here();
    let channel = unique("exodus");
    let members = world.people("leaver", 60).await;
    let addresses: Vec<&str> = members.iter().map(String::as_str).collect();
    let id = world.private_channel(&channel, &addresses).await.id;
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
async fn one_execution_adds_some_members_and_removes_others() {
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
async fn a_removed_member_is_invited_again_on_request() {
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
