//! What people do in Slack while the sandbox runs, without the bot's knowledge.

use std::collections::BTreeSet;

use axum::{
    Json,
    extract::{Path, State, rejection::JsonRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Shared,
    admin::{bad_request, body_or_400},
};
use crate::{
    time_zone,
    workspace::{Message, User, Workspace},
};

/// Changes to a channel by someone other than the bot. Omitted fields keep their values.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ChannelChange {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_private: Option<bool>,
    /// Archiving removes the bots from the channel. Unarchiving a public one leaves it without members.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_archived: Option<bool>,
    /// Whether the channel is shared with another organisation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_ext_shared: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bot_is_member: Option<bool>,
    /// The ids or addresses of people who join or are invited.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub joined: Vec<String>,
    /// The ids or addresses of people who leave or are removed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<String>,
}

/// Changes to an account. Omitted fields keep their values.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UserChange {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The account's former address is free for another account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Whether the account is deactivated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deleted: Option<bool>,
    /// The IANA name of the user's time zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tz: Option<String>,
}

pub(super) async fn change_channel(
    State(shared): State<Shared>,
    Path(channel): Path<String>,
    body: Result<Json<ChannelChange>, JsonRejection>,
) -> Response {
    let change = body_or_400!(body);
    let workspace = &mut shared.lock().workspace;
    let Some(id) = id_of(workspace, &channel) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    if let Some(name) = &change.name
        && workspace.channel_by_name(name).is_some()
    {
        return bad_request("name: must be a name that is not taken");
    }
    let (joined, left) = match (
        ids(workspace, "joined", &change.joined),
        ids(workspace, "left", &change.left),
    ) {
        (Ok(joined), Ok(left)) => (joined, left),
        (Err(rule), _) | (_, Err(rule)) => return bad_request(&rule),
    };
    if let Some(name) = &change.name {
        workspace.rename_channel(&id, name);
    }
    match change.is_archived {
        Some(true) => workspace.archive(&id),
        Some(false) => workspace.unarchive(&id),
        None => {}
    }
    let bots: BTreeSet<String> = workspace
        .tokens
        .values()
        .map(|token| token.bot_user_id.clone())
        .collect();
    if let Some(channel) = workspace.channel_mut(&id) {
        channel.is_private = change.is_private.unwrap_or(channel.is_private);
        channel.is_ext_shared = change.is_ext_shared.unwrap_or(channel.is_ext_shared);
        match change.bot_is_member {
            Some(true) => channel.members.extend(bots),
            Some(false) => channel.members.retain(|member| !bots.contains(member)),
            None => {}
        }
        channel.members.extend(joined);
        channel.members.retain(|member| !left.contains(member));
    }
    workspace.keep_version(&id);
    StatusCode::NO_CONTENT.into_response()
}

/// The id of the channel with this name.
fn id_of(workspace: &Workspace, channel: &str) -> Option<String> {
    let channel = workspace.channel_by_name(channel)?;
    Some(channel.id.clone())
}

/// The ids of these users.
fn ids(workspace: &Workspace, field: &str, users: &[String]) -> Result<BTreeSet<String>, String> {
    users
        .iter()
        .enumerate()
        .map(|(n, user)| match workspace.user_named(user) {
            Some(user) => Ok(user.id.clone()),
            None => Err(format!(
                "{field}[{n}]: must be the id or the address of a user"
            )),
        })
        .collect()
}

pub(super) async fn change_user(
    State(shared): State<Shared>,
    Path(user): Path<String>,
    body: Result<Json<UserChange>, JsonRejection>,
) -> Response {
    let UserChange {
        name,
        email,
        deleted,
        tz,
    } = body_or_400!(body);
    if tz.as_ref().is_some_and(|tz| time_zone::named(tz).is_none()) {
        return bad_request(&format!("tz: {}", time_zone::RULE));
    }
    let workspace = &mut shared.lock().workspace;
    let Some(user) = workspace.user_named(&user).cloned() else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let changed = User {
        name: name.unwrap_or(user.name),
        email: email.or(user.email),
        deleted: deleted.unwrap_or(user.deleted),
        tz: tz.unwrap_or(user.tz),
        ..user
    };
    let has_the_address = |other: &User| other.id != changed.id && !other.deleted;
    let of_address = changed.email.as_ref();
    let of_address = of_address.and_then(|email| workspace.user_by_email(email));
    if !changed.deleted && of_address.is_some_and(has_the_address) {
        return bad_request("email: must be an address that no other active account has");
    }
    workspace.put_user(changed);
    StatusCode::NO_CONTENT.into_response()
}

/// A message by a person.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PersonsMessage {
    /// The id or address.
    pub user: String,
    pub text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thread_ts: Option<String>,
    /// Metadata of any shape: Slack does not say which shapes other apps can add.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Value>,
}

/// Returns the message's `ts`.
pub(super) async fn post_message(
    State(shared): State<Shared>,
    Path(channel): Path<String>,
    body: Result<Json<PersonsMessage>, JsonRejection>,
) -> Response {
    let PersonsMessage {
        user,
        text,
        thread_ts,
        metadata,
    } = body_or_400!(body);
    let workspace = &mut shared.lock().workspace;
    let Some(id) = id_of(workspace, &channel) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let Some(user) = workspace.user_named(&user).map(|user| user.id.clone()) else {
        return bad_request("user: must be the id or the address of a user");
    };
    let ts = workspace.next_ts();
    if let Some(channel) = workspace.channel_mut(&id) {
        let thread_ts = thread_ts.map(|ts| channel.thread_of(&ts));
        channel.messages.push(Message {
            ts: ts.clone(),
            user,
            text,
            thread_ts,
            metadata,
            ..Message::default()
        });
    }
    Json(ts).into_response()
}

pub(super) async fn delete_message(
    State(shared): State<Shared>,
    Path((channel, ts)): Path<(String, String)>,
) -> StatusCode {
    let workspace = &mut shared.lock().workspace;
    match id_of(workspace, &channel).and_then(|id| workspace.channel_mut(&id)) {
        Some(channel) if channel.message(&ts).is_some() => {
            channel.delete_message(&ts);
            StatusCode::NO_CONTENT
        }
        _ => StatusCode::NOT_FOUND,
    }
}
