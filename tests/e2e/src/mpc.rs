//! The MPC service's side: signed requests, events and messages for its handlers.

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use local_stack::{
    signed::{self, client},
    stack::{ACCESS_KEY, BOUNTY_CHANNEL},
};
use reqwest::{Method, Response};
use serde_json::Value;
use tokio::sync::OnceCell;

use crate::{World, variable};

/// The response of an HTTP API.
#[derive(Debug, Clone, PartialEq)]
pub struct Answered {
    pub status: u16,
    pub body: Value,
}

/// Sends a request to the request handler's API, signed for IAM.
pub async fn request(method: Method, path: &str, key: &str, body: &Value) -> Answered {
    let request = http::Request::builder()
        .method(method.as_str())
        .uri(url(path))
        .header("content-type", "application/json")
        .header("idempotency-key", key)
        .body(body.to_string())
        .expect("the request is one");
    let credentials = Credentials::new(ACCESS_KEY, ACCESS_KEY, None, None, "local stack");
    let answer = signed::send(&credentials, "execute-api", request).await;
    answered(answer.expect("the API answers")).await
}

/// Sends a request without a signature.
pub async fn unsigned_request(method: Method, path: &str, body: &Value) -> Answered {
    let request = client().request(method, url(path)).body(body.to_string());
    answered(request.send().await.expect("the API answers")).await
}

fn url(path: &str) -> String {
    format!("{}{path}", variable("APGL_E2E_MPC_REQUESTS"))
}

async fn answered(response: Response) -> Answered {
    let status = response.status().as_u16();
    let body = response.text().await.expect("the answer has a body");
    Answered {
        status,
        body: body.parse().unwrap_or_default(),
    }
}

impl World {
    /// The workspace with the channel for bounties, which must be created by hand.
    pub async fn with_bounty_channel() -> Self {
        static MADE: OnceCell<()> = OnceCell::const_new();
        let world = Self::here();
        MADE.get_or_init(async || {
            world.public_channel(BOUNTY_CHANNEL).await;
        })
        .await;
        world
    }

    /// Publishes an event about a content item on the default bus.
    pub async fn publish(&self, detail: &Value) {
        let entry = PutEventsRequestEntry::builder()
            .source("apgl.mpc")
            .detail_type("Content Item State Changed")
            .detail(detail.to_string())
            .build();
        let events = aws_sdk_eventbridge::Client::new(&self.aws).put_events();
        let put = events.entries(entry).send().await;
        assert_eq!(put.expect("the event is put").failed_entry_count, 0);
    }

    /// Sends a message to the bounty queue.
    pub async fn send_bounty(&self, body: &str) {
        let sqs = aws_sdk_sqs::Client::new(&self.aws);
        let message = sqs.send_message().message_body(body);
        let queue = self.queue("apgl-mpc-content-bounties").await;
        let sent = message.queue_url(queue).send().await;
        sent.expect("the message is sent");
    }

    /// Waits until this message is in the bounty queue's dead-letter queue, and returns the dead letters before it.
    pub async fn bounty_is_dead(&self, body: &str) -> Vec<String> {
        let queue = self.queue("apgl-mpc-content-bounty-dead-letters").await;
        let sqs = aws_sdk_sqs::Client::new(&self.aws);
        let mut letters = Vec::new();
        for _ in 0..60 {
            let received = sqs
                .receive_message()
                .queue_url(&queue)
                .wait_time_seconds(1)
                .send()
                .await;
            let messages = received.expect("the queue answers").messages;
            let bodies = messages.unwrap_or_default().into_iter();
            letters.extend(bodies.filter_map(|message| message.body));
            if letters.iter().any(|letter| letter == body) {
                return letters;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        panic!("the message is not among the dead letters");
    }

    async fn queue(&self, name: &str) -> String {
        let sqs = aws_sdk_sqs::Client::new(&self.aws);
        let queue = sqs.get_queue_url().queue_name(name).send().await;
        let url = queue.expect("the queue is there").queue_url;
        url.expect("the queue has a URL")
    }
}
