//! Lets AWS clients use the shared HTTP client. The SDK's own would be a second one, with its own TLS and pool.

use std::time::Duration;

use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        connection::{CaptureSmithyConnection, ConnectionMetadata},
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

/// Wraps `client` for use by AWS clients. `client` determines the connect time-out.
pub(crate) fn over(client: Client) -> SharedHttpClient {
    SharedHttpClient::new(Connector {
        client,
        read_timeout: None,
    })
}

#[derive(Debug, Clone)]
struct Connector {
    client: Client,
    /// The time-out of a request, if the AWS client sets one in addition to those that it enforces itself.
    read_timeout: Option<Duration>,
}

impl HttpClient for Connector {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(Self {
            read_timeout: settings.read_timeout(),
            ..self.clone()
        })
    }
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let connector = self.clone();
        HttpConnectorFuture::new(async move { connector.send(request).await })
    }
}

impl Connector {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        keep_connection(&request);
        let mut request = to_reqwest(request).map_err(ConnectorError::user)?;
        *request.timeout_mut() = self.read_timeout;
        let answer = self.client.execute(request).await.map_err(failure)?;
        let mut response = http::Response::new(SdkBody::empty());
        *response.status_mut() = answer.status();
        *response.headers_mut() = answer.headers().clone();
        *response.body_mut() = SdkBody::from(answer.bytes().await.map_err(failure)?);
        HttpResponse::try_from(response).map_err(|error| ConnectorError::other(error.into(), None))
    }
}

/// After a response such as 503 the SDK asks for the connection in order to close it, and logs an error if there
/// is none. reqwest can't close a single connection, so this does nothing and the connection is reused.
fn keep_connection(request: &HttpRequest) {
    if let Some(asked) = request.extension::<CaptureSmithyConnection>() {
        asked.set_connection_retriever(|| {
            let connection = ConnectionMetadata::builder()
                .proxied(false)
                .poison_fn(|| {});
            Some(connection.build())
        });
    }
}

fn to_reqwest(request: HttpRequest) -> Result<reqwest::Request, BoxError> {
    let (parts, body) = request.try_into_http1x()?.into_parts();
    // None of our operations sends a stream.
    let body = body
        .bytes()
        .ok_or("the request's body is a stream")?
        .to_vec();
    Ok(http::Request::from_parts(parts, body).try_into()?)
}

/// The error in the SDK's terms. The SDK retries connection failures.
fn failure(error: reqwest::Error) -> ConnectorError {
    let (is_timeout, error) = (error.is_timeout(), error.without_url());
    if is_timeout {
        ConnectorError::timeout(error.into())
    } else {
        ConnectorError::io(error.into())
    }
}
