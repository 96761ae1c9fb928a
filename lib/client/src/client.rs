use std::time::Duration;

use apgl_aws::AwsError;
use apgl_contract::{
    InvalidField,
    decode::parse,
    outcome::{
        ChangeChannelMembersOutcome, CheckChannelExistsOutcome, CreateChannelOutcome,
        DeleteChannelOutcome, NotifyPersonOutcome, NotifyPrivateChannelOutcome,
        NotifyPublicChannelOutcome, Outcome, UpdateItemOutcome,
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
    ExecutionName, NameError, NotifyPerson, NotifyPrivateChannel, NotifyPublicChannel, StartError,
    StateMachineArn, StateMachines, UpdateItem, name::check_prefix, state_machines::variable,
};

/// The default limit for one start, including its retries.
const DEFAULT_BUDGET: Duration = Duration::from_secs(10);
/// Longer than any caller runs.
const LONGEST_BUDGET: Duration = Duration::from_hours(1);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(4);
/// High enough that the budget, not the number of attempts, ends the retries.
const MAX_ATTEMPTS: u32 = 30;
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_secs(2);
/// The pause before looking again for an existing execution that is not visible yet.
const VISIBLE_AFTER: Duration = Duration::from_millis(200);
/// Step Functions accepts 262,144 bytes of UTF-8 as the input of an execution and of each of its states. The
/// workflow's first state adds to the request.
///
/// Source: "Quotas related to state machine executions", AWS Step Functions Developer Guide.
const MAX_INPUT: usize = 250_000;

/// Starts workflows. Create it once; it is cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    sfn: aws_sdk_sfn::Client,
    state_machines: StateMachines,
    caller: String,
    budget: Duration,
}

impl Client {
    /// Creates a client from the environment of a Lambda function: see the
    /// [crate's documentation](crate#what-it-needs).
    ///
    /// `caller` is the prefix of the executions' names, so that a list of executions shows who started each: 1 to
    /// 15 letters, digits, hyphens and underscores. Different callers can use the same key without a conflict.
    ///
    /// # Errors
    /// [`ConfigError`] names the variable that is missing or invalid.
    pub fn from_env(caller: &str) -> Result<Self, ConfigError> {
        let state_machines = StateMachines::from_env()?;
        let sfn = aws_sdk_sfn::Client::new(&apgl_aws::config_from_env()?);
        Self::new(sfn, state_machines, caller).map_err(ConfigError::Caller)
    }

    /// Creates a client from an existing Step Functions client.
    ///
    /// # Errors
    /// [`NameError::Prefix`] if `caller` is not a valid prefix of a name.
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

    /// Sets how long one start may take; by default 10 seconds. Within this time, temporary errors are retried with
    /// exponential backoff and jitter.
    #[must_use]
    pub fn with_budget(mut self, budget: Duration) -> Self {
        self.budget = budget;
        self
    }

    /// Creates a channel, or invites the members that are not in it yet.
    pub async fn create_channel(
        &self,
        key: &str,
        request: &CreateChannel,
    ) -> Result<Execution<CreateChannelOutcome>, StartError> {
        self.start_as(Operation::CreateChannel, key, request).await
    }

    /// Posts to a private channel, which is created if it does not exist.
    pub async fn notify_private_channel(
        &self,
        key: &str,
        request: &NotifyPrivateChannel,
    ) -> Result<Execution<NotifyPrivateChannelOutcome>, StartError> {
        self.start_as(Operation::NotifyPrivateChannel, key, request)
            .await
    }

    /// Posts to a public channel, which must exist.
    pub async fn notify_public_channel(
        &self,
        key: &str,
        request: &NotifyPublicChannel,
    ) -> Result<Execution<NotifyPublicChannelOutcome>, StartError> {
        self.start_as(Operation::NotifyPublicChannel, key, request)
            .await
    }

    /// Posts a direct message to a person. If they do not want it or can't get it, the outcome says why in `skipped`.
    pub async fn notify_person(
        &self,
        key: &str,
        request: &NotifyPerson,
    ) -> Result<Execution<NotifyPersonOutcome>, StartError> {
        self.start_as(Operation::NotifyPerson, key, request).await
    }

    /// Records an item's new version, and updates its card.
    pub async fn update_item(
        &self,
        key: &str,
        request: &UpdateItem,
    ) -> Result<Execution<UpdateItemOutcome>, StartError> {
        self.start_as(Operation::UpdateItem, key, request).await
    }

    /// Invites and removes members of an existing channel.
    pub async fn change_channel_members(
        &self,
        key: &str,
        request: &ChangeChannelMembers,
    ) -> Result<Execution<ChangeChannelMembersOutcome>, StartError> {
        self.start_as(Operation::ChangeChannelMembers, key, request)
            .await
    }

    /// Asks whether the bot sees a channel with this name. The answer is in the outcome, so wait for it.
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

