//! Notifies a content item's private channel that the item's state has changed, and the people who must act.
//!
//! The event comes from EventBridge, at least once. The id of the change is the idempotency key, so one change leads
//! to one message. If the publisher gives no id, the event's own id is the key; it is different when the publisher
//! sends the event again. An entry of `members` or `waitingFor` that is not an address stops nobody: the workflow reports
//! it.
//!
//! If the event has a version, the item and its card are updated as well, and the channel's message is one line.
//!
//! In a state in which somebody must act, the channel's message mentions those for whom the item waits, and each of them
//! gets a direct message. The key of a direct message is the change's key and the person's address.
//!
//! An event that can't be read, or whose workflows can't all be started, fails the invocation. Lambda retries it, and then
//! moves it to the dead-letter queue. A workflow that was started is not started again, and one that can't be started stops
//! no other, unless the publisher must fix the event.

use apgl_client::{
    Category, Client, Message, NotifyPerson, NotifyPrivateChannel, Operation, StartError,
    UpdateItem,
};
use apgl_contract::{
    ChannelName, Email, InvalidField, Mentions, Timestamp, UncheckedAddresses,
    decode::{decode, null_as_absent},
    notice::SequenceNumber,
};
use apgl_templates::{ContentItem, Rendered};
use aws_lambda_events::eventbridge::EventBridgeEvent;
use futures_util::future::join_all;
use lambda_runtime::Diagnostic;
use serde::Deserialize;
use serde_json::Value;

/// The event's `detail-type`.
const DETAIL_TYPE: &str = "Content Item State Changed";

#[derive(Debug)]
pub struct Deps {
    pub client: Client,
    /// Whether those who must act get a direct message, besides the channel's message.
    pub direct_messages: bool,
}

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
    /// The people who must act now, at most 50: the reviewers of an item that is submitted or in review, the authors of
    /// one for which changes are requested. They are mentioned, and get a direct message. Ignored in the other states.
    #[serde(default, deserialize_with = "null_as_absent")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<Mentions>"))]
    pub waiting_for: UncheckedAddresses,
    /// The address of the person who changed the item's state. They are not notified of their own change. Other text,
    /// such as a service's name, is ignored.
    #[serde(default)]
    pub actor_email: Option<String>,
    /// The item's version, higher after each change. With it, the item has a card in its channel, which is updated, and
    /// a message about an older version is not posted after one about a newer
    /// version to the same channel or person. Give `expiresAt` as well if a late direct message would be wrong.
    #[serde(default)]
    pub version: Option<SequenceNumber>,
    /// When the item's state changed. Shown if the message is posted more than ten minutes later.
    #[serde(default)]
    pub occurred_at: Option<Timestamp>,
    /// After this time nothing is posted any more.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
    /// The content item in its new state.
    pub content_item: ContentItem,
}

