//! Requests that an attacker or a broken caller might send.
#![allow(clippy::unwrap_used)]

use apgl_contract::{
    ChannelName, ChannelText, Email, InvalidField, ItemId, Line, Link, Members, Mentions,
    MessageTs, State, Step, Title, decode,
    item::Facts,
    message::{Blocks, MessageText},
    request::{CheckedRequest, Operation},
};
use hostile_input::{anything, config, leaks, markup, mutated, nested};
use proptest::{collection::vec, prelude::*, sample::select};
use rstest::rstest;
use serde_json::{Value, json};

fn valid(operation: Operation) -> Value {
    let message = json!({
        "text": "hello <!channel>",
        "blocks": [
            { "type": "section", "text": { "type": "mrkdwn", "text": "<!here> look" } },
            { "type": "rich_text", "elements": [{ "type": "rich_text_section",
                "elements": [{ "type": "broadcast", "range": "here" }] }] },
        ],
        "threadTs": "1712345678.000200",
    });
    let members = json!(["ana@example.com", "bob@example.com"]);
    let (category, sequence) = ("news", json!({ "key": "x", "number": 7 }));
    let (occurred_at, expires_at) = ("2026-05-12T09:30:00Z", "2026-05-12T12:30:00.5+02:00");
    match operation {
        Operation::CreateChannel => json!({
            "channelName": "#project-x", "visibility": "public", "members": members,
            "onInvalidAddress": "skip", "topic": "what", "purpose": "why",
        }),
        Operation::NotifyPrivateChannel => json!({
            "channelName": "x", "message": message, "members": members, "allowBroadcast": false,
            "mention": members, "actor": "cem@example.com", "onInvalidAddress": "skip",
            "category": category, "occurredAt": occurred_at, "expiresAt": expires_at,
            "sequence": sequence,
        }),
        Operation::NotifyPublicChannel => json!({
            "channelName": "x", "message": message, "allowBroadcast": true, "mention": members,
            "category": category, "expiresAt": expires_at, "sequence": sequence,
        }),
        Operation::NotifyPerson => json!({
            "email": "ana@example.com", "message": message, "category": category,
            "occurredAt": occurred_at, "sequence": sequence,
        }),
        Operation::ChangeChannelMembers => {
            json!({
                "channelName": "x", "add": members, "remove": ["cem@example.com"],
                "onInvalidAddress": "skip",
            })
        }
        Operation::UpdateItem => json!({
            "itemId": "content-item:x", "version": 7, "channelName": "#x", "visibility": "private",
            "ownChannel": true, "title": "Rust <!channel>", "link": "https://example.com/?a=1&b=2",
            "state": "in_review", "nextStep": "Please <@U1> review it.",
            "facts": ["Submitted by Ana", "<!here>"], "waitingFor": members,
            "dueDate": "2026-12-01", "onInvalidAddress": "skip",
        }),
        _ => json!({ "channelName": "x" }),
    }
}

fn operation() -> impl Strategy<Value = Operation> {
    select(&Operation::ALL[..])
}

fn nearly_valid() -> impl Strategy<Value = (Operation, Value)> {
    operation().prop_flat_map(|operation| (Just(operation), mutated(valid(operation))))
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_json_is_a_request_or_is_rejected_with_its_field(operation in operation(), request in anything()) {
        check(operation, &request)?;
    }

    #[test]
    fn an_almost_valid_request_is_accepted_or_rejected_with_its_field((operation, request) in nearly_valid()) {
        check(operation, &request)?;
    }

    #[test]
    fn a_checked_message_never_notifies_everybody(text in markup(), blocks in vec(block(), 1..4)) {
        let message = json!({ "text": format!("x{text}"), "blocks": blocks });
        let request = json!({ "channelName": "x", "message": message });
        let checked = checked(Operation::NotifyPublicChannel, &request);
        if let Some(place) = notifies_everybody(&checked["message"]) {
            return Err(TestCaseError::fail(format!("{place} of {checked}")));
        }
    }
}

