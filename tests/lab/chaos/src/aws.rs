//! A proxy between the functions and AWS that injects faults.

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use counting::aws::{Request, Service, Upstream};
use local_stack::HttpServer;

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
pub struct FaultyAws {
    server: HttpServer,
    upstream: Upstream,
}

#[derive(Debug, Clone)]
struct Shared {
    upstream: Upstream,
    dice: Dice,
}

impl FaultyAws {
    pub async fn start(dice: Dice) -> Result<Self, Error> {
        let upstream = Upstream::new();
        let shared = Shared {
            upstream: upstream.clone(),
            dice,
        };
        let router = Router::new().fallback(pass).with_state(shared);
        let server = HttpServer::start(router).await?;
        Ok(Self { server, upstream })
    }

    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Sets the address of AWS, once it is known.
    pub fn forward_to(&self, url: &str) {
        self.upstream.is_at(url);
    }
}

async fn pass(State(shared): State<Shared>, request: Request) -> Response {
    let seam = request.asks().map(|(service, _)| seam_of(service));
    let fault = seam.and_then(|seam| shared.dice.roll(seam, &KINDS));
    match fault.map(|(kind, _)| kind) {
        None => shared.upstream.forward(request).await,
        Some("unavailable after the effect") => {
            shared.upstream.forward(request).await;
            refusal(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError")
        }
        Some("throttled") => refusal(StatusCode::BAD_REQUEST, "ThrottlingException"),
        Some(_) => refusal(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable"),
    }
}

fn seam_of(service: Service) -> Seam {
    match service {
        Service::DynamoDb => Seam::DynamoDb,
        Service::SecretsManager => Seam::SecretsManager,
        Service::CloudWatch => Seam::CloudWatch,
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
