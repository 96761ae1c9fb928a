//! Notifies a public channel about content bounties.
//!
//! A bounty with a sequence is an item: it has one card in the channel, which is updated. Beside the card, only those who
//! must act are addressed, and a bounty that ends soon is announced.
//!
//! The messages come from a queue, at least once and in batches. The publisher's id of the event is the idempotency
//! key, so one event leads to one notification, however often it is sent or received. A message that can't be read,
//! or whose workflow can't be started, stays in the queue and is delivered again on its own. After several attempts
//! it is moved to the dead-letter queue.

use apgl_client::{
    Category, Client, Message, NotifyPublicChannel, Operation, StartError, UpdateItem, Visibility,
};
use apgl_contract::{
    ChannelName, Email, InvalidField, Mentions, Sequence, Timestamp, UncheckedAddresses,
    decode::{decode, null_as_absent, parse},
};
use apgl_runtime::batch::{UnreadableBatch, messages};
use apgl_templates::{ContentBounty, Rendered};
use aws_lambda_events::sqs::{SqsBatchResponse, SqsMessage};
use futures_util::future::join_all;
use serde::Deserialize;
use serde_json::Value;

#[derive(Debug)]
pub struct Deps {
    pub client: Client,
    /// The public channel for news about bounties.
    pub channel: ChannelName,
}

/// The body of a message. Other fields are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BountyChanged {
    /// The event's unique id.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub id: String,
    /// The bounty in its new state.
    pub bounty: ContentBounty,
    /// The people who must act now, at most 50. They are mentioned. Ignored when the bounty is awarded.
    #[serde(default, deserialize_with = "null_as_absent")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<Mentions>"))]
    pub waiting_for: UncheckedAddresses,
    /// The address of the person who changed the bounty's state. They are not mentioned. Other text, such as a service's
    /// name, is ignored.
    #[serde(default)]
    pub actor_email: Option<String>,
    /// When the bounty's state changed. Shown if the message is posted more than ten minutes later.
    #[serde(default)]
    pub occurred_at: Option<Timestamp>,
    /// After this time the message is not posted any more.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
    /// Which message this one follows. If a later one has been posted, this one is not. With it, the bounty has a card,
    /// which is updated: its `key` identifies the bounty, and its `number` is the bounty's version.
    #[serde(default)]
    pub sequence: Option<Sequence>,
}

