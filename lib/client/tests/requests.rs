//! Checks this crate's requests against the schemas that all callers use.
#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use apgl_client::{
    Category, ChangeChannelMembers, CheckChannelExists, CreateChannel, DeleteChannel, InvalidField,
    Message, NotifyPerson, NotifyPrivateChannel, NotifyPublicChannel, Operation, Time, UpdateItem,
    Visibility,
};
use apgl_contract::request::CheckedRequest;
use rstest::rstest;
use serde_json::{Value, json, to_value};

const TEXT: &str = "the secret plan";
const PEOPLE: [&str; 2] = ["ana@example.com", "bob@example.com"];

fn message() -> Message {
    Message::new(TEXT)
        .blocks(vec![json!({ "type": "divider" })])
        .in_thread("1.2")
        .unfurl_links()
        .unfurl_media()
}

fn create_channel() -> CreateChannel {
    CreateChannel::new("x")
        .visibility(Visibility::Public)
        .members(PEOPLE)
        .skip_invalid_addresses()
        .topic(TEXT)
        .purpose(TEXT)
}

fn notify_private_channel() -> NotifyPrivateChannel {
    NotifyPrivateChannel::new("x", message())
        .members(PEOPLE)
        .mention(PEOPLE)
        .actor(PEOPLE[0])
        .skip_invalid_addresses()
        .allow_broadcast()
        .category(Category::Action)
        .occurred_at(occurred_at())
        .expires_at("2026-11-26T12:00:00+01:00")
        .sequence(TEXT, 7)
}

fn notify_public_channel() -> NotifyPublicChannel {
    NotifyPublicChannel::new("x", message())
        .mention(PEOPLE)
        .actor(PEOPLE[0])
        .skip_invalid_addresses()
        .allow_broadcast()
        .category(Category::News)
        .occurred_at(occurred_at())
        .expires_at("2026-11-26T12:00:00+01:00")
        .sequence(TEXT, 0)
}

fn notify_person() -> NotifyPerson {
    NotifyPerson::new(PEOPLE[0], message())
        .category(Category::Critical)
        .occurred_at(occurred_at())
        .expires_at("2026-11-26T12:00:00+01:00".to_owned())
        .sequence(TEXT, (1 << 53) - 1)
}

fn update_item() -> UpdateItem {
    UpdateItem::new("content-item:x", 7, "x", TEXT, "in_review")
        .visibility(Visibility::Private)
        .own_channel()
        .link("https://example.com/the-secret-plan")
        .next_step(TEXT)
        .facts([TEXT])
        .waiting_for(PEOPLE)
        .reminders(json!({ "escalateTo": ["eve@example.com"] }))
        .due_date("2026-12-01")
        .skip_invalid_addresses()
}

/// 2026-11-25 12:00:30 UTC.
fn occurred_at() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_795_608_030)
}

fn change_channel_members() -> ChangeChannelMembers {
    ChangeChannelMembers::new("x")
        .add_members([PEOPLE[0]])
        .remove_members([PEOPLE[1]])
        .skip_invalid_addresses()
}

fn schema(workflow: &str) -> Value {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schemas");
    let file = folder.join(format!("{workflow}.request.schema.json"));
    fs::read_to_string(file).unwrap().parse().unwrap()
}

#[rstest]
#[case(Operation::CreateChannel, to_value(create_channel()).unwrap())]
#[case(Operation::NotifyPrivateChannel, to_value(notify_private_channel()).unwrap())]
#[case(Operation::NotifyPublicChannel, to_value(notify_public_channel()).unwrap())]
#[case(Operation::NotifyPerson, to_value(notify_person()).unwrap())]
#[case(Operation::ChangeChannelMembers, to_value(change_channel_members()).unwrap())]
#[case(Operation::CheckChannelExists, to_value(CheckChannelExists::new("x")).unwrap())]
#[case(Operation::UpdateItem, to_value(update_item()).unwrap())]
#[case(Operation::DeleteChannel, to_value(DeleteChannel::new("x").even_if_not_ours()).unwrap())]
fn a_full_request_has_every_field_of_its_schema_and_is_accepted(
    #[case] operation: Operation,
    #[case] request: Value,
) {
    let schema = schema(operation.as_str());
    let fields = |object: &Value| -> BTreeSet<String> {
        object.as_object().unwrap().keys().cloned().collect()
    };
    assert_eq!(fields(&request), fields(&schema["properties"]));
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<_> = validator.iter_errors(&request).collect();
    assert!(errors.is_empty(), "{errors:?}");
    let refused = CheckedRequest::check(operation, request).err();
    assert_eq!(refused, None);
}

#[rstest]
#[case::system_time(occurred_at().into(), "2026-11-25T12:00:30Z")]
#[case::fraction((occurred_at() + Duration::from_millis(250)).into(), "2026-11-25T12:00:30.25Z")]
#[case::text("2026-11-25T13:00:00+01:00".into(), "2026-11-25T13:00:00+01:00")]
fn a_time_is_sent_in_rfc_3339(#[case] time: Time, #[case] expected: &str) {
    let request = NotifyPublicChannel::new("x", "hi").expires_at(time);
    assert_eq!(to_value(request).unwrap()["expiresAt"], expected);
}

#[rstest]
#[case::text("tomorrow".into())]
#[case::before_1970((UNIX_EPOCH - Duration::from_secs(1)).into())]
#[case::far_future((UNIX_EPOCH + Duration::from_secs(1 << 40)).into())]
fn another_time_is_refused_with_its_field(#[case] time: Time) {
    let request = NotifyPerson::new(PEOPLE[0], "hi").occurred_at(time);
    let refused = CheckedRequest::check(Operation::NotifyPerson, to_value(request).unwrap());
    let rule = "must be a time from 1970 to 9999-12-30 with seconds and an offset, such as 2026-11-25T10:00:00Z";
    assert_eq!(refused.unwrap_err(), InvalidField::new("occurredAt", rule));
}

#[test]
fn an_omitted_field_is_not_sent() {
    assert_eq!(
        to_value(NotifyPrivateChannel::new("x", "hi")).unwrap(),
        json!({ "channelName": "x", "message": { "text": "hi" } })
    );
    assert_eq!(
        to_value(NotifyPerson::new(PEOPLE[0], "hi")).unwrap(),
        json!({ "email": PEOPLE[0], "message": { "text": "hi" } })
    );
    assert_eq!(
        to_value(CreateChannel::new("x")).unwrap(),
        json!({ "channelName": "x" })
    );
    let expected = json!({
        "itemId": "bounty:7", "version": 0, "channelName": "x", "title": "Rust", "state": "posted",
    });
    let request = UpdateItem::new("bounty:7", 0, "x", "Rust", "posted");
    assert_eq!(to_value(request).unwrap(), expected);
}

#[test]
fn debug_shows_no_text_and_no_address() {
    let shown = format!(
        "{:?} {:?} {:?} {:?} {:?} {:?}",
        create_channel(),
        notify_private_channel(),
        notify_public_channel(),
        notify_person(),
        change_channel_members(),
        update_item()
    );
    for confidential in ["secret", "ana", "bob", "divider"] {
        assert!(!shown.contains(confidential), "{shown}");
    }
}
