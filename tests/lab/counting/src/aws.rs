//! A proxy between the functions and AWS that counts their calls.
//!
//! The proxy forwards requests unchanged, including the `Host` header, because they are signed. If it weighs
//! requests, it looks at the items that a DynamoDB request touches before and after the request.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use aws_sdk_dynamodb::Client;
use aws_types::SdkConfig;
use axum::{
    Router,
    body::Bytes,
    extract::{self, FromRequest, State, rejection::BytesRejection},
    http::{HeaderMap, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use futures_util::future::try_join_all;
use local_stack::HttpServer;
use serde_json::Value;

use crate::{
    Error,
    dynamodb::{Item, Taken, Touch, half_read_units, item_size, touched, write_units},
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

/// A call that the proxy has forwarded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    pub service: Service,
    pub operation: String,
    /// For DynamoDB: what the call used, by table. Units are 0 if the proxy does not weigh requests.
    pub tables: BTreeMap<String, Taken>,
}

/// A proxy that runs until it is dropped.
#[derive(Debug)]
pub struct AwsProxy {
    server: HttpServer,
    shared: Shared,
}

#[derive(Debug, Clone)]
struct Shared {
    upstream: Upstream,
    /// Looks up items, if requests are weighed.
    items: Option<Arc<Items>>,
    passed: Arc<Mutex<Passed>>,
}

/// The calls since `take` was last called.
#[derive(Debug, Clone, Default)]
pub struct Passed {
    pub calls: Vec<Call>,
    /// How long weighing has delayed the calls.
    pub held_up: Duration,
    /// Requests that could not be weighed.
    pub problems: Vec<String>,
}

impl AwsProxy {
    /// Starts a proxy that counts calls.
    pub async fn start() -> Result<Self, Error> {
        Self::start_with(None).await
    }

    /// Starts a proxy that also weighs calls to DynamoDB, which delays each by some milliseconds.
    pub async fn start_weighing() -> Result<Self, Error> {
        Self::start_with(Some(Arc::default())).await
    }

    async fn start_with(items: Option<Arc<Items>>) -> Result<Self, Error> {
        let shared = Shared {
            upstream: Upstream::new(),
            items,
            passed: Arc::default(),
        };
        let router = Router::new().fallback(pass).with_state(shared.clone());
        let server = HttpServer::start(router).await?;
        Ok(Self { server, shared })
    }

    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Sets the address of AWS, once it is known.
    pub fn forward_to(&self, url: &str, aws: &SdkConfig) {
        if let Some(items) = &self.shared.items {
            let _ = items.client.set(Client::new(aws));
        }
        self.shared.upstream.is_at(url);
    }

    /// The calls since `take` was last called.
    pub fn take(&self) -> Passed {
        std::mem::take(&mut *self.shared.passed())
    }
}

async fn pass(State(shared): State<Shared>, request: Request) -> Response {
    let Some((service, operation)) = request.asks() else {
        return shared.upstream.forward(request).await;
    };
    if service != Service::DynamoDb {
        shared.passed().calls.push(Call {
            service,
            operation,
            tables: BTreeMap::new(),
        });
        return shared.upstream.forward(request).await;
    }
    shared.pass_to_dynamodb(operation, request).await
}

impl Shared {
    fn passed(&self) -> MutexGuard<'_, Passed> {
        self.passed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn pass_to_dynamodb(&self, operation: String, request: Request) -> Response {
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let touched = touched(&operation, &body);
        let Some(items) = self.items.as_ref().zip(touched.as_ref()) else {
            let response = self.upstream.forward(request).await;
            let mut passed = self.passed();
            if self.items.is_some() {
                passed
                    .problems
                    .push(format!("{operation} is an unknown operation"));
            }
            let request = Taken {
                requests: 1,
                ..Taken::default()
            };
            let tables = touched.into_iter().flatten();
            passed.calls.push(Call {
                service: Service::DynamoDb,
                operation,
                tables: tables.map(|(table, _)| (table, request)).collect(),
            });
            return response;
        };
        let (items, touched) = items;
        let began = Instant::now();
        let before = items.sizes(touched).await;
        let before_took = began.elapsed();
        let response = self.upstream.forward(request).await;
        let began = Instant::now();
        // A read, and a write whose condition failed, leave the items unchanged.
        let after = if writes(touched) && response.status().is_success() {
            items.sizes(touched).await
        } else {
            before.clone()
        };
        let held_up = before_took + began.elapsed();
        let mut passed = self.passed();
        passed.held_up += held_up;
        match (before, after) {
            (Ok(before), Ok(after)) => passed.calls.push(Call {
                service: Service::DynamoDb,
                operation,
                tables: taken(touched, &before, &after),
            }),
            (Err(problem), _) | (_, Err(problem)) => passed.problems.push(problem),
        }
        response
    }
}

type Touched = [(String, Vec<Touch>)];

fn writes(touched: &Touched) -> bool {
    let mut each = touched.iter().flat_map(|(_, touches)| touches);
    each.any(|touch| !matches!(touch, Touch::Read { .. } | Touch::Query { .. }))
}

fn taken(touched: &Touched, before: &[u64], after: &[u64]) -> BTreeMap<String, Taken> {
    let mut sizes = before.iter().zip(after);
    let mut tables = BTreeMap::new();
    for (table, touches) in touched {
        let mut taken = Taken {
            requests: 1,
            ..Taken::default()
        };
        for (touch, (before, after)) in touches.iter().zip(&mut sizes) {
            match touch {
                Touch::Read { consistent, .. } => {
                    taken.half_read_units += half_read_units(*before, *consistent);
                }
                Touch::Query { consistent } => {
                    taken.half_read_units += half_read_units(0, *consistent);
                }
                Touch::Write { .. } | Touch::Put { .. } => {
                    taken.write_units += write_units(*before.max(after));
                }
            }
        }
        tables.insert(table.clone(), taken);
    }
    tables
}

/// Looks up items past the proxy, so that the reads are not counted.
#[derive(Debug, Default)]
struct Items {
    client: OnceLock<Client>,
    /// The names of each table's key attributes.
    keys: Mutex<HashMap<String, Vec<String>>>,
}

impl Items {
    /// The current sizes of the items, 0 for items that do not exist; or an error.
    async fn sizes(&self, touched: &Touched) -> Result<Vec<u64>, String> {
        let each = touched
            .iter()
            .flat_map(|(table, touches)| touches.iter().map(move |touch| self.size(table, touch)));
        try_join_all(each).await
    }

    async fn size(&self, table: &str, touch: &Touch) -> Result<u64, String> {
        let client = self
            .client
            .get()
            .ok_or("the address of AWS is not set yet")?;
        let key = match touch {
            Touch::Read { key, .. } | Touch::Write { key } => key.clone(),
            Touch::Put { item } => self.key_of(client, table, item).await?,
            Touch::Query { .. } => return Ok(0),
        };
        let answer = client
            .get_item()
            .table_name(table)
            .set_key(Some(key))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| format!("can't read an item of {table}: {error:?}"))?;
        Ok(answer.item.as_ref().map_or(0, item_size))
    }

    async fn key_of(&self, client: &Client, table: &str, item: &Item) -> Result<Item, String> {
        let known = self.keys().get(table).cloned();
        let names = if let Some(names) = known {
            names
        } else {
            let answer = client.describe_table().table_name(table).send().await;
            let answer = answer.map_err(|error| format!("{table}: {error:?}"))?;
            let keys = answer.table.and_then(|table| table.key_schema);
            let names = keys.into_iter().flatten().map(|key| key.attribute_name);
            let names: Vec<String> = names.collect();
            self.keys().insert(table.to_owned(), names.clone());
            names
        };
        let key = names.into_iter().map(|name| {
            let value = item.get(&name).cloned();
            let value = value.ok_or_else(|| format!("an item of {table} has no {name}"))?;
            Ok((name, value))
        });
        key.collect()
    }

    fn keys(&self) -> MutexGuard<'_, HashMap<String, Vec<String>>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use axum::http::HeaderValue;
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
    fn a_request_says_what_it_asks_of_whom(
        #[case] path: &'static str,
        #[case] target: Option<&'static str>,
        #[case] body: &'static str,
        #[case] asks: Option<(Service, &str)>,
    ) {
        let mut headers = HeaderMap::new();
        headers.extend(target.map(|target| {
            let name = header::HeaderName::from_static("x-amz-target");
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

    #[test]
    fn a_write_takes_what_the_larger_of_before_and_after_does() {
        let write = || Touch::Write { key: Item::new() };
        let read = |consistent| Touch::Read {
            key: Item::new(),
            consistent,
        };
        let touched = [
            ("channels".to_owned(), vec![write(), write(), read(true)]),
            ("profiles".to_owned(), vec![read(false), read(false)]),
        ];
        let before = [3_000, 0, 5_000, 100, 0];
        let after = [10, 2_000, 5_000, 100, 0];
        let channels = Taken {
            requests: 1,
            half_read_units: 4,
            write_units: 3 + 2,
        };
        let profiles = Taken {
            requests: 1,
            half_read_units: 2,
            write_units: 0,
        };
        assert_eq!(
            taken(&touched, &before, &after),
            BTreeMap::from([
                ("channels".to_owned(), channels),
                ("profiles".to_owned(), profiles)
            ])
        );
    }
}
