use serde_json::{Value, json};

use super::{Answer, Call, Refusal, refuse};
use crate::workspace::{Channel, Message, Workspace};

const MAX_TEXT_CHARACTERS: usize = 40_000;
/// Slack splits a longer text: slackapi/java-slack-sdk#704, slack-go/slack#972. It gives no exact number.
const MAX_CHARACTERS_IN_ONE_MESSAGE: usize = 4_000;
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
    let kept: Vec<char> = text.chars().take(MAX_TEXT_CHARACTERS).collect();
    let is_truncated = text.chars().nth(MAX_TEXT_CHARACTERS).is_some();
    let mut parts: Vec<String> = kept
        .chunks(MAX_CHARACTERS_IN_ONE_MESSAGE)
        .map(String::from_iter)
        .collect();
    if parts.is_empty() {
        parts.push(String::new());
    }
    let thread_ts = call
        .argument("thread_ts")
        .map(|ts| thread_of(channel, ts).to_owned());
    // Slack repeats the blocks with each part: slackapi/bolt-python#764, slackapi/python-slack-sdk#1336.
    let messages: Vec<Message> = parts
        .into_iter()
        .map(|text| Message {
            ts: workspace.next_ts(),
            user: call.token.bot_user_id.clone(),
            bot_id: call.token.bot_id.clone(),
            text,
            blocks: blocks.clone(),
            metadata: metadata.clone(),
            thread_ts: thread_ts.clone(),
        })
        .collect();
    let first = &messages[0];
    let mut answer = json!({ "channel": id, "ts": first.ts, "message": first });
    if is_truncated {
        answer["warning"] = json!("message_truncated");
        answer["response_metadata"] = json!({ "warnings": ["message_truncated"] });
    }
    if let Some(channel) = workspace.channel_mut(&id) {
        channel.messages.extend(messages);
    }
    Ok(answer)
}

/// The thread that a post with this `thread_ts` goes to: the reply's own, if it is the `ts` of a reply. Slack's page of
/// the method advises against it, but it works while the reply exists: discourse/discourse-chat-integration#159.
fn thread_of<'c>(channel: &'c Channel, ts: &'c str) -> &'c str {
    channel
        .messages
        .iter()
        .find(|message| message.ts == ts)
        .and_then(|message| message.thread_ts.as_deref())
        .unwrap_or(ts)
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
