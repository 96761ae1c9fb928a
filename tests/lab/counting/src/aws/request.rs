//! A request to AWS or Slack, and the service and operation that it asks for.

use axum::{
    body::Bytes,
    extract::{self, FromRequest, rejection::BytesRejection},
    http::{HeaderMap, Method, Uri},
};

/// CloudWatch's name in requests.
const CLOUDWATCH: &str = "GraniteServiceVersion";

/// The AWS services that the functions call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    DynamoDb,
    SecretsManager,
    CloudWatch,
}

/// A request on its way to AWS or Slack.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: Method,
    pub uri: Uri,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Request {
    /// The service and the operation; `None` for a service that the functions do not call.
    ///
    /// Source: the `X-Amz-Target` header of AWS's JSON protocols; the path of Smithy's RPC v2 CBOR and the
    /// body of its Query protocol, which CloudWatch speaks.
    pub fn asks(&self) -> Option<(Service, String)> {
        let target = self.headers.get("x-amz-target");
        let target = target.and_then(|target| target.to_str().ok());
        if let Some((service, operation)) = target.and_then(|target| target.split_once('.')) {
            return Some((service_named(service)?, operation.to_owned()));
        }
        let path = self.uri.path();
        let operation = if path.contains(CLOUDWATCH) {
            path.rsplit('/').next()?
        } else {
            let form = std::str::from_utf8(&self.body).ok()?;
            form.split('&')
                .find_map(|field| field.strip_prefix("Action="))?
        };
        Some((Service::CloudWatch, operation.to_owned()))
    }
}

impl<S: Send + Sync> FromRequest<S> for Request {
    type Rejection = BytesRejection;

    async fn from_request(request: extract::Request, state: &S) -> Result<Self, Self::Rejection> {
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let headers = request.headers().clone();
        Ok(Self {
            method,
            uri,
            headers,
            body: Bytes::from_request(request, state).await?,
        })
    }
}

fn service_named(name: &str) -> Option<Service> {
    if name.starts_with("DynamoDB_") {
        Some(Service::DynamoDb)
    } else if name == "secretsmanager" {
        Some(Service::SecretsManager)
    } else {
        name.contains(CLOUDWATCH).then_some(Service::CloudWatch)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::json("/", Some("DynamoDB_20120810.GetItem"), "{}", Some((Service::DynamoDb, "GetItem")))]
    #[case::secret(
        "/",
        Some("secretsmanager.GetSecretValue"),
        "{}",
        Some((Service::SecretsManager, "GetSecretValue"))
    )]
    #[case::cbor(
        "/service/GraniteServiceVersion20100801/operation/PutMetricData",
        None,
        "",
        Some((Service::CloudWatch, "PutMetricData"))
    )]
    #[case::query(
        "/",
        None,
        "Action=PutMetricData&Version=2010-08-01",
        Some((Service::CloudWatch, "PutMetricData"))
    )]
    #[case::another("/", Some("AWSStepFunctions.StartExecution"), "{}", None)]
    fn a_request_names_its_service_and_operation(
        #[case] path: &'static str,
        #[case] target: Option<&'static str>,
        #[case] body: &'static str,
        #[case] asks: Option<(Service, &str)>,
    ) {
        let mut headers = HeaderMap::new();
        headers.extend(target.map(|target| {
            let name = HeaderName::from_static("x-amz-target");
            (name, HeaderValue::from_static(target))
        }));
        let request = Request {
            method: Method::POST,
            uri: Uri::from_static(path),
            headers,
            body: Bytes::from_static(body.as_bytes()),
        };
        let asks = asks.map(|(service, operation)| (service, operation.to_owned()));
        assert_eq!(request.asks(), asks);
    }
}
