//! The event that tells other systems how an execution ended, and what became of each person.

use std::{collections::HashMap, time::SystemTime};

use apgl_aws::{SettingError, optional_setting, setting};
use apgl_contract::{
    Email, InvalidField, MessageTs, ReportedAddress, SkipReason, Skipped, StepError, Timestamp,
    decode::{decode, parse},
    outcome::{MessageOutcome, NotPosted},
};
use apgl_stores::{End, Receipt};
use aws_sdk_eventbridge::{Client, types::PutEventsRequestEntry};
use aws_types::SdkConfig;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::request::Asked;

/// The event's `detail-type`.
pub const DETAIL_TYPE: &str = "Notification Settled";

/// The largest number of people in one event. EventBridge accepts 256 KB. A person has about 1.1 KB at most, if the
/// request has 254 characters of four bytes in place of the address.
const MOST_PEOPLE: usize = 200;

/// The event's `detail`: how an execution ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(deny_unknown_fields)
)]
pub struct NotificationSettled {
    /// The execution's ARN.
    execution_arn: String,
    /// How often the execution had been redriven when it ended. A redrive can settle it again.
    redrive_count: u32,
    /// Which of the `parts` this event is, from 1.
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    part: usize,
    /// The number of events that tell of this end. They differ in `people` and `part` only.
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    parts: usize,
    /// The execution's name, which comes from the caller's idempotency key.
    key: String,
    /// The state machine's name, for example `apgl-notify-private-channel`.
    workflow: String,
    /// How the execution ended.
    #[cfg_attr(
        feature = "schema",
        schemars(extend("enum" = ["SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"]))
    )]
    status: String,
    /// The error's name, if the execution failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    error: Option<String>,
    started_at: Timestamp,
    ended_at: Timestamp,
    /// The channel's name in the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    channel_name: Option<String>,
    /// The channel that was found or created.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Channel"))]
    channel: Option<Channel>,
    /// What became of the message; left out if there is none, or if the execution ended before it was posted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Message"))]
    message: Option<Message>,
    /// Everybody whom the request names, with an entry for each thing that it asks for them. Empty for `update-item`,
    /// which asks nothing for those whom the card names.
    people: Vec<Person>,
}

/// A channel in Slack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(deny_unknown_fields)
)]
struct Channel {
    /// Slack's id, for example `C012AB3CD`.
    id: String,
    /// The channel's current name in Slack.
    name: String,
}

/// What became of the message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
enum Message {
    Posted(Posted),
    NotPosted(NotPosted),
}

/// The message is in Slack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(deny_unknown_fields)
)]
struct Posted {
    /// Slack's timestamp of the message: its id within the channel, for example `1716900000.000100`.
    ts: MessageTs,
    /// The id of the channel in which the message is, if that is not the event's `channel`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    channel_id: Option<String>,
}

