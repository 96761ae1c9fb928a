//! The content of a message: its text, blocks, attachments and metadata.

use serde_json::{Map, Value, json};

use super::{Call, Refusal, refuse};

/// Slack truncates a longer text.
const MAX_TEXT_CHARACTERS: usize = 40_000;
/// Slack splits a longer text: slackapi/java-slack-sdk#704, slack-go/slack#972. It gives no exact number.
pub(super) const MAX_CHARACTERS_IN_ONE_MESSAGE: usize = 4_000;
const MAX_BLOCKS: usize = 50;
const MAX_CHARACTERS_IN_BLOCKS: usize = 13_200;
const MAX_CHARACTERS_IN_SECTION: usize = 3_000;
const MAX_ATTACHMENTS: usize = 100;
const MAX_METADATA_BYTES: usize = 16_000;

/// Omitted fields are `None`.
pub(super) struct Content {
    pub text: Option<String>,
    pub blocks: Option<Value>,
    pub attachments: Option<Value>,
    pub metadata: Option<Value>,
}

impl Content {
    pub fn of(call: &Call<'_>) -> Result<Self, Refusal> {
        let content = Self {
            text: call.argument("text").map(str::to_owned),
            blocks: call.argument("blocks").map(blocks).transpose()?,
            attachments: call.argument("attachments").map(attachments).transpose()?,
            metadata: call.argument("metadata").map(metadata).transpose()?,
        };
        if content.text.is_none() && content.blocks.is_none() && content.attachments.is_none() {
            return refuse("no_text");
        }
        Ok(content)
    }

    /// The texts of the messages that Slack makes of the text, and whether it truncates it.
    pub fn parts(&self) -> (Vec<String>, bool) {
        let text = self.text.as_deref().unwrap_or_default();
        let kept: Vec<char> = text.chars().take(MAX_TEXT_CHARACTERS).collect();
        let is_truncated = text.chars().nth(MAX_TEXT_CHARACTERS).is_some();
        if kept.is_empty() {
            return (vec![String::new()], is_truncated);
        }
        let parts = kept.chunks(MAX_CHARACTERS_IN_ONE_MESSAGE);
        (parts.map(String::from_iter).collect(), is_truncated)
    }
}

fn attachments(json: &str) -> Result<Value, Refusal> {
    let Ok(Value::Array(attachments)) = json.parse() else {
        return refuse("invalid_attachments");
    };
    if attachments.len() > MAX_ATTACHMENTS {
        return refuse("too_many_attachments");
    }
    // Slack numbers them.
    let numbered = attachments.into_iter().enumerate().map(|(n, attachment)| {
        let mut attachment = attachment;
        if attachment.is_object() {
            attachment["id"] = json!(n + 1);
        }
        attachment
    });
    Ok(numbered.collect())
}

fn blocks(json: &str) -> Result<Value, Refusal> {
    let Ok(Value::Array(blocks)) = json.parse() else {
        return refuse("invalid_blocks_format");
    };
    if blocks.len() > MAX_BLOCKS || !blocks.iter().all(|block| block["type"].is_string()) {
        return refuse("invalid_blocks");
    }
    let is_too_long = |block: &Value| {
        let text = block["text"]["text"].as_str().unwrap_or_default();
        block["type"] == "section" && text.chars().count() > MAX_CHARACTERS_IN_SECTION
    };
    if let Some(n) = blocks.iter().position(is_too_long) {
        return Err(too_long_section(n));
    }
    let blocks = Value::Array(blocks);
    if characters(&blocks) > MAX_CHARACTERS_IN_BLOCKS {
        return refuse("msg_blocks_too_long");
    }
    Ok(blocks)
}

/// Slack says what is wrong and where: slackapi/bolt-js#372.
fn too_long_section(n: usize) -> Refusal {
    let limit = MAX_CHARACTERS_IN_SECTION + 1;
    let message = format!(
        "[ERROR] must be less than {limit} characters [json-pointer:/blocks/{n}/text/text]"
    );
    let metadata = json!({ "messages": [message] });
    Refusal {
        error: "invalid_blocks".to_owned(),
        more: Map::from_iter([("response_metadata".to_owned(), metadata)]),
    }
}

/// The number of characters in all texts of the value.
fn characters(value: &Value) -> usize {
    match value {
        Value::Array(values) => values.iter().map(characters).sum(),
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| match value {
                Value::String(text) if key == "text" => text.chars().count(),
                value => characters(value),
            })
            .sum(),
        _ => 0,
    }
}

fn metadata(json: &str) -> Result<Value, Refusal> {
    let Ok(metadata) = json.parse::<Value>() else {
        return refuse("invalid_metadata_format");
    };
    if json.len() > MAX_METADATA_BYTES {
        return refuse("metadata_too_large");
    }
    // Metadata of work objects has no event: <https://docs.slack.dev/messaging/work-objects>.
    // An empty object removes the metadata in an update.
    if metadata == json!({}) {
        return Ok(metadata);
    }
    if metadata["entities"].is_array() && metadata["event_type"].is_null() {
        return Ok(metadata);
    }
    let is_scalar = |value: &Value| !value.is_object() && !value.is_array();
    let payload = metadata["event_payload"].as_object();
    if !metadata["event_type"].is_string()
        || !payload.is_some_and(|fields| fields.values().all(is_scalar))
    {
        return refuse("invalid_metadata_schema");
    }
    Ok(metadata)
}