/// Why no notification was started for a message.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotStarted {
    /// The publisher's mistake.
    #[error(transparent)]
    InvalidMessage(#[from] InvalidField),
    #[error(transparent)]
    Start(#[from] StartError),
}

/// Starts the notifications for all messages concurrently, and returns the messages that failed.
pub async fn handle(deps: &Deps, event: Value) -> Result<SqsBatchResponse, UnreadableBatch> {
    let records = messages(event)?;
    let started = join_all(records.iter().map(|record| start(deps, record))).await;
    let mut failed = SqsBatchResponse::default();
    for (record, started) in records.iter().zip(started) {
        let message_id = record.message_id.as_deref().unwrap_or_default();
        match started {
            Ok(arn) => tracing::info!(
                sqs.message_id = message_id,
                executionId = arn,
                "started the notification"
            ),
            Err(error) => {
                tracing::error!(
                    sqs.message_id = message_id,
                    %error,
                    "could not start the notification"
                );
                failed.add_failure(message_id);
            }
        }
    }
    Ok(failed)
}

/// Returns the ARN of the message's execution, or of the card's if there is no message; `None` if that was started with
/// another text.
async fn start(deps: &Deps, record: &SqsMessage) -> Result<Option<String>, NotStarted> {
    let change = read(record.body.as_deref().unwrap_or_default())?;
    let (item, message) = change.requests(&deps.channel)?;
    let client = &deps.client;
    // Nothing is started for an event whose item or message is invalid.
    if let Some(item) = &item {
        Client::check(Operation::UpdateItem, item).map_err(StartError::InvalidRequest)?;
    }
    if let Some(message) = &message {
        Client::check(Operation::NotifyPublicChannel, message)
            .map_err(StartError::InvalidRequest)?;
    }
    // First, so that what people are told about the bounty follows its state.
    let updated = match &item {
        Some(item) => update_item(client, &change.id, item).await,
        None => Ok(None),
    };
    let Some(message) = &message else {
        return Ok(updated?);
    };
    // An item that can't be updated does not stop the message.
    let execution = client.notify_public_channel(&change.id, message).await;
    updated?;
    Ok(Some(execution?.arn().to_owned()))
}

async fn update_item(
    client: &Client,
    key: &str,
    item: &UpdateItem,
) -> Result<Option<String>, StartError> {
    match client.update_item(&format!("{key}\nitem"), item).await {
        Ok(execution) => Ok(Some(execution.arn().to_owned())),
        // An earlier release has started it, with the text of its own templates. The item's version is recorded.
        Err(StartError::Conflict { name }) => {
            tracing::warn!(
                execution.name = name.as_str(),
                "the item's update was started with another text"
            );
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn read(body: &str) -> Result<BountyChanged, InvalidField> {
    let body: Value =
        parse(body.as_bytes()).map_err(|_| InvalidField::new("body", "must be JSON"))?;
    let message: BountyChanged = decode(body).map_err(|invalid| invalid.within("body"))?;
    if message.id.is_empty() {
        return Err(InvalidField::new("body.id", "must not be empty"));
    }
    Ok(message)
}

impl BountyChanged {
    /// The people who must act, and the entries that are not addresses: nobody in a state in which nobody must.
    fn waiting(&self) -> Result<(Mentions, Vec<String>), InvalidField> {
        if !self.bounty.state.asks_for_action() {
            return Ok((Mentions::default(), Vec::new()));
        }
        let (people, invalid) = self.waiting_for.clone().divided();
        let people = Mentions::try_from(people)
            .map_err(|rule| InvalidField::new("body.waitingFor", rule))?;
        Ok((people, invalid))
    }

    /// The item, and the message to the channel. There is one of them at least.
    fn requests(
        &self,
        channel: &ChannelName,
    ) -> Result<(Option<UpdateItem>, Option<NotifyPublicChannel>), InvalidField> {
        let (waiting_for, invalid) = self.waiting()?;
        let item = self.item(channel, &waiting_for);
        // Only the outcome of a message reports an entry that is not an address.
        let waits = !waiting_for.as_slice().is_empty() || !invalid.is_empty();
        let is_needed = item.is_none() || waits || self.bounty.state.is_news_beside_a_card();
        let message = is_needed.then(|| self.message(channel, &waiting_for, &invalid));
        Ok((item, message))
    }

    fn item(&self, channel: &ChannelName, waiting_for: &Mentions) -> Option<UpdateItem> {
        let (sequence, bounty) = (self.sequence.as_ref()?, &self.bounty);
        let id = format!("bounty:{}", sequence.key.as_str());
        // An item's id has only visible characters.
        let id = id.replace(|c: char| c.is_whitespace() || c.is_control(), "-");
        let (version, title) = (sequence.number.get(), bounty.title.as_str());
        let item = UpdateItem::new(id, version, channel.as_str(), title, bounty.state.as_str())
            .visibility(Visibility::Public)
            .link(bounty.link.as_str())
            .next_step(bounty.next_step())
            .facts(bounty.facts())
            .waiting_for(waiting_for.as_slice().iter().map(Email::as_str));
        Some(item)
    }

    fn message(
        &self,
        channel: &ChannelName,
        waiting_for: &Mentions,
        invalid: &[String],
    ) -> NotifyPublicChannel {
        let waiting_for = waiting_for.as_slice();
        let message = if self.sequence.is_some() {
            // The card shows everything else.
            Message::new(self.bounty.render_short())
        } else {
            let Rendered { text, blocks } = self.bounty.render(!waiting_for.is_empty());
            Message::new(text).blocks(blocks)
        };
        let waiting_for = waiting_for.iter().map(Email::as_str);
        let waiting_for: Vec<&str> = waiting_for
            .chain(invalid.iter().map(String::as_str))
            .collect();
        let mut request =
            NotifyPublicChannel::new(channel.as_str(), message).category(Category::Bounty);
        if !waiting_for.is_empty() {
            request = request.mention(waiting_for);
            let actor = self.actor_email.clone().map(Email::try_from);
            if let Some(Ok(actor)) = actor {
                request = request.actor(actor.as_str());
            }
        }
        if !invalid.is_empty() {
            request = request.skip_invalid_addresses();
        }
        if let Some(at) = self.occurred_at {
            request = request.occurred_at(String::from(at));
        }
        if let Some(at) = self.expires_at {
            request = request.expires_at(String::from(at));
        }
        if let Some(Sequence { key, number }) = &self.sequence {
            request = request.sequence(key.as_str(), number.get());
        }
        request
    }
}

/// The schema of a message's body.
#[cfg(feature = "schema")]
pub fn schema() -> schemars::Schema {
    apgl_contract::schema::of_input::<BountyChanged>()
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
    fn deps(answers: Vec<(u16, Value)>) -> Deps {
        replaying(answers).0
    }

    /// The same, and the record of the requests.
    fn replaying(answers: Vec<(u16, Value)>) -> (Deps, StaticReplayClient) {
        let answers = answers.into_iter().map(|(status, body)| {
            let request = http::Request::builder().uri("http://127.0.0.1/");
            let response = http::Response::builder().status(status);
            ReplayEvent::new(
                request.body(SdkBody::empty()).unwrap(),
                response.body(SdkBody::from(body.to_string())).unwrap(),
            )
        });
        let http = StaticReplayClient::new(answers.collect());
        let aws = fake_aws::config(http.clone());
        let machines =
            StateMachines::starting_with("arn:aws:states:us-east-1:1:stateMachine:apgl").unwrap();
        let sfn = aws_sdk_sfn::Client::new(&aws);
        let deps = Deps {
            client: Client::new(sfn, machines, "mpc-bounty").unwrap(),
            channel: ChannelName::try_from("content-bounties".to_owned()).unwrap(),
        };
        (deps, http)
    }

    fn started() -> (u16, Value) {
        (200, json!({ "executionArn": "arn", "startDate": 1.0 }))
    }

    fn batch(bodies: &[&str]) -> Value {
        let records = bodies.iter().enumerate();
        let records =
            records.map(|(n, body)| json!({ "messageId": format!("m{n}"), "body": body }));
        json!({ "Records": records.collect::<Vec<_>>() })
    }

    async fn failed(deps: &Deps, event: Value) -> Vec<String> {
        let failed = handle(deps, event).await.unwrap().batch_item_failures;
        failed.into_iter().map(|one| one.item_identifier).collect()
    }

    #[tokio::test]
    async fn only_failed_messages_are_delivered_again() {
        let good = body().to_string();
        let deps = deps(vec![started(), started()]);
        assert_eq!(failed(&deps, batch(&[&good, "{}", &good])).await, ["m1"]);
    }

    #[tokio::test]
    async fn a_message_whose_workflow_cannot_be_started_is_delivered_again() {
        let refused = (400, json!({ "__type": "AccessDeniedException" }));
        let good = body().to_string();
        let deps = deps(vec![refused]);
        assert_eq!(failed(&deps, batch(&[&good])).await, ["m0"]);
    }

    /// A bounty with a card and, if it waits for somebody, a message.
    fn with_a_card(waits: bool) -> String {
        let mut body = body();
        body["sequence"] = json!({ "key": "bounty-7", "number": 2 });
        if waits {
            body["waitingFor"] = json!(["ana@example.com"]);
        }
        body.to_string()
    }

    fn started_with_another_text() -> Vec<(u16, Value)> {
        let exists = json!({ "__type": "ExecutionAlreadyExists" });
        let other = json!({ "input": "{}", "executionArn": "arn", "stateMachineArn": "arn",
            "startDate": 1.0, "status": "SUCCEEDED" });
        vec![(400, exists), (200, other)]
    }

    #[tokio::test]
    async fn a_card_that_cannot_be_updated_does_not_stop_the_message() {
        let refused = (400, json!({ "__type": "AccessDeniedException" }));
        let (deps, http) = replaying(vec![refused, started()]);
        assert_eq!(failed(&deps, batch(&[&with_a_card(true)])).await, ["m0"]);
        assert_eq!(http.actual_requests().count(), 2);
    }

    #[rstest]
    #[tokio::test]
    async fn a_card_that_an_earlier_release_has_updated_counts_as_updated(
        #[values(false, true)] waits: bool,
    ) {
        let mut answers = started_with_another_text();
        answers.extend(waits.then(started));
        let calls = answers.len();
        let (deps, http) = replaying(answers);
        assert_eq!(failed(&deps, batch(&[&with_a_card(waits)])).await, [""; 0]);
        assert_eq!(http.actual_requests().count(), calls);
    }

    #[rstest]
    #[case(json!({}))]
    #[case(json!({ "Records": [{ "body": "{}" }] }))]
    #[tokio::test]
    async fn a_batch_that_is_not_from_sqs_fails_as_a_whole(#[case] event: Value) {
        assert!(handle(&deps(Vec::new()), event).await.is_err());
    }

    fn body() -> Value {
        json!({
            "id": "bounty-7-posted",
            "bounty": {
                "title": "Rust on Lambda", "link": "https://example.com/bounties/7",
                "state": "posted", "dueDate": "2026-12-01", "reward": "A signed book",
            },
            "publishedBy": "somebody else's field",
        })
    }

    #[test]
    fn a_message_contains_a_bounty_and_the_events_id() {
        let message = read(&body().to_string()).unwrap();
        assert_eq!(message.id, "bounty-7-posted");
        assert!(
            message
                .bounty
                .render(false)
                .text
                .starts_with("Bounty posted: Rust on Lambda")
        );
    }

    #[test]
    fn half_of_an_emoji_becomes_the_replacement_character() {
        let mut body = body();
        body["bounty"]["title"] = json!("HALF");
        let body = body.to_string().replace("HALF", r"Rust \ud83e");
        let text = read(&body).unwrap().bounty.render(false).text;
        assert!(text.starts_with("Bounty posted: Rust \u{fffd}\n"), "{text}");
    }

    fn request(change: impl FnOnce(&mut Value)) -> Value {
        let mut body = body();
        change(&mut body);
        let channel = ChannelName::try_from("content-bounties".to_owned()).unwrap();
        let request = read(&body.to_string())
            .unwrap()
            .requests(&channel)
            .unwrap()
            .1
            .unwrap();
        serde_json::to_value(request).unwrap()
    }

    #[test]
    fn those_who_must_act_are_mentioned() {
        let request = request(|body| {
            body["waitingFor"] = json!(["Ana@example.com", "the authors"]);
            body["actorEmail"] = json!("bob@example.com");
        });
        assert_eq!(
            request["mention"],
            json!(["ana@example.com", "the authors"])
        );
        assert_eq!(request["actor"], "bob@example.com");
        assert_eq!(request["onInvalidAddress"], "skip");
        assert_eq!(request["category"], "bounty");
    }

    #[test]
    fn without_any_address_the_message_leaves_no_place_for_mentions() {
        let request = request(|body| {
            body["waitingFor"] = json!(["the authors"]);
            body["actorEmail"] = json!("svc-build");
        });
        assert_eq!(request["mention"], json!(["the authors"]));
        assert_eq!(request.get("actor"), None);
        assert!(!request["message"].to_string().contains("mentions"));
    }

    #[test]
    fn nobody_must_act_on_a_bounty_that_is_awarded() {
        let request = request(|body| {
            body["bounty"]["state"] = json!("awarded");
            body["waitingFor"] = json!(["Ana@example.com"]);
        });
        assert_eq!(request.get("mention"), None);
    }

    /// The item, and the message to the channel.
    fn requests(state: &str, waiting_for: &[&str], key: &str) -> (Value, Value) {
        let mut body = body();
        body["bounty"]["state"] = json!(state);
        body["waitingFor"] = json!(waiting_for);
        body["sequence"] = json!({ "key": key, "number": 3 });
        let channel = ChannelName::try_from("content-bounties".to_owned()).unwrap();
        let (item, message) = read(&body.to_string()).unwrap().requests(&channel).unwrap();
        (json!(item), json!(message))
    }

    #[test]
    fn a_bounty_with_a_sequence_is_an_item_in_the_public_channel() {
        let (item, message) = requests("posted", &[], "7");
        let expected = json!({
            "itemId": "bounty:7", "version": 3, "channelName": "content-bounties",
            "visibility": "public", "title": "Rust on Lambda", "link": "https://example.com/bounties/7",
            "state": "posted", "waitingFor": [],
            "nextStep": "This article is looking for an author. If you would like to write it, claim the bounty.",
            "facts": ["Open until 1 December 2026", "Reward: A signed book"],
        });
        assert_eq!(item, expected);
        assert_eq!(message, Value::Null);
        assert!(CheckedRequest::check(Operation::UpdateItem, item).is_ok());
    }

    #[test]
    fn any_key_of_a_sequence_names_an_item() {
        let key = format!("a\tb {}", "é".repeat(196));
        let (item, _) = requests("posted", &[], &key);
        assert_eq!(item["itemId"], format!("bounty:a-b-{}", "é".repeat(196)));
        assert!(CheckedRequest::check(Operation::UpdateItem, item).is_ok());
    }

    #[rstest]
    #[case("posted", &[], false)]
    #[case("posted", &["ana@example.com"], true)]
    #[case::it_reports_what_is_no_address("posted", &["the authors"], true)]
    #[case("claimed", &[], false)]
    #[case("claimed", &["ana@example.com"], true)]
    #[case("awarded", &["ana@example.com"], false)]
    #[case("expiring", &[], true)]
    fn beside_a_card_only_what_its_update_would_hide_is_posted(
        #[case] state: &str,
        #[case] waiting_for: &[&str],
        #[case] is_posted: bool,
    ) {
        let (_, message) = requests(state, waiting_for, "7");
        assert_eq!(message.is_object(), is_posted);
        assert_eq!(message["message"].get("blocks"), None);
    }

    #[tokio::test]
    async fn the_item_is_started_before_the_message() {
        let mut body = body();
        body["bounty"]["state"] = json!("expiring");
        body["sequence"] = json!({ "key": "7", "number": 3 });
        let refused = (400, json!({ "__type": "AccessDeniedException" }));
        for (answers, failed_ones) in [
            (vec![started(), started()], vec![]),
            (vec![refused.clone()], vec!["m0"]),
            (vec![started(), refused], vec!["m0"]),
        ] {
            assert_eq!(
                failed(&deps(answers), batch(&[&body.to_string()])).await,
                failed_ones
            );
        }
    }

    #[test]
    fn times_and_the_sequence_come_from_the_body() {
        let sequence = json!({ "key": "bounty-7", "number": 3 });
        let request = request(|body| {
            body["occurredAt"] = json!("2026-11-25T09:59:00Z");
            body["expiresAt"] = json!("2026-12-01T00:00:00+01:00");
            body["sequence"] = sequence.clone();
            body["bounty"]["state"] = json!("expiring");
        });
        assert_eq!(request["occurredAt"], "2026-11-25T09:59:00Z");
        assert_eq!(request["expiresAt"], "2026-11-30T23:00:00Z");
        assert_eq!(request["sequence"], sequence);
        let without = self::request(|_| {});
        let fields: Vec<&String> = without.as_object().unwrap().keys().collect();
        assert_eq!(fields, ["channelName", "message", "category"]);
    }

    #[rstest]
    #[case("", "body: must be JSON")]
    #[case("hello", "body: must be JSON")]
    #[case("[]", "body: must be ")]
    #[case(r#"{"bounty":{}}"#, "body.bounty.title: is required")]
    fn a_body_of_another_kind_is_rejected(#[case] body: &str, #[case] expected: &str) {
        let refusal = read(body).unwrap_err().to_string();
        assert!(refusal.starts_with(expected), "{refusal}");
    }

    #[rstest]
    #[case("/id", json!(""), "body.id: must not be empty")]
    #[case("/id", json!(7), "body.id: must be a string")]
    #[case("/waitingFor", json!("ana@example.com"), "body.waitingFor: must be a list")]
    #[case("/actorEmail", json!(7), "body.actorEmail: must be a string")]
    #[case("/occurredAt", json!(1), "body.occurredAt: must be a string")]
    #[case("/sequence", json!({ "key": "x" }), "body.sequence.number: is required")]
    #[case("/bounty/state", json!("sold"), "body.bounty.state: must be ")]
    #[case("/bounty/dueDate", json!("soon"), "body.bounty.dueDate: must be a date such as ")]
    #[case("/bounty/link", json!("javascript:alert(1)"), "body.bounty.link: must ")]
    fn a_bad_field_is_named(#[case] place: &str, #[case] value: Value, #[case] expected: &str) {
        let mut body = body();
        let (parent, field) = place.rsplit_once('/').unwrap();
        body.pointer_mut(parent).unwrap()[field] = value;
        let refusal = read(&body.to_string()).unwrap_err().to_string();
        assert!(refusal.starts_with(expected), "{refusal}");
    }
}
