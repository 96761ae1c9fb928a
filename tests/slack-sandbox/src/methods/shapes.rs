//! What a response shows of a conversation and of a message.

use serde_json::{Value, json};

use super::Call;
use crate::workspace::{APP_ID, Channel, Kind, Message, TEAM_ID, Workspace};

pub(super) const URL: &str = "https://sandbox.slack.com/";

/// What a list shows.
pub(super) fn listed(workspace: &Workspace, channel: &Channel, call: &Call<'_>) -> Value {
    let mut shown = conversation(channel, call);
    if let Kind::Direct { user } = &channel.kind {
        let is_deleted = workspace.user(user).is_some_and(|user| user.deleted);
        shown["is_user_deleted"] = json!(is_deleted);
    }
    shown
}

/// What a method shows that is about one conversation.
pub(super) fn channel(channel: &Channel, call: &Call<'_>) -> Value {
    let mut shown = conversation(channel, call);
    if channel.kind != Kind::Channel {
        shown["is_open"] = json!(channel.is_open);
    }
    shown
}

fn conversation(channel: &Channel, call: &Call<'_>) -> Value {
    if let Kind::Direct { user } = &channel.kind {
        return json!({
            "id": channel.id,
            "created": channel.created,
            "is_im": true,
            "is_org_shared": false,
            "priority": 0,
            "user": user,
        });
    }
    json!({
        "id": channel.id,
        "name": channel.name,
        "name_normalized": channel.name,
        "previous_names": channel.previous_names,
        "is_channel": !channel.is_private,
        "is_group": channel.is_private,
        "is_im": false,
        "is_mpim": channel.kind == Kind::Group,
        "is_private": channel.is_private,
        "is_archived": channel.is_archived,
        "is_general": channel.name == "general",
        "is_member": call.is_in(channel),
        "is_shared": channel.is_ext_shared,
        "is_ext_shared": channel.is_ext_shared,
        "is_org_shared": false,
        "is_pending_ext_shared": false,
        "pending_shared": [],
        "unlinked": 0,
        "context_team_id": TEAM_ID,
        "creator": channel.creator,
        "created": channel.created,
        "topic": { "value": channel.topic, "creator": "", "last_set": 0 },
        "purpose": { "value": channel.purpose, "creator": "", "last_set": 0 },
    })
}

/// A message without its metadata, which Slack returns only on request.
pub(super) fn message(channel: &Channel, message: &Message) -> Value {
    let mut shown = json!({
        "type": "message",
        "ts": message.ts,
        "user": message.user,
        "team": TEAM_ID,
        "text": message.text,
    });
    if !message.bot_id.is_empty() {
        shown["bot_id"] = json!(message.bot_id);
        shown["app_id"] = json!(APP_ID);
    }
    if let Some(subtype) = &message.subtype {
        shown["subtype"] = json!(subtype);
    }
    for (name, value) in [
        ("blocks", &message.blocks),
        ("attachments", &message.attachments),
    ] {
        if let Some(value) = value {
            shown[name] = value.clone();
        }
    }
    if let Some(edited) = &message.edited {
        shown["edited"] = json!(edited);
    }
    thread(channel, message, &mut shown);
    shown
}

/// Adds the fields that say which thread a message is in, or what is in its thread.
fn thread(channel: &Channel, message: &Message, shown: &mut Value) {
    if message.is_reply() {
        let parent = message.thread_ts.as_deref().unwrap_or_default();
        shown["thread_ts"] = json!(parent);
        if let Some(parent) = channel.message(parent) {
            shown["parent_user_id"] = json!(parent.user);
        }
        return;
    }
    let replies = channel.messages.iter();
    let replies: Vec<&Message> = replies
        .filter(|reply| reply.is_reply_to(&message.ts))
        .collect();
    let Some(latest) = replies.last() else {
        return;
    };
    let mut users: Vec<&String> = replies.iter().map(|reply| &reply.user).collect();
    users.sort();
    users.dedup();
    shown["thread_ts"] = json!(message.ts);
    shown["reply_count"] = json!(replies.len());
    shown["reply_users_count"] = json!(users.len());
    shown["reply_users"] = json!(users);
    shown["latest_reply"] = json!(latest.ts);
    shown["is_locked"] = json!(false);
    shown["subscribed"] = json!(false);
}

pub(super) fn reactions(message: &Message) -> Value {
    let reactions = message.reactions.iter().map(|reaction| {
        json!({ "name": reaction.name, "users": reaction.users, "count": reaction.users.len() })
    });
    reactions.collect()
}

pub(super) fn permalink(channel: &Channel, message: &Message) -> String {
    let digits = message.ts.replace('.', "");
    let address = format!("{URL}archives/{}/p{digits}", channel.id);
    match &message.thread_ts {
        Some(thread) if message.is_reply() => {
            format!("{address}?thread_ts={thread}&cid={}", channel.id)
        }
        _ => address,
    }
}
