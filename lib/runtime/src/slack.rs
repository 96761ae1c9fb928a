//! The Slack client of a function, with its token from Secrets Manager.

use std::{fmt, process::ExitCode, sync::Arc, time::Duration};

use apgl_aws::{AwsError, ConfigError, SettingError, config_from_env, optional_setting, setting};
use apgl_contract::{Invocation, StepError};
use apgl_rate_limit::SharedLimiter;
use apgl_slack::{
    DEFAULT_API_URL, LimitedBy, NoToken, RateLimiter, SlackClient, SlackToken, TokenFuture,
    TokenSource,
};
use aws_sdk_secretsmanager::Client;
use aws_types::SdkConfig;
use serde::{Serialize, de::DeserializeOwned};
use tokio::{sync::Mutex, time::Instant};

use crate::{SetupError, run};

/// How long a token is cached. A new token is in use within a minute.
const TIME_TO_LIVE: Duration = Duration::from_secs(45);

/// Runs the step `name`, which calls Slack, in the same way as [`run`].
///
/// `deps` creates the step's clients and settings once. Each invocation has its own view of the rate limiter,
/// because reservations belong to a step of an execution.
pub async fn run_slack_step<D, I, O>(
    name: &'static str,
    deps: impl FnOnce(&SdkConfig, SlackClient) -> Result<D, SettingError>,
    handle: impl AsyncFn(&D, &Invocation, I) -> Result<O, StepError>,
) -> ExitCode
where
    D: LimitedBy,
    I: DeserializeOwned,
    O: Serialize,
{
    let deps = || {
        let aws = config_from_env()?;
        let slack = slack_client(&aws)?;
        Ok((
            deps(&aws, slack)?,
            SharedLimiter::from_env(&aws)?.map(Arc::new),
        ))
    };
    run(name, deps, async |(deps, limiter), invocation, input| {
        let Some(limiter) = limiter else {
            return handle(deps, &invocation, input).await;
        };
        let limiter: Arc<dyn RateLimiter> = Arc::new(limiter.for_step(&invocation.run, name));
        handle(&deps.limited_by(&limiter), &invocation, input).await
    })
    .await
}

/// The Slack client for `SLACK_API_URL` (by default Slack's own URL), with the token from the secret that
/// `SLACK_TOKEN_SECRET` names.
pub fn slack_client(aws: &SdkConfig) -> Result<SlackClient, SetupError> {
    let url = optional_setting("SLACK_API_URL").unwrap_or_else(|| DEFAULT_API_URL.to_owned());
    let url = url.parse().map_err(|_| SettingError::Bad {
        name: "SLACK_API_URL",
        rule: "must be a URL",
    })?;
    let token = SecretToken::new(Client::new(aws), setting("SLACK_TOKEN_SECRET")?);
    Ok(SlackClient::new(url, Arc::new(token)).map_err(ConfigError::from)?)
}

/// The token in a secret. It is cached for its time to live, and read again when Slack rejects it.
pub struct SecretToken {
    client: Client,
    secret: String,
    cached: Mutex<Option<(SlackToken, Instant)>>,
}

impl SecretToken {
    pub fn new(client: Client, secret: String) -> Self {
        Self {
            client,
            secret,
            cached: Mutex::new(None),
        }
    }

    async fn read(&self) -> Result<SlackToken, NoToken> {
        let answer = self
            .client
            .get_secret_value()
            .secret_id(&self.secret)
            .send()
            .await
            .map_err(|error| self.failed(AwsError::of(&error)))?;
        SlackToken::new(answer.secret_string().unwrap_or_default())
            .map_err(|error| self.failed(AwsError::Permanent(error.to_string())))
    }

    fn failed(&self, error: AwsError) -> NoToken {
        let is_transient = matches!(error, AwsError::Transient(_));
        let (AwsError::Transient(reason) | AwsError::Permanent(reason)) = error;
        NoToken {
            store: self.secret.clone(),
            operation: "GetSecretValue",
            reason,
            is_transient,
        }
    }
}

impl TokenSource for SecretToken {
    fn token(&self) -> TokenFuture<'_> {
        Box::pin(async {
            let mut cached = self.cached.lock().await;
            if let Some((token, read_at)) = &*cached
                && read_at.elapsed() < TIME_TO_LIVE
            {
                return Ok(token.clone());
            }
            let token = self.read().await?;
            *cached = Some((token.clone(), Instant::now()));
            Ok(token)
        })
    }

    fn renewed<'a>(&'a self, refused: &'a SlackToken) -> TokenFuture<'a> {
        Box::pin(async move {
            let mut cached = self.cached.lock().await;
            // Another call in this environment may have renewed the token already.
            if let Some((token, _)) = &*cached
                && token != refused
            {
                return Ok(token.clone());
            }
            let token = self.read().await?;
            *cached = Some((token.clone(), Instant::now()));
            Ok(token)
        })
    }
}

impl fmt::Debug for SecretToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretToken")
            .field("secret", &self.secret)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use aws_smithy_http_client::test_util::{ReplayEvent, StaticReplayClient};
    use aws_smithy_types::body::SdkBody;
    use tokio::time::advance;

    use super::*;

    /// A secret that contains the next of these tokens each time it is read.
    fn secret_with(tokens: &[&str]) -> SecretToken {
        let answers = tokens.iter().map(|token| {
            let request = http::Request::new(SdkBody::empty());
            let body = format!(r#"{{"SecretString": "{token}"}}"#);
            ReplayEvent::new(request, http::Response::new(SdkBody::from(body)))
        });
        let aws = fake_aws::config(StaticReplayClient::new(answers.collect()));
        SecretToken::new(Client::new(&aws), "secret".to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_token_is_in_use_within_a_minute() {
        let secret = secret_with(&["xoxb-old", "xoxb-new"]);
        let (old, new) = (SlackToken::new("xoxb-old"), SlackToken::new("xoxb-new"));
        assert_eq!(secret.token().await, Ok(old.clone().unwrap()));
        advance(Duration::from_secs(30)).await;
        assert_eq!(secret.token().await, Ok(old.unwrap()));
        advance(Duration::from_secs(30)).await;
        assert_eq!(secret.token().await, Ok(new.unwrap()));
    }

    #[tokio::test]
    async fn a_refused_token_is_read_again_at_once_but_only_once() {
        let secret = secret_with(&["xoxb-old", "xoxb-new"]);
        let old = secret.token().await.unwrap();
        let new = secret.renewed(&old).await.unwrap();
        assert_ne!(old, new);
        // Another call had the old token rejected, too. A third read would find no response here.
        assert_eq!(secret.renewed(&old).await, Ok(new));
    }
}
