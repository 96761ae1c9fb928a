use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    Answer, Call, Refusal,
    content::{Content, MAX_CHARACTERS_IN_ONE_MESSAGE},
    refuse, shapes,
};
use crate::workspace::{Channel, Edited, Kind, Message, Workspace};

/// Where a post goes to.
enum Target {
    Channel(String),
    /// A direct message that is opened by the post.
    User(String),
}

impl Target {
    /// Whether one user sees it in the app's messages tab.
    fn is_direct_message(&self, workspace: &Workspace) -> bool {
        let Self::Channel(id) = self else {
            return true;
        };
        let channel = workspace.channel(id);
        channel.is_some_and(|channel| matches!(channel.kind, Kind::Direct { .. }))
    }
}

/// The argument `channel`: an id, a channel's name with or without `#`, or a user's id.
fn target(workspace: &Workspace, call: &Call<'_>) -> Result<Target, Refusal> {
    let named = call.required("channel")?;
    if let Some(user) = workspace.user(named) {
        return match user {
            user if user.is_bot => refuse("cannot_dm_bot"),
            user if user.deleted => refuse("channel_not_found"),
            user => Ok(Target::User(user.id.clone())),
        };
    }
    let Some(channel) = channel_named(workspace, named).filter(|channel| call.sees(channel)) else {
        return refuse("channel_not_found");
    };
    if channel.is_archived {
        return refuse("is_archived");
    }
    let may_write_anywhere = !channel.is_private && call.needs("chat:write.public").is_ok();
    if !call.is_in(channel) && !may_write_anywhere {
        return refuse("not_in_channel");
    }
    Ok(Target::Channel(channel.id.clone()))
}

/// The channel with this id, or with this name with or without `#`.
pub(crate) fn channel_named<'w>(workspace: &'w Workspace, named: &str) -> Option<&'w Channel> {
    let name = named.strip_prefix('#').unwrap_or(named);
    workspace
        .channel(named)
        .or_else(|| workspace.channel_by_name(name))
}

pub(super) fn post_message(workspace: &mut Workspace, call: &Call<'_>) -> Answer {
    call.needs("chat:write")?;
    let target = target(workspace, call)?;
    if workspace.restrictions.messages_tab && target.is_direct_message(workspace) {
        return refuse("messages_tab_disabled");
    }
    let content = Content::of(call)?;
    let (parts, is_truncated) = content.parts();
    let bot = &call.token.bot_user_id;
    let id = match target {
        Target::Channel(id) => id,
        Target::User(user) => {
            workspace.open_direct_message(bot, BTreeSet::from([user, bot.clone()]))
        }
    };
    let channel = workspace.channel(&id);
    let thread_ts = call
        .argument("thread_ts")
        .and_then(|ts| Some(channel?.thread_of(ts)));
    // Slack repeats the blocks with each part: slackapi/bolt-python#764, slackapi/python-slack-sdk#1336.
    let messages: Vec<Message> = parts
        .into_iter()
        .map(|text| Message {
            ts: workspace.next_ts(),
            user: bot.clone(),
            bot_id: call.token.bot_id.clone(),
            text,
            blocks: content.blocks.clone(),
            attachments: content.attachments.clone(),
            metadata: content.metadata.clone(),
            thread_ts: thread_ts.clone(),
            ..Message::default()
        })
        .collect();
    let Some(channel) = workspace.channel_mut(&id) else {
        return refuse("channel_not_found");
    };
    let first = messages[0].clone();
    channel.messages.extend(messages);
    let mut shown = shapes::message(channel, &first);
    if let Some(metadata) = &first.metadata {
        shown["metadata"] = metadata.clone();
    }
    let mut answer = json!({ "channel": id, "ts": first.ts, "message": shown });
    if is_truncated {
        answer["warning"] = json!("message_truncated");
        answer["response_metadata"] = json!({ "warnings": ["message_truncated"] });
    }
    Ok(answer)
}

