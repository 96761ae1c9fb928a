//! Bad requests: the workflow fails with `InvalidRequest` and names the field, and nothing happens in Slack.
#![allow(clippy::unwrap_used)]

use e2e::{World, unique};
use rstest::rstest;
use serde_json::{Value, json};

/// A valid request for `channel` with one field replaced; `null` leaves it out.
fn request(channel: &str, field: &str, value: Value) -> Value {
    let mut request = json!({ "channelName": channel, "message": "hello" });
    let fields = request.as_object_mut().unwrap();
    if value.is_null() {
        fields.remove(field);
    } else {
        fields.insert(field.to_owned(), value);
    }
    request
}

fn emails(count: usize) -> Value {
    (0..count).map(|n| format!("user{n}@example.com")).collect()
}

async fn is_refused(workflow: &str, request: &Value, field: &str) {
    let world = World::here();
    let channel = request["channelName"].as_str().unwrap_or("no-channel-name");
    let ended = world.run(workflow, request).await;
    let (error, cause) = ended.failure();
    assert_eq!((error, &cause["field"]), ("InvalidRequest", &json!(field)));
    assert_eq!(ended.states(), ["CheckRequest", "Fail"]);
    assert_eq!(world.calls_with(channel).await, []);
    assert!(world.find_in_slack(channel).await.is_none());
}

#[rstest]
#[case::wrong_type("message", json!(7))]
#[case::missing_channel_name("channelName", Value::Null)]
#[case::missing_message("message", Value::Null)]
#[case::long_channel_name("channelName", json!("a".repeat(81)))]
#[case::uppercase_channel_name("channelName", json!("Uppercase"))]
#[case::empty_message("message", json!(""))]
#[case::long_message("message", json!("x".repeat(40_001)))]
#[case::unknown_field("mesage", json!("x"))]
#[tokio::test]
async fn a_bad_request_names_its_field_and_makes_no_call(
    #[case] field: &str,
    #[case] value: Value,
    #[values("notify-private-channel", "notify-public-channel")] workflow: &str,
) {
    let channel = unique("bad");
    is_refused(workflow, &request(&channel, field, value), field).await;
}

#[rstest]
#[case::many_members(emails(1_001), "members")]
#[case::malformed_address(json!(["ana@example.com", "ana"]), "members[1]")]
#[case::members_is_a_string(json!("ana@example.com"), "members")]
#[tokio::test]
async fn bad_members_are_named_by_their_position(#[case] members: Value, #[case] field: &str) {
    let channel = unique("bad");
    is_refused(
        "notify-private-channel",
        &request(&channel, "members", members),
        field,
    )
    .await;
}

#[rstest]
#[case("create-channel", json!({ "visibility": "secret" }), "visibility")]
#[case("create-channel", json!({ "topic": "x".repeat(251) }), "topic")]
#[case("create-channel", json!({ "purpose": 7 }), "purpose")]
#[case("create-channel", json!({ "members": ["ana"] }), "members[0]")]
#[case("create-channel", json!({ "message": "hello" }), "message")]
#[case("change-channel-members", json!({}), "add")]
#[case("change-channel-members", json!({ "add": emails(1_001) }), "add")]
#[case("change-channel-members", json!({ "remove": emails(1_001) }), "remove")]
#[case("change-channel-members", json!({ "members": [] }), "members")]
#[case::in_both(
    "change-channel-members",
    json!({ "add": ["ana@example.com"], "remove": ["bob@example.com", "Ana@Example.com"] }),
    "remove[1]"
)]
#[case("check-channel-exists", json!({ "visibility": "private" }), "visibility")]
#[case("delete-channel", json!({ "force": true }), "force")]
#[tokio::test]
async fn each_workflow_rejects_fields_that_are_unknown_or_invalid(
    #[case] workflow: &str,
    #[case] mut request: Value,
    #[case] field: &str,
) {
    request["channelName"] = json!(unique("bad"));
    is_refused(workflow, &request, field).await;
}

#[rstest]
#[case(json!([]))]
#[case(json!("hello"))]
#[tokio::test]
async fn an_input_that_is_not_an_object_is_rejected(#[case] input: Value) {
    is_refused("notify-private-channel", &input, "request").await;
}
