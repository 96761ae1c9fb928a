//! Changes to the workspace while the sandbox runs.

use rstest::rstest;
use serde_json::{Value, json};
use slack_sandbox::{
    Seed,
    seed::TokenSeed,
    server::{ChannelChange, UserChange},
};

use crate::team::{TOKEN, call, start};

#[tokio::test]
async fn a_reset_restores_the_initial_state() {
    let (sandbox, admin) = start(1.0).await;
    call(&sandbox, "conversations.create", &[("name", "x")])
        .await
        .unwrap();
    admin.revoke_token(TOKEN).await.unwrap();
    admin.reset().await.unwrap();
    assert_eq!(admin.channel("x").await.unwrap(), None);
    assert!(admin.channel("team").await.unwrap().is_some());
    assert!(admin.calls().await.unwrap().is_empty());
    let who: Value = call(&sandbox, "auth.test", &[])
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(who["ok"], true);
}

#[tokio::test]
async fn a_token_can_be_added_with_fewer_scopes() {
    let (sandbox, admin) = start(1.0).await;
    admin
        .add_token(&TokenSeed {
            token: "xoxb-poor".to_owned(),
            scopes: ["users:read".to_owned()].into(),
        })
        .await
        .unwrap();
    let http = reqwest::Client::new();
    let url = format!("{}/api/conversations.list", sandbox.url());
    let answer: Value = http
        .post(url)
        .bearer_auth("xoxb-poor")
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(answer["error"], "missing_scope");
}

#[tokio::test]
async fn people_can_change_a_channel_without_the_bot() {
    let (_sandbox, admin) = start(1.0).await;
    let change = ChannelChange {
        name: Some("crew".to_owned()),
        is_private: Some(true),
        is_archived: Some(true),
        is_ext_shared: Some(true),
        joined: vec!["bob@example.com".to_owned()],
        left: vec!["UANA".to_owned()],
        bot_is_member: None,
    };
    admin.change_channel("team", &change).await.unwrap();
    assert_eq!(admin.channel("team").await.unwrap(), None);
    let crew = admin.channel("crew").await.unwrap().unwrap();
    assert!(crew.is_private && crew.is_archived && crew.is_ext_shared);
    assert_eq!(crew.members, ["UBOB"]);
    let unchanged = ChannelChange::default();
    admin.change_channel("crew", &unchanged).await.unwrap();
    assert_eq!(admin.channel("crew").await.unwrap().unwrap(), crew);
    assert!(admin.change_channel("team", &unchanged).await.is_err());
}

#[tokio::test]
async fn people_can_change_a_channel_step_by_step() {
    let (sandbox, admin) = start(1.0).await;
    let team = admin.channel("team").await.unwrap().unwrap();
    let info = async |field: &str| {
        let arguments = [("channel", team.id.as_str())];
        let answer = call(&sandbox, "conversations.info", &arguments).await;
        let answer: Value = answer.unwrap().json().await.unwrap();
        match &answer["error"] {
            Value::Null => answer["channel"][field].clone(),
            error => error.clone(),
        }
    };
    admin.rename_channel("team", "crew").await.unwrap();
    assert_eq!(info("name").await, "crew");
    assert_eq!(info("previous_names").await, json!(["team"]));
    admin.convert_to_private("crew").await.unwrap();
    assert_eq!(info("is_private").await, true);
    admin.share_channel("crew", true).await.unwrap();
    assert_eq!(info("is_ext_shared").await, true);
    assert_eq!(info("is_shared").await, true);
    admin.remove_bot("crew").await.unwrap();
    assert_eq!(info("name").await, "channel_not_found");
    admin.add_bot("crew").await.unwrap();
    admin.convert_to_public("crew").await.unwrap();
    assert_eq!(info("is_private").await, false);
    admin.add_member("crew", "bob@example.com").await.unwrap();
    admin.remove_member("crew", "UANA").await.unwrap();
    let crew = admin.channel("crew").await.unwrap().unwrap();
    assert_eq!(crew.emails, ["bob@example.com"]);
    let versions = crew.versions.iter();
    let versions: Vec<_> = versions
        .map(|v| (v.name.as_str(), v.is_private, v.is_ext_shared))
        .collect();
    let expected = [
        ("team", false, false),
        ("crew", false, false),
        ("crew", true, false),
        ("crew", true, true),
        ("crew", false, true),
    ];
    assert_eq!(versions, expected);
    assert!(crew.versions.is_sorted_by(|a, b| a.since < b.since));
}

#[rstest]
#[case(json!({ "name": "team" }), "name")]
#[case(json!({ "is_ext_shared": true, "joined": ["nobody@example.com"] }), "joined[0]")]
#[case(json!({ "is_ext_shared": true, "left": ["UANA", "UNOBODY"] }), "left[1]")]
#[tokio::test]
async fn a_bad_change_of_a_channel_is_rejected_as_a_whole_with_its_field(
    #[case] change: Value,
    #[case] field: &str,
) {
    let (_sandbox, admin) = start(1.0).await;
    let before = admin.channel("team").await.unwrap();
    let change = serde_json::from_value(change).unwrap();
    let refusal = admin.change_channel("team", &change).await.unwrap_err();
    assert!(refusal.to_string().contains(field), "{refusal}");
    assert_eq!(admin.channel("team").await.unwrap(), before);
}

