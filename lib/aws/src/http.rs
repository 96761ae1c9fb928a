//! AWS's clients over the one HTTP client: the SDK's own would be a second, with TLS and a pool of its own.

use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        http::{
            HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings,
            SharedHttpClient, SharedHttpConnector,
        },
        orchestrator::{HttpRequest, HttpResponse},
        result::ConnectorError,
        runtime_components::RuntimeComponents,
    },
};
use aws_smithy_types::body::SdkBody;
use reqwest::Client;

/// An HTTP client for AWS's own ones. Of the settings that those hand over it needs none: how long an
/// attempt may take, they see to themselves.
pub(crate) fn over(client: Client) -> SharedHttpClient {
    SharedHttpClient::new(Connector(client))
}

#[derive(Debug, Clone)]
struct Connector(Client);

impl HttpClient for Connector {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let Self(client) = self.clone();
        HttpConnectorFuture::new(async move { send(&client, request).await })
    }
}

async fn send(client: &Client, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
    let request = to_reqwest(request).map_err(ConnectorError::user)?;
    let answer = client.execute(request).await.map_err(failure)?;
    let mut response = http::Response::new(SdkBody::empty());
    *response.status_mut() = answer.status();
    *response.headers_mut() = answer.headers().clone();
    *response.body_mut() = SdkBody::from(answer.bytes().await.map_err(failure)?);
    HttpResponse::try_from(response).map_err(|error| ConnectorError::other(error.into(), None))
}

fn to_reqwest(request: HttpRequest) -> Result<reqwest::Request, BoxError> {
    let (parts, body) = request.try_into_http1x()?.into_parts();
    // No operation of ours sends a stream.
    let body = body
        .bytes()
        .ok_or("the request's body is a stream")?
        .to_vec();
    Ok(http::Request::from_parts(parts, body).try_into()?)
}

/// What the SDK makes of it: a failure of the connection is tried again.
fn failure(error: reqwest::Error) -> ConnectorError {
    let (is_timeout, error) = (error.is_timeout(), error.without_url());
    if is_timeout {
        ConnectorError::timeout(error.into())
    } else {
        ConnectorError::io(error.into())
    }
}