/// Either the request is rejected with an error that is safe to log, or its checked form is complete and within
/// the limits, does not change when it is checked again, and can be read by every step.
fn check(operation: Operation, request: &Value) -> Result<(), TestCaseError> {
    let checked = match CheckedRequest::check(operation, request.clone()) {
        Ok(checked) => checked,
        Err(InvalidField { field, rule }) => {
            prop_assert!(!field.is_empty() && !rule.is_empty(), "{field:?}: {rule:?}");
            prop_assert!(field.len() + rule.len() < 500, "{field}: {rule}");
            prop_assert!(!leaks(&format!("{field}: {rule}")), "{field}: {rule}");
            return Ok(());
        }
    };
    prop_assert!(!leaks(&format!("{checked:?}")), "{checked:?}");
    let mut checked = json!(checked);
    assert_within_limits(&checked)?;
    // What was left out is not part of the request.
    checked.as_object_mut().unwrap().remove("skipped");
    if let Some(notice) = checked.get_mut("notice") {
        notice.as_object_mut().unwrap().remove("notMentioned");
    }

    let mut again = checked.clone();
    let again_fields = again.as_object_mut().unwrap();
    if let Some(Value::Object(mut notice)) = again_fields.remove("notice") {
        if operation == Operation::NotifyPerson {
            notice.retain(|field, _| field != "mention" && field != "actor");
        }
        again_fields.extend(notice);
    }
    if let Some(Value::Object(mut item)) = again_fields.remove("item") {
        let id = item.remove("id").unwrap();
        item.insert("itemId".to_owned(), id);
        again_fields.extend(item);
    }
    if let Some(allowed) = request.get("allowBroadcast") {
        again["allowBroadcast"] = allowed.clone();
    }
    prop_assert_eq!(
        CheckedRequest::check(operation, again).map(|again| json!(again)),
        Ok(checked.clone())
    );

    // The payload of `check-request`; later steps receive parts of the request.
    let run = json!({ "executionId": "arn", "workflow": "apgl-x" });
    for input in [request, &checked] {
        let payload = json!({ "run": run, "input": { "operation": operation, "request": input } });
        let read: Result<Value, _> = payload.to_string().parse();
        prop_assert!(read.is_ok_and(|read| decode::<Step<Value>>(read).is_ok()));
    }
    Ok(())
}

fn assert_within_limits(checked: &Value) -> Result<(), TestCaseError> {
    let characters = |text: &Value| text.as_str().map_or(0, |text| text.chars().count());
    let fits = |text: &Value, most: usize| (1..=most).contains(&characters(text));
    if let Some(item) = checked.get("item") {
        return assert_item_within_limits(item);
    }
    let names_a_person = checked.get("channelName").is_none() && checked.get("email").is_some();
    prop_assert!(names_a_person || fits(&checked["channelName"], ChannelName::MAX_CHARACTERS));
    for text in ["topic", "purpose"].map(|field| &checked[field]) {
        prop_assert!(text.is_null() || fits(text, ChannelText::MAX_CHARACTERS));
    }
    for people in ["members", "add", "remove"] {
        let people = checked[people].as_array().map_or(&[][..], Vec::as_slice);
        prop_assert!(people.len() <= Members::MAX + Mentions::MAX);
        for address in people {
            // Source: RFC 5321, sections 4.5.3.1.1 and 4.5.3.1.2.
            let address = address.as_str().unwrap();
            prop_assert!(address.len() <= 64 + 1 + 255);
            let read = Email::try_from(address.to_owned());
            prop_assert!(read.is_ok_and(|read| read.as_str() == address));
        }
    }
    for skipped in checked["skipped"].as_array().into_iter().flatten() {
        let text = skipped["email"].as_str().unwrap();
        prop_assert!(text.chars().count() <= 254 && !text.contains(char::is_control));
    }
    if let Some(message) = checked.get("message") {
        prop_assert!(fits(&message["text"], MessageText::MAX_CHARACTERS));
        if let Some(blocks) = message.get("blocks") {
            prop_assert!((1..=Blocks::MAX).contains(&blocks.as_array().unwrap().len()));
        }
        if let Some(ts) = message.get("threadTs") {
            prop_assert!(fits(ts, MessageTs::MAX_CHARACTERS));
        }
    }
    Ok(())
}

