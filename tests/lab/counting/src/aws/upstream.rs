//! The place to which the proxy forwards requests.

use std::sync::{Arc, OnceLock};

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use super::Request;

/// AWS or its stand-in. The address is set once it is known.
#[derive(Debug, Clone, Default)]
pub struct Upstream {
    http: reqwest::Client,
    url: Arc<OnceLock<String>>,
}

impl Upstream {
    pub fn new() -> Self {
        // reqwest needs a TLS provider even for plain HTTP. Installing one a second time changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self::default()
    }

    pub fn is_at(&self, url: &str) {
        let _ = self.url.set(url.to_owned());
    }

    pub async fn forward(&self, request: Request) -> Response {
        let Some(upstream) = self.url.get() else {
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        };
        let Request {
            method,
            uri,
            mut headers,
            body,
        } = request;
        headers.remove(header::CONTENT_LENGTH);
        headers.remove(header::CONNECTION);
        let url = format!("{upstream}{uri}");
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
