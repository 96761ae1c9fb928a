//! Requests that are signed by hand: in a protocol that no SDK here speaks, or to a service that has none here.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{PayloadChecksumKind, SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use local_stack::stack::REGION;
use reqwest::{Client, Response};

/// Signs the request for a service, and sends it.
pub async fn send(
    credentials: &Credentials,
    service: &str,
    mut request: http::Request<String>,
) -> Response {
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
        .expect("nothing is missing")
        .into();
    let (method, url) = (request.method().to_string(), request.uri().to_string());
    let headers = request.headers().iter();
    let headers = headers.map(|(name, value)| (name.as_str(), value.to_str().unwrap_or_default()));
    let body = SignableBody::Bytes(request.body().as_bytes());
    let signable = SignableRequest::new(&method, &url, headers, body);
    let signed = sign(signable.expect("the request can be signed"), &parameters);
    let (instructions, _) = signed.expect("the request is signed").into_parts();
    instructions.apply_to_request_http1x(&mut request);
    let request = request.try_into().expect("the request is one");
    client().execute(request).await.expect("AWS answers")
}

pub(crate) fn client() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::new()
}
