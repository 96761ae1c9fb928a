//! JSON Schemas of what a caller sends and receives, for callers that aren't written in Rust.
//!
//! Optional fields are left out or `null`. JSON Schema can't express every rule: only `check-request` checks
//! that our parser accepts an address, and that no address is in two lists.

use std::borrow::Cow;

use schemars::{
    JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings, json_schema,
    transform::RecursiveTransform,
};
use serde_json::Value;

use crate::{
    ChannelName, ChannelText, DueDate, Email, ItemId, Line, Link, Members, Mentions, Message,
    MessageTs, PersonName, ReportedAddress, Reward, State, Timestamp, Title,
    item::Facts,
    message::{Blocks, MessageText},
    notice::{SequenceKey, SequenceNumber},
    outcome::{
        ChangeChannelMembersOutcome, CheckChannelExistsOutcome, CreateChannelOutcome,
        DeleteChannelOutcome, EscalateOutcome, NotPosted, NotifyPersonOutcome,
        NotifyPrivateChannelOutcome, NotifyPublicChannelOutcome, RemindOutcome, UpdateItemOutcome,
    },
    reminders::{Lead, Leads, Stage, WorkingDays, WorkingHours},
    request::{
        ChangeChannelMembers, CheckChannelExists, CreateChannel, DeleteChannel, Escalate,
        NotifyPerson, NotifyPrivateChannel, NotifyPublicChannel, Remind, UpdateItem,
    },
};

/// The schemas of one workflow.
#[derive(Debug, Clone)]
pub struct WorkflowSchemas {
    /// The workflow's file name, for example `create-channel`.
    pub workflow: &'static str,
    pub request: Schema,
    pub outcome: Schema,
}

/// The schemas of every workflow.
pub fn all() -> [WorkflowSchemas; 10] {
    [
        of::<CreateChannel, CreateChannelOutcome>("create-channel"),
        of::<NotifyPrivateChannel, NotifyPrivateChannelOutcome>("notify-private-channel"),
        of::<NotifyPublicChannel, NotifyPublicChannelOutcome>("notify-public-channel"),
        of::<ChangeChannelMembers, ChangeChannelMembersOutcome>("change-channel-members"),
        of::<CheckChannelExists, CheckChannelExistsOutcome>("check-channel-exists"),
        of::<DeleteChannel, DeleteChannelOutcome>("delete-channel"),
        of::<NotifyPerson, NotifyPersonOutcome>("notify-person"),
        of::<UpdateItem, UpdateItemOutcome>("update-item"),
        of::<Remind, RemindOutcome>("remind"),
        of::<Escalate, EscalateOutcome>("escalate"),
    ]
}

fn of<Request: JsonSchema, Outcome: JsonSchema>(workflow: &'static str) -> WorkflowSchemas {
    WorkflowSchemas {
        workflow,
        request: of_input::<Request>(),
        outcome: of_output::<Outcome>(),
    }
}

/// The schema of what we return or publish, in the form that all our schemas have.
pub fn of_output<Output: JsonSchema>() -> Schema {
    settings()
        .for_serialize()
        .into_generator()
        .into_root_schema_for::<Output>()
}

/// The schema of an input, in the form that all our schemas have.
pub fn of_input<Input: JsonSchema>() -> Schema {
    settings().into_generator().into_root_schema_for::<Input>()
}

fn settings() -> SchemaSettings {
    SchemaSettings::default().with_transform(RecursiveTransform(unwrap_lines))
}

/// Joins the lines of a description that is wrapped in the source.
fn unwrap_lines(schema: &mut Schema) {
    if let Some(Value::String(description)) = schema.get_mut("description") {
        *description = description.replace('\n', " ");
    }
}

/// The schema of a field of this type, with its description.
fn described<Field: JsonSchema>(generator: &mut SchemaGenerator, description: &str) -> Schema {
    let mut schema = generator.subschema_for::<Field>();
    schema.insert("description".to_owned(), description.into());
    schema
}

/// The schema of a line of text: longer text is shortened.
fn line(description: &str) -> Schema {
    json_schema!({ "description": description, "type": "string", "minLength": 1 })
}

