//! Requests as callers send them: which are accepted, and how an invalid one is rejected.
#![allow(clippy::unwrap_used)]

use apgl_contract::{
    InvalidField,
    request::{CheckedRequest, Operation},
};
use rstest::rstest;
use serde_json::{Value, json};

/// The checked request without its notice, which has tests of its own.
fn check_private(request: Value) -> Result<Value, InvalidField> {
    let checked = CheckedRequest::check(Operation::NotifyPrivateChannel, request)?;
    let mut checked = serde_json::to_value(checked).unwrap();
    checked.as_object_mut().unwrap().remove("notice");
    Ok(checked)
}

fn refusal(request: Value) -> (String, String) {
    match check_private(request) {
        Err(InvalidField { field, rule }) => (field, rule),
        other => panic!("expected InvalidRequest, got {other:?}"),
    }
}

fn valid() -> Value {
    json!({ "channelName": "project-x", "message": "hello", "members": ["ana@example.com"] })
}

fn with(field: &str, value: Value) -> Value {
    let mut request = valid();
    request[field] = value;
    request
}

fn without(field: &str) -> Value {
    let mut request = valid();
    request.as_object_mut().unwrap().remove(field);
    request
}

fn emails(count: usize) -> Value {
    (0..count).map(|n| format!("user{n}@example.com")).collect()
}

#[test]
fn a_checked_request_is_normalised_and_complete() {
    let checked = check_private(json!({
        "channelName": "#project-x",
        "message": "hello <!channel>",
        "members": ["Ana@Example.com", "bob@example.com", "ana@example.com"],
    }));
    assert_eq!(
        checked,
        Ok(json!({
            "channelName": "project-x",
            "message": { "text": "hello @channel" },
            "members": ["ana@example.com", "bob@example.com"],
        }))
    );
}

#[test]
fn members_are_optional_and_none_by_default() {
    assert_eq!(
        check_private(without("members")).unwrap()["members"],
        json!([])
    );
}

#[test]
fn a_broadcast_is_kept_when_the_request_allows_it() {
    let mut request = with("message", json!("<!here> fire drill"));
    request["allowBroadcast"] = json!(true);
    assert_eq!(
        check_private(request).unwrap()["message"]["text"],
        "<!here> fire drill"
    );
}

#[rstest]
#[case::text_only(json!({ "text": "hello" }))]
#[case::blocks(json!({ "text": "hello", "blocks": [{ "type": "divider" }] }))]
#[case::thread(json!({ "text": "hello", "threadTs": "1712345678.000200" }))]
#[case::previews(json!({ "text": "hello", "unfurlLinks": true, "unfurlMedia": true }))]
fn a_message_may_be_an_object(#[case] message: Value) {
    assert_eq!(
        check_private(with("message", message.clone())).unwrap()["message"],
        message
    );
}

#[rstest]
#[case::eighty_characters(with("channelName", json!("a".repeat(80))))]
#[case::twelve_thousand_characters(with("message", json!("é".repeat(12_000))))]
#[case::forty_thousand_characters(with("message", json!({ "text": "é".repeat(40_000), "blocks": [{ "type": "divider" }] })))]
#[case::a_thousand_members(with("members", emails(1_000)))]
fn a_request_at_a_limit_is_accepted(#[case] request: Value) {
    assert!(check_private(request).is_ok());
}

#[rstest]
#[case("équipe")]
#[case("お知らせ")]
#[case("プロジェクト-2")]
#[case("проект_x")]
#[case("ملاحظات")]
#[case("हिन्दी")]
#[case::eighty_characters(&"é".repeat(80))]
fn an_existing_channel_may_have_a_name_in_any_script(#[case] name: &str) {
    let checked = check_private(with("channelName", json!(format!("#{name}"))));
    assert_eq!(checked.unwrap()["channelName"], name);
    let request = json!({ "channelName": name });
    let refused = CheckedRequest::check(Operation::CreateChannel, request).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "channelName: must contain only a to z, digits, - and _: a bot can create no other names"
    );
}

