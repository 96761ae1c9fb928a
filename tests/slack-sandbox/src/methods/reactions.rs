//! Reactions.

use serde_json::{Value, json};

use super::{Answer, Call, Refusal, page, refuse, shapes};
use crate::workspace::{Channel, Message, Reaction, Workspace};

pub(super) fn add(workspace: &mut Workspace, call: &Call<'_>) -> Answer {
    let name = emoji(call)?;
    let message = reacted_to(workspace, call)?;
    let user = call.token.bot_user_id.clone();
    match message.reactions.iter_mut().find(|of| of.name == name) {
        Some(reaction) if reaction.users.contains(&user) => return refuse("already_reacted"),
        Some(reaction) => reaction.users.push(user),
        None => message.reactions.push(Reaction {
            name,
            users: vec![user],
        }),
    }
    Ok(json!({}))
}

pub(super) fn remove(workspace: &mut Workspace, call: &Call<'_>) -> Answer {
    let name = emoji(call)?;
    let message = reacted_to(workspace, call)?;
    let user = &call.token.bot_user_id;
    let reaction = message.reactions.iter_mut().find(|of| of.name == name);
    let Some(reaction) = reaction.filter(|reaction| reaction.users.contains(user)) else {
        return refuse("no_reaction");
    };
    reaction.users.retain(|other| other != user);
    message.reactions.retain(|of| !of.users.is_empty());
    Ok(json!({}))
}

/// The emoji's name. The sandbox doesn't know which emoji there are.
fn emoji(call: &Call<'_>) -> Result<String, Refusal> {
    call.needs("reactions:write")?;
    let name = call.required("name")?;
    let is_fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_+-':".contains(c);
    if name.starts_with(':') || !name.chars().all(is_fine) {
        return refuse("invalid_name");
    }
    Ok(name.to_owned())
}

fn reacted_to<'w>(
    workspace: &'w mut Workspace,
    call: &Call<'_>,
) -> Result<&'w mut Message, Refusal> {
    let channel = call.channel(workspace)?;
    if channel.is_archived {
        return refuse("is_archived");
    }
    if !call.is_in(channel) {
        return refuse("not_in_channel");
    }
    let (id, ts) = (channel.id.clone(), call.message(channel)?.ts.clone());
    let channel = workspace.channel_mut(&id);
    match channel.and_then(|channel| channel.message_mut(&ts)) {
        Some(message) => Ok(message),
        None => refuse("message_not_found"),
    }
}

pub(super) fn get(workspace: &Workspace, call: &Call<'_>) -> Answer {
    call.needs("reactions:read")?;
    let channel = call.channel(workspace)?;
    let message = call.message(channel)?;
    Ok(json!({
        "type": "message",
        "channel": channel.id,
        "message": with_reactions(channel, message),
    }))
}

/// What a user reacted to in the conversations that the bot sees, the latest message first.
pub(super) fn list(workspace: &Workspace, call: &Call<'_>) -> Answer {
    call.needs("reactions:read")?;
    let user = call.argument("user").unwrap_or(&call.token.bot_user_id);
    if workspace.user(user).is_none() {
        return refuse("user_not_found");
    }
    let has_reacted = |message: &Message| {
        let mut reactions = message.reactions.iter();
        reactions.any(|reaction| reaction.users.iter().any(|of| of == user))
    };
    let mut items: Vec<(&Channel, &Message)> = workspace
        .channels
        .iter()
        .filter(|channel| call.sees(channel))
        .flat_map(|channel| {
            channel
                .messages
                .iter()
                .map(move |message| (channel, message))
        })
        .filter(|(_, message)| has_reacted(message))
        .collect();
    items.sort_by(|(_, one), (_, other)| other.ts.cmp(&one.ts));
    let limit = call.page_limit(workspace, 100, 999)?;
    let (items, metadata) = page(workspace, call, limit, &items, |(channel, message)| {
        Some(json!({
            "type": "message",
            "channel": channel.id,
            "message": with_reactions(channel, message),
        }))
    })?;
    Ok(json!({ "items": items, "response_metadata": metadata }))
}

fn with_reactions(channel: &Channel, message: &Message) -> Value {
    let mut shown = shapes::message(channel, message);
    shown["reactions"] = shapes::reactions(message);
    shown["permalink"] = json!(shapes::permalink(channel, message));
    shown
}
