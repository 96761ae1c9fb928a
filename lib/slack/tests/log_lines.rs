//! The lines that the client writes. The one test here has a process to itself: where others log beside
//! it without a subscriber, tracing may take it that nobody listens.
#![allow(clippy::unwrap_used)]

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use apgl_slack::{FixedToken, SlackClient, SlackToken};
use tracing::{Event, Level, Subscriber, instrument::WithSubscriber};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt},
    registry,
};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::method};

/// An alarm counts the lines.
#[tokio::test]
async fn each_call_that_slack_refuses_by_a_limit_writes_a_line() {
    let server = MockServer::start().await;
    let limited = ResponseTemplate::new(429).insert_header("retry-after", "7");
    let refusing = Mock::given(method("POST")).respond_with(limited);
    refusing.expect(3).mount(&server).await;
    let token = FixedToken(SlackToken::new("xoxb-1").unwrap());
    let slack = SlackClient::new(server.uri().parse().unwrap(), Arc::new(token)).unwrap();
    let warnings = Warnings::default();
    let written = warnings.clone();
    let people = ["ana@example.com", "bob@example.com", "eve@example.com"];
    let answers = slack.users_lookup_by_email(&people);
    let answers = answers.with_subscriber(registry().with(warnings)).await;
    assert!(answers.unwrap().iter().all(Result::is_err));
    assert_eq!(written.0.load(Ordering::SeqCst), 3);
}

/// Counts warnings.
#[derive(Clone, Default)]
struct Warnings(Arc<AtomicUsize>);

impl<S: Subscriber> Layer<S> for Warnings {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if *event.metadata().level() == Level::WARN {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
}
