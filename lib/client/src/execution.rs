use std::{fmt, marker::PhantomData, time::Duration};

use apgl_aws::AwsError;
use apgl_contract::decode;
use aws_sdk_sfn::{operation::describe_execution::DescribeExecutionOutput, types::ExecutionStatus};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};

use crate::{Failure, WaitError};

/// Short, because a workflow without waits takes about a second.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// Longer waits poll less often, because the rate limit of `DescribeExecution` applies to the whole account.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// `DescribeExecution` is eventually consistent: an execution that was just started may be missing for this long.
const VISIBLE_AFTER: Duration = Duration::from_secs(10);
/// The limits for the time-out of one `DescribeExecution` call. The last call has at least the shorter one.
const LONGEST_LOOK: Duration = Duration::from_secs(10);
const SHORTEST_LOOK: Duration = Duration::from_secs(1);

/// A started workflow, whose outcome is an `O`.
pub struct Execution<O> {
    sfn: aws_sdk_sfn::Client,
    arn: String,
    outcome: PhantomData<fn() -> O>,
}

impl<O> Execution<O> {
    pub(crate) fn new(sfn: aws_sdk_sfn::Client, arn: String) -> Self {
        Self {
            sfn,
            arn,
            outcome: PhantomData,
        }
    }

    /// The execution's ARN. It works in the console's search and with `apgl inspect`.
    pub fn arn(&self) -> &str {
        &self.arn
    }
}

impl<O: DeserializeOwned> Execution<O> {
    /// Waits until the execution has ended, and returns its outcome. It polls less and less often: first every
    /// quarter of a second, in the end every five seconds.
    ///
    /// An execution may take hours, and a Lambda function that waits pays for doing nothing. This method is meant
    /// for tools, for tests, and for [`check_channel_exists`](crate::Client::check_channel_exists).
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # use apgl_client::{CheckChannelExists, Client, WaitError};
    /// # async fn exists(notifications: &Client) -> Result<bool, Box<dyn std::error::Error>> {
    /// let request = CheckChannelExists::new("guide-42");
    /// let execution = notifications.check_channel_exists("question-7", &request).await?;
    /// match execution.wait(Duration::from_secs(30)).await {
    ///     Ok(outcome) => Ok(outcome.exists),
    ///     Err(WaitError::Failed(failure)) if failure.can_be_redriven() => {
    ///         Err(format!("an operator must see to {}: {failure}", execution.arn()).into())
    ///     }
    ///     Err(error) => Err(error.into()),
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`WaitError::StillRunning`] if the execution still runs after `at_most`. The other errors say how it ended,
    /// or why that is not known.
    pub async fn wait(&self, at_most: Duration) -> Result<O, WaitError> {
        let started = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            let left = at_most.saturating_sub(started.elapsed());
            let not_yet = match self.describe(left.clamp(SHORTEST_LOOK, LONGEST_LOOK)).await {
                Ok(described) => match ended(described)? {
                    Some(output) => return read(output),
                    None => WaitError::StillRunning { waited: at_most },
                },
                Err(Look::InvalidArn) => return Err(WaitError::NoSuchExecution),
                Err(Look::NoSuchExecution) if started.elapsed() > VISIBLE_AFTER => {
                    return Err(WaitError::NoSuchExecution);
                }
                Err(Look::NoSuchExecution) => WaitError::NoSuchExecution,
                Err(Look::Failed(AwsError::Permanent(reason))) => {
                    return Err(WaitError::StepFunctions { reason });
                }
                Err(Look::Failed(AwsError::Transient(reason))) => {
                    WaitError::StepFunctions { reason }
                }
            };
            let left = at_most.saturating_sub(started.elapsed());
            if left.is_zero() {
                return Err(not_yet);
            }
            sleep(jittered(pause).min(left)).await;
            pause = (pause * 3 / 2).min(LONGEST_PAUSE);
        }
    }

    async fn describe(&self, at_most: Duration) -> Result<DescribeExecutionOutput, Look> {
        let described = self.sfn.describe_execution().execution_arn(&self.arn);
        let Ok(described) = timeout(at_most, described.send()).await else {
            let reason = "no answer in time".to_owned();
            return Err(Look::Failed(AwsError::Transient(reason)));
        };
        described.map_err(|error| match error.as_service_error() {
            Some(refused) if refused.is_execution_does_not_exist() => Look::NoSuchExecution,
            Some(refused) if refused.is_invalid_arn() => Look::InvalidArn,
            _ => Look::Failed(AwsError::of(&error)),
        })
    }
}

impl<O> fmt::Debug for Execution<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Execution")
            .field("arn", &self.arn)
            .finish_non_exhaustive()
    }
}

impl<O> Clone for Execution<O> {
    fn clone(&self) -> Self {
        Self::new(self.sfn.clone(), self.arn.clone())
    }
}

/// Why `DescribeExecution` returned no execution.
enum Look {
    NoSuchExecution,
    InvalidArn,
    Failed(AwsError),
}

/// The output of an execution that has succeeded; `None` if it is still running.
fn ended(described: DescribeExecutionOutput) -> Result<Option<Value>, WaitError> {
    match described.status {
        ExecutionStatus::Succeeded => {
            let output = described.output.and_then(|output| output.parse().ok());
            Ok(Some(output.unwrap_or_default()))
        }
        ExecutionStatus::Failed => {
            let (error, cause) = (described.error, described.cause);
            Err(WaitError::Failed(Failure::new(
                &error.unwrap_or_default(),
                &cause.unwrap_or_default(),
            )))
        }
        ExecutionStatus::TimedOut => Err(WaitError::TimedOut),
        ExecutionStatus::Aborted => Err(WaitError::Aborted),
        // RUNNING or PENDING_REDRIVE: the execution has not ended.
        _ => Ok(None),
    }
}

fn read<O: DeserializeOwned>(output: Value) -> Result<O, WaitError> {
    decode(output).map_err(|invalid| WaitError::UnreadableOutcome(invalid.within("output")))
}

/// A random time between 0.5 and 1.5 times the pause, so that many waiting callers don't poll at the same time.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(0.5 + fastrand::f64())
}