/// What became of one thing that the request asks for a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(deny_unknown_fields)
)]
struct Person {
    email: ReportedAddress,
    /// What the request asks for this person.
    asked: Asked,
    result: PersonResult,
    /// Why the person was skipped. Left out for a reason that a newer release has added.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Reason"))]
    reason: Option<Reason>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
enum PersonResult {
    /// It was done in this execution.
    Done,
    /// The person to be invited was in the channel already.
    AlreadyDone,
    /// It was not done, and `reason` says why.
    Skipped,
    /// It is not known whether it was done: the execution ended before that step, or during it.
    Unknown,
}

/// Why a person was skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(untagged)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
enum Reason {
    OfPerson(SkipReason),
    OfMessage(ReasonOfMessage),
}

/// Why the message, which was to mention or reach the person, was not posted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
enum ReasonOfMessage {
    /// The request's `expiresAt` passed before the message could be posted.
    Expired,
    /// A later message of its sequence had been posted.
    Superseded,
}

/// The parts of an outcome that the event repeats. In the outcome of an execution that failed, any may be missing.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Outcome {
    channel: Option<Channel>,
    members: ReportedMembers,
    message: Option<MessageOutcome>,
    skipped: Vec<Skipped>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ReportedMembers {
    invited: Vec<Email>,
    already_members: Vec<Email>,
    removed: Vec<Email>,
    skipped: Vec<Skipped>,
}

/// The events that tell of this end: one, or several if the request names many people.
///
/// # Errors
/// [`InvalidField`] if a time is not one that RFC 3339 can express.
pub(crate) fn events(
    receipt: &Receipt,
    end: &End,
    asked: Vec<(ReportedAddress, Asked)>,
) -> Result<Vec<NotificationSettled>, InvalidField> {
    let outcome = parse(end.outcome.as_bytes()).unwrap_or_default();
    let outcome: Outcome = decode(outcome).unwrap_or_default();
    let people = people(asked, &outcome);
    let mut parts: Vec<&[Person]> = people.chunks(MOST_PEOPLE).collect();
    if parts.is_empty() {
        parts.push(&[]);
    }
    let event = NotificationSettled {
        execution_arn: receipt.execution_id.clone(),
        redrive_count: receipt.redrive_count,
        part: 1,
        parts: parts.len(),
        key: receipt.key.clone(),
        workflow: receipt.workflow.clone(),
        status: end.status.clone(),
        error: end.error.clone(),
        started_at: timestamp("startDate", receipt.started_at)?,
        ended_at: timestamp("stopDate", end.at)?,
        channel_name: receipt.channel_name.clone(),
        channel: outcome.channel,
        message: outcome.message.and_then(Message::of),
        people: Vec::new(),
    };
    let events = parts.iter().zip(1..).map(|(people, part)| {
        let people = people.to_vec();
        NotificationSettled {
            part,
            people,
            ..event.clone()
        }
    });
    Ok(events.collect())
}

fn timestamp(field: &str, time: SystemTime) -> Result<Timestamp, InvalidField> {
    Timestamp::try_from(time)
        .map_err(|rule| InvalidField::new(format!("body.detail.{field}"), rule))
}

/// A person's result, and the reason if they were skipped.
type ResultAndReason = (PersonResult, Option<Reason>);

const DONE: ResultAndReason = (PersonResult::Done, None);
const ALREADY_DONE: ResultAndReason = (PersonResult::AlreadyDone, None);
const UNKNOWN: ResultAndReason = (PersonResult::Unknown, None);

fn skipped(reason: SkipReason) -> ResultAndReason {
    let known = (reason != SkipReason::Other).then_some(Reason::OfPerson(reason));
    (PersonResult::Skipped, known)
}

fn people(asked: Vec<(ReportedAddress, Asked)>, outcome: &Outcome) -> Vec<Person> {
    let reported = reported(outcome);
    let people = asked.into_iter().map(|(email, asked)| {
        let known = reported.get(&(asked, email.as_str()));
        let (result, reason) = known.copied().unwrap_or_else(|| not_named(asked, outcome));
        Person {
            email,
            asked,
            result,
            reason,
        }
    });
    people.collect()
}

/// What became of the people whom the outcome names.
fn reported(outcome: &Outcome) -> HashMap<(Asked, &str), ResultAndReason> {
    let members = &outcome.members;
    let message = outcome.message.as_ref().and_then(MessageOutcome::posted);
    let (mentioned, not_mentioned) = message.map_or((&[][..], &[][..]), |message| {
        (&message.mentioned, &message.not_mentioned)
    });
    let mut reported = HashMap::new();
    for (asked, people) in [
        (Asked::Invite, &members.skipped[..]),
        (Asked::Remove, &members.skipped),
        (Asked::Mention, not_mentioned),
        (Asked::Message, &outcome.skipped),
    ] {
        let people = people.iter();
        reported.extend(people.map(|one| ((asked, one.email.as_str()), skipped(one.reason))));
    }
    for (asked, people, result) in [
        (Asked::Invite, &members.invited[..], DONE),
        (Asked::Invite, &members.already_members, ALREADY_DONE),
        (Asked::Remove, &members.removed, DONE),
        (Asked::Mention, mentioned, DONE),
    ] {
        let people = people.iter();
        reported.extend(people.map(|email| ((asked, email.as_str()), result)));
    }
    reported
}

/// What became of a person whom the outcome does not name. If the message was to reach them, it is what became of the
/// message.
fn not_named(asked: Asked, outcome: &Outcome) -> ResultAndReason {
    match (asked, &outcome.message) {
        (Asked::Mention | Asked::Message, Some(MessageOutcome::NotPosted(why))) => {
            let reason = match why {
                NotPosted::Expired => ReasonOfMessage::Expired,
                NotPosted::Superseded => ReasonOfMessage::Superseded,
                _ => return UNKNOWN,
            };
            (PersonResult::Skipped, Some(Reason::OfMessage(reason)))
        }
        (Asked::Message, Some(MessageOutcome::Posted(_))) => DONE,
        _ => UNKNOWN,
    }
}

impl Message {
    /// `None` if this version does not know what became of the message.
    fn of(message: MessageOutcome) -> Option<Self> {
        match message {
            MessageOutcome::Posted(posted) => Some(Self::Posted(Posted {
                ts: posted.ts,
                channel_id: posted.channel_id,
            })),
            MessageOutcome::NotPosted(why) => Some(Self::NotPosted(why)),
            _ => None,
        }
    }
}

/// The bus that gets the events.
#[derive(Debug, Clone)]
pub struct SettledEvents {
    client: Client,
    bus: String,
    source: String,
}

impl SettledEvents {
    /// The events have this source, and go to the bus with this name.
    pub fn new(client: Client, bus: String, source: String) -> Self {
        Self {
            client,
            bus,
            source,
        }
    }

