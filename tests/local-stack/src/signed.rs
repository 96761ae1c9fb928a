//! Requests that are signed by hand, for a protocol or a service that has no SDK in this project.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{PayloadChecksumKind, SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use aws_types::SdkConfig;
use reqwest::{Client, Response};
use serde_json::Value;

use crate::{
    Error,
    stack::{REGION, credentials},
};

/// Signs the request for a service, and sends it.
///
/// # Panics
/// If the request's address or a header is invalid.
pub async fn send(
    credentials: &Credentials,
    service: &str,
    mut request: http::Request<String>,
) -> Result<Response, Error> {
    let identity = credentials.clone().into();
    let mut settings = SigningSettings::default();
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(REGION)
        .name(service)
        .time(SystemTime::now())
        .settings(settings)
        .build()
        .expect("all parameters are set")
        .into();
    let (method, url) = (request.method().to_string(), request.uri().to_string());
    let headers = request.headers().iter();
    let headers = headers.map(|(name, value)| (name.as_str(), value.to_str().unwrap_or_default()));
    let body = SignableBody::Bytes(request.body().as_bytes());
    let signable = SignableRequest::new(&method, &url, headers, body);
    let signed = sign(signable.expect("the request can be signed"), &parameters);
    let (instructions, _) = signed.expect("the request can be signed").into_parts();
    instructions.apply_to_request_http1x(&mut request);
    let request = request.try_into().expect("the request is valid");
    let answer = client().execute(request).await;
    answer.map_err(|error| Error::Setup(format!("{service}: {error}")))
}

/// Posts JSON to a path of the local AWS as its administrator, and returns the response.
///
/// # Panics
/// If the path or a header is invalid.
pub(crate) async fn post(
    aws: &SdkConfig,
    service: &'static str,
    path: &str,
    headers: &[(&str, &str)],
    body: &Value,
) -> Result<Response, Error> {
    let url = format!("{}{path}", aws.endpoint_url().unwrap_or_default());
    let mut request = http::Request::post(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request
        .body(body.to_string())
        .expect("the request is valid");
    let answer = send(&credentials(), service, request).await?;
    if answer.status().is_success() {
        return Ok(answer);
    }
    let status = answer.status();
    let reason = answer.text().await.unwrap_or_default();
    Err(Error::Aws {
        what: service,
        reason: format!("{status}: {reason}"),
    })
}

pub fn client() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::new()
}
