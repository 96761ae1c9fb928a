//! The lines that a request writes. The one test here has a process to itself: where others log beside
//! it without a subscriber, tracing may take it that nobody listens.
#![allow(clippy::unwrap_used)]

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use aws_credential_types::Credentials;
use aws_sdk_secretsmanager::Client;
use serde_json::json;
use tracing::{Event, Level, Subscriber, instrument::WithSubscriber};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt},
    registry,
};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::method};

/// An alarm counts error lines: what passes by itself is none.
#[tokio::test]
async fn an_answer_that_a_retry_mends_is_no_error_in_the_log() {
    let aws = MockServer::start().await;
    let unavailable = Mock::given(method("POST")).respond_with(ResponseTemplate::new(503));
    unavailable.up_to_n_times(1).expect(1).mount(&aws).await;
    let answer = ResponseTemplate::new(200).set_body_json(json!({ "SecretString": "xoxb-1" }));
    let answers = Mock::given(method("POST")).respond_with(answer);
    answers.expect(1).mount(&aws).await;

    let errors = Errors::default();
    let logged = errors.clone();
    let credentials = Credentials::new("id", "key", None, None, "test");
    let config = apgl_aws::config("eu-west-1".to_owned(), Some(aws.uri()), credentials);
    let client = Client::new(&config.unwrap());
    let secret = client.get_secret_value().secret_id("token").send();
    let secret = secret.with_subscriber(registry().with(errors)).await;
    assert_eq!(secret.unwrap().secret_string(), Some("xoxb-1"));
    assert_eq!(logged.0.load(Ordering::SeqCst), 0);
}

/// Counts error lines.
#[derive(Clone, Default)]
struct Errors(Arc<AtomicUsize>);

impl<S: Subscriber> Layer<S> for Errors {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if *event.metadata().level() == Level::ERROR {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
}
