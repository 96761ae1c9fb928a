//! Requests for a channel and its members: which are accepted, and how an invalid one is rejected.
#![allow(clippy::unwrap_used)]

use apgl_contract::{
    InvalidField,
    request::{CheckedRequest, Operation},
};
use rstest::rstest;
use serde_json::{Value, json};

use Operation::{ChangeChannelMembers, CheckChannelExists, CreateChannel, DeleteChannel};

fn checked(operation: Operation, request: &Value) -> Value {
    let checked = CheckedRequest::check(operation, request.clone()).unwrap();
    serde_json::to_value(checked).unwrap()
}

fn refusal(operation: Operation, request: Value) -> (String, String) {
    match CheckedRequest::check(operation, request) {
        Err(InvalidField { field, rule }) => (field, rule),
        other => panic!("expected InvalidRequest, got {other:?}"),
    }
}

#[test]
fn an_operation_is_written_like_the_name_of_its_workflow() {
    for operation in Operation::ALL {
        assert_eq!(json!(operation), operation.as_str());
    }
}

#[test]
fn a_channel_is_private_and_empty_unless_the_request_says_otherwise() {
    let plain = checked(CreateChannel, &json!({ "channelName": "#project-x" }));
    let expected = json!({
        "channelName": "project-x", "visibility": "private", "members": [], "topic": null,
        "purpose": null,
    });
    assert_eq!(plain, expected);
    let request = json!({
        "channelName": "x", "visibility": "public", "members": ["Ana@Example.com"],
        "topic": "é".repeat(250), "purpose": "why",
    });
    let mut expected = request.clone();
    expected["members"] = json!(["ana@example.com"]);
    assert_eq!(checked(CreateChannel, &request), expected);
}

#[rstest]
#[case(json!({ "add": ["ana@example.com"] }), json!(["ana@example.com"]), json!([]))]
#[case(json!({ "remove": ["BOB@example.com"] }), json!([]), json!(["bob@example.com"]))]
#[case(json!({ "add": [], "remove": [] }), json!([]), json!([]))]
fn members_are_added_or_removed_or_both(
    #[case] mut request: Value,
    #[case] add: Value,
    #[case] remove: Value,
) {
    request["channelName"] = json!("x");
    assert_eq!(
        checked(ChangeChannelMembers, &request),
        json!({ "channelName": "x", "add": add, "remove": remove })
    );
}

#[rstest]
#[case(CheckChannelExists)]
#[case(DeleteChannel)]
fn a_name_is_enough(#[case] operation: Operation) {
    let request = json!({ "channelName": "#x" });
    assert_eq!(checked(operation, &request), json!({ "channelName": "x" }));
}

#[rstest]
#[case(json!(null), json!({ "channelName": "x" }))]
#[case(json!(false), json!({ "channelName": "x" }))]
#[case(json!(true), json!({ "channelName": "x", "evenIfNotOurs": true }))]
fn a_deletion_says_if_any_channel_is_meant(
    #[case] even_if_not_ours: Value,
    #[case] expected: Value,
) {
    let request = json!({ "channelName": "x", "evenIfNotOurs": even_if_not_ours });
    assert_eq!(checked(DeleteChannel, &request), expected);
}

#[rstest]
#[case(CreateChannel, json!({ "visibility": "secret" }), "visibility", "must be `public` or `private`")]
#[case(CreateChannel, json!({ "topic": " " }), "topic", "must not be empty")]
#[case(CreateChannel, json!({ "purpose": "x".repeat(251) }), "purpose", "must have at most 250 characters")]
#[case(CreateChannel, json!({ "message": "x" }), "message", "is not a known field; known fields: `channelName`, `visibility`, `members`, `onInvalidAddress`, `topic`, `purpose`")]
#[case(ChangeChannelMembers, json!({}), "add", "is required if `remove` is not given")]
#[case(ChangeChannelMembers, json!({ "add": ["ana"] }), "add[0]", "must be an e-mail address such as ana@example.com")]
#[case::in_both(
    ChangeChannelMembers,
    json!({ "add": ["ana@example.com"], "remove": ["bob@example.com", "bob@example.com", "ANA@example.com"] }),
    "remove[2]",
    "must not be in `add` as well"
)]
#[case::in_both_beside_no_address(
    ChangeChannelMembers,
    json!({ "add": ["ana@example.com"], "remove": ["svc", " ANA@example.com"], "onInvalidAddress": "skip" }),
    "remove[1]",
    "must not be in `add` as well"
)]
#[case(ChangeChannelMembers, json!({ "add": null, "remove": null }), "add", "is required if `remove` is not given")]
#[case(CheckChannelExists, json!({ "onInvalidAddress": "skip" }), "onInvalidAddress", "is not a known field; known fields: `channelName`")]
#[case(CheckChannelExists, json!({ "members": [] }), "members", "is not a known field; known fields: `channelName`")]
#[case(DeleteChannel, json!({ "channelName": "Project-X" }), "channelName", "must contain only lower-case letters, digits, - and _")]
fn a_bad_request_is_rejected_with_its_field_and_rule(
    #[case] operation: Operation,
    #[case] mut request: Value,
    #[case] field: &str,
    #[case] rule: &str,
) {
    if request.get("channelName").is_none() {
        request["channelName"] = json!("x");
    }
    assert_eq!(
        refusal(operation, request),
        (field.to_owned(), rule.to_owned())
    );
}

#[rstest]
fn every_operation_needs_a_name(
    #[values(CreateChannel, CheckChannelExists, DeleteChannel)] operation: Operation,
) {
    let refused = refusal(operation, json!({}));
    assert_eq!(
        refused,
        ("channelName".to_owned(), "is required".to_owned())
    );
}

#[test]
fn debug_shows_no_topic() {
    let request = json!({ "channelName": "x", "topic": "the secret plan" });
    let checked = CheckedRequest::check(CreateChannel, request).unwrap();
    assert!(!format!("{checked:?}").contains("secret"));
}

#[test]
fn an_optional_field_that_is_null_counts_as_absent() {
    let request = json!({
        "channelName": "x", "visibility": null, "members": null, "onInvalidAddress": null,
        "topic": null, "purpose": null,
    });
    let plain = json!({ "channelName": "x" });
    assert_eq!(
        checked(CreateChannel, &request),
        checked(CreateChannel, &plain)
    );
    let request = json!({ "channelName": "x", "add": null, "remove": ["ana@example.com"], "onInvalidAddress": null });
    assert_eq!(
        checked(ChangeChannelMembers, &request),
        json!({ "channelName": "x", "add": [], "remove": ["ana@example.com"] })
    );
}

#[test]
fn entries_that_are_no_addresses_are_skipped_in_both_lists() {
    let request = json!({
        "channelName": "x", "add": ["svc-a", "ana@example.com"], "remove": ["svc-b"],
        "onInvalidAddress": "skip",
    });
    let skipped = |text: &str| json!({ "email": text, "reason": "invalid_address" });
    assert_eq!(
        checked(ChangeChannelMembers, &request),
        json!({
            "channelName": "x", "add": ["ana@example.com"], "remove": [],
            "skipped": [skipped("svc-a"), skipped("svc-b")],
        })
    );
}
