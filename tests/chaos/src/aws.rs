//! A proxy between the functions and AWS, whose calls go wrong.
//!
//! Requests pass as they are, their `Host` header too, since they are signed.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use tokio::net::TcpListener;

use crate::{
    Error,
    dice::{Dice, Seam},
};

const KINDS: [(&str, u32); 3] = [
    ("throttled", 2),
    ("unavailable", 1),
    ("unavailable after the effect", 1),
];

/// A proxy that runs until it is dropped.
#[derive(Debug)]
pub struct AwsProxy {
    address: SocketAddr,
    shared: Shared,
    server: tokio::task::JoinHandle<()>,
}

#[derive(Debug, Clone)]
struct Shared {
    http: reqwest::Client,
    target: Arc<OnceLock<String>>,
    dice: Dice,
    /// Calls to DynamoDB by table and operation, for example `apgl-pacing UpdateItem`.
    counts: Arc<Mutex<BTreeMap<String, u64>>>,
}

impl AwsProxy {
    pub async fn start(dice: Dice) -> Result<Self, Error> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let shared = Shared {
            http: reqwest::Client::new(),
            target: Arc::default(),
            dice,
            counts: Arc::default(),
        };
        let router = Router::new().fallback(pass).with_state(shared.clone());
        let server = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self {
            address,
            shared,
            server,
        })
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where AWS is, once that is known.
    pub fn forward_to(&self, url: &str) {
        let _ = self.shared.target.set(url.to_owned());
    }

    /// How often DynamoDB was called, by table and operation.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        self.shared.counts().clone()
    }

    pub fn forget_counts(&self) {
        self.shared.counts().clear();
    }
}

impl Drop for AwsProxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn pass(
    State(shared): State<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let service = service_of(&headers, &uri);
    shared.count(&headers, &body);
    let fault = service.and_then(|seam| shared.dice.roll(seam, &KINDS));
    match fault.map(|(kind, _)| kind) {
        None => shared.forward(method, &uri, headers, body).await,
        Some("unavailable after the effect") => {
            shared.forward(method, &uri, headers, body).await;
            refusal(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError")
        }
        Some("throttled") => refusal(StatusCode::BAD_REQUEST, "ThrottlingException"),
        Some(_) => refusal(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable"),
    }
}

/// Source: the `X-Amz-Target` header of AWS's JSON protocols; the path of Smithy's RPC v2 CBOR and the
/// body's type of its Query protocol, which CloudWatch speaks.
fn service_of(headers: &HeaderMap, uri: &Uri) -> Option<Seam> {
    let target = headers
        .get("x-amz-target")
        .and_then(|value| value.to_str().ok());
    let target = target.unwrap_or(uri.path());
    let is_query = headers.get(header::CONTENT_TYPE).is_some_and(|kind| {
        kind.as_bytes()
            .starts_with(b"application/x-www-form-urlencoded")
    });
    if target.starts_with("DynamoDB_") {
        Some(Seam::DynamoDb)
    } else if target.starts_with("secretsmanager.") {
        Some(Seam::SecretsManager)
    } else if target.contains("GraniteServiceVersion") || is_query {
        Some(Seam::CloudWatch)
    } else {
        None
    }
}

fn refusal(status: StatusCode, code: &str) -> Response {
    let body = serde_json::json!({ "__type": code, "message": "by the fault suite" }).to_string();
    let headers = [
        (header::CONTENT_TYPE, "application/x-amz-json-1.0"),
        (header::HeaderName::from_static("x-amzn-errortype"), code),
    ];
    (status, headers, body).into_response()
}

impl Shared {
    fn counts(&self) -> MutexGuard<'_, BTreeMap<String, u64>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, headers: &HeaderMap, body: &[u8]) {
        let target = headers
            .get("x-amz-target")
            .and_then(|value| value.to_str().ok());
        let operation = target.and_then(|target| target.strip_prefix("DynamoDB_20120810."));
        let Some(operation) = operation else {
            return;
        };
        let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
        let table = body["TableName"].as_str().unwrap_or("(batch)");
        let count = format!("{table} {operation}");
        *self.counts().entry(count).or_default() += 1;
    }

    async fn forward(
        &self,
        method: Method,
        uri: &Uri,
        mut headers: HeaderMap,
        body: Bytes,
    ) -> Response {
        let Some(target) = self.target.get() else {
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        };
        headers.remove(header::CONTENT_LENGTH);
        headers.remove(header::CONNECTION);
        let url = format!("{target}{uri}");
        let sent = self.http.request(method, url).headers(headers).body(body);
        let Ok(answer) = sent.send().await else {
            return StatusCode::BAD_GATEWAY.into_response();
        };
        let (status, mut headers) = (answer.status(), answer.headers().clone());
        headers.remove(header::TRANSFER_ENCODING);
        headers.remove(header::CONNECTION);
        headers.remove(header::CONTENT_LENGTH);
        match answer.bytes().await {
            Ok(body) => (status, headers, body).into_response(),
            Err(_) => StatusCode::BAD_GATEWAY.into_response(),
        }
    }
}
