//! Writing preferences into a table of user profiles.
#![allow(clippy::unwrap_used)]

use apgl_contract::{Email, StepError};
use apgl_stores::{
    Preference,
    PreferenceField::{self, Action, Bounty, Direct, News, Slack},
    Preferences, Table, UserProfiles,
};
use aws_sdk_dynamodb::{Client, types::AttributeValue};
use fixture::Fixture;
use futures_util::future::join_all;
use rstest::rstest;
use serde_json::{Value, json};

/// A table of user profiles.
struct Profiles {
    dynamodb: Client,
    table: String,
    store: UserProfiles,
}

impl Profiles {
    async fn empty() -> Self {
        let fixture = Fixture::new().await;
        let table = fixture.create_table(&["email"]).await;
        let dynamodb = fixture.dynamodb.clone();
        let store = UserProfiles::new(Table::new(dynamodb.clone(), table.clone()));
        Self {
            dynamodb,
            table,
            store,
        }
    }

    async fn with(profile: &Value) -> Self {
        let profiles = Self::empty().await;
        profiles
            .dynamodb
            .put_item()
            .table_name(&profiles.table)
            .set_item(Some(serde_dynamo::to_item(profile).unwrap()))
            .send()
            .await
            .unwrap();
        profiles
    }

    async fn set(&self, field: PreferenceField, wanted: Option<bool>) -> Option<Preferences> {
        self.try_set(field, wanted).await.unwrap()
    }

    async fn try_set(
        &self,
        field: PreferenceField,
        wanted: Option<bool>,
    ) -> Result<Option<Preferences>, StepError> {
        self.store.set_preference(&ana(), field, wanted).await
    }

    async fn preferences(&self) -> Preferences {
        let read = self.store.preferences(&[ana()]).await;
        read.unwrap()[&ana()]
    }

    /// The profile of Ana, if she has one.
    async fn read(&self) -> Option<Value> {
        let answer = self
            .dynamodb
            .get_item()
            .table_name(&self.table)
            .key("email", AttributeValue::S(ana().as_str().to_owned()))
            .send()
            .await
            .unwrap();
        Some(serde_dynamo::from_item(answer.item?).unwrap())
    }
}

fn ana() -> Email {
    Email::try_from("ana@example.com".to_owned()).unwrap()
}

/// Ana's profile with these preferences, if any.
fn profile(preferences: Option<&Value>) -> Value {
    let mut profile = json!({ "email": "ana@example.com", "name": "Ana" });
    if let Some(preferences) = preferences {
        profile["notificationPreferences"] = preferences.clone();
    }
    profile
}

#[rstest]
#[case::alone(None, Slack, json!({ "slack": false }))]
#[case::in_a_new_map(None, News, json!({ "categories": { "news": false } }))]
#[case::in_an_empty_map(Some(json!({})), Bounty, json!({ "categories": { "bounty": false } }))]
#[case::for_null(Some(json!(null)), Direct, json!({ "direct": false }))]
#[case::for_null_categories(Some(json!({ "categories": null })), Action, json!({ "categories": { "action": false } }))]
#[case::in_empty_categories(Some(json!({ "categories": {} })), Action, json!({ "categories": { "action": false } }))]
#[case::slack_beside_others(
    Some(json!({ "slack": true, "categories": { "news": true }, "direct": true, "mail": "daily" })),
    Slack,
    json!({ "slack": false, "categories": { "news": true }, "direct": true, "mail": "daily" }),
)]
#[case::direct_beside_others(
    Some(json!({ "slack": true, "categories": { "news": true } })),
    Direct,
    json!({ "slack": true, "categories": { "news": true }, "direct": false }),
)]
#[case::the_first_category(
    Some(json!({ "slack": true, "mail": "daily" })),
    News,
    json!({ "slack": true, "mail": "daily", "categories": { "news": false } }),
)]
#[case::one_of_the_categories(
    Some(json!({ "slack": true, "categories": { "action": true, "news": true, "gossip": 7 } })),
    News,
    json!({ "slack": true, "categories": { "action": true, "news": false, "gossip": 7 } }),
)]
#[case::for_a_text(Some(json!("slack")), Slack, json!({ "slack": false }))]
#[case::beside_categories_that_are_a_list(
    Some(json!({ "categories": ["news"] })),
    Direct,
    json!({ "categories": ["news"], "direct": false }),
)]
#[tokio::test]
async fn a_preference_is_written_and_the_others_stay(
    #[case] before: Option<Value>,
    #[case] field: PreferenceField,
    #[case] after: Value,
) {
    let profiles = Profiles::with(&profile(before.as_ref())).await;
    let says = profiles.set(field, Some(false)).await.unwrap();
    let written = match field {
        Slack => says.slack,
        Action => says.action,
        News => says.news,
        Bounty => says.bounty,
        Direct => says.direct,
    };
    assert_eq!(written, Preference::Unwanted);
    assert_eq!(profiles.read().await, Some(profile(Some(&after))));
    assert_eq!(profiles.preferences().await, says);
}

