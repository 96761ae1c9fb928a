//! Notifies a content item's private channel that the item's state has changed.
//!
//! The event comes from EventBridge, at least once. The id of the change is the idempotency key, so one change leads
//! to one message. If the publisher gives no id, the event's own id is the key; it is different when the publisher
//! sends the event again. An entry of `members` that is not an address stops nobody: the workflow reports it.
//!
//! An event that can't be read, or whose workflow can't be started, fails the invocation. Lambda retries it, and then
//! moves it to the dead-letter queue.

use apgl_client::{Client, Message, NotifyPrivateChannel, StartError};
use apgl_contract::{
    ChannelName, Email, InvalidField, UncheckedAddresses,
    decode::{decode, null_as_absent},
};
use apgl_templates::ContentItem;
use aws_lambda_events::eventbridge::EventBridgeEvent;
use lambda_runtime::Diagnostic;
use serde::Deserialize;
use serde_json::Value;

/// The event's `detail-type`.
const DETAIL_TYPE: &str = "Content Item State Changed";

/// The event's `detail`. Other fields are ignored.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ContentItemStateChanged {
    /// The change's unique id. Without it, the event's id is used.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub id: Option<String>,
    /// The content item's private channel. It is created if it does not exist.
    pub channel_name: ChannelName,
    /// The authors and reviewers. Those who want Slack notifications are invited.
    #[serde(default, deserialize_with = "null_as_absent")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<apgl_contract::Members>"))]
    pub members: UncheckedAddresses,
    /// The content item in its new state.
    pub content_item: ContentItem,
}

