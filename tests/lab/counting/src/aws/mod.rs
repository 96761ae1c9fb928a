//! A proxy between the functions and AWS that counts their calls.
//!
//! The proxy forwards requests unchanged, including the `Host` header, because they are signed. If it weighs
//! requests, it looks at the items that a DynamoDB request touches before and after the request.

mod request;
mod upstream;
mod weighing;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use aws_sdk_dynamodb::Client;
use aws_types::SdkConfig;
use axum::{Router, extract::State, response::Response};
use local_stack::HttpServer;
use serde_json::Value;

use self::weighing::{Items, taken, writes};
pub use self::{
    request::{Request, Service},
    upstream::Upstream,
};
use crate::{
    Error,
    dynamodb::{Taken, touched},
};

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
