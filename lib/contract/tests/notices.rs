//! What a request says about its notification: category, times, sequence, and whom it addresses.
#![allow(clippy::unwrap_used)]

use apgl_contract::{
    InvalidField,
    request::{CheckedRequest, Operation},
};
use rstest::rstest;
use serde_json::{Value, json};

/// A request of each workflow that notifies somebody, with these fields.
fn requests(fields: &Value) -> [(Operation, Value); 3] {
    [
        (Operation::NotifyPrivateChannel, "channelName", "guide-42"),
        (Operation::NotifyPublicChannel, "channelName", "guide-42"),
        (Operation::NotifyPerson, "email", "ana@example.com"),
    ]
    .map(|(operation, field, value)| {
        let mut request = json!({ field: value, "message": "hello" });
        let fields = fields.as_object().unwrap().clone();
        request.as_object_mut().unwrap().extend(fields);
        (operation, request)
    })
}

fn check(operation: Operation, request: Value) -> Result<Value, InvalidField> {
    let checked = CheckedRequest::check(operation, request)?;
    Ok(serde_json::to_value(checked).unwrap())
}

#[test]
fn a_notification_is_about_an_act_and_never_expires_unless_the_request_says_otherwise() {
    let expected = json!({ "category": "action", "mention": [] });
    let nulls =
        json!({ "category": null, "occurredAt": null, "expiresAt": null, "sequence": null });
    for fields in [json!({}), nulls] {
        for (operation, request) in requests(&fields) {
            let checked = check(operation, request).unwrap();
            assert_eq!(checked["notice"], expected, "{operation}");
        }
    }
}

#[test]
fn every_notification_can_have_a_category_times_and_a_place_in_a_sequence() {
    let fields = json!({
        "category": "critical",
        "occurredAt": "2026-05-12T09:30:00Z",
        "expiresAt": "2026-05-12T12:30:00+02:00",
        "sequence": { "key": "guide-42", "number": 7 },
    });
    for (operation, request) in requests(&fields) {
        let notice = check(operation, request).unwrap()["notice"].clone();
        assert_eq!(notice["category"], "critical", "{operation}");
        assert_eq!(notice["occurredAt"], "2026-05-12T09:30:00Z");
        assert_eq!(notice["expiresAt"], "2026-05-12T10:30:00Z");
        assert_eq!(notice["sequence"], fields["sequence"]);
    }
}

#[rstest]
#[case::category(json!({ "category": "urgent" }), "category", "must be one of `action`, `news`, `bounty`, `critical`")]
#[case::category_as_a_number(json!({ "category": 7 }), "category", "must be a string")]
#[case::category_as_an_object(json!({ "category": { "critical": null } }), "category", "must be a string")]
#[case::occurred_at(json!({ "occurredAt": "noon" }), "occurredAt", "must be a time from 1970 to 9999-12-30 with seconds and an offset, such as 2026-11-25T10:00:00Z")]
#[case::expires_at(json!({ "expiresAt": 1_700_000_000 }), "expiresAt", "must be a string")]
#[case::sequence(json!({ "sequence": 7 }), "sequence", "must be an object with `key` and `number`")]
#[case::a_list(json!({ "sequence": ["x", 7] }), "sequence", "must be an object with `key` and `number`")]
#[case::no_key(json!({ "sequence": { "number": 7 } }), "sequence.key", "is required")]
#[case::empty_key(json!({ "sequence": { "key": " ", "number": 7 } }), "sequence.key", "must not be empty")]
#[case::long_key(
    json!({ "sequence": { "key": "é".repeat(201), "number": 7 } }),
    "sequence.key", "must have at most 200 characters"
)]
#[case::negative(
    json!({ "sequence": { "key": "x", "number": -1 } }),
    "sequence.number", "must be an integer from 0 to 9007199254740991"
)]
#[case::text(json!({ "sequence": { "key": "x", "number": "7" } }), "sequence.number", "must be a JSON number")]
#[case::more(
    json!({ "sequence": { "key": "x", "number": 7, "of": 9 } }),
    "sequence.of", "is not a known field; known fields: `key` or `number`"
)]
fn a_bad_field_is_named_with_its_rule(
    #[case] fields: Value,
    #[case] field: &str,
    #[case] rule: &str,
) {
    for (operation, request) in requests(&fields) {
        let refused = check(operation, request).unwrap_err();
        assert_eq!(
            (refused.field.as_str(), refused.rule.as_str()),
            (field, rule)
        );
    }
}

#[rstest]
#[case(json!({ "mention": "ana@example.com" }), "mention", "must be a list")]
#[case(json!({ "mention": ["ana"] }), "mention[0]", "must be an e-mail address such as ana@example.com")]
#[case(json!({ "mention": vec!["ana@example.com"; 51] }), "mention", "must contain at most 50 addresses")]
#[case(json!({ "actor": "Ana" }), "actor", "must be an e-mail address such as ana@example.com")]
fn whom_a_message_addresses_is_checked(
    #[case] fields: Value,
    #[case] field: &str,
    #[case] rule: &str,
) {
    let [private, public, _] = requests(&fields);
    for (operation, request) in [private, public] {
        let refused = check(operation, request).unwrap_err();
        assert_eq!(
            (refused.field.as_str(), refused.rule.as_str()),
            (field, rule)
        );
    }
}