fn assert_item_within_limits(item: &Value) -> Result<(), TestCaseError> {
    for (field, most) in [
        ("id", ItemId::MAX_CHARACTERS),
        ("channelName", ChannelName::MAX_CHARACTERS),
        ("title", Title::MAX_CHARACTERS),
        ("link", Link::MAX_CHARACTERS),
        ("state", State::MAX_CHARACTERS),
        ("nextStep", Line::MAX_CHARACTERS),
    ] {
        let text = item.get(field).map(|text| text.as_str().unwrap());
        let fits = text.is_none_or(|text| (1..=most).contains(&text.chars().count()));
        prop_assert!(fits, "{field}");
        prop_assert!(
            !text.is_some_and(|text| text.contains(char::is_control)),
            "{field}"
        );
    }
    let facts = item["facts"].as_array().unwrap();
    prop_assert!(facts.len() <= Facts::MAX);
    for fact in facts {
        let fact = fact.as_str().unwrap();
        prop_assert!((1..=Line::MAX_CHARACTERS).contains(&fact.chars().count()));
        prop_assert!(!fact.contains(char::is_control));
    }
    prop_assert!(item["waitingFor"].as_array().unwrap().len() <= Mentions::MAX);
    prop_assert!(!(item["ownChannel"] == true && item["visibility"] == "public"));
    Ok(())
}

fn checked(operation: Operation, request: &Value) -> Value {
    json!(CheckedRequest::check(operation, request.clone()).unwrap())
}

/// Blocks whose texts and elements consist of parts of mentions.
fn block() -> impl Strategy<Value = Value> {
    let text_object = (
        select(&["mrkdwn", "plain_text"][..]),
        markup(),
        any::<Option<bool>>(),
    )
        .prop_map(|(kind, text, verbatim)| match verbatim {
            None => json!({ "type": kind, "text": text }),
            Some(verbatim) => json!({ "type": kind, "text": text, "verbatim": verbatim }),
        });
    let range = prop_oneof![
        select(&["here", "channel", "everyone"][..]).prop_map(Value::from),
        markup().prop_map(Value::from),
        Just(Value::Null),
    ];
    let element = prop_oneof![
        markup().prop_map(|text| json!({ "type": "text", "text": text })),
        range.prop_map(|range| json!({ "type": "broadcast", "range": range })),
        Just(json!({ "type": "broadcast" })),
        markup().prop_map(|url| json!({ "type": "link", "url": url, "text": url })),
    ];
    prop_oneof![
        text_object
            .clone()
            .prop_map(|text| json!({ "type": "section", "text": text })),
        vec(text_object.clone(), 1..4)
            .prop_map(|fields| json!({ "type": "section", "fields": fields })),
        vec(text_object, 1..4)
            .prop_map(|elements| json!({ "type": "context", "elements": elements })),
        markup().prop_map(|text| json!({ "type": "markdown", "text": text })),
        vec(element, 1..6).prop_map(|elements| json!({
            "type": "rich_text",
            "elements": [{ "type": "rich_text_list", "style": "bullet", "elements": [
                { "type": "rich_text_section", "elements": elements },
            ] }],
        })),
    ]
}

/// The part of a message that Slack could read as a mention of everybody. This is stricter than Slack's
/// documentation: it also finds mentions that contain invisible characters.
///
/// Source: Slack's "Formatting message text", "Special mentions"; "Rich text block", the element
/// `broadcast`; "Text object", `verbatim`.
fn notifies_everybody(part: &Value) -> Option<String> {
    match part {
        Value::String(text) => {
            let invisible = "\u{ad}\u{200b}\u{200d}\u{200f}\u{202e}\u{2060}\u{2067}\u{feff}";
            let is_shown =
                |c: &char| !c.is_whitespace() && !c.is_control() && !invisible.contains(*c);
            let shown: String = text.to_lowercase().chars().filter(is_shown).collect();
            let names = ["channel", "here", "everyone", "group"];
            let mentioned = names.iter().any(|name| {
                let mention = format!("<!{name}");
                shown
                    .match_indices(&mention)
                    .any(|(n, _)| !shown[n + mention.len()..].starts_with(char::is_alphanumeric))
            });
            mentioned.then(|| text.clone())
        }
        Value::Array(parts) => parts.iter().find_map(notifies_everybody),
        Value::Object(fields) => {
            let is = |kind: &str| fields.get("type").is_some_and(|of| of == kind);
            let text = fields
                .get("text")
                .and_then(Value::as_str)
                .unwrap_or_default();
            let is_searched = is("mrkdwn") && fields.get("verbatim") != Some(&json!(true));
            let mentions = ["@channel", "@here", "@everyone"];
            if is("broadcast")
                || is_searched
                    && mentions
                        .iter()
                        .any(|mention| text.to_lowercase().contains(mention))
            {
                return Some(part.to_string());
            }
            fields.values().find_map(notifies_everybody)
        }
        _ => None,
    }
}

