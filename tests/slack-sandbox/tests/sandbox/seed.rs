//! Seeds: many users and channels at once, and seeds that are refused.

use rstest::rstest;
use serde_json::{Value, json};
use slack_sandbox::{Seed, seed::Generate};

use crate::team::{call, start};

#[tokio::test]
async fn a_seed_creates_a_hundred_thousand_users_and_channels() {
    let (sandbox, admin) = start(1.0).await;
    let generate = Generate {
        users: 100_000,
        channels: 100_000,
    };
    admin
        .seed(&Seed {
            generate,
            ..Seed::default()
        })
        .await
        .unwrap();
    assert!(admin.channel("channel-99999").await.unwrap().is_some());
    let found: Value = call(
        &sandbox,
        "users.lookupByEmail",
        &[("email", "user99999@example.com")],
    )
    .await
    .unwrap()
    .json()
    .await
    .unwrap();
    assert_eq!(found["ok"], true);
    let page = reqwest::get(format!("{}/?q=channel-9999", sandbox.url()))
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(page.contains("channel-99998") && !page.contains("channel-88888"));
}

#[rstest]
#[case(json!({ "channels": [{ "name": "x" }, { "name": "x" }] }), "channels[1].name")]
#[case(json!({ "channels": [{ "name": "team" }] }), "channels[0].name")]
#[case(json!({ "channels": [{ "name": "x", "members": ["nobody@example.com"] }] }), "channels[0].members[0]")]
#[case(json!({ "tokens": [{ "token": "" }] }), "tokens[0].token")]
#[case(json!({ "users": [{ "name": "x", "tz": "Europe/Atlantis" }], "channels": [{ "name": "x" }] }), "users[0].tz: must be the name of an IANA time zone")]
#[case(json!({ "users": [{ "name": "x", "tz": "europe/berlin" }], "channels": [{ "name": "x" }] }), "users[0].tz")]
#[tokio::test]
async fn a_bad_seed_is_rejected_as_a_whole_with_its_field(
    #[case] seed: Value,
    #[case] field: &str,
) {
    let (_sandbox, admin) = start(1.0).await;
    let seed: Seed = serde_json::from_value(seed).unwrap();
    let refusal = admin.seed(&seed).await.unwrap_err().to_string();
    assert!(refusal.contains(field), "{refusal}");
    assert_eq!(admin.channel("x").await.unwrap(), None);
}

#[tokio::test]
async fn an_admin_request_with_an_unknown_field_is_rejected_with_its_name() {
    let (sandbox, _admin) = start(1.0).await;
    let url = format!("{}/admin/seed", sandbox.url());
    let answer = reqwest::Client::new()
        .post(url)
        .json(&json!({ "chanels": [] }))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 400);
    assert!(answer.text().await.unwrap().contains("chanels"));
}
