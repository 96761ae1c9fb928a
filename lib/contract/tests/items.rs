//! Requests for an item's card: which are accepted, and how an invalid one is rejected.
#![allow(clippy::unwrap_used)]

use apgl_contract::{
    InvalidField, ItemId, Line, Mentions, State,
    item::{CardChange, CardOutcome, Facts},
    notice::SequenceNumber,
    outcome::Outcome,
    request::{CheckedRequest, Operation},
};
use rstest::rstest;
use serde_json::{Value, json};

fn check(request: Value) -> Result<Value, InvalidField> {
    let checked = CheckedRequest::check(Operation::UpdateItem, request)?;
    Ok(serde_json::to_value(checked).unwrap())
}

/// A request with the required fields and these.
fn request(fields: &Value) -> Value {
    let mut request = json!({
        "itemId": "content-item:guide-42", "version": 7, "channelName": "guide-42",
        "title": "Rust on Lambda", "state": "in_review",
    });
    let fields = fields.as_object().unwrap().clone();
    request.as_object_mut().unwrap().extend(fields);
    request
}

fn emails(count: usize) -> Value {
    (0..count).map(|n| format!("user{n}@example.com")).collect()
}

/// What an item has if the request doesn't say more.
fn plain() -> Value {
    json!({ "item": {
        "id": "content-item:guide-42", "version": 7, "channelName": "guide-42",
        "visibility": "private", "ownChannel": false, "title": "Rust on Lambda",
        "state": "in_review", "facts": [], "waitingFor": [],
    } })
}

#[rstest]
#[case::left_out(json!({}))]
#[case::null(json!({
    "visibility": null, "ownChannel": null, "link": null, "nextStep": null, "facts": null,
    "waitingFor": null, "dueDate": null, "onInvalidAddress": null,
}))]
fn a_card_is_in_a_private_channel_and_says_little_unless_the_request_says_more(
    #[case] fields: Value,
) {
    assert_eq!(check(request(&fields)), Ok(plain()));
}

#[test]
fn an_item_has_everything_that_its_request_says() {
    let checked = check(request(&json!({
        "channelName": "#guide-42", "ownChannel": true, "title": " Rust on\nLambda ",
        "link": "https://example.com/guide-42", "nextStep": "Please\treview it.",
        "facts": ["Submitted by Ana", "Reward: 500 USD"],
        "waitingFor": ["Ana@Example.com", "bob@example.com", "ana@example.com"],
        "dueDate": "2026-12-01", "onInvalidAddress": "refuse",
    })));
    let mut expected = plain();
    let item = expected["item"].as_object_mut().unwrap();
    let fields = json!({
        "ownChannel": true, "link": "https://example.com/guide-42",
        "nextStep": "Please review it.", "facts": ["Submitted by Ana", "Reward: 500 USD"],
        "waitingFor": ["ana@example.com", "bob@example.com"], "dueDate": "2026-12-01",
    });
    item.extend(fields.as_object().unwrap().clone());
    assert_eq!(checked, Ok(expected));
}

#[test]
fn a_card_can_be_in_a_public_channel() {
    let checked = check(request(
        &json!({ "visibility": "public", "ownChannel": false }),
    ));
    assert_eq!(checked.unwrap()["item"]["visibility"], "public");
}

#[test]
fn an_entry_that_is_no_address_is_left_out_if_the_request_says_so() {
    let fields = json!({ "waitingFor": ["svc", "ana@example.com"], "onInvalidAddress": "skip" });
    let checked = check(request(&fields)).unwrap();
    assert_eq!(checked["item"]["waitingFor"], json!(["ana@example.com"]));
    let skipped = json!([{ "email": "svc", "reason": "invalid_address" }]);
    assert_eq!(checked["skipped"], skipped);
}

#[test]
fn the_channel_of_the_request_is_the_items() {
    let checked = CheckedRequest::check(Operation::UpdateItem, request(&json!({}))).unwrap();
    assert_eq!(checked.channel_name().unwrap().as_str(), "guide-42");
}