    /// Starts any operation with a JSON request that follows the workflow's schema.
    ///
    /// # Errors
    /// The same as for the other methods: a request that breaks a rule starts nothing.
    pub async fn start(
        &self,
        operation: Operation,
        key: &str,
        request: &Value,
    ) -> Result<Execution<Outcome>, StartError> {
        let arn = self.start_checked(operation, key, request).await?;
        Ok(Execution::new(self.sfn.clone(), arn))
    }

    /// The execution with this ARN, whoever started it.
    pub fn execution(&self, arn: impl Into<String>) -> Execution<Outcome> {
        Execution::new(self.sfn.clone(), arn.into())
    }

    /// The execution that a start with this key has started or would start.
    ///
    /// # Errors
    /// [`StartError::Key`] and [`StartError::NotConfigured`].
    pub fn execution_of(
        &self,
        operation: Operation,
        key: &str,
    ) -> Result<Execution<Outcome>, StartError> {
        let name = ExecutionName::from_key(&self.caller, key)?;
        let machine = self.machine(operation)?;
        Ok(self.execution(machine.execution(&name)))
    }

    fn machine(&self, operation: Operation) -> Result<&StateMachineArn, StartError> {
        let machine = self.state_machines.get(operation);
        machine.ok_or_else(|| StartError::NotConfigured {
            operation,
            variable: variable(operation),
        })
    }

    /// Checks a request as a start does, for a caller that starts several executions or none.
    ///
    /// # Errors
    /// [`InvalidField`] names the field and the rule.
    pub fn check(operation: Operation, request: &impl Serialize) -> Result<(), InvalidField> {
        let request = serde_json::to_value(request).unwrap_or_default();
        checked_input(operation, &request).map(drop)
    }

    async fn start_as<O>(
        &self,
        operation: Operation,
        key: &str,
        request: &impl Serialize,
    ) -> Result<Execution<O>, StartError> {
        // This can't fail: requests contain only strings, lists, numbers and flags.
        let request = serde_json::to_value(request).unwrap_or_default();
        let arn = self.start_checked(operation, key, &request).await?;
        Ok(Execution::new(self.sfn.clone(), arn))
    }

    /// Checks the request, starts the execution and returns its ARN.
    async fn start_checked(
        &self,
        operation: Operation,
        key: &str,
        request: &Value,
    ) -> Result<String, StartError> {
        let name = ExecutionName::from_key(&self.caller, key)?;
        let input = checked_input(operation, request)?;
        let machine = self.machine(operation)?;
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
            Err(error) => Err(StartError::of("StartExecution", AwsError::of(&error))),
        }
    }

    /// Starting the same name with the same input succeeds while the execution runs, and fails with
    /// `ExecutionAlreadyExists` after that.
    ///
    /// Source: "`StartExecution`", AWS Step Functions API Reference.
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

    /// The input of an existing execution.
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
                    let input = there.input.and_then(|input| parse(input.as_bytes()).ok());
                    return input.ok_or_else(|| StartError::Refused {
                        action: ACTION,
                        reason: "the response contains no input".to_owned(),
                    });
                }
                // `StartExecution` has just said that it exists, but `DescribeExecution` is eventually consistent.
                Err(error)
                    if error
                        .as_service_error()
                        .is_some_and(DescribeExecutionError::is_execution_does_not_exist)
                        && Instant::now() + VISIBLE_AFTER < by =>
                {
                    sleep(VISIBLE_AFTER).await;
                }
                Err(error) => return Err(StartError::of(ACTION, AwsError::of(&error))),
            }
        }
    }
}

/// Retries temporary errors, with jitter, until `by`.
fn retrying(by: Instant) -> aws_sdk_sfn::config::Builder {
    let left = by.saturating_duration_since(Instant::now());
    // A time-out of zero would mean no time-out.
    let left = left.max(Duration::from_millis(1));
    let timeouts = TimeoutConfig::builder()
        .operation_attempt_timeout(left.min(ATTEMPT_TIMEOUT))
        .operation_timeout(left)
        .build();
    let retries = RetryConfig::standard()
        .with_max_attempts(MAX_ATTEMPTS)
        .with_initial_backoff(FIRST_BACKOFF)
        .with_max_backoff(LONGEST_BACKOFF);
    // All clients of a region share the SDK's own retry token bucket, which only successes refill. After an outage
    // there would be no retries for a long time. Here the budget limits the retries instead.
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

/// The execution's input, for a request that obeys every rule.
fn checked_input(operation: Operation, request: &Value) -> Result<String, InvalidField> {
    CheckedRequest::check(operation, request.clone())?;
    let input = request.to_string();
    if input.len() > MAX_INPUT {
        let rule = "must have at most 250,000 bytes as JSON";
        return Err(InvalidField::new("request", rule));
    }
    Ok(input)
}