/// Why not all notifications were started for an event.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotStarted {
    /// The publisher's mistake: it must fix the event and publish it again.
    #[error(transparent)]
    InvalidEvent(#[from] InvalidField),
    #[error(transparent)]
    Start(#[from] StartError),
}

/// Adds to a request when the change happened, until when it matters, and its place among the item's changes.
macro_rules! dated {
    ($request:expr, $change:expr) => {{
        let mut request = $request;
        if let Some(at) = $change.occurred_at {
            request = request.occurred_at(String::from(at));
        }
        if let Some(at) = $change.expires_at {
            request = request.expires_at(String::from(at));
        }
        if let Some(version) = $change.version {
            let key = format!("content-item {}", $change.channel_name);
            request = request.sequence(key, version.get());
        }
        request
    }};
}

/// The notifications about one change.
#[derive(Debug, PartialEq)]
struct Notifications {
    key: String,
    /// `None` if the event has no version.
    item: Option<UpdateItem>,
    to_channel: NotifyPrivateChannel,
    to_people: Vec<(Email, NotifyPerson)>,
}

/// Starts the notifications, and returns the ARN of the channel's execution.
pub async fn handle(deps: &Deps, event: Value) -> Result<String, NotStarted> {
    let id = event["id"].as_str().map(str::to_owned);
    let started = start(deps, event).await;
    match &started {
        Ok((arn, direct_messages)) => tracing::info!(
            event.id = id,
            executionId = arn,
            directMessages.started = direct_messages,
            "started the notifications"
        ),
        Err(error) => tracing::error!(event.id = id, %error, "could not start the notifications"),
    }
    started.map(|(arn, _)| arn)
}

/// Returns the ARN of the channel's execution, and how many direct messages were started. A workflow that can't be started
/// does not stop the others, unless the publisher must fix the event.
async fn start(deps: &Deps, event: Value) -> Result<(String, usize), NotStarted> {
    let Notifications {
        key,
        item,
        to_channel,
        to_people,
    } = notifications(event, deps.direct_messages)?;
    let client = &deps.client;
    let mut updated = Ok(());
    if let Some(item) = &item {
        // Nothing is started for an event whose item or message is invalid.
        Client::check(Operation::UpdateItem, item).map_err(StartError::InvalidRequest)?;
        Client::check(Operation::NotifyPrivateChannel, &to_channel)
            .map_err(StartError::InvalidRequest)?;
        // First, so that what people are told about the item follows its state.
        updated = update_item(client, &key, item).await;
    }
    let channel = client.notify_private_channel(&key, &to_channel).await;
    if let Err(
        error @ (StartError::InvalidRequest(_) | StartError::Key(_) | StartError::Conflict { .. }),
    ) = channel
    {
        return Err(error.into());
    }
    let people = to_people.iter().map(async |(email, request)| {
        // No address contains a line break.
        let key = format!("{key}\n{}", email.as_str());
        client.notify_person(&key, request).await
    });
    let people = join_all(people).await;
    updated?;
    let arn = channel?.arn().to_owned();
    let people = people.into_iter().collect::<Result<Vec<_>, StartError>>()?;
    Ok((arn, people.len()))
}

async fn update_item(client: &Client, key: &str, item: &UpdateItem) -> Result<(), StartError> {
    match client.update_item(&format!("{key}\nitem"), item).await {
        // An earlier release has started it, with the text of its own templates. The item's version is recorded.
        Err(StartError::Conflict { name }) => {
            tracing::warn!(
                execution.name = name.as_str(),
                "the item's update was started with another text"
            );
            Ok(())
        }
        started => started.map(drop),
    }
}

fn notifications(event: Value, direct_messages: bool) -> Result<Notifications, NotStarted> {
    let event: EventBridgeEvent<Value> = decode(event)?;
    if event.detail_type != DETAIL_TYPE {
        let rule = "must be Content Item State Changed";
        return Err(InvalidField::new("detail-type", rule).into());
    }
    let change: ContentItemStateChanged =
        decode(event.detail).map_err(|invalid| invalid.within("detail"))?;
    let (key, field) = match &change.id {
        Some(id) => (id.clone(), "detail.id"),
        None => (event.id.unwrap_or_default(), "id"),
    };
    if key.is_empty() {
        return Err(InvalidField::new(field, "must not be empty").into());
    }
    let (waiting_for, invalid) = change.waiting()?;
    let to_person = change.content_item.render_to_person();
    let to_people = match to_person.filter(|_| direct_messages) {
        Some(message) => change.to_people(&message, &waiting_for),
        None => Vec::new(),
    };
    Ok(Notifications {
        key,
        item: change.item(&waiting_for),
        to_channel: change.to_channel(&waiting_for, &invalid),
        to_people,
    })
}

impl ContentItemStateChanged {
    /// The people who must act, and the entries that are not addresses: nobody in a state in which nobody must.
    fn waiting(&self) -> Result<(Mentions, Vec<String>), InvalidField> {
        if !self.content_item.state.asks_for_action() {
            return Ok((Mentions::default(), Vec::new()));
        }
        let (people, invalid) = self.waiting_for.clone().divided();
        let people = Mentions::try_from(people)
            .map_err(|rule| InvalidField::new("detail.waitingFor", rule))?;
        Ok((people, invalid))
    }

    fn actor(&self) -> Option<Email> {
        Email::try_from(self.actor_email.clone()?).ok()
    }

    /// The item in its own channel.
    fn item(&self, waiting_for: &Mentions) -> Option<UpdateItem> {
        let version = self.version?.get();
        let (channel, item) = (self.channel_name.as_str(), &self.content_item);
        let id = format!("content-item:{channel}");
        let (title, state) = (item.title.as_str(), item.state.as_str());
        let mut request = UpdateItem::new(id, version, channel, title, state)
            .own_channel()
            .link(item.link.as_str())
            .next_step(item.next_step())
            .facts(item.facts())
            .waiting_for(waiting_for.as_slice().iter().map(Email::as_str));
        if let Some(date) = item.due_date.filter(|_| item.state.asks_for_action()) {
            request = request.due_date(String::from(date));
        }
        Some(request)
    }

    /// In a state in which somebody must act, and without the fields that are new in 0.2, it is the same for every release,
    /// also when the event is delivered again during an update.
    fn to_channel(&self, waiting_for: &Mentions, invalid: &[String]) -> NotifyPrivateChannel {
        let waiting_for = waiting_for.as_slice();
        let message = match self.version {
            // The card shows everything else.
            Some(_) => Message::new(self.content_item.render_short()),
            None => message(self.content_item.render(!waiting_for.is_empty())),
        };
        let waiting_for = waiting_for.iter().map(Email::as_str);
        let waiting_for: Vec<&str> = waiting_for
            .chain(invalid.iter().map(String::as_str))
            .collect();
        let (valid, no_addresses) = self.members.clone().divided();
        let members = valid.iter().map(Email::as_str);
        let members = members.chain(no_addresses.iter().map(String::as_str));
        let mut request =
            NotifyPrivateChannel::new(self.channel_name.as_str(), message).members(members);
        if !waiting_for.is_empty() {
            request = request.mention(waiting_for);
            if let Some(actor) = self.actor() {
                request = request.actor(actor.as_str());
            }
        }
        if !no_addresses.is_empty() || !invalid.is_empty() {
            request = request.skip_invalid_addresses();
        }
        if !self.content_item.state.asks_for_action() {
            request = request.category(Category::News);
        }
        dated!(request, self)
    }

    /// A direct message to each person who must act, except to who has just acted.
    fn to_people(&self, rendered: &Rendered, waiting_for: &Mentions) -> Vec<(Email, NotifyPerson)> {
        let others = waiting_for.as_slice().iter();
        let actor = self.actor();
        let others = others.filter(|email| actor.as_ref() != Some(*email));
        let to_one = |email: &Email| {
            let request = NotifyPerson::new(email.as_str(), message(rendered.clone()));
            (email.clone(), dated!(request, self))
        };
        others.map(to_one).collect()
    }
}

fn message(rendered: Rendered) -> Message {
    Message::new(rendered.text).blocks(rendered.blocks)
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

    use apgl_client::StateMachines;
    use apgl_contract::request::CheckedRequest;
    use aws_smithy_http_client::test_util::{ReplayEvent, StaticReplayClient};
    use aws_smithy_types::body::SdkBody;
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    /// A handler to which Step Functions returns these responses.
    fn deps(answers: Vec<(u16, Value)>) -> (Deps, StaticReplayClient) {
        let answers = answers.into_iter().map(|(status, body)| {
            let request = http::Request::builder().uri("http://127.0.0.1/");
            let response = http::Response::builder().status(status);
            ReplayEvent::new(
                request.body(SdkBody::empty()).unwrap(),
                response.body(SdkBody::from(body.to_string())).unwrap(),
            )
        });
        let http = StaticReplayClient::new(answers.collect());
        let machines =
            StateMachines::starting_with("arn:aws:states:us-east-1:1:stateMachine:apgl").unwrap();
        let sfn = aws_sdk_sfn::Client::new(&fake_aws::config(http.clone()));
        let client = Client::new(sfn, machines, "mpc-event").unwrap();
        let direct_messages = true;
        let deps = Deps {
            client,
            direct_messages,
        };
        (deps, http)
    }

    fn started() -> (u16, Value) {
        (200, json!({ "executionArn": "arn", "startDate": 1.0 }))
    }

    fn refused() -> (u16, Value) {
        (400, json!({ "__type": "AccessDeniedException" }))
    }

    /// The names of the state machines that were to be started, in order.
    fn starts(http: &StaticReplayClient) -> Vec<String> {
        let machine = |body: &[u8]| {
            let body: Value = serde_json::from_slice(body).unwrap();
            let arn = body["stateMachineArn"].as_str()?;
            Some(arn.rsplit(':').next().unwrap().to_owned())
        };
        let requests = http.actual_requests();
        requests
            .filter_map(|request| machine(request.body().bytes().unwrap()))
            .collect()
    }

    const ALL: [&str; 4] = [
        "apgl-update-item",
        "apgl-notify-private-channel",
        "apgl-notify-person",
        "apgl-notify-person",
    ];

    /// An event about a version of an item that waits for Ana and Bob.
    fn versioned() -> Value {
        let mut event = waiting("in_review");
        event["detail"]["version"] = json!(7);
        event
    }

    #[tokio::test]
    async fn an_item_that_cannot_be_updated_stops_no_message() {
        let answers = vec![refused(), started(), started(), started()];
        let (deps, http) = deps(answers);
        let error = handle(&deps, versioned()).await.unwrap_err();
        assert!(matches!(
            error,
            NotStarted::Start(StartError::Refused { .. })
        ));
        assert_eq!(starts(&http), ALL);
    }

    #[tokio::test]
    async fn an_item_that_an_earlier_release_has_updated_counts_as_updated() {
        let exists = (400, json!({ "__type": "ExecutionAlreadyExists" }));
        let another_text = json!({ "input": "{}", "executionArn": "arn", "stateMachineArn": "arn",
            "startDate": 1.0, "status": "SUCCEEDED" });
        let answers = vec![exists, (200, another_text), started(), started(), started()];
        let (deps, http) = deps(answers);
        assert_eq!(handle(&deps, versioned()).await.unwrap(), "arn");
        assert_eq!(starts(&http), ALL);
    }

    #[tokio::test]
    async fn an_item_that_is_invalid_starts_nothing() {
        let (deps, http) = deps(Vec::new());
        let mut event = versioned();
        event["detail"]["contentItem"]["link"] =
            json!(format!("https://example.com/{}", "a".repeat(2_000)));
        let _refused = handle(&deps, event).await.unwrap_err();
        assert_eq!(starts(&http), [""; 0]);
    }

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
        notifications(event, true).unwrap_err().to_string()
    }

    /// The key, and the request for the channel.
    fn request(event: Value) -> (String, Value) {
        let Notifications {
            key, to_channel, ..
        } = notifications(event, true).unwrap();
        (key, serde_json::to_value(to_channel).unwrap())
    }

    /// An event about an item that waits for Ana and Bob.
    fn waiting(state: &str) -> Value {
        let mut event = event();
        event["detail"]["contentItem"]["state"] = json!(state);
        event["detail"]["waitingFor"] = json!(["Ana@example.com", "bob@example.com"]);
        event
    }

    /// The requests for direct messages, each with its person's address.
    fn direct_messages(event: Value) -> Vec<(String, Value)> {
        let requests = notifications(event, true).unwrap().to_people.into_iter();
        requests
            .map(|(email, request)| {
                let request = serde_json::to_value(request).unwrap();
                assert_eq!(request["email"], email.as_str());
                (email.as_str().to_owned(), request)
            })
            .collect()
    }

    #[test]
    fn an_event_becomes_a_message_to_the_items_channel_with_its_id_as_the_key() {
        let (key, request) = request(event());
        assert_eq!(key, "7bf73129-1428-4cd3-a780-95db273d1602");
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
        assert_eq!(request(event).0, "guide-42-approved");
    }

    #[test]
    fn fields_for_other_consumers_are_ignored() {
        let mut event = event();
        event["detail"]["wordCount"] = json!(1_000);
        event["replay-name"] = json!("again");
        assert!(notifications(event, true).is_ok());
    }

    #[rstest]
    #[case("/id", json!(null), "id: must not be empty")]
    #[case("/id", json!(""), "id: must not be empty")]
    #[case("/detail/id", json!(""), "detail.id: must not be empty")]
    #[case("/detail-type", json!("Order Placed"), "detail-type: must be Content Item State Changed")]
    #[case("/time", json!("noon"), "time: ")]
    #[case("/detail", json!("text"), "detail: must be an object")]
    #[case("/detail", json!(["an-id", "guide-42"]), "detail: must be an object")]
    #[case("/detail/channelName", json!("Guide 42"), "detail.channelName: must contain only ")]
    #[case("/detail/members", json!("ana@example.com"), "detail.members: must be a list")]
    #[case("/detail/members", json!(vec!["ana"; 1_001]), "detail.members: must contain at most 1,000 addresses")]
    #[case("/detail/waitingFor", json!("ana@example.com"), "detail.waitingFor: must be a list")]
    #[case("/detail/actorEmail", json!(7), "detail.actorEmail: must be a string")]
    #[case("/detail/version", json!(-1), "detail.version: must be an integer from 0 ")]
    #[case("/detail/occurredAt", json!("noon"), "detail.occurredAt: must be a time from 1970 to 9999-12-30 ")]
    #[case("/detail/expiresAt", json!("2026-11-25"), "detail.expiresAt: must be a time from 1970 to 9999-12-30 ")]
    #[case("/detail/contentItem", json!("text"), "detail.contentItem: must be an object")]
    #[case("/detail/contentItem", json!(["Rust", "https://example.com/", "approved"]), "detail.contentItem: must be an object")]
    #[case("/detail/contentItem/state", json!({ "approved": null }), "detail.contentItem.state: must be a string")]
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
        let (_, request) = request(event);
        assert_eq!(
            request["members"],
            json!(["ana@example.com", "bob@example.com", "svc-build", "null"])
        );
        assert_eq!(request["onInvalidAddress"], "skip");
    }

    #[test]
    fn a_request_for_action_without_new_fields_is_the_same_for_every_release() {
        let (_, request) = request(event());
        let fields: Vec<&String> = request.as_object().unwrap().keys().collect();
        assert_eq!(fields, ["channelName", "message", "members", "category"]);
        let mut event = event();
        event["detail"]["contentItem"]["state"] = json!("in_review");
        let (_, request) = self::request(event);
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
            "/detail/waitingFor",
            "/detail/actorEmail",
            "/detail/version",
            "/detail/occurredAt",
            "/detail/expiresAt",
        ] {
            let (parent, field) = place.rsplit_once('/').unwrap();
            event.pointer_mut(parent).unwrap()[field] = json!(null);
        }
        let (key, request) = request(event);
        assert_eq!(key, "7bf73129-1428-4cd3-a780-95db273d1602");
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

    #[test]
    fn those_who_must_act_are_mentioned_and_get_a_direct_message() {
        let (_, request) = request(waiting("in_review"));
        let (ana, bob) = ("ana@example.com", "bob@example.com");
        assert_eq!(request["mention"], json!([ana, bob]));
        let place = &request["message"]["blocks"][1]["elements"][1]["elements"][0]["elements"][1];
        assert_eq!(*place, json!({ "type": "mentions" }));
        assert_eq!(request.get("category"), None);
        let sent = direct_messages(waiting("in_review"));
        let people: Vec<&str> = sent.iter().map(|(email, _)| email.as_str()).collect();
        assert_eq!(people, [ana, bob]);
        let text = sent[0].1["message"]["text"].as_str().unwrap();
        assert!(
            text.starts_with("Waiting for your review: Rust on"),
            "{text}"
        );
    }

    #[test]
    fn nobody_is_notified_of_their_own_act() {
        let mut event = waiting("changes_requested");
        event["detail"]["actorEmail"] = json!("BOB@example.com");
        let sent = direct_messages(event.clone());
        assert_eq!(sent.len(), 1);
        assert_eq!(sent[0].0, "ana@example.com");
        let (_, request) = request(event);
        assert_eq!(request["actor"], "bob@example.com");
    }

    #[rstest]
    #[case("approved")]
    #[case("published")]
    #[case("withdrawn")]
    fn where_nobody_must_act_nobody_is_addressed(#[case] state: &str) {
        let (_, request) = request(waiting(state));
        assert_eq!(request.get("mention"), None);
        assert_eq!(request["category"], "news");
        assert_eq!(direct_messages(waiting(state)), []);
    }

    #[test]
    fn a_setting_turns_direct_messages_off() {
        let notifications = notifications(waiting("in_review"), false).unwrap();
        assert_eq!(notifications.to_people, []);
        let request = serde_json::to_value(notifications.to_channel).unwrap();
        assert_eq!(request["mention"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn an_entry_of_the_waiting_that_is_no_address_stops_nobody() {
        let mut event = waiting("in_review");
        event["detail"]["waitingFor"] = json!(["the reviewers", "bob@example.com"]);
        assert_eq!(direct_messages(event.clone()).len(), 1);
        let (_, request) = request(event);
        assert_eq!(
            request["mention"],
            json!(["bob@example.com", "the reviewers"])
        );
        assert_eq!(request["onInvalidAddress"], "skip");
    }

    #[test]
    fn without_any_address_the_message_leaves_no_place_for_mentions() {
        let mut event = waiting("in_review");
        event["detail"]["waitingFor"] = json!(["the reviewers"]);
        let (_, request) = request(event);
        assert_eq!(request["mention"], json!(["the reviewers"]));
        assert!(!request["message"].to_string().contains("mentions"));
    }

    #[test]
    fn an_actor_without_an_address_is_nobody_who_waits() {
        let mut event = waiting("in_review");
        event["detail"]["actorEmail"] = json!("svc-build");
        let (_, request) = request(event);
        assert_eq!(request.get("actor"), None);
    }

    #[rstest]
    #[case("in_review", false)]
    #[case("approved", true)]
    fn too_many_people_are_refused_only_where_somebody_must_act(
        #[case] state: &str,
        #[case] is_accepted: bool,
    ) {
        let mut event = waiting(state);
        let people: Vec<_> = (0..51).map(|n| format!("u{n}@example.com")).collect();
        event["detail"]["waitingFor"] = json!(people);
        let refused = notifications(event, true)
            .err()
            .map(|error| error.to_string());
        let expected = "detail.waitingFor: must contain at most 50 addresses".to_owned();
        assert_eq!(refused, (!is_accepted).then_some(expected));
    }

    #[test]
    fn an_event_with_a_version_updates_the_item_and_its_message_is_short() {
        let mut event = waiting("in_review");
        event["detail"]["version"] = json!(7);
        event["detail"]["contentItem"]["dueDate"] = json!("2026-12-01");
        let Notifications {
            item, to_channel, ..
        } = notifications(event, true).unwrap();
        let item = json!(item);
        let expected = json!({
            "itemId": "content-item:guide-42", "version": 7, "channelName": "guide-42",
            "ownChannel": true, "title": "Rust on <Lambda>", "link": "https://example.com/guide-42",
            "state": "in_review", "facts": ["Review started by Bob"], "dueDate": "2026-12-01",
            "nextStep": "Reviewers, please read the article and comment on it. Authors, please leave it as it is until the review is over.",
            "waitingFor": ["ana@example.com", "bob@example.com"],
        });
        assert_eq!(item, expected);
        assert!(CheckedRequest::check(Operation::UpdateItem, item).is_ok());
        let message = json!(to_channel)["message"].take();
        let text = "In review: <https://example.com/guide-42|Rust on &lt;Lambda&gt;> · Review due 1 December 2026";
        assert_eq!(message, json!({ "text": text }));
    }

    #[test]
    fn an_item_waits_for_nobody_in_a_state_in_which_nobody_must_act() {
        let mut event = waiting("approved");
        event["detail"]["version"] = json!(8);
        event["detail"]["contentItem"]["dueDate"] = json!("2026-12-01");
        let item = json!(notifications(event, true).unwrap().item);
        assert_eq!(
            (&item["waitingFor"], item.get("dueDate")),
            (&json!([]), None)
        );
    }

    #[test]
    fn an_event_without_a_version_updates_no_item() {
        let event = waiting("in_review");
        assert_eq!(notifications(event, true).unwrap().item, None);
    }

    #[test]
    fn times_and_the_version_come_from_the_detail() {
        let mut event = waiting("in_review");
        for (field, value) in [
            ("occurredAt", json!("2026-11-25T09:59:00Z")),
            ("expiresAt", json!("2026-12-01T00:00:00+01:00")),
            ("version", json!(7)),
        ] {
            event["detail"][field] = value;
        }
        let (_, to_channel) = request(event.clone());
        let to_person = direct_messages(event).remove(0).1;
        for request in [to_channel, to_person] {
            assert_eq!(request["occurredAt"], "2026-11-25T09:59:00Z");
            assert_eq!(request["expiresAt"], "2026-11-30T23:00:00Z");
            assert_eq!(
                request["sequence"],
                json!({ "key": "content-item guide-42", "number": 7 })
            );
        }
        let (_, request) = request(waiting("in_review"));
        assert_eq!(request.get("occurredAt"), None);
    }
}
