//! The step against a table of user profiles.
#![allow(clippy::unwrap_used)]

use apgl_contract::{Email, SkipReason, Skipped};
use apgl_stores::{Table, UserProfiles};
use aws_sdk_dynamodb::types::AttributeValue;
use filter_by_preference::{Deps, Input, Outcome, handle};
use fixture::Fixture;
use rstest::rstest;

fn email(name: &str) -> Email {
    Email::try_from(format!("{name}@example.com")).unwrap()
}

/// The step, with these profiles: a name, and the value of `notificationPreferences`.
async fn step(wanted_by_default: bool, profiles: &[(&str, Option<AttributeValue>)]) -> Deps {
    let fixture = Fixture::new().await;
    let table = fixture.create_table(&["email"]).await;
    for (name, preferences) in profiles {
        let mut put = fixture
            .dynamodb
            .put_item()
            .table_name(&table)
            .item("email", AttributeValue::S(email(name).as_str().to_owned()));
        if let Some(preferences) = preferences {
            put = put.item("notificationPreferences", preferences.clone());
        }
        put.send().await.unwrap();
    }
    Deps {
        profiles: UserProfiles::new(Table::new(fixture.dynamodb.clone(), table)),
        wanted_by_default,
    }
}

fn slack(preference: AttributeValue) -> AttributeValue {
    AttributeValue::M([("slack".to_owned(), preference)].into())
}

#[rstest]
#[case::by_default(true, None)]
#[case::not_by_default(false, Some(SkipReason::OptedOut))]
#[tokio::test]
async fn each_member_is_wanted_or_skipped_in_the_order_of_the_request(
    #[case] wanted_by_default: bool,
    #[case] without_preference: Option<SkipReason>,
) {
    let deps = step(
        wanted_by_default,
        &[
            ("wants", Some(slack(AttributeValue::Bool(true)))),
            ("does-not", Some(slack(AttributeValue::Bool(false)))),
            ("undecided", None),
            ("null", Some(slack(AttributeValue::Null(true)))),
            ("empty", Some(AttributeValue::M([].into()))),
            ("broken", Some(slack(AttributeValue::N("7".to_owned())))),
        ],
    )
    .await;
    let members = [
        "unknown",
        "broken",
        "undecided",
        "null",
        "empty",
        "does-not",
        "wants",
    ]
    .map(email);
    let input = Input {
        members: members.to_vec(),
    };

    let outcome = handle(&deps, input).await.unwrap();

    let mut expected = Outcome {
        wanted: Vec::new(),
        skipped: Vec::new(),
    };
    for (name, reason) in [
        ("unknown", Some(SkipReason::NoProfile)),
        ("broken", Some(SkipReason::InvalidProfile)),
        ("undecided", without_preference),
        ("null", without_preference),
        ("empty", without_preference),
        ("does-not", Some(SkipReason::OptedOut)),
        ("wants", None),
    ] {
        let email = email(name);
        match reason {
            None => expected.wanted.push(email),
            Some(reason) => expected.skipped.push(Skipped::new(email, reason)),
        }
    }
    assert_eq!(outcome, expected);
}

#[tokio::test]
async fn the_profiles_of_a_thousand_members_are_read() {
    let deps = step(true, &[("member-999", None)]).await;
    let members = (0..1_000).map(|n| email(&format!("member-{n}")));
    let input = Input {
        members: members.collect(),
    };
    let outcome = handle(&deps, input).await.unwrap();
    assert_eq!(outcome.wanted, [email("member-999")]);
    assert_eq!(outcome.skipped.len(), 999);
}