#[test]
fn an_invalid_broadcast_range_is_replaced_by_channel() {
    let element = json!({ "type": "broadcast", "range": "<!channel>" });
    let message =
        json!({ "text": "x", "blocks": [{ "type": "rich_text", "elements": [element] }] });
    let request = json!({ "channelName": "x", "message": message });
    assert_eq!(
        checked(Operation::NotifyPublicChannel, &request)["message"]["blocks"][0]["elements"][0],
        json!({ "type": "text", "text": "@channel" })
    );
}

#[test]
fn a_mention_in_plain_text_is_not_parsed() {
    let text = |text: &str| json!({ "type": "mrkdwn", "text": text });
    let fields = [
        text("ask @here"),
        text("<!here>"),
        text("ask them: https://example.com"),
    ];
    let message = json!({ "text": "x", "blocks": [{ "type": "section", "fields": fields }] });
    let request = json!({ "channelName": "x", "message": message });
    let checked = checked(Operation::NotifyPublicChannel, &request);
    let verbatim = |n: usize| {
        checked["message"]["blocks"][0]["fields"][n]
            .get("verbatim")
            .cloned()
    };
    assert_eq!(
        [0, 1, 2].map(verbatim),
        [Some(json!(true)), Some(json!(true)), None]
    );
}

#[rstest]
#[case::lower_case_is_longer(&"İ".repeat(30))]
#[case::final_sigma("ΟΔΟΣ")]
fn an_accepted_address_can_be_read_again(#[case] local_part: &str) {
    let address = format!("{local_part}@example.com");
    if let Ok(email) = Email::try_from(address) {
        assert_eq!(Email::try_from(email.as_str().to_owned()), Ok(email));
    }
}

#[rstest]
#[case(20, true)]
#[case(200, false)]
fn blocks_deeper_than_every_step_can_read_are_rejected(
    #[case] depth: usize,
    #[case] accepted: bool,
) {
    let blocks = json!([{ "type": "section", "text": nested(json!("x"), depth) }]);
    let request = json!({ "channelName": "x", "message": { "text": "x", "blocks": blocks } });
    let checked = CheckedRequest::check(Operation::NotifyPublicChannel, request);
    match checked {
        Ok(_) => assert!(accepted),
        Err(InvalidField { field, rule }) => {
            assert!(!accepted);
            assert_eq!(field, "message.blocks");
            assert_eq!(rule, "must not be nested deeper than 32 levels");
        }
    }
}

#[test]
fn a_thread_is_identified_by_a_timestamp_of_slacks_length() {
    let message = json!({ "text": "x", "threadTs": format!("{}.0", "1".repeat(1_000)) });
    let request = json!({ "channelName": "x", "message": message });
    let refused = CheckedRequest::check(Operation::NotifyPublicChannel, request).unwrap_err();
    assert_eq!(refused.field, "message.threadTs");
}

#[rstest]
#[case("")]
#[case("a classified plan")]
fn a_field_with_an_unusual_name_is_not_named(#[case] name: &str) {
    let request = json!({ "channelName": "x", name: 1 });
    let refused = CheckedRequest::check(Operation::DeleteChannel, request).unwrap_err();
    assert_eq!(refused.field, "request (a field whose name is not shown)");
}