/// Why no notification was started for an event.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotStarted {
    /// The publisher's mistake: it must fix the event and publish it again.
    #[error(transparent)]
    InvalidEvent(#[from] InvalidField),
    #[error(transparent)]
    Start(#[from] StartError),
}

/// Starts the notification, and returns the execution's ARN.
pub async fn handle(client: &Client, event: Value) -> Result<String, NotStarted> {
    let id = event["id"].as_str().map(str::to_owned);
    let started = start(client, event).await;
    match &started {
        Ok(arn) => tracing::info!(event.id = id, executionId = arn, "started the notification"),
        Err(error) => tracing::error!(event.id = id, %error, "could not start the notification"),
    }
    started
}

async fn start(client: &Client, event: Value) -> Result<String, NotStarted> {
    let (key, request) = request(event)?;
    let execution = client.notify_private_channel(&key, &request).await?;
    Ok(execution.arn().to_owned())
}

/// The idempotency key and the request.
fn request(event: Value) -> Result<(String, NotifyPrivateChannel), NotStarted> {
    let event: EventBridgeEvent<Value> = decode(event)?;
    if event.detail_type != DETAIL_TYPE {
        let rule = "must be Content Item State Changed";
        return Err(InvalidField::new("detail-type", rule).into());
    }
    let ContentItemStateChanged {
        id,
        channel_name,
        members,
        content_item,
    } = decode(event.detail).map_err(|invalid| invalid.within("detail"))?;
    let (key, field) = match id {
        Some(id) => (id, "detail.id"),
        None => (event.id.unwrap_or_default(), "id"),
    };
    if key.is_empty() {
        return Err(InvalidField::new(field, "must not be empty").into());
    }
    let message = content_item.render(false);
    let message = Message::new(message.text).blocks(message.blocks);
    let (valid, invalid) = members.divided();
    let members = valid.iter().map(Email::as_str);
    let request = NotifyPrivateChannel::new(channel_name.as_str(), message);
    if invalid.is_empty() {
        // A request without the field is the same for every release, also when the event is delivered again during
        // an update.
        return Ok((key, request.members(members)));
    }
    let members = members.chain(invalid.iter().map(String::as_str));
    Ok((key, request.members(members).skip_invalid_addresses()))
}

impl From<NotStarted> for Diagnostic {
    fn from(error: NotStarted) -> Self {
        let name = match error {
            // A request that is too large is found out only when it is started.
            NotStarted::InvalidEvent(_)
            | NotStarted::Start(StartError::InvalidRequest(_) | StartError::Key(_)) => {
                "InvalidEvent"
            }
            NotStarted::Start(_) => "NotStarted",
        };
        Self {
            error_type: name.to_owned(),
            error_message: error.to_string(),
        }
    }
}

/// The schema of the event's `detail`.
#[cfg(feature = "schema")]
pub fn schema() -> schemars::Schema {
    apgl_contract::schema::of_input::<ContentItemStateChanged>()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn event() -> Value {
        json!({
            "version": "0", "id": "7bf73129-1428-4cd3-a780-95db273d1602",
            "detail-type": DETAIL_TYPE, "source": "apgl.mpc", "account": "123456789012",
            "time": "2026-11-25T10:00:00Z", "region": "eu-west-1", "resources": [],
            "detail": {
                "channelName": "guide-42", "members": ["Ana@example.com"],
                "contentItem": {
                    "title": "Rust on <Lambda>", "link": "https://example.com/guide-42",
                    "state": "approved", "actor": "Bob",
                },
            },
        })
    }

    fn refusal(change: impl FnOnce(&mut Value)) -> String {
        let mut event = event();
        change(&mut event);
        request(event).unwrap_err().to_string()
    }

    #[test]
    fn an_event_becomes_a_message_to_the_items_channel_with_its_id_as_the_key() {
        let (key, request) = request(event()).unwrap();
        assert_eq!(key, "7bf73129-1428-4cd3-a780-95db273d1602");
        let request = serde_json::to_value(request).unwrap();
        assert_eq!(request["channelName"], "guide-42");
        assert_eq!(request["members"], json!(["ana@example.com"]));
        let text = request["message"]["text"].as_str().unwrap();
        assert!(
            text.starts_with("Approved: Rust on &lt;Lambda&gt;"),
            "{text}"
        );
        assert_eq!(request["message"]["blocks"][0]["type"], "header");
    }

    #[test]
    fn a_publishers_own_id_is_the_key() {
        let mut event = event();
        event["detail"]["id"] = json!("guide-42-approved");
        assert_eq!(request(event).unwrap().0, "guide-42-approved");
    }

    #[test]
    fn fields_for_other_consumers_are_ignored() {
        let mut event = event();
        event["detail"]["wordCount"] = json!(1_000);
        event["replay-name"] = json!("again");
        assert!(request(event).is_ok());
    }

    #[rstest]
    #[case("/id", json!(null), "id: must not be empty")]
    #[case("/id", json!(""), "id: must not be empty")]
    #[case("/detail/id", json!(""), "detail.id: must not be empty")]
    #[case("/detail-type", json!("Order Placed"), "detail-type: must be Content Item State Changed")]
    #[case("/time", json!("noon"), "time: ")]
    #[case("/detail", json!("text"), "detail: must be ")]
    #[case("/detail/channelName", json!("Guide 42"), "detail.channelName: must contain only ")]
    #[case("/detail/members", json!("ana@example.com"), "detail.members: must be a sequence")]
    #[case("/detail/members", json!(vec!["ana"; 1_001]), "detail.members: must contain at most 1,000 addresses")]
    #[case("/detail/contentItem/title", json!(" "), "detail.contentItem.title: must ")]
    #[case("/detail/contentItem/link", json!("http://example.com"), "detail.contentItem.link: must ")]
    #[case("/detail/contentItem/state", json!("lost"), "detail.contentItem.state: must be ")]
    #[case("/detail/contentItem/actor", json!(""), "detail.contentItem.actor: must ")]
    fn a_bad_event_is_rejected_with_its_field(
        #[case] place: &str,
        #[case] value: Value,
        #[case] expected: &str,
    ) {
        let refusal = refusal(|event| {
            let (parent, field) = place.rsplit_once('/').unwrap();
            event.pointer_mut(parent).unwrap()[field] = value;
        });
        assert!(refusal.starts_with(expected), "{refusal}");
    }

    #[test]
    fn an_entry_that_is_no_address_stops_nobody() {
        let mut event = event();
        let members = json!(["Ana@example.com ", "svc-build", null, "bob@example.com"]);
        event["detail"]["members"] = members;
        let request = serde_json::to_value(request(event).unwrap().1).unwrap();
        assert_eq!(
            request["members"],
            json!(["ana@example.com", "bob@example.com", "svc-build", "null"])
        );
        assert_eq!(request["onInvalidAddress"], "skip");
    }

    #[test]
    fn a_request_without_invalid_addresses_is_the_same_for_every_release() {
        let request = serde_json::to_value(request(event()).unwrap().1).unwrap();
        let fields: Vec<&String> = request.as_object().unwrap().keys().collect();
        assert_eq!(fields, ["channelName", "message", "members"]);
    }

    #[test]
    fn an_optional_field_that_is_null_counts_as_absent() {
        let mut event = event();
        for place in [
            "/detail/members",
            "/detail/id",
            "/detail/contentItem/actor",
            "/detail/contentItem/dueDate",
        ] {
            let (parent, field) = place.rsplit_once('/').unwrap();
            event.pointer_mut(parent).unwrap()[field] = json!(null);
        }
        let (key, request) = request(event).unwrap();
        assert_eq!(key, "7bf73129-1428-4cd3-a780-95db273d1602");
        let request = serde_json::to_value(request).unwrap();
        assert_eq!(request["members"], json!([]));
    }

    #[test]
    fn a_missing_field_is_named() {
        let refusal = refusal(|event| {
            event["detail"]
                .as_object_mut()
                .unwrap()
                .remove("contentItem");
        });
        assert_eq!(refusal, "detail.contentItem: is required");
    }
}