/// Implements the schema of a type whose rules are checked in code.
macro_rules! schema_of {
    ($type:ty, $name:literal, |$generator:ident| $schema:expr) => {
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema($generator: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    };
}

schema_of!(ChannelName, "ChannelName", |_generator| json_schema!({
    "description": "A channel's name: 1 to 80 lower-case letters of any script, digits, - and _, with at least one letter or digit. A bot can create only names of a to z, digits, - and _.",
    "type": "string",
    "pattern": "^#?(?=[^\\x00-,./:-^`{-\\x7f\\s]{1,80}$)[_-]*[^_-]",
}));

schema_of!(ChannelText, "ChannelText", |_generator| json_schema!({
    "description": "Text that is not all white space.",
    "type": "string",
    "minLength": 1,
    "maxLength": ChannelText::MAX_CHARACTERS,
}));

schema_of!(Title, "Title", |_generator| line(
    "An item's title: not all white space. It is shown on one line, with at most 150 characters."
));

schema_of!(PersonName, "PersonName", |_generator| line(
    "The name by which people know somebody: not all white space. It is shown on one line, with at most 80 characters."
));

schema_of!(Reward, "Reward", |_generator| line(
    "What the author of an article gets: not all white space. It is shown on one line, with at most 80 characters."
));

schema_of!(State, "State", |_generator| line(
    "The state that an item is in: not all white space. It is shown on one line, with at most 40 characters."
));

schema_of!(Line, "Line", |_generator| line(
    "Text that is not all white space. It is shown on one line, with at most 300 characters."
));

schema_of!(Link, "Link", |_generator| json_schema!({
    "description": "An https URL without a user name; an & counts as 5 characters.",
    "type": "string",
    "pattern": "^\\s*[hH][tT][tT][pP][sS]://",
    "maxLength": Link::MAX_CHARACTERS,
}));

schema_of!(DueDate, "DueDate", |_generator| json_schema!({
    "description": "A day of the calendar, for example 2026-11-25.",
    "type": "string",
    "format": "date",
}));

schema_of!(Facts, "Facts", |generator| json_schema!({
    "description": "Lines about an item.",
    "type": "array",
    "items": generator.subschema_for::<Line>(),
    "maxItems": Facts::MAX,
}));

schema_of!(ItemId, "ItemId", |_generator| json_schema!({
    "description": "What identifies an item: 1 to 250 visible characters, for example content-item:guide-42.",
    "type": "string",
    "minLength": 1,
    "maxLength": ItemId::MAX_CHARACTERS,
}));

schema_of!(Lead, "Lead", |_generator| json_schema!({
    "description": "A time in days or hours, for example 3d or 24h.",
    "type": "string",
    "pattern": "^[1-9][0-9]{0,2}[dh]$",
}));

schema_of!(Leads, "Leads", |generator| json_schema!({
    "description": "Times before the due time, no two of the same length.",
    "type": "array",
    "items": generator.subschema_for::<Lead>(),
    "maxItems": Leads::MAX,
}));

schema_of!(Stage, "Stage", |_generator| json_schema!({
    "description": "Which reminder of an item this is, for example due-3d, due-24h, due, overdue-1 or quiet-1.",
    "type": "string",
}));

schema_of!(WorkingHours, "WorkingHours", |_generator| json_schema!({
    "description": "When people work, in their own wall time. Both ends belong to it.",
    "type": "object",
    "properties": {
        "from": { "type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$" },
        "to": { "type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$" },
    },
    "required": ["from", "to"],
    "additionalProperties": false,
}));

schema_of!(WorkingDays, "WorkingDays", |_generator| json_schema!({
    "description": "The days on which people work.",
    "type": "array",
    "items": { "enum": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] },
    "minItems": 1,
}));

schema_of!(Email, "Email", |_generator| json_schema!({
    "description": "An e-mail address. Case is ignored.",
    "type": "string",
    "format": "email",
}));

schema_of!(
    ReportedAddress,
    "ReportedAddress",
    |_generator| json_schema!({
        "description": "An e-mail address, or the text that a request has in its place.",
        "type": "string",
    })
);

