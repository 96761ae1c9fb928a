use aws_sdk_sfn::{
    error::{DisplayErrorContext, ProvideErrorMetadata, SdkError},
    operation::{describe_execution::DescribeExecutionError, start_execution::StartExecutionError},
};
use serde_json::Value;

use crate::ExecutionName;

/// Starts executions of state machines.
#[derive(Debug, Clone)]
pub struct Client {
    sfn: aws_sdk_sfn::Client,
}

/// The execution of an event: new, at work, or over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Started {
    pub execution_arn: String,
}

/// Why an event has no execution.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The key has been used for another request. One of the two callers is wrong.
    #[error("execution {name} was started with another input: the idempotency key is not unique")]
    Conflict { name: ExecutionName },
    /// This is no ARN of a state machine.
    #[error("`{0}` is no ARN of a state machine")]
    StateMachineArn(String),
    /// Step Functions refused, or could not be reached. Starting again is safe.
    #[error("{operation} failed: {reason}")]
    StepFunctions {
        operation: &'static str,
        reason: String,
    },
}

impl Client {
    pub fn new(sfn: aws_sdk_sfn::Client) -> Self {
        Self { sfn }
    }

    /// Starts the state machine (a version's or an alias's ARN will do too) under this name. The second
    /// time it answers with the execution that is there.
    ///
    /// Source: "`StartExecution`", AWS Step Functions API Reference. The same name and input is a success
    /// while the execution runs, and `ExecutionAlreadyExists` after that.
    pub async fn start(
        &self,
        state_machine_arn: &str,
        name: &ExecutionName,
        input: &Value,
    ) -> Result<Started, StartError> {
        let execution_arn = execution_arn(state_machine_arn, name)
            .ok_or_else(|| StartError::StateMachineArn(state_machine_arn.to_owned()))?;
        let started = self
            .sfn
            .start_execution()
            .state_machine_arn(state_machine_arn)
            .name(name.as_str())
            .input(input.to_string())
            .send()
            .await;
        match started {
            Ok(started) => Ok(Started {
                execution_arn: started.execution_arn,
            }),
            Err(error) if already_exists(&error) => self.existing(execution_arn, name, input).await,
            Err(error) => Err(refused("StartExecution", &error)),
        }
    }

    /// The execution that has the name, if it is this request's.
    async fn existing(
        &self,
        execution_arn: String,
        name: &ExecutionName,
        input: &Value,
    ) -> Result<Started, StartError> {
        let there = self
            .sfn
            .describe_execution()
            .execution_arn(&execution_arn)
            .send()
            .await
            .map_err(|error: SdkError<DescribeExecutionError>| {
                refused("DescribeExecution", &error)
            })?;
        let its_input: Option<Value> = there.input.and_then(|input| input.parse().ok());
        if its_input.as_ref() == Some(input) {
            return Ok(Started { execution_arn });
        }
        Err(StartError::Conflict { name: name.clone() })
    }
}

fn already_exists(error: &SdkError<StartExecutionError>) -> bool {
    error
        .as_service_error()
        .is_some_and(StartExecutionError::is_execution_already_exists)
}

/// AWS's own message, without the input.
fn refused<E>(operation: &'static str, error: &SdkError<E>) -> StartError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let reason = match error.as_service_error() {
        Some(refusal) => refusal.code().unwrap_or("no error code").to_owned(),
        None => DisplayErrorContext(error).to_string(),
    };
    StartError::StepFunctions { operation, reason }
}

/// `arn:aws:states:<region>:<account>:stateMachine:<name>`, with or without a version or an alias.
fn execution_arn(state_machine_arn: &str, name: &ExecutionName) -> Option<String> {
    let parts: Vec<&str> = state_machine_arn.split(':').collect();
    let [
        arn,
        partition,
        states,
        region,
        account,
        "stateMachine",
        machine,
        ..,
    ] = parts[..]
    else {
        return None;
    };
    Some(format!(
        "{arn}:{partition}:{states}:{region}:{account}:execution:{machine}:{name}"
    ))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("arn:aws:states:eu-west-1:1:stateMachine:apgl-x")]
    #[case("arn:aws:states:eu-west-1:1:stateMachine:apgl-x:live")]
    fn an_execution_belongs_to_the_state_machine_whatever_its_alias(#[case] arn: &str) {
        let name = ExecutionName::from_key("p", "k").unwrap();
        assert_eq!(
            execution_arn(arn, &name),
            Some(format!(
                "arn:aws:states:eu-west-1:1:execution:apgl-x:{name}"
            ))
        );
    }

    #[test]
    fn what_is_no_state_machine_has_no_executions() {
        let name = ExecutionName::from_key("p", "k").unwrap();
        assert_eq!(execution_arn("apgl-x", &name), None);
    }
}
