//! Slack's methods: what a call is answered with.

use std::time::{Duration, Instant};

use axum::{
    Json,
    body::Bytes,
    extract::{ConnectInfo, Path, RawQuery, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{Inner, Shared, connection::ResetSwitch, request::Request};
use crate::{
    calls::{self, Call},
    faults::How,
    methods::{self, Refusal},
    workspace::Token,
};

pub(super) async fn slack_method(
    State(shared): State<Shared>,
    ConnectInfo(reset): ConnectInfo<ResetSwitch>,
    Path(method): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let query = query.unwrap_or_default();
    let request = Request::of(methods::method(&method), &query, &headers, &body);
    let (response, fault) = {
        let mut inner = shared.lock();
        let (reply, fault) = inner.reply(&method, &request);
        inner.log(&method, &request, &reply, fault.as_ref());
        let mut response = reply.with_warnings(&request.warnings).into_response();
        if let Some(scopes) = inner.scopes_of(request.token.as_deref()) {
            response.headers_mut().insert("x-oauth-scopes", scopes);
        }
        (response, fault)
    };
    let Some(fault) = fault else {
        return response;
    };
    if let How::Late { millis } = fault {
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(millis)).await;
            shared.lock().take_effect(&method, &request);
        });
    }
    tokio::time::sleep(fault.delay()).await;
    if fault.breaks_the_connection() {
        reset.pull();
    }
    response
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

    /// Checks in Slack's order: the token, the method, the body, the limit, then scopes and arguments. A fault replaces
    /// what follows the limit, so if the limit rejects a call, the fault affects the next call instead.
    fn reply(&mut self, method: &str, request: &Request) -> (Reply, Option<How>) {
        let refused = |error| (Reply::Answer(methods::refuse(error)), None);
        let token = match self.token(method, request) {
            Ok(token) => token,
            Err(error) => return refused(error),
        };
        let Some(method) = methods::method(method) else {
            return refused("unknown_method");
        };
        if let Some(error) = request.error {
            return refused(error);
        }
        let Request { arguments, .. } = request;
        let channel = arguments.get("channel").map(|named| {
            let channel = methods::channel_named(&self.workspace, named);
            channel.map_or(named.clone(), |channel| channel.id.clone())
        });
        let sender = request.token.as_deref().unwrap_or_default();
        if let Err(retry_after) =
            self.limits
                .count(sender, method, channel.as_deref(), Instant::now())
        {
            return (Reply::RateLimited { retry_after }, None);
        }
        let fault = self
            .faults
            .take(method.name, arguments)
            .or_else(|| self.chaos.as_mut()?.take(method.name));
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
        let answer = Reply::Answer((method.answer)(&mut self.workspace, &call));
        let reply = fault.as_ref().and_then(Reply::of_fault).unwrap_or(answer);
        (reply, fault)
    }

    /// The caller's token. api.test needs none.
    fn token(&self, method: &str, request: &Request) -> Result<Token, &'static str> {
        let Some(token) = &request.token else {
            return if method == "api.test" {
                Ok(Token::default())
            } else {
                Err("not_authed")
            };
        };
        match self.workspace.tokens.get(token) {
            None => Err("invalid_auth"),
            Some(token) if token.revoked => Err("token_revoked"),
            Some(token) => Ok(token.clone()),
        }
    }

    /// Carries out a call whose sender has disconnected.
    fn take_effect(&mut self, method: &str, request: &Request) {
        if let (Ok(token), Some(method)) = (self.token(method, request), methods::method(method)) {
            let call = methods::Call {
                token: &token,
                arguments: &request.arguments,
            };
            let _ = (method.answer)(&mut self.workspace, &call);
        }
    }

    fn log(&mut self, method: &str, request: &Request, reply: &Reply, fault: Option<&How>) {
        let is_reset = fault.is_some_and(How::breaks_the_connection);
        self.calls.push(Call {
            seq: self.calls.len() as u64 + 1,
            at: jiff::Timestamp::now().to_string(),
            method: method.to_owned(),
            token_end: request.token.as_deref().and_then(calls::end_of),
            arguments: request.arguments.clone(),
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

    /// Adds what Slack says about the request to what the method says, as it does: separated by commas, in
    /// <https://medium.com/slack-developer-blog/well-wishes-and-warnings-in-the-web-api-489456837220>.
    fn with_warnings(mut self, warnings: &[&'static str]) -> Self {
        let fields = match &mut self {
            Self::Answer(Ok(Value::Object(fields))) => fields,
            Self::Answer(Err(refusal)) => &mut refusal.more,
            _ => return self,
        };
        if warnings.is_empty() {
            return self;
        }
        let own = fields.get("warning").and_then(Value::as_str);
        let all: Vec<&str> = own.into_iter().chain(warnings.iter().copied()).collect();
        let (joined, all) = (json!(all.join(",")), json!(all));
        fields.insert("warning".to_owned(), joined);
        let metadata = fields
            .entry("response_metadata")
            .or_insert_with(|| json!({}));
        metadata["warnings"] = all;
        self
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
