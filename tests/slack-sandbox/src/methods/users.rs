use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{Answer, Call, Refusal, page, refuse, shapes};
use crate::{
    time_zone,
    workspace::{OWNER_USER_ID, TEAM_ID, User, Workspace},
};

pub(super) fn lookup_by_email(workspace: &Workspace, call: &Call<'_>) -> Answer {
    call.needs("users:read.email")?;
    let email = call.required("email")?;
    match workspace.user_by_email(email) {
        Some(user) if !user.deleted => Ok(json!({ "user": shown(user, call) })),
        // Slack does not distinguish deactivated users from unknown ones.
        _ => refuse("users_not_found"),
    }
}

pub(super) fn info(workspace: &Workspace, call: &Call<'_>) -> Answer {
    call.needs("users:read")?;
    match workspace.user(call.required("user")?) {
        Some(user) => Ok(json!({ "user": shown(user, call) })),
        None => refuse("user_not_found"),
    }
}

pub(super) fn list(workspace: &Workspace, call: &Call<'_>) -> Answer {
    call.needs("users:read")?;
    let limit = call.page_limit(workspace, 100, 1_000)?;
    let (members, metadata) = page(workspace, call, limit, &workspace.users, |user| {
        Some(shown(user, call))
    })?;
    Ok(json!({ "members": members, "response_metadata": metadata }))
}

/// A user as Slack returns it, with the address only if the token has the scope for it.
fn shown(user: &User, call: &Call<'_>) -> Value {
    let mut profile = json!({
        "real_name": user.name,
        "real_name_normalized": user.name,
        "display_name": user.name,
        "display_name_normalized": user.name,
        "team": TEAM_ID,
    });
    if let Some(email) = &user.email
        && call.needs("users:read.email").is_ok()
    {
        profile["email"] = json!(email);
    }
    let is_owner = user.id == OWNER_USER_ID;
    let mut shown = json!({
        "id": user.id,
        "team_id": TEAM_ID,
        "name": user.name,
        "real_name": user.name,
        "deleted": user.deleted,
        "is_admin": is_owner,
        "is_owner": is_owner,
        "is_primary_owner": is_owner,
        "is_bot": user.is_bot,
        "is_app_user": false,
        "is_restricted": user.is_restricted || user.is_ultra_restricted,
        "is_ultra_restricted": user.is_ultra_restricted,
        "profile": profile,
    });
    // Slack omits a deactivated user's time zone.
    if !user.deleted {
        let (label, offset) = time_zone::label_and_offset(&user.time_zone(), Timestamp::now());
        shown["tz"] = json!(user.tz);
        shown["tz_label"] = json!(label);
        shown["tz_offset"] = json!(offset);
    }
    if call.flag("include_locale") {
        shown["locale"] = json!("en-US");
    }
    shown
}

pub(super) fn auth_test(workspace: &Workspace, call: &Call<'_>) -> Value {
    let token = call.token;
    let user = workspace
        .user(&token.bot_user_id)
        .map(|user| user.name.as_str());
    let mut identity = json!({
        "url": shapes::URL,
        "team": "Sandbox",
        "team_id": TEAM_ID,
        "user": user,
        "user_id": token.bot_user_id,
        "is_enterprise_install": false,
    });
    if !token.bot_id.is_empty() {
        identity["bot_id"] = json!(token.bot_id);
    }
    identity
}

/// Returns the arguments, or the error that they ask for. Needs no token.
pub(super) fn api_test(call: &Call<'_>) -> Answer {
    let arguments = json!(call.arguments);
    match call.argument("error") {
        None if call.arguments.is_empty() => Ok(json!({})),
        None => Ok(json!({ "args": arguments })),
        Some(error) => Err(Refusal {
            error: error.to_owned(),
            more: Map::from_iter([("args".to_owned(), arguments)]),
        }),
    }
}
