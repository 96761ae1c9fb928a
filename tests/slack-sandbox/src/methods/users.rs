use serde_json::{Value, json};

use super::{Answer, Call, page, refuse};
use crate::workspace::{TEAM_ID, User, Workspace};

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
    let mut profile = json!({ "real_name": user.name });
    if let Some(email) = &user.email
        && call.needs("users:read.email").is_ok()
    {
        profile["email"] = json!(email);
    }
    json!({
        "id": user.id,
        "team_id": TEAM_ID,
        "name": user.name,
        "real_name": user.name,
        "deleted": user.deleted,
        "is_bot": user.is_bot,
        "is_restricted": user.is_restricted || user.is_ultra_restricted,
        "is_ultra_restricted": user.is_ultra_restricted,
        "profile": profile,
    })
}
