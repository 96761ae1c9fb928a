//! One call: form encoding, time-outs, and an answer sorted into a value or a [`SlackError`].

use std::{sync::Arc, time::Duration};

use apgl_http::TrustError;
use futures_util::future::{join, join_all};
use reqwest::{
    Response, StatusCode, Url,
    header::{CONTENT_TYPE, RETRY_AFTER},
};
use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    Pacer, SlackError, SlackToken, TokenSource, Unpaced,
    error::safe_scopes,
    pacing::{PacedCall, Wait, is_a_further_page, limits_of},
};

/// Slack's own address.
pub const DEFAULT_API_URL: &str = "https://slack.com/api";

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// For a 429 that does not say how long to wait.
pub(crate) const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(30);
/// Slack asks for a minute or so. Who waits holds others up, in the queue for Slack and in the scan of
/// its channels, so one wrong answer must not stop everybody for good.
const LONGEST_RETRY_AFTER: Duration = Duration::from_hours(1);
/// Without the charset Slack's answers carry the warning `missing_charset`.
const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";
/// A page of 999 channels is about 1 MiB.
const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;

/// A client for one workspace. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SlackClient {
    http: reqwest::Client,
    base_url: Url,
    tokens: Arc<dyn TokenSource>,
    pacer: Arc<dyn Pacer>,
    /// How many calls of a method its user will make, this one too.
    calls_ahead: u32,
}

/// The part of an answer that every method has.
#[derive(Debug, Deserialize)]
struct Envelope {
    ok: bool,
    error: Option<String>,
    needed: Option<String>,
    provided: Option<String>,
}

impl SlackClient {
    /// How long one call may take in all, from connecting to the answer's last byte.
    pub const CALL_TIMEOUT: Duration = Duration::from_secs(10);

    /// # Errors
    /// [`TrustError`] where `SSL_CERT_FILE` is set and can't be used.
    ///
    /// # Panics
    /// Never: every option is constant.
    pub fn new(base_url: Url, tokens: Arc<dyn TokenSource>) -> Result<Self, TrustError> {
        let http = apgl_http::client()?
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(Self::CALL_TIMEOUT)
            .user_agent(concat!("apgl-notifications/", env!("CARGO_PKG_VERSION")))
            .build()
            .expect("every option is constant");
        Ok(Self {
            http,
            base_url,
            tokens,
            pacer: Arc::new(Unpaced),
            calls_ahead: 1,
        })
    }

    /// The same client, which asks for leave before each call.
    #[must_use]
    pub fn paced_by(self, pacer: Arc<dyn Pacer>) -> Self {
        Self { pacer, ..self }
    }

    /// The same client, for so many calls of one method: where the first must wait, it waits for
    /// turns for more of them at once.
    #[must_use]
    pub fn ahead_of(&self, calls: usize) -> Self {
        Self {
            calls_ahead: count(calls).max(1),
            ..self.clone()
        }
    }

    /// Calls `method` and reads its answer as `T`.
    pub(crate) async fn call<T: DeserializeOwned>(
        &self,
        method: &'static str,
        arguments: &[(&str, &str)],
    ) -> Result<T, SlackError> {
        self.send(method, arguments).await?.read(method)
    }

    /// The same with each of these arguments, all at once: one answer for each, in their order.
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

    /// Calls `method` with each of these arguments when the pacer lets it, with a fresh token if Slack
    /// refuses the one at hand. One leave is asked for, for all: they are under the same limits.
    async fn send_at_once(
        &self,
        method: &'static str,
        arguments: &[&[(&str, &str)]],
    ) -> Result<Vec<Result<Reply, SlackError>>, SlackError> {
        let Some(first) = arguments.first() else {
            return Ok(Vec::new());
        };
        let limits = limits_of(method, first);
        let calls = count(arguments.len());
        let call = PacedCall {
            method,
            limits: &limits,
            calls,
            ahead: self.calls_ahead.max(calls),
            follows: is_a_further_page(method, first),
        };
        let token = self.leave(call).await?;
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
        let limited: Vec<Duration> = replies.iter().filter_map(retry_after_in).collect();
        for retry_after in &limited {
            tracing::warn!(
                slack.method = method,
                slack.retryAfter = retry_after.as_secs(),
                "Slack refused a call by a limit"
            );
        }
        if let Some(longest) = limited.iter().max() {
            let calls = count(limited.len());
            let refused = self.refused(PacedCall { calls, ..call }, *longest).await;
            let limited = replies
                .iter_mut()
                .filter(|reply| retry_after_in(reply).is_some());
            limited.for_each(|reply| *reply = Err(refused.clone()));
        }
        Ok(replies)
    }

    /// Leave to call, and the token to call with: they come from different places, so both are asked
    /// at once.
    async fn leave(&self, call: PacedCall<'_>) -> Result<SlackToken, SlackError> {
        let (leave, token) = join(self.pacer.leave(call), self.tokens.token()).await;
        leave?;
        Ok(token?)
    }

    /// Slack has refused calls that the pacer let pass: others wait too.
    async fn refused(&self, call: PacedCall<'_>, retry_after: Duration) -> SlackError {
        let Wait { retry_after, turns } = self.pacer.refused(call, retry_after).await;
        SlackError::RateLimited {
            method: call.method,
            retry_after,
            turns,
        }
    }

    async fn send_with(
        &self,
        token: &SlackToken,
        method: &'static str,
        arguments: &[(&str, &str)],
    ) -> Result<Reply, SlackError> {
        let url = format!("{}/{method}", self.base_url.as_str().trim_end_matches('/'));
        let response = self
            .http
            .post(url)
            .bearer_auth(token.expose())
            // `form` keeps a content type that is there.
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
                turns: Vec::new(),
            });
        }
        if status.is_server_error() {
            return Err(unknown_outcome(method, format!("HTTP {}", status.as_u16())));
        }
        if !status.is_success() {
            return Err(SlackError::Rejected {
                method,
                code: format!("http_{}", status.as_u16()),
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
            SlackError::from_code(method, &code, retry_after, scopes)
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

/// What Slack answered: the JSON, and the error that it says, if it is not `ok` and not by a limit.
pub(crate) struct Reply {
    pub body: Vec<u8>,
    pub refusal: Option<SlackError>,
    /// What the token may do, as Slack writes it: scopes with commas between them.
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

/// How long Slack asks to wait, where it has refused a call by a limit.
fn retry_after_in(reply: &Result<Reply, SlackError>) -> Option<Duration> {
    match reply {
        Err(SlackError::RateLimited { retry_after, .. }) => Some(*retry_after),
        _ => None,
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

/// An answer that is not of the documented shape says nothing about the effect.
pub(crate) fn read_answer<T: DeserializeOwned>(
    method: &'static str,
    body: &[u8],
) -> Result<T, SlackError> {
    serde_json::from_slice(body).map_err(|error| {
        // serde's message would quote the answer; its category and place are enough.
        let (category, column) = (error.classify(), error.column());
        let reason = format!(
            "the answer is not of the documented shape ({category:?} error at column {column})"
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

/// Source: "Installing with OAuth", Slack: the header stands in every answer to a call with a token.
fn scopes(response: &Response) -> Option<String> {
    let scopes = response.headers().get("x-oauth-scopes")?;
    scopes.to_str().ok().map(str::to_owned)
}

/// Before the connection stands nothing was sent; after that the effect may have happened.
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
