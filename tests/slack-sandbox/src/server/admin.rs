//! The admin routes: what tests and people change, and what they look at.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::{Path, State, rejection::JsonRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Shared;
use crate::{
    Seed,
    calls::{self, Call},
    chaos::{Chaos, Reign},
    faults::Fault,
    methods,
    seed::TokenSeed,
    workspace::{BOT_USER_ID, Channel, Pages, Restrictions, Workspace},
};

/// The settings that can change while the sandbox runs. Omitted fields keep their values.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restrictions: Option<Restrictions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pages: Option<Pages>,
}

pub(super) fn bad_request(error: &(impl ToString + ?Sized)) -> Response {
    (
        StatusCode::BAD_REQUEST,
        Json(json!({ "error": error.to_string() })),
    )
        .into_response()
}

/// Parses the body, or returns a 400 that names the field and the rule that it breaks.
macro_rules! body_or_400 {
    ($body:expr) => {
        match $body {
            Ok(Json(body)) => body,
            Err(rejection) => {
                return $crate::server::admin::bad_request(&rejection.body_text());
            }
        }
    };
}
pub(super) use body_or_400;

pub(super) async fn reset(State(shared): State<Shared>) -> Response {
    let mut inner = shared.lock();
    let mut workspace = Workspace::after(&inner.workspace);
    if let Err(error) = inner.seed.plant(&mut workspace) {
        return bad_request(&error);
    }
    inner.workspace = workspace;
    inner.limits.forget();
    inner.faults.clear();
    inner.chaos = None;
    inner.calls.clear();
    StatusCode::NO_CONTENT.into_response()
}

pub(super) async fn plant(
    State(shared): State<Shared>,
    body: Result<Json<Seed>, JsonRejection>,
) -> Response {
    let seed = body_or_400!(body);
    match seed.plant(&mut shared.lock().workspace) {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => bad_request(&error),
    }
}

pub(super) async fn state(State(shared): State<Shared>) -> Response {
    let inner = shared.lock();
    let workspace = &inner.workspace;
    let channels: Vec<Value> = workspace
        .channels
        .iter()
        .map(|channel| channel_json(workspace, channel))
        .collect();
    Json(json!({ "users": workspace.users, "channels": channels })).into_response()
}

pub(super) async fn channel_state(
    State(shared): State<Shared>,
    Path(name): Path<String>,
) -> Response {
    let workspace = &shared.lock().workspace;
    channel_response(workspace, workspace.channel_by_name(&name))
}

/// The bot's direct message with the user with this id or address.
pub(super) async fn direct_message(
    State(shared): State<Shared>,
    Path(user): Path<String>,
) -> Response {
    let workspace = &shared.lock().workspace;
    let channel = workspace.user_named(&user).and_then(|user| {
        let users = [user.id.as_str(), BOT_USER_ID].map(str::to_owned);
        workspace.direct_message(&users.into())
    });
    channel_response(workspace, channel)
}

fn channel_response(workspace: &Workspace, channel: Option<&Channel>) -> Response {
    match channel {
        Some(channel) => Json(channel_json(workspace, channel)).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn channel_json(workspace: &Workspace, channel: &Channel) -> Value {
    let people = channel.members.iter().filter(|id| *id != BOT_USER_ID);
    let emails = people.filter_map(|id| workspace.user(id)?.email.clone());
    json!({
        "id": channel.id,
        "name": channel.name,
        "is_private": channel.is_private,
        "is_archived": channel.is_archived,
        "is_ext_shared": channel.is_ext_shared,
        "creator": channel.creator,
        "topic": channel.topic,
        "purpose": channel.purpose,
        "members": channel.members,
        "emails": emails.collect::<Vec<_>>(),
        "messages": channel.messages,
        "versions": channel.versions,
    })
}

/// The names of the methods that the sandbox has.
pub(super) async fn method_names() -> Json<Vec<&'static str>> {
    Json(methods::METHODS.iter().map(|method| method.name).collect())
}

pub(super) async fn call_log(State(shared): State<Shared>) -> Json<Vec<Call>> {
    Json(shared.lock().calls.clone())
}

pub(super) async fn clear_calls(State(shared): State<Shared>) -> StatusCode {
    shared.lock().calls.clear();
    StatusCode::NO_CONTENT
}

pub(super) async fn call_summary(
    State(shared): State<Shared>,
) -> Json<BTreeMap<String, calls::Tally>> {
    Json(calls::summary(&shared.lock().calls))
}

pub(super) async fn add_fault(
    State(shared): State<Shared>,
    body: Result<Json<Fault>, JsonRejection>,
) -> Response {
    let fault = body_or_400!(body);
    if fault.method != "*" && methods::method(&fault.method).is_none() {
        return bad_request("method: must be a Slack method that the sandbox supports, or *");
    }
    shared.lock().faults.add(fault);
    StatusCode::NO_CONTENT.into_response()
}

pub(super) async fn clear_faults(State(shared): State<Shared>) -> StatusCode {
    shared.lock().faults.clear();
    StatusCode::NO_CONTENT
}

pub(super) async fn begin_chaos(
    State(shared): State<Shared>,
    body: Result<Json<Chaos>, JsonRejection>,
) -> Response {
    let chaos = body_or_400!(body);
    if let Err(error) = chaos.check() {
        return bad_request(&error);
    }
    shared.lock().chaos = Some(Reign::new(chaos));
    StatusCode::NO_CONTENT.into_response()
}

pub(super) async fn end_chaos(State(shared): State<Shared>) -> StatusCode {
    shared.lock().chaos = None;
    StatusCode::NO_CONTENT
}

pub(super) async fn add_token(
    State(shared): State<Shared>,
    body: Result<Json<TokenSeed>, JsonRejection>,
) -> Response {
    let TokenSeed { token, scopes } = body_or_400!(body);
    shared.lock().workspace.put_token(&token, scopes);
    StatusCode::NO_CONTENT.into_response()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Revocation {
    token: String,
}

pub(super) async fn revoke_token(
    State(shared): State<Shared>,
    body: Result<Json<Revocation>, JsonRejection>,
) -> Response {
    let Revocation { token } = body_or_400!(body);
    match shared.lock().workspace.tokens.get_mut(&token) {
        Some(token) => {
            token.revoked = true;
            StatusCode::NO_CONTENT.into_response()
        }
        None => bad_request("token: must be one of the sandbox's tokens"),
    }
}

pub(super) async fn change_settings(
    State(shared): State<Shared>,
    body: Result<Json<Settings>, JsonRejection>,
) -> Response {
    let Settings {
        limits,
        restrictions,
        pages,
    } = body_or_400!(body);
    let mut inner = shared.lock();
    let inner = &mut *inner;
    inner.limits.enabled = limits.unwrap_or(inner.limits.enabled);
    inner.workspace.restrictions = restrictions.unwrap_or(inner.workspace.restrictions);
    inner.workspace.pages = pages.unwrap_or(inner.workspace.pages);
    StatusCode::NO_CONTENT.into_response()
}
