//! The HTTP server: Slack's methods at `/api/{method}`, the admin routes at `/admin`, and the web page at `/`.

mod admin;
mod api;
mod connection;
mod people;
mod request;

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Router,
    extract::{Query, State},
    response::Html,
    routing::{delete, get, patch, post, put},
};
use tokio::{net::TcpListener, sync::oneshot};

use self::connection::{ResetSwitch, ResettableListener};
pub use self::{
    admin::Settings,
    people::{ChannelChange, PersonsMessage, UserChange},
};
use crate::{
    Seed, calls::Call, chaos::Reign, faults::Faults, limits::Limits, page, workspace::Workspace,
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
pub enum SandboxError {
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
    pub async fn start(options: Options) -> Result<Self, SandboxError> {
        let Options {
            listen,
            seed,
            time_factor,
            limits,
        } = options;
        if !listen.ip().is_loopback() {
            return Err(SandboxError::NotLoopback(listen));
        }
        if !(time_factor.is_finite() && time_factor > 0.0) {
            return Err(SandboxError::TimeFactor);
        }
        let mut workspace = Workspace::default();
        seed.plant(&mut workspace)?;
        let failed = |error| SandboxError::Listen(listen, error);
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
        .route(
            "/api/{method}",
            get(api::slack_method).post(api::slack_method),
        )
        .route("/admin/reset", post(admin::reset))
        .route("/admin/seed", post(admin::plant))
        .route("/admin/state", get(admin::state))
        .route(
            "/admin/channels/{name}",
            get(admin::channel_state).patch(people::change_channel),
        )
        .route(
            "/admin/channels/{name}/messages",
            post(people::post_message),
        )
        .route(
            "/admin/channels/{name}/messages/{ts}",
            delete(people::delete_message),
        )
        .route("/admin/methods", get(admin::method_names))
        .route("/admin/users/{user}", patch(people::change_user))
        .route(
            "/admin/users/{user}/direct-message",
            get(admin::direct_message),
        )
        .route(
            "/admin/calls",
            get(admin::call_log).delete(admin::clear_calls),
        )
        .route("/admin/calls/summary", get(admin::call_summary))
        .route(
            "/admin/faults",
            post(admin::add_fault).delete(admin::clear_faults),
        )
        .route(
            "/admin/chaos",
            put(admin::begin_chaos).delete(admin::end_chaos),
        )
        .route("/admin/tokens", post(admin::add_token))
        .route("/admin/tokens/revoke", post(admin::revoke_token))
        .route("/admin/settings", put(admin::change_settings))
        .with_state(shared)
}

async fn show_page(State(shared): State<Shared>, Query(view): Query<page::View>) -> Html<String> {
    let inner = shared.lock();
    Html(page::render(&inner.workspace, &inner.calls, &view).into_string())
}