#[rstest]
#[case::in_a_section(json!({ "type": "rich_text", "elements": [
    { "type": "rich_text_section", "elements": [{ "type": "text", "text": "x" }, { "type": "mentions" }] },
] }), true)]
#[case::in_a_list(json!({ "type": "rich_text", "elements": [{ "type": "rich_text_list", "elements": [
    { "type": "rich_text_section", "elements": [{ "type": "mentions" }] },
] }] }), true)]
#[case::in_a_context(json!({ "type": "context", "elements": [{ "type": "mentions" }] }), false)]
#[case::instead_of_a_section(json!({ "type": "rich_text", "elements": [{ "type": "mentions" }] }), false)]
#[case::in_a_field(json!({ "type": "section", "accessory": { "type": "mentions" } }), false)]
#[case::as_a_block(json!({ "type": "mentions" }), false)]
fn a_place_for_mentions_is_in_a_section_of_rich_text(
    #[case] block: Value,
    #[case] is_accepted: bool,
) {
    let fields = json!({ "message": { "text": "hello", "blocks": [block] } });
    for (operation, request) in requests(&fields) {
        let refused = check(operation, request)
            .err()
            .map(|refused| refused.to_string());
        let expected =
            "message.blocks: may have the element `mentions` only in a `rich_text_section`";
        assert_eq!(refused.as_deref(), (!is_accepted).then_some(expected));
    }
}

#[test]
fn blocks_need_room_for_the_mentions() {
    let place = json!({ "type": "rich_text", "elements": [
        { "type": "rich_text_section", "elements": [{ "type": "mentions" }] },
    ] });
    let dividers = |count| vec![json!({ "type": "divider" }); count];
    let full = |first: Value| [vec![first], dividers(49)].concat();
    for (blocks, is_accepted) in [
        (dividers(49), true),
        (dividers(50), false),
        (full(place), true),
    ] {
        let fields = json!({
            "mention": ["ana@example.com"], "message": { "text": "hello", "blocks": blocks },
        });
        let [private, public, _] = requests(&fields);
        for (operation, request) in [private, public] {
            let refused = check(operation, request).err();
            assert_eq!(refused.is_none(), is_accepted, "{refused:?}");
            let field = refused.map_or("message.blocks".to_owned(), |refused| refused.field);
            assert_eq!(field, "message.blocks");
        }
    }
}

#[rstest]
#[case(12_000, 0, true)]
#[case(11_860, 2, true)]
#[case(11_861, 2, false)]
fn a_text_needs_room_for_the_people_whom_it_addresses(
    #[case] characters: usize,
    #[case] people: usize,
    #[case] is_accepted: bool,
) {
    let people: Vec<_> = (0..people).map(|n| format!("u{n}@example.com")).collect();
    let fields = json!({ "message": "é".repeat(characters), "mention": people });
    let [private, public, _] = requests(&fields);
    for (operation, request) in [private, public] {
        let refused = check(operation, request)
            .err()
            .map(|refused| refused.to_string());
        let expected = "message: must have at most 12,000 characters without blocks, \
                        where each person in `mention` counts 70";
        assert_eq!(refused.as_deref(), (!is_accepted).then_some(expected));
    }
}

#[test]
fn those_whom_a_private_message_addresses_become_members() {
    let fields = json!({
        "members": ["ana@example.com"],
        "mention": ["Bob@example.com", "ana@example.com"],
        "actor": "Cleo@example.com",
    });
    let [(operation, request), ..] = requests(&fields);
    let checked = check(operation, request).unwrap();
    let (ana, bob) = ("ana@example.com", "bob@example.com");
    assert_eq!(checked["members"], json!([ana, bob]));
    assert_eq!(checked["notice"]["mention"], json!([bob, ana]));
    assert_eq!(checked["notice"]["actor"], "cleo@example.com");
}

#[test]
fn an_entry_that_is_no_address_is_reported_where_it_stands() {
    let fields = json!({
        "members": ["svc-build"], "mention": ["Ana@example.com", "the reviewers"],
        "onInvalidAddress": "skip",
    });
    let [private, (public, mut request), _] = requests(&fields);
    request.as_object_mut().unwrap().remove("members");
    let reported = |text| json!([{ "email": text, "reason": "invalid_address" }]);
    let checked = check(private.0, private.1).unwrap();
    assert_eq!(checked["skipped"], reported("svc-build"));
    for checked in [checked, check(public, request).unwrap()] {
        assert_eq!(checked["notice"]["mention"], json!(["ana@example.com"]));
        assert_eq!(checked["notice"]["notMentioned"], reported("the reviewers"));
    }
}

#[rstest]
#[case(json!({ "message": "hello" }), "email", "is required")]
#[case(json!({ "email": "ana", "message": "hello" }), "email", "must be an e-mail address such as ana@example.com")]
#[case(json!({ "email": "ana@example.com" }), "message", "is required")]
#[case(
    json!({ "email": "ana@example.com", "message": "hello", "channelName": "guide-42" }),
    "channelName",
    "is not a known field; known fields: `email`, `message`, `category`, `occurredAt`, `expiresAt`, `sequence`"
)]
fn a_direct_message_needs_a_person_and_a_message(
    #[case] request: Value,
    #[case] field: &str,
    #[case] rule: &str,
) {
    let refused = check(Operation::NotifyPerson, request).unwrap_err();
    assert_eq!(
        (refused.field.as_str(), refused.rule.as_str()),
        (field, rule)
    );
}

#[test]
fn a_direct_message_notifies_nobody_else() {
    let request = json!({ "email": "Ana@example.com", "message": "<!channel> hello" });
    let checked = check(Operation::NotifyPerson, request).unwrap();
    assert_eq!(checked["email"], "ana@example.com");
    assert_eq!(checked["message"]["text"], "@channel hello");
}
