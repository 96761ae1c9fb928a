//! Proxies between a function and AWS or Slack that measure how long those take to respond.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{Router, extract::State, response::Response};
use counting::aws::{Request, Upstream};
use local_stack::HttpServer;

use crate::{Error, contender::Places};

/// Two proxies, before AWS and before Slack, which run until they are dropped.
#[derive(Debug)]
pub struct Stopwatches {
    /// The addresses that a contender uses to reach the two.
    pub places: Places,
    pub calls: Calls,
    _servers: [HttpServer; 2],
}

#[derive(Debug, Clone)]
struct Shared {
    upstream: Upstream,
    calls: Calls,
}

/// When each call began and ended.
#[derive(Debug, Clone, Default)]
pub struct Calls(Arc<Mutex<Vec<(Instant, Instant)>>>);

/// How many calls were made, and how long they took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Called {
    pub count: usize,
    /// Overlapping calls count once.
    pub time: Duration,
}

impl Stopwatches {
    pub async fn before(places: &Places) -> Result<Self, Error> {
        let calls = Calls::default();
        let aws = start(&places.aws, &calls).await?;
        let slack = start(&places.slack, &calls).await?;
        Ok(Self {
            places: Places {
                aws: aws.url(),
                slack: slack.url(),
            },
            calls,
            _servers: [aws, slack],
        })
    }
}

async fn start(url: &str, calls: &Calls) -> Result<HttpServer, Error> {
    let shared = Shared {
        upstream: Upstream::new(),
        calls: calls.clone(),
    };
    shared.upstream.is_at(url);
    let router = Router::new().fallback(pass).with_state(shared);
    let server = HttpServer::start(router).await;
    server.map_err(Error::io("a stopwatch"))
}

async fn pass(State(shared): State<Shared>, request: Request) -> Response {
    let began = Instant::now();
    let response = shared.upstream.forward(request).await;
    shared.calls.note(began, Instant::now());
    response
}

impl Calls {
    fn note(&self, began: Instant, ended: Instant) {
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        calls.push((began, ended));
    }

    /// The calls since `take` was last called.
    pub fn take(&self) -> Called {
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        called(std::mem::take(&mut *calls))
    }
}

fn called(mut calls: Vec<(Instant, Instant)>) -> Called {
    calls.sort_unstable();
    let mut until: Option<Instant> = None;
    let mut time = Duration::ZERO;
    for &(began, ended) in &calls {
        let from = until.map_or(began, |until| until.max(began));
        time += ended.saturating_duration_since(from);
        until = Some(until.map_or(ended, |until| until.max(ended)));
    }
    Called {
        count: calls.len(),
        time,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn concurrent_calls_count_once() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let calls = vec![
            (at(20), at(30)),
            (at(0), at(10)),
            (at(5), at(12)),
            (at(6), at(8)),
        ];
        let expected = Called {
            count: 4,
            time: Duration::from_millis(12 + 10),
        };
        assert_eq!(called(calls), expected);
    }
}