#[rstest]
#[case::not_an_object(json!("hello"), "request", "must be an object")]
#[case::null(Value::Null, "request", "must be an object")]
#[case::a_list(json!(["project-x", "hello", [], false]), "request", "must be an object")]
#[case::no_channel(without("channelName"), "channelName", "is required")]
#[case::no_message(without("message"), "message", "is required")]
#[case::channel_is_a_number(with("channelName", json!(7)), "channelName", "must be a string")]
#[case::empty_channel(with("channelName", json!("#")), "channelName", "must not be empty")]
#[case::long_channel(with("channelName", json!("a".repeat(81))), "channelName", "must have at most 80 characters")]
#[case::uppercase_channel(with("channelName", json!("Project-X")), "channelName", "must contain only lower-case letters, digits, - and _")]
#[case::dotted_channel(with("channelName", json!("a.b")), "channelName", "must contain only lower-case letters, digits, - and _")]
#[case::uppercase_in_another_script(with("channelName", json!("Équipe")), "channelName", "must contain only lower-case letters, digits, - and _")]
#[case::space_of_another_script(with("channelName", json!("お\u{3000}知らせ")), "channelName", "must contain only lower-case letters, digits, - and _")]
#[case::invisible_in_channel(with("channelName", json!("a\u{202e}b")), "channelName", "must contain only lower-case letters, digits, - and _")]
#[case::long_channel_in_another_script(with("channelName", json!("é".repeat(81))), "channelName", "must have at most 80 characters")]
#[case::punctuation_channel(with("channelName", json!("--")), "channelName", "must contain a letter or a digit")]
#[case::empty_message(with("message", json!(" \n")), "message", "must not be empty")]
#[case::message_is_a_list(with("message", json!(["x"])), "message", "must be a string, or an object with text")]
#[case::long_message(with("message", json!("x".repeat(12_001))), "message", "must have at most 12,000 characters without blocks")]
#[case::long_text(with("message", json!({ "text": "x".repeat(12_001), "blocks": null })), "message.text", "must have at most 12,000 characters without blocks")]
#[case::long_text_beside_blocks(with("message", json!({ "text": "x".repeat(40_001), "blocks": [{ "type": "divider" }] })), "message.text", "must have at most 40,000 characters")]
#[case::unfurl_is_a_string(with("message", json!({ "text": "x", "unfurlMedia": "no" })), "message.unfurlMedia", "must be a boolean")]
#[case::message_without_text(with("message", json!({ "blocks": [{ "type": "divider" }] })), "message.text", "is required")]
#[case::empty_text(with("message", json!({ "text": "" })), "message.text", "must not be empty")]
#[case::no_blocks(with("message", json!({ "text": "x", "blocks": [] })), "message.blocks", "must contain 1 to 50 blocks")]
#[case::block_without_type(with("message", json!({ "text": "x", "blocks": [{}] })), "message.blocks", "must contain only objects with a `type`")]
#[case::bad_thread(with("message", json!({ "text": "x", "threadTs": "now" })), "message.threadTs", "must be a message's timestamp such as 1712345678.000200")]
#[case::unknown_in_message(with("message", json!({ "text": "x", "tetx": "y" })), "message.tetx", "is not a known field; known fields: `text`, `blocks`, `threadTs`, `unfurlLinks`, `unfurlMedia`")]
#[case::many_members(
    with("members", emails(1_001)),
    "members",
    "must contain at most 1,000 addresses"
)]
#[case::members_is_a_string(with("members", json!("ana@example.com")), "members", "must be a list")]
#[case::malformed_address(with("members", json!(["ana@example.com", "bob"])), "members[1]", "must be an e-mail address such as ana@example.com")]
#[case::address_with_a_name(with("members", json!(["Ana <ana@example.com>"])), "members[0]", "must be an e-mail address such as ana@example.com")]
#[case::address_is_null(with("members", json!([null])), "members[0]", "must be a string")]
#[case::broadcast_is_a_string(with("allowBroadcast", json!("yes")), "allowBroadcast", "must be a boolean")]
#[case::unknown_field(with("chanelName", json!("x")), "chanelName", "is not a known field; known fields: `channelName`, `message`, `members`, `mention`, `actor`, `onInvalidAddress`, `category`, `occurredAt`, `expiresAt`, `sequence`, `allowBroadcast`")]
#[case::bad_choice(with("onInvalidAddress", json!("ignore")), "onInvalidAddress", "must be `refuse` or `skip`")]
#[case::invalid_addresses_are_refused(
    json!({ "channelName": "x", "message": "x", "members": ["bob"], "onInvalidAddress": "refuse" }),
    "members[0]",
    "must be an e-mail address such as ana@example.com"
)]
#[case::too_many_to_skip(
    json!({ "channelName": "x", "message": "x", "members": vec!["bob"; 1_001], "onInvalidAddress": "skip" }),
    "members",
    "must contain at most 1,000 addresses"
)]
#[case::no_list_to_skip_from(
    json!({ "channelName": "x", "message": "x", "members": "ana@example.com", "onInvalidAddress": "skip" }),
    "members",
    "must be a list"
)]
fn a_bad_request_is_rejected_with_its_field_and_rule(
    #[case] request: Value,
    #[case] field: &str,
    #[case] rule: &str,
) {
    assert_eq!(refusal(request), (field.to_owned(), rule.to_owned()));
}

#[rstest]
#[case(with("channelName", json!({ "secret": "the plan, expected soon" })))]
#[case(with("message", json!({ "text": ["the plan"] })))]
#[case(with("members", json!("the plan")))]
#[case(with("allowBroadcast", json!("the plan")))]
#[case(with("the plan", json!("x")))]
fn an_error_never_repeats_the_input(#[case] request: Value) {
    let (field, rule) = refusal(request);
    assert!(!format!("{field} {rule}").contains("plan"));
}

#[test]
fn a_public_notification_takes_no_members() {
    let refused = CheckedRequest::check(Operation::NotifyPublicChannel, valid());
    assert!(matches!(refused, Err(InvalidField { field, .. }) if field == "members"));
}

#[test]
fn an_optional_field_that_is_null_counts_as_absent() {
    let request = json!({
        "channelName": "project-x",
        "message": {
            "text": "hello", "blocks": null, "threadTs": null, "unfurlLinks": null, "unfurlMedia": null,
        },
        "members": null, "onInvalidAddress": null, "allowBroadcast": null,
    });
    assert_eq!(
        check_private(request),
        Ok(json!({ "channelName": "project-x", "message": { "text": "hello" }, "members": [] }))
    );
}

#[test]
fn entries_that_are_no_addresses_are_skipped_and_reported_if_the_request_says_so() {
    let mut request = with(
        "members",
        json!([
            "ana@example.com ",
            "svc-build",
            null,
            "bob@example.com",
            "svc-build",
            "a\nb"
        ]),
    );
    request["onInvalidAddress"] = json!("skip");
    let checked = check_private(request).unwrap();
    assert_eq!(
        checked["members"],
        json!(["ana@example.com", "bob@example.com"])
    );
    let skipped = |text: &str| json!({ "email": text, "reason": "invalid_address" });
    assert_eq!(
        checked["skipped"],
        json!([skipped("svc-build"), skipped("null"), skipped("a\u{fffd}b")])
    );
}
