//! Posts that may only be sent until a time.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use apgl_slack::{
    LimitedBy, Post, RateLimiter, SlackClient, SlackError, SlackToken, TokenFuture, TokenSource,
    quotas::{AcquireFuture, Calls, PenalizeFuture, Permit},
};
use rstest::rstest;
use serde_json::json;
use tokio::time::sleep;
use wiremock::MockServer;

use crate::fake_slack::{client, client_with, json_answer, metadata, slack_answers};

const HOUR: Duration = Duration::from_hours(1);
const TOO_LATE: SlackError = SlackError::TooLate {
    method: "chat.postMessage",
};

async fn post(slack: &SlackClient, not_after: Option<SystemTime>) -> Result<(), SlackError> {
    let metadata = metadata();
    let post = Post {
        channel: "D1",
        text: "hi",
        blocks: None,
        thread_ts: None,
        unfurl_links: false,
        unfurl_media: false,
        metadata: &metadata,
        not_after,
    };
    slack.chat_post_message(post).await.map(drop)
}

async fn requests(server: &MockServer) -> usize {
    server.received_requests().await.unwrap().len()
}

async fn slack_that_accepts() -> MockServer {
    slack_answers(json_answer(json!({ "ok": true, "ts": "1.0" }))).await
}

#[rstest]
#[case::none(None, true)]
#[case::in_the_future(Some(SystemTime::now() + HOUR), true)]
#[case::in_the_past(Some(SystemTime::now() - Duration::from_millis(1)), false)]
#[tokio::test]
async fn nothing_is_sent_after_a_posts_time_limit(
    #[case] not_after: Option<SystemTime>,
    #[case] is_sent: bool,
) {
    let server = slack_that_accepts().await;
    let expected = if is_sent { Ok(()) } else { Err(TOO_LATE) };
    assert_eq!(post(&client(&server), not_after).await, expected);
    assert_eq!(requests(&server).await, usize::from(is_sent));
}

#[tokio::test]
async fn a_time_limit_is_of_one_post_only() {
    let server = slack_that_accepts().await;
    let slack = client(&server);
    let past = SystemTime::now() - HOUR;
    assert_eq!(post(&slack, Some(past)).await, Err(TOO_LATE));
    assert_eq!(post(&slack, None).await, Ok(()));
}

/// Takes until after this time to allow a call, or to return another token.
#[derive(Debug)]
struct Slow(SystemTime);

impl Slow {
    async fn wait(&self) {
        while SystemTime::now() <= self.0 {
            sleep(Duration::from_millis(20)).await;
        }
    }
}

impl RateLimiter for Slow {
    fn acquire<'a>(&'a self, _calls: Calls<'a>) -> AcquireFuture<'a> {
        Box::pin(async {
            self.wait().await;
            Ok(Permit::default())
        })
    }

    fn penalize<'a>(
        &'a self,
        _calls: Calls<'a>,
        _permit: &'a Permit,
        _retry_after: Duration,
    ) -> PenalizeFuture<'a> {
        unreachable!("Slack limits nobody")
    }
}

impl TokenSource for Slow {
    fn token(&self) -> TokenFuture<'_> {
        Box::pin(async { Ok(SlackToken::new("xoxb-old").unwrap()) })
    }

    fn renewed<'a>(&'a self, _refused: &'a SlackToken) -> TokenFuture<'a> {
        Box::pin(async {
            self.wait().await;
            Ok(SlackToken::new("xoxb-new").unwrap())
        })
    }
}

#[tokio::test]
async fn a_post_that_waits_for_the_rate_limiter_until_its_time_limit_is_not_sent() {
    let server = slack_that_accepts().await;
    let limit = SystemTime::now() + Duration::from_millis(200);
    let limiter: Arc<dyn RateLimiter> = Arc::new(Slow(limit));
    let slack = client(&server).limited_by(&limiter);
    assert_eq!(post(&slack, Some(limit)).await, Err(TOO_LATE));
    assert_eq!(requests(&server).await, 0);
}

#[tokio::test]
async fn a_post_is_not_sent_again_with_a_new_token_after_its_time_limit() {
    let refusal = json!({ "ok": false, "error": "token_revoked" });
    let server = slack_answers(json_answer(refusal)).await;
    let limit = SystemTime::now() + Duration::from_secs(2);
    let slack = client_with(&server, Arc::new(Slow(limit)));
    assert_eq!(post(&slack, Some(limit)).await, Err(TOO_LATE));
    assert_eq!(requests(&server).await, 1);
}
