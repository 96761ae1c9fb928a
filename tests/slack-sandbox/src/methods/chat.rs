use serde_json::{Value, json};

use super::{Answer, Call, Refusal, refuse};
use crate::workspace::{Message, Workspace};

const MAX_TEXT_CHARACTERS: usize = 40_000;
const MAX_BLOCKS: usize = 50;
const MAX_CHARACTERS_IN_BLOCKS: usize = 13_200;
const MAX_METADATA_BYTES: usize = 16_000;

pub(super) fn post_message(workspace: &mut Workspace, call: &Call<'_>) -> Answer {
    call.needs("chat:write")?;
    let channel = call.channel(workspace)?;
    if channel.is_archived {
        return refuse("is_archived");
    }
    if !call.is_in(channel) {
        return refuse("not_in_channel");
    }
    let id = channel.id.clone();
    let blocks = call.argument("blocks").map(blocks).transpose()?;
    let metadata = call.argument("metadata").map(metadata).transpose()?;
    let text = call.argument("text").unwrap_or_default();
    if text.is_empty() && blocks.is_none() {
        return refuse("no_text");
    }
    let kept: String = text.chars().take(MAX_TEXT_CHARACTERS).collect();
    let is_truncated = kept.len() < text.len();
    let message = Message {
        ts: workspace.next_ts(),
        user: call.token.bot_user_id.clone(),
        bot_id: call.token.bot_id.clone(),
        text: kept,
        blocks,
        metadata,
        thread_ts: call.argument("thread_ts").map(str::to_owned),
    };
    let mut answer = json!({ "channel": id, "ts": message.ts, "message": message });
    if is_truncated {
        answer["warning"] = json!("message_truncated");
        answer["response_metadata"] = json!({ "warnings": ["message_truncated"] });
    }
    if let Some(channel) = workspace.channel_mut(&id) {
        channel.messages.push(message);
    }
    Ok(answer)
}

fn blocks(json: &str) -> Result<Value, Refusal> {
    let Ok(Value::Array(blocks)) = json.parse() else {
        return refuse("invalid_blocks_format");
    };
    if blocks.len() > MAX_BLOCKS || !blocks.iter().all(|block| block["type"].is_string()) {
        return refuse("invalid_blocks");
    }
    let blocks = Value::Array(blocks);
    if characters(&blocks) > MAX_CHARACTERS_IN_BLOCKS {
        return refuse("msg_blocks_too_long");
    }
    Ok(blocks)
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
    let is_scalar = |value: &Value| !value.is_object() && !value.is_array();
    let payload = metadata["event_payload"].as_object();
    if !metadata["event_type"].is_string()
        || !payload.is_some_and(|fields| fields.values().all(is_scalar))
    {
        return refuse("invalid_metadata_schema");
    }
    Ok(metadata)
}