#[rstest]
#[case::direct_in_a_boolean(json!(false), Direct)]
#[case::a_category_in_a_text(json!("slack"), News)]
#[case::a_category_in_a_list(json!({ "slack": true, "categories": ["news"], "direct": "no" }), News)]
#[tokio::test]
async fn nothing_is_written_into_what_is_not_a_map(
    #[case] before: Value,
    #[case] field: PreferenceField,
) {
    let profiles = Profiles::with(&profile(Some(&before))).await;
    let refused = profiles.try_set(field, Some(false)).await.unwrap_err();
    assert!(refused.to_string().ends_with("is not a map"), "{refused}");
    assert_eq!(profiles.read().await, Some(profile(Some(&before))));
}

#[rstest]
#[case::slack(
    Some(json!({ "slack": true, "categories": { "news": true }, "mail": "daily" })),
    Slack,
    Some(json!({ "categories": { "news": true }, "mail": "daily" })),
)]
#[case::direct(Some(json!({ "slack": true, "direct": "no" })), Direct, Some(json!({ "slack": true })))]
#[case::a_category(
    Some(json!({ "slack": true, "categories": { "action": false, "news": false } })),
    Action,
    Some(json!({ "slack": true, "categories": { "news": false } })),
)]
#[case::the_last_category(Some(json!({ "categories": { "news": 7 } })), News, Some(json!({ "categories": {} })))]
#[case::an_absent_category(Some(json!({ "slack": true })), News, Some(json!({ "slack": true })))]
#[case::of_nothing(None, Bounty, None)]
#[case::of_null(Some(json!(null)), Slack, Some(json!(null)))]
#[case::of_a_text(Some(json!("slack")), News, Some(json!("slack")))]
#[case::of_categories_that_are_a_text(
    Some(json!({ "slack": true, "categories": "news" })),
    News,
    Some(json!({ "slack": true, "categories": "news" })),
)]
#[tokio::test]
async fn a_preference_is_removed_and_the_others_stay(
    #[case] before: Option<Value>,
    #[case] field: PreferenceField,
    #[case] after: Option<Value>,
) {
    let profiles = Profiles::with(&profile(before.as_ref())).await;
    let says = profiles.set(field, None).await.unwrap();
    assert_eq!(profiles.read().await, Some(profile(after.as_ref())));
    assert_eq!(profiles.preferences().await, says);
}

#[rstest]
#[tokio::test]
async fn nobody_gets_a_profile(
    #[values(Slack, Action, News, Bounty, Direct)] field: PreferenceField,
    #[values(Some(true), Some(false), None)] wanted: Option<bool>,
) {
    let profiles = Profiles::empty().await;
    assert_eq!(profiles.set(field, wanted).await, None);
    assert_eq!(profiles.read().await, None);
}

#[tokio::test]
async fn preferences_that_are_written_at_once_are_all_kept() {
    let profiles = Profiles::with(&profile(None)).await;
    let fields = [Slack, Action, News, Bounty, Direct];
    let written = join_all(fields.map(|field| profiles.set(field, Some(false)))).await;
    assert!(written.iter().all(Option::is_some));
    let all = json!({
        "slack": false,
        "categories": { "action": false, "news": false, "bounty": false },
        "direct": false,
    });
    assert_eq!(profiles.read().await, Some(profile(Some(&all))));
}
