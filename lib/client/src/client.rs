use std::time::Duration;

use apgl_aws::Refusal;
use apgl_contract::{
    InvalidField,
    outcome::{
        ChangeChannelMembersOutcome, CheckChannelExistsOutcome, CreateChannelOutcome,
        DeleteChannelOutcome, NotifyPrivateChannelOutcome, NotifyPublicChannelOutcome, Outcome,
    },
    request::{CheckedRequest, Operation},
};
use aws_sdk_sfn::{
    config::{
        retry::{RetryConfig, RetryPartition, TokenBucket},
        timeout::TimeoutConfig,
    },
    error::SdkError,
    operation::{describe_execution::DescribeExecutionError, start_execution::StartExecutionError},
};
use serde::Serialize;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::{
    ChangeChannelMembers, CheckChannelExists, ConfigError, CreateChannel, DeleteChannel, Execution,
    ExecutionName, NameError, NotifyPrivateChannel, NotifyPublicChannel, StartError,
    StateMachineArn, StateMachines, name::check_prefix, state_machines::variable,
};

/// How long one start may take with all its retries, where the caller does not say.
const DEFAULT_BUDGET: Duration = Duration::from_secs(10);
/// Longer than anything that calls this.
const LONGEST_BUDGET: Duration = Duration::from_hours(1);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(4);
/// The budget ends the retries, not their number.
const MAX_ATTEMPTS: u32 = 30;
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_secs(2);
/// How long an execution that is there may take to be seen.
const VISIBLE_AFTER: Duration = Duration::from_millis(200);
/// Step Functions takes 262,144 bytes of UTF-8, of an execution and of each of its states; the workflow's
/// first state adds its own to the request.
///
/// Source: "Quotas related to state machine executions", AWS Step Functions Developer Guide.
const MAX_INPUT: usize = 250_000;

/// Starts workflows. Made once; cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    sfn: aws_sdk_sfn::Client,
    state_machines: StateMachines,
    caller: String,
    budget: Duration,
}

impl Client {
    /// A client from the environment of a Lambda function: see the [crate's documentation](crate#what-it-needs).
    ///
    /// `caller` says who starts, for the person who looks at a list of executions: their names begin with
    /// it. 1 to 15 letters, digits, hyphens and underscores. Two callers with the same key don't meet.
    ///
    /// # Errors
    /// [`ConfigError`] names the variable that is missing or wrong.
    pub fn from_env(caller: &str) -> Result<Self, ConfigError> {
        let state_machines = StateMachines::from_env()?;
        let sfn = aws_sdk_sfn::Client::new(&apgl_aws::config_from_env()?);
        Self::new(sfn, state_machines, caller).map_err(ConfigError::Caller)
    }

    /// A client over one that the caller has.
    ///
    /// # Errors
    /// [`NameError::Prefix`] where `caller` can't begin a name.
    pub fn new(
        sfn: aws_sdk_sfn::Client,
        state_machines: StateMachines,
        caller: &str,
    ) -> Result<Self, NameError> {
        check_prefix(caller)?;
        Ok(Self {
            sfn,
            state_machines,
            caller: caller.to_owned(),
            budget: DEFAULT_BUDGET,
        })
    }

    /// How long one start may take. Within it, what passes by itself is retried with exponential backoff
    /// and jitter. 10 seconds where it is not set.
    #[must_use]
    pub fn with_budget(mut self, budget: Duration) -> Self {
        self.budget = budget;
        self
    }

    /// Makes a channel, or invites those who are not in it yet.
    pub async fn create_channel(
        &self,
        key: &str,
        request: &CreateChannel,
    ) -> Result<Execution<CreateChannelOutcome>, StartError> {
        self.start_as(Operation::CreateChannel, key, request).await
    }

    /// Posts to a private channel, which is made if it is missing.
    pub async fn notify_private_channel(
        &self,
        key: &str,
        request: &NotifyPrivateChannel,
    ) -> Result<Execution<NotifyPrivateChannelOutcome>, StartError> {
        self.start_as(Operation::NotifyPrivateChannel, key, request)
            .await
    }

    /// Posts to a public channel, which must be there.
    pub async fn notify_public_channel(
        &self,
        key: &str,
        request: &NotifyPublicChannel,
    ) -> Result<Execution<NotifyPublicChannelOutcome>, StartError> {
        self.start_as(Operation::NotifyPublicChannel, key, request)
            .await
    }

    /// Invites and removes members of a channel that is there.
    pub async fn change_channel_members(
        &self,
        key: &str,
        request: &ChangeChannelMembers,
    ) -> Result<Execution<ChangeChannelMembersOutcome>, StartError> {
        self.start_as(Operation::ChangeChannelMembers, key, request)
            .await
    }

    /// Asks whether the bot sees a channel of this name. The answer is the outcome's, so wait for it.
    pub async fn check_channel_exists(
        &self,
        key: &str,
        request: &CheckChannelExists,
    ) -> Result<Execution<CheckChannelExistsOutcome>, StartError> {
        self.start_as(Operation::CheckChannelExists, key, request)
            .await
    }

    /// Renames and archives a channel, so that its name is free again.
    pub async fn delete_channel(
        &self,
        key: &str,
        request: &DeleteChannel,
    ) -> Result<Execution<DeleteChannelOutcome>, StartError> {
        self.start_as(Operation::DeleteChannel, key, request).await
    }

