//! Makes calls to Slack: form encoding, time-outs, and the conversion of a response to a value or a [`SlackError`].

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use apgl_http::TrustError;
use futures_util::future::{join, join_all};
use reqwest::{
    ClientBuilder, Response, StatusCode, Url,
    header::{CONTENT_TYPE, RETRY_AFTER},
};
use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    LimitedBy, RateLimiter, SlackError, SlackToken, TokenSource, Unlimited,
    chat::{CHAT_POST_MESSAGE, CHAT_UPDATE},
    error::{safe_detail, safe_scopes},
    page::{ResponseMetadata, if_readable},
    quotas::{Calls, Limited, Permit, Wait, is_further_page, quotas_of},
};

/// The base URL of the real Slack API.
pub const DEFAULT_API_URL: &str = "https://slack.com/api";

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Used for a 429 response that does not say how long to wait.
pub(crate) const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(30);
/// Slack usually asks for about a minute. All callers wait when a call is refused, so a wrong value must not block
/// them indefinitely.
const LONGEST_RETRY_AFTER: Duration = Duration::from_hours(1);
/// Without the charset, Slack's responses contain the warning `missing_charset`.
const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";
/// A page of 999 channels is about 1 MiB.
const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;

/// A client for one workspace. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SlackClient {
    http: reqwest::Client,
    /// Opens a connection for each call. If a post or an update were sent on a connection that had broken unnoticed, for
    /// example while Lambda froze the function, it would be unknown whether Slack has taken it.
    http_for_posts: reqwest::Client,
    base_url: Url,
    tokens: Arc<dyn TokenSource>,
    limiter: Arc<dyn RateLimiter>,
    /// How many calls of a method the caller plans to make, including the next one.
    planned_calls: u32,
    /// After this time no call is sent.
    not_after: Option<SystemTime>,
}

/// The part that the responses of all methods have in common.
#[derive(Deserialize)]
struct Envelope {
    ok: bool,
    error: Option<String>,
    needed: Option<String>,
    provided: Option<String>,
    #[serde(default, deserialize_with = "if_readable")]
    response_metadata: ResponseMetadata,
}

impl SlackClient {
    /// The longest time that one call may take, from connecting to the last byte of the response.
    pub const CALL_TIMEOUT: Duration = Duration::from_secs(10);

    /// # Errors
    /// [`TrustError`] if `SSL_CERT_FILE` is set and can't be used.
    ///
    /// # Panics
    /// Never: every option is constant.
    pub fn new(base_url: Url, tokens: Arc<dyn TokenSource>) -> Result<Self, TrustError> {
        Ok(Self {
            http: built(apgl_http::client()?),
            http_for_posts: built(apgl_http::client()?.pool_max_idle_per_host(0)),
            base_url,
            tokens,
            limiter: Arc::new(Unlimited),
            planned_calls: 1,
            not_after: None,
        })
    }

    /// Returns a client for a caller that plans this many calls of one method. If the first call has to wait, more
    /// of them are reserved at the same time.
    #[must_use]
    pub fn planning(&self, calls: usize) -> Self {
        Self {
            planned_calls: count(calls).max(1),
            ..self.clone()
        }
    }

    /// Returns a client that sends nothing after this time: its calls then fail with [`SlackError::TooLate`].
    pub(crate) fn before(&self, not_after: Option<SystemTime>) -> Self {
        Self {
            not_after,
            ..self.clone()
        }
    }

    /// Calls `method` and reads the response as `T`.
    pub(crate) async fn call<T: DeserializeOwned>(
        &self,
        method: &'static str,
        arguments: &[(&str, &str)],
    ) -> Result<T, SlackError> {
        self.send(method, arguments).await?.read(method)
    }

    /// Makes one call for each of these arguments, all at the same time. Returns the results in the same order.
    pub(crate) async fn call_at_once<T: DeserializeOwned>(
        &self,
        method: &'static str,
        arguments: &[&[(&str, &str)]],
    ) -> Result<Vec<Result<T, SlackError>>, SlackError> {
        let replies = self.send_at_once(method, arguments).await?;
        let answers = replies.into_iter().map(|reply| reply?.read(method));
        Ok(answers.collect())
    }

    pub(crate) async fn send(
        &self,
        method: &'static str,
        arguments: &[(&str, &str)],
    ) -> Result<Reply, SlackError> {
        let mut replies = self.send_at_once(method, &[arguments]).await?;
        replies.pop().expect("each call has a reply")
    }

