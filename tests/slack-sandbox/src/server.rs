//! HTTP: Slack's methods at `/api/{method}`, the admin routes at `/admin`, and the web page at `/`.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{ConnectInfo, Path, Query, State, connect_info::Connected, rejection::JsonRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
    routing::{get, post, put},
    serve::{IncomingStream, Listener},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::oneshot,
};

use crate::{
    Seed,
    calls::{self, Call},
    chaos::{Chaos, Reign},
    faults::{Fault, Faults, How},
    limits::Limits,
    methods::{self, Refusal},
    page,
    seed::TokenSeed,
    workspace::{BOT_USER_ID, Channel, Pages, Restrictions, Workspace},
};

/// The options of a sandbox.
#[derive(Debug, Clone)]
pub struct Options {
    /// 127.0.0.1 with a port; 0 for any free port.
    pub listen: SocketAddr,
    pub seed: Seed,
    /// How long a sandbox second lasts, in seconds.
    pub time_factor: f64,
    pub limits: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            seed: Seed::default(),
            time_factor: 1.0,
            limits: true,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("can't listen on {0}: the sandbox listens on loopback only")]
    NotLoopback(SocketAddr),
    #[error("the time factor must be a number above 0")]
    TimeFactor,
    #[error("invalid seed: {0}")]
    Seed(#[from] crate::seed::SeedError),
    #[error("can't listen on {0}: {1}. Is another sandbox running?")]
    Listen(SocketAddr, io::Error),
}

/// A sandbox that runs until it is dropped.
#[derive(Debug)]
pub struct Sandbox {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
}

#[derive(Debug)]
struct Inner {
    seed: Seed,
    workspace: Workspace,
    limits: Limits,
    faults: Faults,
    chaos: Option<Reign>,
    calls: Vec<Call>,
}

#[derive(Debug, Clone)]
struct Shared(Arc<Mutex<Inner>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sandbox {
    pub async fn start(options: Options) -> Result<Self, StartError> {
        let Options {
            listen,
            seed,
            time_factor,
            limits,
        } = options;
        if !listen.ip().is_loopback() {
            return Err(StartError::NotLoopback(listen));
        }
        if !(time_factor.is_finite() && time_factor > 0.0) {
            return Err(StartError::TimeFactor);
        }
        let mut workspace = Workspace::default();
        seed.plant(&mut workspace)?;
        let failed = |error| StartError::Listen(listen, error);
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let inner = Inner {
            seed,
            workspace,
            limits: Limits::new(limits, time_factor),
            faults: Faults::default(),
            chaos: None,
            calls: Vec::new(),
        };
        let router = router(Shared(Arc::new(Mutex::new(inner))));
        let service = router.into_make_service_with_connect_info::<ResetSwitch>();
        let (stop, stopped) = oneshot::channel();
        tokio::spawn(async move {
            let serve = axum::serve(ResettableListener(listener), service);
            tokio::select! {
                _ = serve => {}
                _ = stopped => {}
            }
        });
        Ok(Self {
            address,
            stop: Some(stop),
        })
    }

    /// The base URL, for example `http://127.0.0.1:4580`. Slack's API is at `/api` below it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }
}

fn router(shared: Shared) -> Router {
    Router::new()
        .route("/", get(show_page))
        .route("/health", get(async || "ok"))
        .route("/api/{method}", post(slack_method))
        .route("/admin/reset", post(reset))
        .route("/admin/seed", post(plant))
        .route("/admin/state", get(state))
        .route(
            "/admin/channels/{name}",
            get(channel_state).patch(change_channel),
        )
        .route("/admin/calls", get(call_log).delete(clear_calls))
        .route("/admin/calls/summary", get(call_summary))
        .route("/admin/faults", post(add_fault).delete(clear_faults))
        .route("/admin/chaos", put(begin_chaos).delete(end_chaos))
        .route("/admin/tokens", post(add_token))
        .route("/admin/tokens/revoke", post(revoke_token))
        .route("/admin/settings", put(change_settings))
        .with_state(shared)
}

// Slack's methods.

async fn slack_method(
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

// Admin routes.

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

fn bad_request(error: &(impl ToString + ?Sized)) -> Response {
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
            Err(rejection) => return bad_request(&rejection.body_text()),
        }
    };
}