schema_of!(Members, "Members", |generator| json_schema!({
    "description": "People, by their e-mail addresses. Duplicates count as one.",
    "type": "array",
    "items": generator.subschema_for::<Email>(),
    "maxItems": Members::MAX,
}));

schema_of!(Mentions, "Mentions", |generator| json_schema!({
    "description": "People, by their e-mail addresses. Duplicates count as one.",
    "type": "array",
    "items": generator.subschema_for::<Email>(),
    "maxItems": Mentions::MAX,
}));

schema_of!(Timestamp, "Timestamp", |_generator| json_schema!({
    "description": "A moment from 1970 to 9999-12-30, in RFC 3339 with seconds and an offset, for example 2026-11-25T10:00:00Z.",
    "type": "string",
    "format": "date-time",
}));

schema_of!(SequenceKey, "SequenceKey", |_generator| json_schema!({
    "description": "Text that is not all white space.",
    "type": "string",
    "minLength": 1,
    "maxLength": SequenceKey::MAX_CHARACTERS,
}));

schema_of!(
    SequenceNumber,
    "SequenceNumber",
    |_generator| json_schema!({ "type": "integer", "minimum": 0, "maximum": SequenceNumber::MAX })
);

schema_of!(NotPosted, "NotPosted", |_generator| json_schema!({
    "description": "Why a message was not posted, and never will be.",
    "oneOf": [
        {
            "description": "The request's `expiresAt` passed before the message could be posted.",
            "type": "object",
            "properties": { "expired": { "const": true } },
            "required": ["expired"],
            "additionalProperties": false,
        },
        {
            "description": "A message with the same key and a higher number in the request's `sequence` has been posted to the same channel or person.",
            "type": "object",
            "properties": { "superseded": { "const": true } },
            "required": ["superseded"],
            "additionalProperties": false,
        },
    ],
}));

schema_of!(MessageText, "MessageText", |_generator| json_schema!({
    "description": "Text in Slack's mrkdwn that is not all white space.",
    "type": "string",
    "minLength": 1,
    "maxLength": MessageText::MAX_CHARACTERS,
}));

schema_of!(Blocks, "Blocks", |_generator| json_schema!({
    "description": "Block Kit blocks, nested at most 32 levels deep. Slack validates their content.",
    "type": "array",
    "items": { "type": "object", "required": ["type"], "properties": { "type": { "type": "string" } } },
    "minItems": 1,
    "maxItems": Blocks::MAX,
}));

schema_of!(MessageTs, "MessageTs", |_generator| json_schema!({
    "description": "A message's timestamp, which is its id within a channel.",
    "type": "string",
    "pattern": "^[0-9]+\\.[0-9]+$",
    "maxLength": MessageTs::MAX_CHARACTERS,
}));

schema_of!(Message, "Message", |generator| json_schema!({
    "description": "A message: its text, or an object with the text and more.",
    "anyOf": [
        {
            "description": "The text, in Slack's mrkdwn, that is not all white space.",
            "type": "string",
            "minLength": 1,
            "maxLength": MessageText::MAX_WITHOUT_BLOCKS,
        },
        {
            "type": "object",
            "properties": {
                "text": described::<MessageText>(
                    generator,
                    "The text for notifications and screen readers, of which Slack gets at most 4,000 characters. Without blocks it is the whole message, and has at most 12,000 characters.",
                ),
                "blocks": described::<Option<Blocks>>(generator, "Shown instead of the text."),
                "threadTs": described::<Option<MessageTs>>(
                    generator,
                    "The message in whose thread this one is posted: the thread's first message, or a reply in it.",
                ),
                "unfurlLinks": described::<Option<bool>>(
                    generator,
                    "Whether Slack shows a preview of the pages that the text links to. By default it does not.",
                ),
                "unfurlMedia": described::<Option<bool>>(
                    generator,
                    "Whether Slack shows images, videos and sound that the text links to. By default it does not.",
                ),
            },
            "required": ["text"],
            "anyOf": [
                { "required": ["blocks"], "properties": { "blocks": { "not": { "type": "null" } } } },
                { "properties": { "text": { "maxLength": MessageText::MAX_WITHOUT_BLOCKS } } },
            ],
            "additionalProperties": false,
        },
    ],
}));