/// Only the user sees the message, and only for a while: it is not in the history.
pub(super) fn post_ephemeral(workspace: &mut Workspace, call: &Call<'_>) -> Answer {
    call.needs("chat:write")?;
    let Target::Channel(id) = target(workspace, call)? else {
        return refuse("channel_not_found");
    };
    let user = call.required("user")?;
    let channel = workspace.channel(&id);
    if !channel.is_some_and(|channel| channel.members.contains(user)) {
        return refuse("user_not_in_channel");
    }
    let content = Content::of(call)?;
    if content.text.is_some_and(|text| is_too_long(&text)) {
        return refuse("msg_too_long");
    }
    Ok(json!({ "message_ts": workspace.next_ts() }))
}

fn is_too_long(text: &str) -> bool {
    text.chars().nth(MAX_CHARACTERS_IN_ONE_MESSAGE).is_some()
}

/// The channel and the `ts` of the bot's own message that the call names.
fn own_message(
    workspace: &Workspace,
    call: &Call<'_>,
    not_own: &str,
) -> Result<(String, String), Refusal> {
    call.needs("chat:write")?;
    let channel = call.channel(workspace)?;
    let Some(message) = channel.message(call.required("ts")?) else {
        return refuse("message_not_found");
    };
    if message.user != call.token.bot_user_id {
        return refuse(not_own);
    }
    Ok((channel.id.clone(), message.ts.clone()))
}

/// What the call omits stays as it is, except the blocks: a text without blocks replaces them.
/// <https://docs.slack.dev/reference/methods/chat.update#text-blocks-attachments>
pub(super) fn update(workspace: &mut Workspace, call: &Call<'_>) -> Answer {
    let (id, ts) = own_message(workspace, call, "cant_update_message")?;
    let mut content = Content::of(call)?;
    if content.text.as_deref().is_some_and(is_too_long) {
        return refuse("msg_too_long");
    }
    if content.text.is_some() {
        content.blocks.get_or_insert_with(|| json!([]));
    }
    let edited = Edited {
        user: call.token.bot_user_id.clone(),
        ts: workspace.next_ts(),
    };
    let Some(channel) = workspace.channel_mut(&id) else {
        return refuse("channel_not_found");
    };
    if channel.is_archived {
        return refuse("is_inactive");
    }
    let Some(message) = channel.message_mut(&ts) else {
        return refuse("message_not_found");
    };
    let is_empty = |value: &Value| *value == json!([]) || *value == json!({});
    if let Some(text) = content.text {
        message.text = text;
    }
    for (field, change) in [
        (&mut message.blocks, content.blocks),
        (&mut message.attachments, content.attachments),
        (&mut message.metadata, content.metadata),
    ] {
        if let Some(value) = change {
            *field = Some(value).filter(|value| !is_empty(value));
        }
    }
    message.edited = Some(edited);
    let message = message.clone();
    let mut shown = shapes::message(channel, &message);
    // This method shows it only beside the message.
    if let Value::Object(fields) = &mut shown {
        fields.remove("ts");
    }
    Ok(json!({ "channel": id, "ts": ts, "text": message.text, "message": shown }))
}

pub(super) fn delete(workspace: &mut Workspace, call: &Call<'_>) -> Answer {
    let (id, ts) = own_message(workspace, call, "cant_delete_message")?;
    if let Some(channel) = workspace.channel_mut(&id) {
        channel.delete_message(&ts);
    }
    Ok(json!({ "channel": id, "ts": ts }))
}

pub(super) fn get_permalink(workspace: &Workspace, call: &Call<'_>) -> Answer {
    let channel = call.channel(workspace)?;
    let Some(message) = channel.message(call.required("message_ts")?) else {
        return refuse("message_not_found");
    };
    Ok(json!({ "channel": channel.id, "permalink": shapes::permalink(channel, message) }))
}
