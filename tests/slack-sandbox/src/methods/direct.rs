//! Direct messages.

use std::collections::BTreeSet;

use serde_json::json;

use super::{Answer, Call, Refusal, refuse, shapes};
use crate::workspace::{Channel, Kind, Workspace};

/// Without the bot.
const MAX_USERS: usize = 8;

/// Opens the direct message with these users, or the one with the id `channel` again.
pub(super) fn open(workspace: &mut Workspace, call: &Call<'_>) -> Answer {
    let bot = &call.token.bot_user_id;
    let users = if call.argument("channel").is_some() {
        let channel = direct_message(workspace, call)?;
        call.needs_for(channel, "write")?;
        channel.members.clone()
    } else {
        users(workspace, call)?
    };
    let before = workspace.direct_message(&users);
    let was_open = before.is_some_and(|channel| channel.is_open);
    if before.is_none() && call.flag("prevent_creation") {
        return refuse("channel_not_found");
    }
    let id = workspace.open_direct_message(bot, users);
    let mut answer = json!({ "channel": { "id": id } });
    if call.flag("return_im")
        && let Some(channel) = workspace.channel(&id)
    {
        answer["channel"] = shapes::channel(channel, call);
    }
    if was_open {
        answer["no_op"] = json!(true);
        answer["already_open"] = json!(true);
    }
    Ok(answer)
}

/// The users of the call and the bot.
fn users(workspace: &Workspace, call: &Call<'_>) -> Result<BTreeSet<String>, Refusal> {
    let Some(users) = call.argument("users") else {
        return refuse("users_list_not_supplied");
    };
    let ids: BTreeSet<&str> = users.split(',').map(str::trim).collect();
    call.needs(if ids.len() == 1 {
        "im:write"
    } else {
        "mpim:write"
    })?;
    let mut members = BTreeSet::new();
    for id in ids {
        match workspace.user(id) {
            None => return refuse("user_not_found"),
            Some(user) if user.deleted => return refuse("user_disabled"),
            Some(user) if user.is_bot => return refuse("cannot_dm_bot"),
            Some(user) => members.insert(user.id.clone()),
        };
    }
    if members.len() > MAX_USERS {
        return refuse("too_many_users");
    }
    members.insert(call.token.bot_user_id.clone());
    Ok(members)
}

pub(super) fn close(workspace: &mut Workspace, call: &Call<'_>) -> Answer {
    let channel = direct_message(workspace, call)?;
    call.needs_for(channel, "write")?;
    let id = channel.id.clone();
    if !channel.is_open {
        return Ok(json!({ "no_op": true, "already_closed": true }));
    }
    if let Some(channel) = workspace.channel_mut(&id) {
        channel.is_open = false;
    }
    Ok(json!({}))
}

fn direct_message<'w>(workspace: &'w Workspace, call: &Call<'_>) -> Result<&'w Channel, Refusal> {
    let channel = call.channel(workspace)?;
    if channel.kind == Kind::Channel {
        return refuse("method_not_supported_for_channel_type");
    }
    Ok(channel)
}
