use serde_json::{Map, Value, json};

use super::{Answer, Call, Refusal, conversations::info_of, page, refuse};
use crate::workspace::{Channel, Kind, User, Workspace};

/// Slack's limit was 1,000 until 2025.
const MAX_INVITED_AT_ONCE: usize = 100;

pub(super) fn members(workspace: &Workspace, call: &Call<'_>) -> Answer {
    let channel = call.channel(workspace)?;
    call.needs_for(channel, "read")?;
    let limit = call.page_limit(workspace, 100, 999)?;
    let members: Vec<&String> = channel.members.iter().collect();
    let (members, metadata) = page(workspace, call, limit, &members, |id| Some(json!(id)))?;
    Ok(json!({ "members": members, "response_metadata": metadata }))
}

/// Without `force`, one invalid id fails the whole batch; with it, the valid ids are invited.
pub(super) fn invite(workspace: &mut Workspace, call: &Call<'_>) -> Answer {
    let channel = managed(workspace, call)?;
    let id = channel.id.clone();
    let users: Vec<&str> = call
        .argument("users")
        .unwrap_or_default()
        .split(',')
        .map(str::trim)
        .filter(|user| !user.is_empty())
        .collect();
    if users.is_empty() {
        return refuse("no_user");
    }
    if users.len() > MAX_INVITED_AT_ONCE {
        return refuse("invalid_arguments");
    }
    let outcomes: Vec<_> = users
        .iter()
        .map(|user| (*user, invite_error(workspace, channel, call, user)))
        .collect();
    let errors: Vec<Value> = outcomes
        .iter()
        .filter_map(|(user, error)| Some(json!({ "user": user, "ok": false, "error": (*error)? })))
        .collect();
    let valid: Vec<String> = outcomes
        .iter()
        .filter(|(_, error)| error.is_none())
        .map(|(user, _)| (*user).to_owned())
        .collect();
    let first_error = outcomes.iter().find_map(|(_, error)| *error);
    if let Some(error) = first_error
        && (valid.is_empty() || !call.flag("force"))
    {
        let more = Map::from_iter([("errors".to_owned(), Value::from(errors))]);
        return Err(Refusal {
            error: error.to_owned(),
            more,
        });
    }
    if let Some(channel) = workspace.channel_mut(&id) {
        channel.members.extend(valid);
    }
    let mut answer = info_of(workspace, call, &id)?;
    if !errors.is_empty() {
        answer["errors"] = Value::from(errors);
    }
    Ok(answer)
}

/// Why this user can't be invited.
fn invite_error(
    workspace: &Workspace,
    channel: &Channel,
    call: &Call<'_>,
    user: &str,
) -> Option<&'static str> {
    if user == call.token.bot_user_id {
        return Some("cant_invite_self");
    }
    match workspace.user(user) {
        None => Some("user_not_found"),
        Some(user) if user.deleted => Some("user_not_found"),
        Some(user) if channel.members.contains(&user.id) => Some("already_in_channel"),
        Some(user) if user.is_bot => Some("app_cannot_join_channel"),
        Some(user) if user.is_ultra_restricted && is_in_any_channel(workspace, user) => {
            Some("ura_max_channels")
        }
        Some(user) if user.is_restricted => Some("user_is_restricted"),
        Some(_) => None,
    }
}

fn is_in_any_channel(workspace: &Workspace, user: &User) -> bool {
    workspace
        .channels
        .iter()
        .any(|channel| channel.kind == Kind::Channel && channel.members.contains(&user.id))
}

pub(super) fn kick(workspace: &mut Workspace, call: &Call<'_>) -> Answer {
    let channel = managed(workspace, call)?;
    let id = channel.id.clone();
    let user = call.required("user")?;
    if user == call.token.bot_user_id {
        return refuse("cant_kick_self");
    }
    if channel.name == "general" {
        return refuse("cant_kick_from_general");
    }
    if workspace.restrictions.kick {
        return refuse("restricted_action");
    }
    if workspace.user(user).is_none() {
        return refuse("user_not_found");
    }
    if !channel.members.contains(user) {
        // The same error code as for a channel that the bot is not in.
        return refuse("not_in_channel");
    }
    if let Some(channel) = workspace.channel_mut(&id) {
        channel.members.remove(user);
    }
    Ok(json!({ "errors": {} }))
}

pub(super) fn join(workspace: &mut Workspace, call: &Call<'_>) -> Answer {
    call.needs("channels:join")?;
    let channel = call.channel(workspace)?;
    let (id, was_in) = (channel.id.clone(), call.is_in(channel));
    if channel.is_private {
        return refuse("method_not_supported_for_channel_type");
    }
    if channel.is_archived {
        return refuse("is_archived");
    }
    if let Some(channel) = workspace.channel_mut(&id) {
        channel.members.insert(call.token.bot_user_id.clone());
    }
    let mut answer = info_of(workspace, call, &id)?;
    if was_in {
        answer["warning"] = json!("already_in_channel");
        answer["response_metadata"] = json!({ "warnings": ["already_in_channel"] });
    }
    Ok(answer)
}

pub(super) fn leave(workspace: &mut Workspace, call: &Call<'_>) -> Answer {
    let channel = call.channel(workspace)?;
    call.needs_for(channel, "write")?;
    Call::only_channels(channel)?;
    let id = channel.id.clone();
    if channel.is_archived {
        return refuse("is_archived");
    }
    if channel.name == "general" {
        return refuse("cant_leave_general");
    }
    if !call.is_in(channel) {
        let more = Map::from_iter([("not_in_channel".to_owned(), Value::from(true))]);
        return Err(Refusal {
            error: "not_in_channel".to_owned(),
            more,
        });
    }
    if channel.is_private && channel.members.len() == 1 {
        return refuse("last_member");
    }
    if let Some(channel) = workspace.channel_mut(&id) {
        channel.members.remove(&call.token.bot_user_id);
    }
    Ok(json!({}))
}

/// The channel of the call, if the bot can change its members.
fn managed<'w>(workspace: &'w Workspace, call: &Call<'_>) -> Result<&'w Channel, Refusal> {
    let channel = call.channel(workspace)?;
    call.needs_for(channel, "write")?;
    Call::only_channels(channel)?;
    if channel.is_archived {
        return refuse("is_archived");
    }
    if !call.is_in(channel) {
        return refuse("not_in_channel");
    }
    Ok(channel)
}