    /// The bus and the source that `SETTLED_EVENT_BUS` and `SETTLED_EVENT_SOURCE` name. `None` without a bus.
    ///
    /// # Errors
    /// [`SettingError::Missing`] if there is a bus, but no source.
    pub fn from_env(aws: &SdkConfig) -> Result<Option<Self>, SettingError> {
        let Some(bus) = optional_setting("SETTLED_EVENT_BUS") else {
            return Ok(None);
        };
        let source = setting("SETTLED_EVENT_SOURCE")?;
        Ok(Some(Self::new(Client::new(aws), bus, source)))
    }

    /// # Errors
    /// [`StepError::StoreUnavailable`] and [`StepError::StoreRejected`]. EventBridge may have the event nevertheless.
    pub(crate) async fn put(&self, event: &NotificationSettled) -> Result<(), StepError> {
        const SERVICE: &str = "EventBridge";
        const OPERATION: &str = "PutEvents";
        let entry = PutEventsRequestEntry::builder()
            .event_bus_name(&self.bus)
            .source(&self.source)
            .detail_type(DETAIL_TYPE)
            .detail(json!(event).to_string())
            .build();
        let put = self.client.put_events().entries(entry).send().await;
        let put = put.map_err(|error| apgl_aws::step_error(SERVICE, OPERATION, &error))?;
        if put.failed_entry_count() == 0 {
            return Ok(());
        }
        let code = put.entries().iter().find_map(|entry| entry.error_code());
        Err(apgl_aws::entry_error(SERVICE, OPERATION, code))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use apgl_contract::request::Operation;
    use rstest::rstest;
    use serde_json::Value;

    use super::*;
    use crate::request::Request;

    /// The events about an execution with this input and outcome.
    fn all(operation: Operation, input: &Value, outcome: &Value) -> Vec<NotificationSettled> {
        let request = Request::read(&input.to_string(), Some(operation));
        let receipt = Receipt {
            execution_id: format!("arn:aws:states:us-east-1:1:execution:apgl-{operation}:event-1"),
            workflow: format!("apgl-{operation}"),
            key: "event-1".to_owned(),
            channel_name: request.channel_name,
            people: request.people,
            started_at: UNIX_EPOCH,
            since: UNIX_EPOCH,
            redrive_count: 2,
            end: None,
        };
        let end = End {
            status: "SUCCEEDED".to_owned(),
            at: UNIX_EPOCH + Duration::from_millis(1_500),
            error: None,
            outcome: outcome.to_string(),
            is_partial: false,
        };
        events(&receipt, &end, request.asked).unwrap()
    }

    fn one(operation: Operation, input: &Value, outcome: &Value) -> Value {
        let events = all(operation, input, outcome);
        assert_eq!(events.len(), 1);
        json!(events[0])
    }

    /// What became of each person, in short: address, what was asked, result and reason.
    fn people_of(operation: Operation, input: &Value, outcome: &Value) -> Vec<String> {
        let event = one(operation, input, outcome);
        let people = event["people"].as_array().unwrap().iter().map(|person| {
            let fields = ["email", "asked", "result", "reason"];
            let fields = fields.map(|field| person[field].as_str().unwrap_or_default().to_owned());
            fields.join(" ").trim_end().to_owned()
        });
        people.collect()
    }

    #[test]
    fn the_event_repeats_the_receipt_without_the_messages_text() {
        let input =
            json!({ "channelName": "#guide", "message": "secret", "members": ["ana@x.org"] });
        let outcome = json!({
            "channel": { "id": "C1", "name": "guide-1", "visibility": "private", "archived": false, "created": true },
            "members": { "invited": ["ana@x.org"], "alreadyMembers": [], "skipped": [] },
            "message": { "ts": "1.0", "duplicate": true, "channelId": "C2", "mentioned": ["ana@x.org"] },
        });
        assert_eq!(
            one(Operation::NotifyPrivateChannel, &input, &outcome),
            json!({
                "executionArn": "arn:aws:states:us-east-1:1:execution:apgl-notify-private-channel:event-1",
                "redriveCount": 2,
                "part": 1,
                "parts": 1,
                "key": "event-1",
                "workflow": "apgl-notify-private-channel",
                "status": "SUCCEEDED",
                "startedAt": "1970-01-01T00:00:00Z",
                "endedAt": "1970-01-01T00:00:01.5Z",
                "channelName": "guide",
                "channel": { "id": "C1", "name": "guide-1" },
                "message": { "ts": "1.0", "channelId": "C2" },
                "people": [{ "email": "ana@x.org", "asked": "invite", "result": "done" }],
            })
        );
    }

    #[rstest]
    #[case::invited(
        Operation::CreateChannel,
        json!({ "members": ["Ana@x.org", "bob@x.org", "eve@x.org", "Svc "] }),
        json!({ "members": {
            "invited": ["ana@x.org"], "alreadyMembers": ["bob@x.org"],
            "skipped": [
                { "email": "Svc ", "reason": "invalid_address" },
                { "email": "eve@x.org", "reason": "left_channel" },
            ],
        } }),
        &[
            "ana@x.org invite done",
            "bob@x.org invite already_done",
            "eve@x.org invite skipped left_channel",
            "Svc  invite skipped invalid_address",
        ],
    )]
    #[case::removed(
        Operation::ChangeChannelMembers,
        json!({ "add": ["ana@x.org"], "remove": ["bob@x.org", "eve@x.org"] }),
        json!({ "members": {
            "invited": [], "alreadyMembers": [], "removed": ["bob@x.org"],
            "skipped": [
                { "email": "ana@x.org", "reason": "opted_out" },
                { "email": "eve@x.org", "reason": "not_a_member" },
            ],
        } }),
        &[
            "ana@x.org invite skipped opted_out",
            "bob@x.org remove done",
            "eve@x.org remove skipped not_a_member",
        ],
    )]
    #[case::mentioned(
        Operation::NotifyPublicChannel,
        json!({ "mention": ["ana@x.org", "bob@x.org"] }),
        json!({ "message": {
            "ts": "1.0", "duplicate": false, "mentioned": ["ana@x.org"],
            "notMentioned": [{ "email": "bob@x.org", "reason": "acted" }],
        } }),
        &["ana@x.org mention done", "bob@x.org mention skipped acted"],
    )]
    #[case::invited_for_a_message_that_was_too_late(
        Operation::NotifyPrivateChannel,
        json!({ "mention": ["ana@x.org"] }),
        json!({
            "members": { "invited": ["ana@x.org"], "alreadyMembers": [], "skipped": [] },
            "message": { "expired": true },
        }),
        &["ana@x.org invite done", "ana@x.org mention skipped expired"],
    )]
    #[case::written_to(
        Operation::NotifyPerson,
        json!({ "email": "ana@x.org" }),
        json!({ "message": { "ts": "1.0", "duplicate": false, "channelId": "D1" }, "skipped": [] }),
        &["ana@x.org message done"],
    )]
    #[case::not_written_to(
        Operation::NotifyPerson,
        json!({ "email": "ana@x.org" }),
        json!({ "skipped": [{ "email": "ana@x.org", "reason": "cannot_message" }] }),
        &["ana@x.org message skipped cannot_message"],
    )]
    #[case::superseded(
        Operation::NotifyPerson,
        json!({ "email": "ana@x.org" }),
        json!({ "message": { "superseded": true }, "skipped": [] }),
        &["ana@x.org message skipped superseded"],
    )]
    #[case::named_by_a_card(
        Operation::UpdateItem,
        json!({ "channelName": "guide", "waitingFor": ["ana@x.org", "svc"] }),
        json!({
            "item": { "id": "x", "version": 7, "superseded": false },
            "card": { "ts": "1.0", "version": 7, "change": "updated" },
        }),
        &[],
    )]
    #[case::failed_before_anything_was_done(
        Operation::NotifyPrivateChannel,
        json!({ "members": ["ana@x.org"], "mention": ["bob@x.org"] }),
        json!({}),
        &["ana@x.org invite unknown", "bob@x.org invite unknown", "bob@x.org mention unknown"],
    )]
    #[case::failed_after_some_were_skipped(
        Operation::NotifyPrivateChannel,
        json!({ "members": ["ana@x.org", "bob@x.org"] }),
        json!({ "members": { "skipped": [{ "email": "bob@x.org", "reason": "not_in_slack" }] } }),
        &["ana@x.org invite unknown", "bob@x.org invite skipped not_in_slack"],
    )]
    #[case::mentioned_by_a_function_that_does_not_report_it(
        Operation::NotifyPublicChannel,
        json!({ "mention": ["ana@x.org"] }),
        json!({ "message": { "ts": "1.0", "duplicate": false } }),
        &["ana@x.org mention unknown"],
    )]
    #[case::an_outcome_that_is_unreadable(
        Operation::CreateChannel,
        json!({ "members": ["ana@x.org"] }),
        json!({ "members": 7 }),
        &["ana@x.org invite unknown"],
    )]
    #[case::a_reason_of_a_newer_release(
        Operation::CreateChannel,
        json!({ "members": ["ana@x.org"] }),
        json!({ "members": { "skipped": [{ "email": "ana@x.org", "reason": "on_holiday" }] } }),
        &["ana@x.org invite skipped"],
    )]
    fn each_person_has_a_result(
        #[case] operation: Operation,
        #[case] input: Value,
        #[case] outcome: Value,
        #[case] expected: &[&str],
    ) {
        assert_eq!(people_of(operation, &input, &outcome), expected);
    }

    #[rstest]
    #[case(json!({ "expired": true }))]
    #[case(json!({ "superseded": true }))]
    fn the_event_says_why_a_message_was_not_posted(#[case] message: Value) {
        let outcome = json!({ "message": message });
        let event = one(Operation::NotifyPublicChannel, &json!({}), &outcome);
        assert_eq!(event["message"], message);
        assert_eq!(event["people"], json!([]));
    }

    #[test]
    fn many_people_are_divided_into_events_that_eventbridge_accepts() {
        // As long as an entry can be: 254 characters of four bytes.
        let long = |n: usize| "🦀".repeat(250) + &format!("{n:04}");
        let members: Vec<String> = (0..450).map(long).collect();
        let input = json!({ "channelName": "guide", "members": members });
        let events = all(Operation::CreateChannel, &input, &json!({}));
        let events: Vec<Value> = events.iter().map(|event| json!(event)).collect();
        let parts: Vec<(&Value, &Value)> = events
            .iter()
            .map(|event| (&event["part"], &event["parts"]))
            .collect();
        assert_eq!(json!(parts), json!([[1, 3], [2, 3], [3, 3]]));
        assert!(
            events
                .iter()
                .all(|event| event.to_string().len() < 250 * 1024)
        );
        let people = events
            .iter()
            .flat_map(|event| event["people"].as_array().unwrap());
        let people: Vec<&str> = people.map(|one| one["email"].as_str().unwrap()).collect();
        assert_eq!(people, members);
    }
}
