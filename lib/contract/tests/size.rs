//! How large a request may be. `tests/asl/sizes.test.ts` shows why.
#![allow(clippy::unwrap_used)]

use apgl_contract::{
    InvalidField,
    request::{CheckedRequest, Operation},
};
use rstest::rstest;
use serde_json::{Value, json};

const RULE: &str = "must have at most 250,000 bytes as JSON, where each address counts 50 more";

/// `count` addresses with this many bytes each.
fn addresses(from: usize, count: usize, bytes: usize) -> Vec<String> {
    let domain = format!("{}.example.com", "x".repeat(60));
    let address = |n: usize| {
        let start = format!("{n:04}");
        // A domain has labels of at most 63 bytes, the part before it at most 64.
        let mut address = format!("{start}@{domain}");
        while address.len() + 60 < bytes {
            address = address.replacen('@', &format!("@{}.", "y".repeat(59)), 1);
        }
        let missing = bytes.saturating_sub(address.len());
        address.replacen('@', &format!("{}@", "z".repeat(missing)), 1)
    };
    let addresses: Vec<String> = (from..from + count).map(address).collect();
    assert!(addresses.iter().all(|address| address.len() == bytes));
    addresses
}

fn change(count: usize, bytes: usize) -> Value {
    json!({
        "channelName": "x",
        "add": addresses(0, count, bytes),
        "remove": addresses(count, count, bytes),
    })
}

/// A request of which 249,999 bytes count once it is checked, if `more` is empty.
fn notify(more: &str) -> Value {
    let members = addresses(0, 1_000, 150);
    let request = |text: &str| {
        let blocks = [json!({ "type": "section", "text": text })];
        json!({ "channelName": "x", "message": { "text": "x", "blocks": blocks }, "members": members })
    };
    let notice = r#","notice":{"category":"action","mention":[]}"#;
    let fixed = request("").to_string().len() + notice.len() + 50 * members.len();
    request(&format!("{}{more}", "x".repeat(249_999 - fixed)))
}

/// A request that mentions 50 people, of which 250,000 bytes count once it is checked, if `more` is empty. Those whom a
/// message to a private channel mentions are members too.
fn mention(operation: Operation, more: &str) -> Value {
    let mention = addresses(0, 50, 200);
    let request = |text: &str| {
        let blocks = [json!({ "type": "section", "text": text })];
        json!({ "channelName": "x", "message": { "text": "x", "blocks": blocks }, "mention": mention })
    };
    let checked = CheckedRequest::check(operation, request("")).unwrap();
    let counted = json!(checked).to_string().len() + 2 * 50 * mention.len();
    request(&format!("{}{more}", "x".repeat(250_000 - counted)))
}

fn mrkdwn(text: &str) -> Value {
    json!({ "type": "section", "text": { "type": "mrkdwn", "text": text } })
}

#[rstest]
#[case::many_long_addresses(Operation::ChangeChannelMembers, change(1_000, 97), false)]
#[case::many_addresses(Operation::ChangeChannelMembers, change(1_000, 77), false)]
#[case::few_long_addresses(Operation::ChangeChannelMembers, change(100, 200), true)]
#[case::long_addresses_of_members(
    Operation::NotifyPrivateChannel,
    json!({ "channelName": "x", "message": "x", "members": addresses(0, 1_000, 230) }),
    false
)]
#[case::just_fits(Operation::NotifyPrivateChannel, notify("x"), true)]
#[case::a_byte_too_many(Operation::NotifyPrivateChannel, notify("xx"), false)]
#[case::mentions_in_public(
    Operation::NotifyPublicChannel,
    mention(Operation::NotifyPublicChannel, ""),
    true
)]
#[case::a_byte_beside_mentions_in_public(
    Operation::NotifyPublicChannel,
    mention(Operation::NotifyPublicChannel, "x"),
    false
)]
#[case::mentions_in_private(
    Operation::NotifyPrivateChannel,
    mention(Operation::NotifyPrivateChannel, ""),
    true
)]
#[case::a_byte_beside_mentions_in_private(
    Operation::NotifyPrivateChannel,
    mention(Operation::NotifyPrivateChannel, "x"),
    false
)]
#[case::a_character_of_two_bytes(Operation::NotifyPrivateChannel, notify("é"), false)]
#[case::a_character_that_json_escapes(Operation::NotifyPrivateChannel, notify("\n"), false)]
fn a_request_is_accepted_if_the_workflow_can_pass_on_all_of_it(
    #[case] operation: Operation,
    #[case] request: Value,
    #[case] is_accepted: bool,
) {
    let checked = CheckedRequest::check(operation, request);
    if is_accepted {
        checked.unwrap();
    } else {
        assert_eq!(checked.unwrap_err(), InvalidField::new("request", RULE));
    }
}

/// A defused mention in a block is longer than the caller's: Slack is told not to read the text as a mention.
#[test]
fn what_the_workflow_adds_to_defuse_broadcasts_counts() {
    let blocks: Vec<Value> = (0..50)
        .map(|_| json!({ "type": "section", "fields": vec![mrkdwn("@here"); 70] }))
        .collect();
    let mut request = json!({
        "channelName": "x",
        "message": { "text": "x", "blocks": blocks },
    });
    let bytes = request.to_string().len();
    assert!(bytes < 250_000, "{bytes}");
    let refused = CheckedRequest::check(Operation::NotifyPublicChannel, request.clone());
    assert_eq!(refused.unwrap_err(), InvalidField::new("request", RULE));
    request["allowBroadcast"] = json!(true);
    CheckedRequest::check(Operation::NotifyPublicChannel, request).unwrap();
}
