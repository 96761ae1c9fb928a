use std::{env, time::Duration};

use apgl_http::TrustError;
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_runtime_api::client::{behavior_version::BehaviorVersion, http::SharedHttpClient};
use aws_smithy_types::{retry::RetryConfig, timeout::TimeoutConfig};
use aws_types::{SdkConfig, region::Region};

use crate::http;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(4);
/// The limit for all attempts of one operation; shorter than the time-out of every function.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(9);
const MAX_ATTEMPTS: u32 = 3;

/// Why an AWS or Slack client can't be configured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    #[error("environment variable {0} is not set")]
    Missing(&'static str),
    #[error(transparent)]
    Trust(#[from] TrustError),
}

/// The configuration of a Lambda function, from `AWS_REGION`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`,
/// `AWS_SESSION_TOKEN`, and `AWS_ENDPOINT_URL` if a local stack replaces AWS.
pub fn config_from_env() -> Result<SdkConfig, ConfigError> {
    let required = |name| variable(name).ok_or(ConfigError::Missing(name));
    let credentials = Credentials::new(
        required("AWS_ACCESS_KEY_ID")?,
        required("AWS_SECRET_ACCESS_KEY")?,
        variable("AWS_SESSION_TOKEN"),
        None,
        "environment",
    );
    Ok(config(
        required("AWS_REGION")?,
        variable("AWS_ENDPOINT_URL"),
        credentials,
    )?)
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// The workspace's shared HTTP client, for AWS clients.
///
/// # Panics
/// Never: every option is constant.
pub fn http_client() -> Result<SharedHttpClient, TrustError> {
    // Signed requests, and requests for credentials, go to AWS directly.
    let client = apgl_http::client()?
        .connect_timeout(CONNECT_TIMEOUT)
        .no_proxy();
    Ok(http::over(
        client.build().expect("every option is constant"),
    ))
}

/// The configuration for `region`, with the time-outs and retries of all our clients.
pub fn config(
    region: String,
    endpoint_url: Option<String>,
    credentials: Credentials,
) -> Result<SdkConfig, TrustError> {
    let timeouts = TimeoutConfig::builder()
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .operation_timeout(OPERATION_TIMEOUT)
        .build();
    let mut config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new(region))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(http_client()?)
        .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
        .timeout_config(timeouts)
        .retry_config(RetryConfig::standard().with_max_attempts(MAX_ATTEMPTS));
    config.set_endpoint_url(endpoint_url);
    Ok(config.build())
}