    /// Calls `method` with each of these arguments if the rate limiter allows all of the calls now. Repeats a call
    /// with a new token if Slack refuses the current one.
    async fn send_at_once(
        &self,
        method: &'static str,
        arguments: &[&[(&str, &str)]],
    ) -> Result<Vec<Result<Reply, SlackError>>, SlackError> {
        let Some(first) = arguments.first() else {
            return Ok(Vec::new());
        };
        let quotas = quotas_of(method, first);
        let calls = count(arguments.len());
        let calls = Calls {
            quotas: &quotas,
            count: calls,
            planned: self.planned_calls.max(calls),
            never_wait: is_further_page(method, first),
        };
        let (permit, token) = self.permit_and_token(method, calls).await?;
        let sent = arguments
            .iter()
            .map(|arguments| self.send_with(&token, method, arguments));
        let mut replies = join_all(sent).await;
        if replies.iter().any(refuses_the_token) {
            let renewed = self.tokens.renewed(&token).await;
            if renewed.as_ref() != Ok(&token) {
                let refused = replies.iter_mut().zip(arguments);
                let refused = refused.filter(|(reply, _)| refuses_the_token(reply));
                let again = refused.map(async |(reply, arguments)| {
                    *reply = match &renewed {
                        Ok(renewed) => self.send_with(renewed, method, arguments).await,
                        Err(error) => Err(error.clone().into()),
                    };
                });
                join_all(again).await;
            }
        }
        self.report_rate_limited(method, calls, &permit, &mut replies)
            .await;
        Ok(replies)
    }

    /// Requests both at the same time, because they come from different places.
    async fn permit_and_token(
        &self,
        method: &'static str,
        calls: Calls<'_>,
    ) -> Result<(Permit, SlackToken), SlackError> {
        let (permit, token) = join(self.limiter.acquire(calls), self.tokens.token()).await;
        let permit = permit.map_err(|limited| match limited {
            Limited::Wait(wait) => limited_for(method, wait),
            Limited::QueueTooLong { wait } => SlackError::QueueTooLong { method, wait },
        })?;
        Ok((permit, token?))
    }

    /// Tells the rate limiter how many of the permitted calls Slack refused, and replaces the wait in their replies
    /// with the rate limiter's.
    async fn report_rate_limited(
        &self,
        method: &'static str,
        calls: Calls<'_>,
        permit: &Permit,
        replies: &mut [Result<Reply, SlackError>],
    ) {
        let refused: Vec<Duration> = replies.iter().filter_map(retry_after_in).collect();
        for retry_after in &refused {
            tracing::warn!(
                slack.method = method,
                slack.retryAfter = retry_after.as_secs(),
                "Slack refused a call by a limit"
            );
        }
        let Some(longest) = refused.iter().max() else {
            return;
        };
        let count = count(refused.len());
        let refused = Calls { count, ..calls };
        let wait = self.limiter.penalize(refused, permit, *longest).await;
        for reply in replies {
            if retry_after_in(reply).is_some() {
                *reply = Err(limited_for(method, wait));
            }
        }
    }

    async fn send_with(
        &self,
        token: &SlackToken,
        method: &'static str,
        arguments: &[(&str, &str)],
    ) -> Result<Reply, SlackError> {
        // Asked last, because the rate limiter and the tokens may take their time. The rate limiter's permit is lost then,
        // as if the call had been sent: that costs one slot of a quota.
        if self.not_after.is_some_and(|time| SystemTime::now() > time) {
            return Err(SlackError::TooLate { method });
        }
        let url = format!("{}/{method}", self.base_url.as_str().trim_end_matches('/'));
        let http = if matches!(method, CHAT_POST_MESSAGE | CHAT_UPDATE) {
            &self.http_for_posts
        } else {
            &self.http
        };
        let response = http
            .post(url)
            .bearer_auth(token.expose())
            // `form` does not replace an existing content type.
            .header(CONTENT_TYPE, FORM)
            .form(arguments)
            .send()
            .await
            .map_err(|error| transport_error(method, &error))?;
        let status = response.status();
        let retry_after = retry_after(&response);
        let scopes_of_token = scopes(&response);
        if status == StatusCode::TOO_MANY_REQUESTS {
            return Err(SlackError::RateLimited {
                method,
                retry_after,
                is_certain: false,
            });
        }
        let reason = || format!("HTTP {}", status.as_u16());
        // A time-out says nothing about what became of the request.
        if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT {
            return Err(unknown_outcome(method, reason()));
        }
        // Slack answers 200 to a call that it refuses: the page of a proxy, for example, is not from Slack.
        if !status.is_success() {
            return Err(SlackError::Unavailable {
                method,
                reason: reason(),
            });
        }
        let body = read_body(method, response).await?;
        let envelope: Envelope = read_answer(method, &body)?;
        let refusal = (!envelope.ok).then(|| {
            let scopes = envelope.needed.map(|needed| {
                let provided = envelope.provided.unwrap_or_default();
                let (needed, provided) = (safe_scopes(&needed), safe_scopes(&provided));
                format!(", needs {needed}, has {provided}")
            });
            let code = envelope.error.unwrap_or_default();
            let detail = safe_detail(&envelope.response_metadata.messages);
            SlackError::from_code(method, &code, retry_after, scopes).with_detail(detail)
        });
        if let Some(limited @ SlackError::RateLimited { .. }) = refusal {
            return Err(limited);
        }
        Ok(Reply {
            body,
            refusal,
            scopes: scopes_of_token,
        })
    }
}