#[rstest]
#[case(json!({ "itemId": "" }), "itemId", "must not be empty")]
#[case(json!({ "itemId": "guide 42" }), "itemId", "must contain only visible characters")]
#[case(json!({ "itemId": "guide\u{0}42" }), "itemId", "must contain only visible characters")]
#[case(json!({ "itemId": "é".repeat(251) }), "itemId", "must have at most 250 characters")]
#[case(json!({ "version": -1 }), "version", "must be an integer from 0 to 9007199254740991")]
#[case(json!({ "version": 1.5 }), "version", "must be an integer from 0 to 9007199254740991")]
#[case(json!({ "channelName": "Guide 42" }), "channelName", "must contain only lower-case letters, digits, - and _")]
#[case(json!({ "visibility": "secret" }), "visibility", "must be `public` or `private`")]
#[case(json!({ "visibility": "public", "ownChannel": true }), "ownChannel", "must not be true for a public channel")]
#[case(json!({ "title": " \n" }), "title", "must not be empty")]
#[case(json!({ "link": "http://example.com" }), "link", "must start with https://")]
#[case(json!({ "state": "" }), "state", "must not be empty")]
#[case(json!({ "nextStep": "\t" }), "nextStep", "must not be empty")]
#[case(json!({ "facts": vec!["x"; 11] }), "facts", "must contain at most 10 lines")]
#[case(json!({ "facts": ["x", " "] }), "facts[1]", "must not be empty")]
#[case(json!({ "waitingFor": ["svc"] }), "waitingFor[0]", "must be an e-mail address such as ana@example.com")]
#[case(json!({ "waitingFor": emails(51) }), "waitingFor", "must contain at most 50 addresses")]
#[case(json!({ "dueDate": "2026-02-30" }), "dueDate", "must be a date such as 2026-11-25")]
#[case(json!({ "message": "x" }), "message", "is not a known field; known fields: `itemId`, `version`, `channelName`, `visibility`, `ownChannel`, `title`, `link`, `state`, `nextStep`, `facts`, `waitingFor`, `dueDate`, `reminders`, `onInvalidAddress`")]
fn a_bad_request_is_rejected_with_its_field_and_rule(
    #[case] fields: Value,
    #[case] field: &str,
    #[case] rule: &str,
) {
    let refused = check(request(&fields)).unwrap_err();
    assert_eq!(
        (refused.field.as_str(), refused.rule.as_str()),
        (field, rule)
    );
}

#[rstest]
fn a_required_field_must_be_there(
    #[values("itemId", "version", "channelName", "title", "state")] field: &str,
) {
    let mut request = request(&json!({}));
    request.as_object_mut().unwrap().remove(field);
    let refused = check(request).unwrap_err();
    assert_eq!(refused, InvalidField::new(field, "is required"));
}

#[test]
fn the_largest_item_is_accepted() {
    let line = "\u{10FFFD}".repeat(Line::MAX_CHARACTERS);
    let checked = check(request(&json!({
        "itemId": "é".repeat(ItemId::MAX_CHARACTERS), "version": SequenceNumber::MAX,
        "title": line, "state": "x".repeat(State::MAX_CHARACTERS + 1), "nextStep": line,
        "facts": vec![line.as_str(); Facts::MAX], "waitingFor": emails(Mentions::MAX),
    })));
    let item = checked.unwrap()["item"].take();
    assert!(item["state"].as_str().unwrap().ends_with("x…"));
    // DynamoDB keeps at most 400 KB in an item.
    assert!(item.to_string().len() < 40_000);
}

#[rstest]
#[case::updated(json!({
    "channel": {
        "id": "C1", "name": "guide-42", "visibility": "private", "archived": false,
        "created": false,
    },
    "item": { "id": "x", "version": 7, "superseded": false },
    "card": { "ts": "1.2", "version": 7, "change": "updated", "pinned": true },
}))]
#[case::superseded(json!({ "item": { "id": "x", "version": 9, "superseded": true } }))]
fn an_outcome_is_written_and_read_again(#[case] json: Value) {
    let outcome: Outcome = serde_json::from_value(json.clone()).unwrap();
    let written = json!(outcome);
    for field in ["item", "card"] {
        assert_eq!(written.get(field), json.get(field));
    }
}

#[test]
fn a_change_of_a_later_version_can_be_read() {
    let json = json!({ "ts": "1.2", "version": 7, "change": "moved" });
    let card: CardOutcome = serde_json::from_value(json).unwrap();
    assert_eq!(card.change, CardChange::Other);
}