#[rstest]
#[case::by_id("UANA")]
#[case::by_address("ana@example.com")]
#[tokio::test]
async fn what_a_person_got_can_be_read(#[case] user: &str) {
    let (sandbox, admin) = start(1.0).await;
    assert_eq!(admin.direct_message(user).await.unwrap(), None);
    for (channel, text) in [("UANA", "one"), ("UBOB", "not for Ana"), ("UANA", "two")] {
        let arguments = [("channel", channel), ("text", text)];
        call(&sandbox, "chat.postMessage", &arguments)
            .await
            .unwrap();
    }
    let arguments = [("users", "UANA,UBOB")];
    call(&sandbox, "conversations.open", &arguments)
        .await
        .unwrap();
    let got = admin.direct_message(user).await.unwrap().unwrap();
    let texts: Vec<&str> = got.messages.iter().map(|m| m.text.as_str()).collect();
    assert_eq!(texts, ["one", "two"]);
    assert_eq!(got.emails, ["ana@example.com"]);
    assert_eq!(admin.channel(&got.id).await.unwrap(), Some(got));
}

#[tokio::test]
async fn nobody_unknown_has_a_direct_message() {
    let (_sandbox, admin) = start(1.0).await;
    assert_eq!(admin.direct_message("UNOBODY").await.unwrap(), None);
}

#[tokio::test]
async fn an_address_can_pass_to_another_active_account() {
    let (sandbox, admin) = start(1.0).await;
    let id_of = async |email: &str| {
        let answer = call(&sandbox, "users.lookupByEmail", &[("email", email)]).await;
        let answer: Value = answer.unwrap().json().await.unwrap();
        answer["user"]["id"].clone()
    };
    let taken = admin.change_email("UBOB", "Ana@example.com").await;
    assert!(taken.unwrap_err().to_string().contains("email"));
    admin
        .change_email("UANA", "ana.jones@example.com")
        .await
        .unwrap();
    assert_eq!(id_of("ana@example.com").await, Value::Null);
    admin.change_email("UBOB", "ana@example.com").await.unwrap();
    assert_eq!(id_of("ana@example.com").await, "UBOB");
    assert_eq!(id_of("ana.jones@example.com").await, "UANA");
    assert!(
        admin
            .change_email("UNOBODY", "x@example.com")
            .await
            .is_err()
    );
}

#[rstest]
#[case("Asia/Tokyo", true)]
#[case("Asia/Atlantis", false)]
#[case("", false)]
#[tokio::test]
async fn a_users_time_zone_can_become_any_that_exists(#[case] tz: &str, #[case] exists: bool) {
    let (sandbox, admin) = start(1.0).await;
    let change = UserChange {
        tz: Some(tz.to_owned()),
        ..UserChange::default()
    };
    match admin.change_user("ana@example.com", &change).await {
        Ok(()) => assert!(exists),
        Err(refusal) => {
            assert!(!exists);
            assert!(refusal.to_string().contains("tz: must be"), "{refusal}");
        }
    }
    let arguments = [("email", "ana@example.com")];
    let answer = call(&sandbox, "users.lookupByEmail", &arguments).await;
    let answer: Value = answer.unwrap().json().await.unwrap();
    let expected = if exists { tz } else { "Etc/UTC" };
    assert_eq!(answer["user"]["tz"], expected);
}

#[tokio::test]
async fn an_account_that_is_deactivated_frees_its_address() {
    let (sandbox, admin) = start(1.0).await;
    let deactivated = UserChange {
        deleted: Some(true),
        ..UserChange::default()
    };
    admin.change_user("UANA", &deactivated).await.unwrap();
    admin.change_email("UBOB", "ana@example.com").await.unwrap();
    let renamed = UserChange {
        name: Some("former".to_owned()),
        ..UserChange::default()
    };
    admin.change_user("UANA", &renamed).await.unwrap();
    let arguments = [("email", "ana@example.com")];
    let answer = call(&sandbox, "users.lookupByEmail", &arguments).await;
    let answer: Value = answer.unwrap().json().await.unwrap();
    assert_eq!(answer["user"]["id"], "UBOB");
}

#[tokio::test]
async fn an_address_can_move_to_another_account() {
    let (sandbox, admin) = start(1.0).await;
    for user in [
        json!({ "id": "UANA", "name": "ana", "deleted": true }),
        json!({ "id": "UNEW", "name": "ana", "email": "ana@example.com" }),
    ] {
        let seed: Seed = serde_json::from_value(json!({ "users": [user] })).unwrap();
        admin.seed(&seed).await.unwrap();
    }
    let arguments = [("email", "ana@example.com")];
    let answer = call(&sandbox, "users.lookupByEmail", &arguments).await;
    let answer: Value = answer.unwrap().json().await.unwrap();
    assert_eq!(answer["user"]["id"], "UNEW");
}
