//! Checks this crate's requests against the schemas that all callers use.
#![allow(clippy::unwrap_used)]

use std::{collections::BTreeSet, fs, path::Path};

use apgl_client::{
    ChangeChannelMembers, CheckChannelExists, CreateChannel, DeleteChannel, Message,
    NotifyPrivateChannel, NotifyPublicChannel, Visibility,
};
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
        .skip_invalid_addresses()
        .allow_broadcast()
}

fn notify_public_channel() -> NotifyPublicChannel {
    NotifyPublicChannel::new("x", message()).allow_broadcast()
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
#[case("create-channel", to_value(create_channel()).unwrap())]
#[case("notify-private-channel", to_value(notify_private_channel()).unwrap())]
#[case("notify-public-channel", to_value(notify_public_channel()).unwrap())]
#[case("change-channel-members", to_value(change_channel_members()).unwrap())]
#[case("check-channel-exists", to_value(CheckChannelExists::new("x")).unwrap())]
#[case("delete-channel", to_value(DeleteChannel::new("x").even_if_not_ours()).unwrap())]
fn a_full_request_has_every_field_of_its_schema(#[case] workflow: &str, #[case] request: Value) {
    let schema = schema(workflow);
    let fields = |object: &Value| -> BTreeSet<String> {
        object.as_object().unwrap().keys().cloned().collect()
    };
    assert_eq!(fields(&request), fields(&schema["properties"]));
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<_> = validator.iter_errors(&request).collect();
    assert!(errors.is_empty(), "{errors:?}");
}

#[test]
fn an_omitted_field_is_not_sent() {
    assert_eq!(
        to_value(NotifyPrivateChannel::new("x", "hi")).unwrap(),
        json!({ "channelName": "x", "message": { "text": "hi" } })
    );
    assert_eq!(
        to_value(CreateChannel::new("x")).unwrap(),
        json!({ "channelName": "x" })
    );
}

#[test]
fn debug_shows_no_text_and_no_address() {
    let shown = format!(
        "{:?} {:?} {:?} {:?}",
        create_channel(),
        notify_private_channel(),
        notify_public_channel(),
        change_channel_members()
    );
    for confidential in ["secret", "ana", "bob", "divider"] {
        assert!(!shown.contains(confidential), "{shown}");
    }
}
