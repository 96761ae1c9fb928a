//! The rate limiter that all executions share.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use apgl_aws::{SettingError, optional_setting};
use apgl_contract::{Run, StepError};
use aws_sdk_dynamodb::{Client, config};
use aws_smithy_types::{retry::RetryConfig, timeout::TimeoutConfig};
use aws_types::SdkConfig;

use crate::{clock::SlackClock, table::RateLimits};

/// The longest time for which an unresponsive table delays a call.
const TABLE_TIMEOUT: Duration = Duration::from_secs(2);
const TABLE_ATTEMPTS: u32 = 2;

/// The rate limiter that all executions share.
#[derive(Debug)]
pub struct SharedLimiter {
    pub(crate) limits: RateLimits,
    pub(crate) clock: SlackClock,
}

impl SharedLimiter {
    /// `table` is the name of the rate-limits table.
    pub fn new(aws: &SdkConfig, table: String, clock: SlackClock) -> Self {
        let config = config::Builder::from(aws)
            .timeout_config(
                TimeoutConfig::builder()
                    .operation_timeout(TABLE_TIMEOUT)
                    .build(),
            )
            .retry_config(RetryConfig::standard().with_max_attempts(TABLE_ATTEMPTS))
            .build();
        Self::over(RateLimits::new(Client::from_conf(config), table), clock)
    }

    /// With the time-outs and retries of the table's own client.
    pub fn over(limits: RateLimits, clock: SlackClock) -> Self {
        Self { limits, clock }
    }

    /// With the table that `RATE_LIMITS_TABLE` names; `None` if it is not set.
    ///
    /// # Errors
    /// The same as for [`SlackClock::from_env`].
    pub fn from_env(aws: &SdkConfig) -> Result<Option<Self>, SettingError> {
        let Some(table) = optional_setting("RATE_LIMITS_TABLE") else {
            return Ok(None);
        };
        Ok(Some(Self::new(aws, table, SlackClock::from_env()?)))
    }

    /// Frees the unused reservations of an execution that ended at `ended_at`. Later ones belong to a redrive.
    ///
    /// # Errors
    /// The same as for [`RateLimits::take`].
    pub async fn release(&self, execution_id: &str, ended_at: SystemTime) -> Result<(), StepError> {
        let now = self.clock.now();
        self.limits.release(execution_id, ended_at, now).await
    }

    /// When the execution times out, in Slack's time.
    pub(crate) fn end_of(&self, run: &Run) -> Option<u64> {
        let started_at = UNIX_EPOCH + Duration::from_millis(run.started_at?);
        Some(self.clock.at(started_at) + run.timeout_seconds? * 1_000)
    }
}