    /// Starts any of the six with a request that is JSON already, as the workflow's schema has it.
    ///
    /// # Errors
    /// As for the others: a request that breaks a rule starts nothing.
    pub async fn start(
        &self,
        operation: Operation,
        key: &str,
        request: &Value,
    ) -> Result<Execution<Outcome>, StartError> {
        let arn = self.start_checked(operation, key, request).await?;
        Ok(Execution::new(self.sfn.clone(), arn))
    }

    /// The execution with this ARN, started by whomever.
    pub fn execution(&self, arn: impl Into<String>) -> Execution<Outcome> {
        Execution::new(self.sfn.clone(), arn.into())
    }

    async fn start_as<O>(
        &self,
        operation: Operation,
        key: &str,
        request: &impl Serialize,
    ) -> Result<Execution<O>, StartError> {
        // Strings, lists and flags: it can't fail.
        let request = serde_json::to_value(request).unwrap_or_default();
        let arn = self.start_checked(operation, key, &request).await?;
        Ok(Execution::new(self.sfn.clone(), arn))
    }

    /// Checks the request, starts it, and answers the execution's ARN.
    async fn start_checked(
        &self,
        operation: Operation,
        key: &str,
        request: &Value,
    ) -> Result<String, StartError> {
        let name = ExecutionName::from_key(&self.caller, key)?;
        CheckedRequest::check(operation, request.clone())?;
        let input = request.to_string();
        if input.len() > MAX_INPUT {
            let rule = "must have at most 250,000 bytes as JSON";
            return Err(InvalidField::new("request", rule).into());
        }
        let machine = self.state_machines.get(operation);
        let machine = machine.ok_or_else(|| StartError::NotConfigured {
            operation,
            variable: variable(operation),
        })?;
        let by = Instant::now() + self.budget.min(LONGEST_BUDGET);
        match self.start_execution(machine, &name, input, by).await {
            Ok(arn) => Ok(arn),
            Err(error) if already_exists(&error) => {
                let arn = machine.execution(&name);
                let its_request = self.input_of(&arn, by).await?;
                if its_request == *request {
                    Ok(arn)
                } else {
                    Err(StartError::Conflict { name })
                }
            }
            Err(error) => Err(StartError::of("StartExecution", Refusal::of(&error))),
        }
    }

    /// Source: "`StartExecution`", AWS Step Functions API Reference. The same name and input is a success
    /// while the execution runs, and `ExecutionAlreadyExists` after that.
    async fn start_execution(
        &self,
        machine: &StateMachineArn,
        name: &ExecutionName,
        input: String,
        by: Instant,
    ) -> Result<String, SdkError<StartExecutionError>> {
        let started = self
            .sfn
            .start_execution()
            .state_machine_arn(machine.as_str())
            .name(name.as_str())
            .input(input)
            .customize()
            .config_override(retrying(by))
            .send()
            .await?;
        Ok(started.execution_arn)
    }

    /// What an execution that is there was started with.
    async fn input_of(&self, arn: &str, by: Instant) -> Result<Value, StartError> {
        const ACTION: &str = "DescribeExecution";
        loop {
            let described = self
                .sfn
                .describe_execution()
                .execution_arn(arn)
                .customize()
                .config_override(retrying(by))
                .send()
                .await;
            match described {
                Ok(there) => {
                    let input = there.input.and_then(|input| input.parse().ok());
                    return input.ok_or_else(|| StartError::Refused {
                        action: ACTION,
                        reason: "the answer holds no input".to_owned(),
                    });
                }
                // It was there a moment ago: what Step Functions shows follows after what it knows.
                Err(error)
                    if error
                        .as_service_error()
                        .is_some_and(DescribeExecutionError::is_execution_does_not_exist)
                        && Instant::now() + VISIBLE_AFTER < by =>
                {
                    sleep(VISIBLE_AFTER).await;
                }
                Err(error) => return Err(StartError::of(ACTION, Refusal::of(&error))),
            }
        }
    }
}

/// Retries what passes by itself, with jitter, for as long as the budget lasts.
fn retrying(by: Instant) -> aws_sdk_sfn::config::Builder {
    let left = by.saturating_duration_since(Instant::now());
    // A time-out of nothing would be none.
    let left = left.max(Duration::from_millis(1));
    let timeouts = TimeoutConfig::builder()
        .operation_attempt_timeout(left.min(ATTEMPT_TIMEOUT))
        .operation_timeout(left)
        .build();
    let retries = RetryConfig::standard()
        .with_max_attempts(MAX_ATTEMPTS)
        .with_initial_backoff(FIRST_BACKOFF)
        .with_max_backoff(LONGEST_BACKOFF);
    // The SDK's own bucket of retries is shared by all clients of a region, and fills up with successes
    // alone: after a bad phase there would be no retries for long. Here the budget is the bound.
    let partition = RetryPartition::custom("apgl-client")
        .token_bucket(TokenBucket::unlimited())
        .build();
    aws_sdk_sfn::Config::builder()
        .timeout_config(timeouts)
        .retry_config(retries)
        .retry_partition(partition)
}

fn already_exists(error: &SdkError<StartExecutionError>) -> bool {
    error
        .as_service_error()
        .is_some_and(StartExecutionError::is_execution_already_exists)
}
