//! The step against a table of user profiles.
#![allow(clippy::unwrap_used)]

use apgl_contract::{Category, Email, SkipReason, Skipped};
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
    map(&[("slack", preference)])
}

fn map(fields: &[(&str, AttributeValue)]) -> AttributeValue {
    let fields = fields.iter().cloned();
    AttributeValue::M(
        fields
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    )
}

/// The step's input for an invitation that is about no message.
fn invitation(members: &[Email]) -> Input {
    Input {
        members: members.to_vec(),
        category: None,
        direct: false,
    }
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
    let input = invitation(&members);

    let outcome = handle(&deps, input).await.unwrap();

    let expected = outcome_for(&[
        ("unknown", Some(SkipReason::NoProfile)),
        ("broken", Some(SkipReason::InvalidProfile)),
        ("undecided", without_preference),
        ("null", without_preference),
        ("empty", without_preference),
        ("does-not", Some(SkipReason::OptedOut)),
        ("wants", None),
    ]);
    assert_eq!(outcome, expected);
}

/// The outcome for these people: a name, and why the person is skipped.
fn outcome_for(members: &[(&str, Option<SkipReason>)]) -> Outcome {
    let mut outcome = Outcome {
        wanted: Vec::new(),
        skipped: Vec::new(),
    };
    for (name, reason) in members {
        let email = email(name);
        match reason {
            None => outcome.wanted.push(email),
            Some(reason) => outcome.skipped.push(Skipped::new(email, *reason)),
        }
    }
    outcome
}

const OPTED_OUT: Option<SkipReason> = Some(SkipReason::OptedOut);
const INVALID: Option<SkipReason> = Some(SkipReason::InvalidProfile);
const NO_PROFILE: Option<SkipReason> = Some(SkipReason::NoProfile);

#[rstest]
#[case::invitation(None, false, [None, None, None, None, OPTED_OUT, INVALID, NO_PROFILE])]
#[case::action(Some(Category::Action), false, [None, None, None, INVALID, OPTED_OUT, INVALID, NO_PROFILE])]
#[case::news(Some(Category::News), false, [OPTED_OUT, None, INVALID, INVALID, OPTED_OUT, INVALID, NO_PROFILE])]
#[case::direct_action(Some(Category::Action), true, [None, OPTED_OUT, None, INVALID, OPTED_OUT, INVALID, NO_PROFILE])]
#[case::direct_news(Some(Category::News), true, [OPTED_OUT, OPTED_OUT, INVALID, INVALID, OPTED_OUT, INVALID, NO_PROFILE])]
#[case::critical(Some(Category::Critical), false, [None, None, None, None, OPTED_OUT, INVALID, NO_PROFILE])]
#[case::direct_critical(Some(Category::Critical), true, [None, None, None, None, OPTED_OUT, INVALID, NO_PROFILE])]
#[tokio::test]
async fn a_message_reaches_those_who_want_its_category_and_want_it_directly(
    #[case] category: Option<Category>,
    #[case] direct: bool,
    #[case] reasons: [Option<SkipReason>; 7],
) {
    let on = || AttributeValue::Bool(true);
    let off = || AttributeValue::Bool(false);
    let news = |value| ("categories", map(&[("news", value)]));
    let text = || AttributeValue::S("off".to_owned());
    let deps = step(
        true,
        &[
            ("no-news", Some(map(&[news(off())]))),
            (
                "not-directly",
                Some(map(&[("slack", on()), ("direct", off())])),
            ),
            ("broken-news", Some(map(&[("slack", on()), news(text())]))),
            ("broken-categories", Some(map(&[("categories", text())]))),
            (
                "nothing",
                Some(map(&[("slack", off()), news(on()), ("direct", on())])),
            ),
            (
                "broken",
                Some(map(&[("slack", text()), news(on()), ("direct", on())])),
            ),
        ],
    )
    .await;
    let names = [
        "no-news",
        "not-directly",
        "broken-news",
        "broken-categories",
        "nothing",
        "broken",
        "unknown",
    ];
    let input = Input {
        members: names.map(email).to_vec(),
        category,
        direct,
    };

    let outcome = handle(&deps, input).await.unwrap();

    let expected: Vec<_> = names.into_iter().zip(reasons).collect();
    assert_eq!(outcome, outcome_for(&expected));
}

#[rstest]
#[case(Some(Category::Critical), None)]
#[case(Some(Category::Action), OPTED_OUT)]
#[tokio::test]
async fn a_critical_message_overrides_the_deployments_default(
    #[case] category: Option<Category>,
    #[case] reason: Option<SkipReason>,
) {
    let deps = step(false, &[("undecided", None)]).await;
    let input = Input {
        category,
        ..invitation(&[email("undecided")])
    };
    let outcome = handle(&deps, input).await.unwrap();
    assert_eq!(outcome, outcome_for(&[("undecided", reason)]));
}

#[tokio::test]
async fn the_profiles_of_a_thousand_members_are_read() {
    let deps = step(true, &[("member-999", None)]).await;
    let members = (0..1_000).map(|n| email(&format!("member-{n}")));
    let input = invitation(&members.collect::<Vec<_>>());
    let outcome = handle(&deps, input).await.unwrap();
    assert_eq!(outcome.wanted, [email("member-999")]);
    assert_eq!(outcome.skipped.len(), 999);
}
