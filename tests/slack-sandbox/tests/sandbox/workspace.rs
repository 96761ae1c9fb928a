//! Changes to the workspace while the sandbox runs.

use serde_json::{Value, json};
use slack_sandbox::{Seed, seed::TokenSeed, server::ChannelChange};

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
        bot_is_member: Some(false),
    };
    admin.change_channel("team", &change).await.unwrap();
    assert_eq!(admin.channel("team").await.unwrap(), None);
    let crew = admin.channel("crew").await.unwrap().unwrap();
    assert!(crew.is_private && crew.is_archived);
    assert_eq!(crew.members, ["UANA"]);
    let unchanged = ChannelChange::default();
    admin.change_channel("crew", &unchanged).await.unwrap();
    assert_eq!(admin.channel("crew").await.unwrap().unwrap(), crew);
    assert!(admin.change_channel("team", &unchanged).await.is_err());
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