fn built(http: ClientBuilder) -> reqwest::Client {
    http.connect_timeout(CONNECT_TIMEOUT)
        .timeout(SlackClient::CALL_TIMEOUT)
        .user_agent(concat!("apgl-notifications/", env!("CARGO_PKG_VERSION")))
        .build()
        .expect("every option is constant")
}

impl LimitedBy for SlackClient {
    fn limited_by(&self, limiter: &Arc<dyn RateLimiter>) -> Self {
        Self {
            limiter: limiter.clone(),
            ..self.clone()
        }
    }
}

/// Slack's response: its JSON body, and its error if it is not `ok`. A rate limit is not a `Reply` but an error.
pub(crate) struct Reply {
    pub body: Vec<u8>,
    pub refusal: Option<SlackError>,
    /// The token's scopes as Slack lists them, separated by commas.
    pub scopes: Option<String>,
}

impl Reply {
    fn read<T: DeserializeOwned>(self, method: &'static str) -> Result<T, SlackError> {
        match self.refusal {
            Some(refusal) => Err(refusal),
            None => read_answer(method, &self.body),
        }
    }
}

fn refuses_the_token(reply: &Result<Reply, SlackError>) -> bool {
    let refusal = reply.as_ref().ok().and_then(|reply| reply.refusal.as_ref());
    refusal.is_some_and(SlackError::is_about_the_token)
}

/// How long Slack asks the caller to wait, if it rate-limited the call.
fn retry_after_in(reply: &Result<Reply, SlackError>) -> Option<Duration> {
    match reply {
        Err(SlackError::RateLimited { retry_after, .. }) => Some(*retry_after),
        _ => None,
    }
}

fn limited_for(method: &'static str, wait: Wait) -> SlackError {
    SlackError::RateLimited {
        method,
        retry_after: wait.retry_after,
        is_certain: wait.is_certain,
    }
}

fn count(calls: usize) -> u32 {
    u32::try_from(calls).unwrap_or(u32::MAX)
}

fn unknown_outcome(method: &'static str, reason: impl Into<String>) -> SlackError {
    SlackError::OutcomeUnknown {
        method,
        reason: reason.into(),
    }
}

async fn read_body(method: &'static str, mut response: Response) -> Result<Vec<u8>, SlackError> {
    let mut body = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| transport_error(method, &error))?
    {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(unknown_outcome(method, "the answer is too large"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Parses a response. One without the documented shape does not show whether the call had its effect.
pub(crate) fn read_answer<T: DeserializeOwned>(
    method: &'static str,
    body: &[u8],
) -> Result<T, SlackError> {
    serde_json::from_slice(body).map_err(|error| {
        // serde's message would quote the response; the category and position are enough.
        let (category, column) = (error.classify(), error.column());
        let reason = format!(
            "the answer does not have the documented shape ({category:?} error at column {column})"
        );
        unknown_outcome(method, reason)
    })
}

fn retry_after(response: &Response) -> Duration {
    response
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.trim().parse().ok())
        .map_or(DEFAULT_RETRY_AFTER, Duration::from_secs)
        .min(LONGEST_RETRY_AFTER)
}

/// Every response to a call with a token has this header. Source: "Installing with OAuth", Slack.
fn scopes(response: &Response) -> Option<String> {
    let scopes = response.headers().get("x-oauth-scopes")?;
    scopes.to_str().ok().map(str::to_owned)
}

/// If there was no connection, nothing was sent. After that, the call may have had its effect.
fn transport_error(method: &'static str, error: &reqwest::Error) -> SlackError {
    if error.is_connect() {
        return SlackError::Unavailable {
            method,
            reason: "no connection".to_owned(),
        };
    }
    let reason = if error.is_timeout() {
        "no answer in time"
    } else {
        "the connection broke"
    };
    unknown_outcome(method, reason)
}
