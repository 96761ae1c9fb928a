//! Slack's methods: what a call is answered with.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use axum::{
    Json,
    body::Bytes,
    extract::{ConnectInfo, Path, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{Inner, Shared, connection::ResetSwitch};
use crate::{
    calls::{self, Call},
    faults::How,
    methods::{self, Refusal},
};

pub(super) async fn slack_method(
    State(shared): State<Shared>,
    ConnectInfo(reset): ConnectInfo<ResetSwitch>,
    Path(method): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let arguments = form_arguments(&headers, &body);
    let token = bearer(&headers);
    let (response, fault) = {
        let mut inner = shared.lock();
        let (reply, fault) = inner.reply(&method, token, &arguments);
        inner.log(&method, token, &arguments, &reply, fault.as_ref());
        let mut response = reply.into_response();
        if let Some(scopes) = inner.scopes_of(token) {
            response.headers_mut().insert("x-oauth-scopes", scopes);
        }
        (response, fault)
    };
    let Some(fault) = fault else {
        return response;
    };
    if let (How::Late { millis }, Some(token)) = (&fault, token) {
        let (millis, token) = (*millis, token.to_owned());
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(millis)).await;
            shared.lock().take_effect(&method, &token, &arguments);
        });
    }
    tokio::time::sleep(fault.delay()).await;
    if fault.breaks_the_connection() {
        reset.pull();
    }
    response
}

/// The arguments of a form body. Several of Slack's methods read no other kind, so the sandbox does not either.
fn form_arguments(headers: &HeaderMap, body: &[u8]) -> BTreeMap<String, String> {
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    if !content_type.is_some_and(|value| value.starts_with("application/x-www-form-urlencoded")) {
        return BTreeMap::new();
    }
    serde_urlencoded::from_bytes(body).unwrap_or_default()
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?
        .strip_prefix("Bearer ")
}

/// The response to a call, before any fault of the connection.
enum Reply {
    Answer(Result<Value, Refusal>),
    RateLimited { retry_after: u64 },
    Html500,
}

impl Inner {
    /// The header in which Slack lists the token's scopes.
    fn scopes_of(&self, token: Option<&str>) -> Option<HeaderValue> {
        let scopes = &self.workspace.tokens.get(token?)?.scopes;
        let scopes: Vec<&str> = scopes.iter().map(String::as_str).collect();
        HeaderValue::from_str(&scopes.join(",")).ok()
    }

    /// Checks in Slack's order: the token, the method, the limit, then scopes and arguments. A fault replaces what
    /// follows the limit, so if the limit rejects a call, the fault affects the next call instead.
    fn reply(
        &mut self,
        method: &str,
        token: Option<&str>,
        arguments: &BTreeMap<String, String>,
    ) -> (Reply, Option<How>) {
        let refused = |error| (Reply::Answer(methods::refuse(error)), None);
        let Some(token_text) = token else {
            return refused("not_authed");
        };
        let token = match self.workspace.tokens.get(token_text) {
            None => return refused("invalid_auth"),
            Some(token) if token.revoked => return refused("token_revoked"),
            Some(token) => token.clone(),
        };
        if !methods::exists(method) {
            return refused("unknown_method");
        }
        let channel = arguments.get("channel").map(String::as_str);
        if let Err(retry_after) = self
            .limits
            .count(token_text, method, channel, Instant::now())
        {
            return (Reply::RateLimited { retry_after }, None);
        }
        let fault = self
            .faults
            .take(method, arguments)
            .or_else(|| self.chaos.as_mut()?.take(method));
        if let Some(fault) = &fault
            && !fault.has_effect()
        {
            return (
                Reply::of_fault(fault).unwrap_or(Reply::Html500),
                Some(fault.clone()),
            );
        }
        let call = methods::Call {
            token: &token,
            arguments,
        };
        let answer = Reply::Answer(methods::answer(&mut self.workspace, method, &call));
        let reply = fault.as_ref().and_then(Reply::of_fault).unwrap_or(answer);
        (reply, fault)
    }

    /// Carries out a call whose sender has disconnected.
    fn take_effect(&mut self, method: &str, token: &str, arguments: &BTreeMap<String, String>) {
        if let Some(token) = self.workspace.tokens.get(token).cloned() {
            let call = methods::Call {
                token: &token,
                arguments,
            };
            let _ = methods::answer(&mut self.workspace, method, &call);
        }
    }

    fn log(
        &mut self,
        method: &str,
        token: Option<&str>,
        arguments: &BTreeMap<String, String>,
        reply: &Reply,
        fault: Option<&How>,
    ) {
        let is_reset = fault.is_some_and(How::breaks_the_connection);
        self.calls.push(Call {
            seq: self.calls.len() as u64 + 1,
            at: jiff::Timestamp::now().to_string(),
            method: method.to_owned(),
            token_end: token.and_then(calls::end_of),
            arguments: arguments.clone(),
            status: if is_reset { 0 } else { reply.status().as_u16() },
            error: reply.error(),
            fault: fault.map(|fault| fault.name().to_owned()),
        });
    }
}

impl Reply {
    /// The response that replaces the correct one; `None` for a fault that only delays.
    fn of_fault(fault: &How) -> Option<Self> {
        match fault {
            How::RateLimited { retry_after } => Some(Self::RateLimited {
                retry_after: *retry_after,
            }),
            How::Html500 { .. } => Some(Self::Html500),
            How::Error { error, .. } => Some(Self::Answer(methods::refuse(error))),
            How::Hang { .. } | How::Reset { .. } | How::Slow { .. } | How::Late { .. } => None,
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Answer(_) => StatusCode::OK,
            Self::RateLimited { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Html500 => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn error(&self) -> Option<String> {
        match self {
            Self::Answer(Ok(_)) => None,
            Self::Answer(Err(refusal)) => Some(refusal.error.clone()),
            Self::RateLimited { .. } => Some("ratelimited".to_owned()),
            Self::Html500 => Some("html_500".to_owned()),
        }
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let status = self.status();
        match self {
            Self::Answer(Ok(mut answer)) => {
                answer["ok"] = json!(true);
                Json(answer).into_response()
            }
            Self::Answer(Err(Refusal { error, mut more })) => {
                more.insert("ok".to_owned(), json!(false));
                more.insert("error".to_owned(), json!(error));
                Json(more).into_response()
            }
            Self::RateLimited { retry_after } => {
                let body = Json(json!({ "ok": false, "error": "ratelimited" }));
                (
                    status,
                    [(header::RETRY_AFTER, retry_after.to_string())],
                    body,
                )
                    .into_response()
            }
            Self::Html500 => {
                (status, Html("<html><body>Server Error</body></html>")).into_response()
            }
        }
    }
}