async fn reset(State(shared): State<Shared>) -> Response {
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

async fn plant(State(shared): State<Shared>, body: Result<Json<Seed>, JsonRejection>) -> Response {
    let seed = body_or_400!(body);
    match seed.plant(&mut shared.lock().workspace) {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => bad_request(&error),
    }
}

async fn state(State(shared): State<Shared>) -> Response {
    let inner = shared.lock();
    let workspace = &inner.workspace;
    let channels: Vec<Value> = workspace
        .channels
        .iter()
        .map(|channel| channel_json(workspace, channel))
        .collect();
    Json(json!({ "users": workspace.users, "channels": channels })).into_response()
}

async fn channel_state(State(shared): State<Shared>, Path(name): Path<String>) -> Response {
    let inner = shared.lock();
    match inner.workspace.channel_by_name(&name) {
        Some(channel) => Json(channel_json(&inner.workspace, channel)).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Changes to a channel by someone other than the bot. Omitted fields keep their values.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ChannelChange {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_private: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_archived: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bot_is_member: Option<bool>,
}

async fn change_channel(
    State(shared): State<Shared>,
    Path(channel): Path<String>,
    body: Result<Json<ChannelChange>, JsonRejection>,
) -> Response {
    let ChannelChange {
        name,
        is_private,
        is_archived,
        bot_is_member,
    } = body_or_400!(body);
    let workspace = &mut shared.lock().workspace;
    let Some(id) = workspace
        .channel_by_name(&channel)
        .map(|channel| channel.id.clone())
    else {
        return StatusCode::NOT_FOUND.into_response();
    };
    if let Some(name) = name {
        if workspace.channel_by_name(&name).is_some() {
            return bad_request("name: must be a name that is not taken");
        }
        workspace.rename_channel(&id, &name);
    }
    let bots: Vec<String> = workspace
        .tokens
        .values()
        .map(|token| token.bot_user_id.clone())
        .collect();
    if let Some(channel) = workspace.channel_mut(&id) {
        channel.is_private = is_private.unwrap_or(channel.is_private);
        channel.is_archived = is_archived.unwrap_or(channel.is_archived);
        match bot_is_member {
            Some(true) => channel.members.extend(bots),
            Some(false) => channel.members.retain(|member| !bots.contains(member)),
            None => {}
        }
    }
    StatusCode::NO_CONTENT.into_response()
}

fn channel_json(workspace: &Workspace, channel: &Channel) -> Value {
    let people = channel.members.iter().filter(|id| *id != BOT_USER_ID);
    let emails = people.filter_map(|id| workspace.user(id)?.email.clone());
    json!({
        "id": channel.id,
        "name": channel.name,
        "is_private": channel.is_private,
        "is_archived": channel.is_archived,
        "topic": channel.topic,
        "purpose": channel.purpose,
        "members": channel.members,
        "emails": emails.collect::<Vec<_>>(),
        "messages": channel.messages,
    })
}

async fn call_log(State(shared): State<Shared>) -> Json<Vec<Call>> {
    Json(shared.lock().calls.clone())
}

async fn clear_calls(State(shared): State<Shared>) -> StatusCode {
    shared.lock().calls.clear();
    StatusCode::NO_CONTENT
}

async fn call_summary(State(shared): State<Shared>) -> Json<BTreeMap<String, calls::Tally>> {
    Json(calls::summary(&shared.lock().calls))
}

async fn add_fault(
    State(shared): State<Shared>,
    body: Result<Json<Fault>, JsonRejection>,
) -> Response {
    let fault = body_or_400!(body);
    if fault.method != "*" && !methods::exists(&fault.method) {
        return bad_request("method: must be a Slack method that the sandbox supports, or *");
    }
    shared.lock().faults.add(fault);
    StatusCode::NO_CONTENT.into_response()
}

async fn clear_faults(State(shared): State<Shared>) -> StatusCode {
    shared.lock().faults.clear();
    StatusCode::NO_CONTENT
}

async fn begin_chaos(
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

async fn end_chaos(State(shared): State<Shared>) -> StatusCode {
    shared.lock().chaos = None;
    StatusCode::NO_CONTENT
}

async fn add_token(
    State(shared): State<Shared>,
    body: Result<Json<TokenSeed>, JsonRejection>,
) -> Response {
    let TokenSeed { token, scopes } = body_or_400!(body);
    shared.lock().workspace.put_token(&token, scopes);
    StatusCode::NO_CONTENT.into_response()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Revocation {
    token: String,
}

async fn revoke_token(
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

async fn change_settings(
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

async fn show_page(State(shared): State<Shared>, Query(view): Query<page::View>) -> Html<String> {
    let inner = shared.lock();
    Html(page::render(&inner.workspace, &inner.calls, &view).into_string())
}

// Connections that can be reset.

/// Once pulled, ends the connection with a TCP reset at the next write.
#[derive(Debug, Clone, Default)]
struct ResetSwitch(Arc<AtomicBool>);

impl ResetSwitch {
    fn pull(&self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Connected<IncomingStream<'_, ResettableListener>> for ResetSwitch {
    fn connect_info(stream: IncomingStream<'_, ResettableListener>) -> Self {
        stream.io().reset.clone()
    }
}

struct ResettableListener(TcpListener);

impl Listener for ResettableListener {
    type Io = ResettableStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (stream, address) = Listener::accept(&mut self.0).await;
        (
            ResettableStream {
                stream,
                reset: ResetSwitch::default(),
            },
            address,
        )
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.0.local_addr()
    }
}

struct ResettableStream {
    stream: TcpStream,
    reset: ResetSwitch,
}

impl ResettableStream {
    fn ended(&self) -> bool {
        let is_pulled = self.reset.0.load(Ordering::SeqCst);
        if is_pulled {
            // Closing without lingering sends RST instead of FIN.
            let _ = self.stream.set_zero_linger();
        }
        is_pulled
    }
}

impl AsyncRead for ResettableStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for ResettableStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.ended() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
