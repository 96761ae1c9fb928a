use std::collections::BTreeSet;

use serde_json::json;

use super::{Answer, Call, Refusal, refuse, shapes};
use crate::workspace::{Channel, Workspace};

const MAX_NAME_CHARACTERS: usize = 80;
const MAX_TOPIC_CHARACTERS: usize = 250;

pub(super) fn create(workspace: &mut Workspace, call: &Call<'_>) -> Answer {
    let is_private = call.flag("is_private");
    call.needs(if is_private {
        "groups:write"
    } else {
        "channels:manage"
    })?;
    let name = free_name(workspace, call)?;
    if workspace.restrictions.create {
        return refuse("restricted_action");
    }
    let bot = call.token.bot_user_id.clone();
    let id = workspace.add_channel(Channel {
        name,
        is_private,
        creator: bot.clone(),
        members: BTreeSet::from([bot]),
        ..Channel::default()
    });
    info_of(workspace, call, &id)
}

/// Returns the argument `name` if it follows Slack's rules and is not taken, not even by an archived channel or by
/// one that the bot can't see.
fn free_name(workspace: &Workspace, call: &Call<'_>) -> Result<String, Refusal> {
    let Some(name) = call.argument("name") else {
        return refuse("invalid_name_required");
    };
    if name.chars().count() > MAX_NAME_CHARACTERS {
        return refuse("invalid_name_maxlength");
    }
    let is_special = |c: char| !matches!(c, 'a'..='z' | '0'..='9' | '-' | '_');
    if name.chars().any(is_special) {
        return refuse("invalid_name_specials");
    }
    if !name.chars().any(|c| c.is_ascii_alphanumeric()) {
        return refuse("invalid_name_punctuation");
    }
    if workspace.channel_by_name(name).is_some() {
        return refuse("name_taken");
    }
    Ok(name.to_owned())
}

pub(super) fn rename(workspace: &mut Workspace, call: &Call<'_>) -> Answer {
    let channel = own_channel(workspace, call)?;
    let id = channel.id.clone();
    if channel.is_archived {
        return refuse("is_archived");
    }
    if workspace.restrictions.rename {
        return refuse("restricted_action");
    }
    if channel.creator != call.token.bot_user_id {
        return refuse("not_authorized");
    }
    let name = free_name(workspace, call)?;
    workspace.rename_channel(&id, &name);
    info_of(workspace, call, &id)
}

pub(super) fn archive(workspace: &mut Workspace, call: &Call<'_>) -> Answer {
    let channel = own_channel(workspace, call)?;
    let id = channel.id.clone();
    if channel.is_archived {
        return refuse("already_archived");
    }
    if channel.name == "general" {
        return refuse("cant_archive_general");
    }
    if workspace.restrictions.archive {
        return refuse("restricted_action");
    }
    workspace.archive(&id);
    Ok(json!({}))
}

/// A bot can't unarchive a channel, since it is not in it any more: slack-go/slack#1066.
pub(super) fn unarchive(workspace: &Workspace, call: &Call<'_>) -> Answer {
    let channel = call.channel(workspace)?;
    call.needs_for(channel, "write")?;
    Call::only_channels(channel)?;
    if channel.is_archived {
        return refuse("not_in_channel");
    }
    refuse("not_archived")
}

pub(super) fn set_topic(workspace: &mut Workspace, call: &Call<'_>) -> Answer {
    let (id, topic) = described(workspace, call, "topic")?;
    change(workspace, &id, |channel| channel.topic = topic);
    info_of(workspace, call, &id)
}

pub(super) fn set_purpose(workspace: &mut Workspace, call: &Call<'_>) -> Answer {
    let (id, purpose) = described(workspace, call, "purpose")?;
    change(workspace, &id, |channel| channel.purpose = purpose);
    info_of(workspace, call, &id)
}

fn described(
    workspace: &Workspace,
    call: &Call<'_>,
    argument: &str,
) -> Result<(String, String), Refusal> {
    let channel = own_channel(workspace, call)?;
    if channel.is_archived {
        return refuse("is_archived");
    }
    let text = call.arguments.get(argument).cloned().unwrap_or_default();
    if text.chars().count() > MAX_TOPIC_CHARACTERS {
        return refuse("too_long");
    }
    Ok((channel.id.clone(), text))
}

pub(super) fn info(workspace: &Workspace, call: &Call<'_>) -> Answer {
    let channel = call.channel(workspace)?;
    call.needs_for(channel, "read")?;
    let mut shown = shapes::channel(channel, call);
    if call.flag("include_num_members") {
        shown["num_members"] = json!(channel.members.len());
    }
    Ok(json!({ "channel": shown }))
}

/// The channel of the call, if the bot is a member of it and can manage it.
fn own_channel<'w>(workspace: &'w Workspace, call: &Call<'_>) -> Result<&'w Channel, Refusal> {
    let channel = call.channel(workspace)?;
    call.needs_for(channel, "write")?;
    Call::only_channels(channel)?;
    if !call.is_in(channel) {
        return refuse("not_in_channel");
    }
    Ok(channel)
}

fn change(workspace: &mut Workspace, id: &str, change: impl FnOnce(&mut Channel)) {
    if let Some(channel) = workspace.channel_mut(id) {
        change(channel);
    }
}

pub(super) fn info_of(workspace: &Workspace, call: &Call<'_>, id: &str) -> Answer {
    match workspace.channel(id) {
        Some(channel) => Ok(json!({ "channel": shapes::channel(channel, call) })),
        None => refuse("channel_not_found"),
    }
}
