use aws_sdk_sfn::{
    error::{ProvideErrorMetadata, SdkError},
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
    /// Step Functions refused, or could not be reached. Starting again is safe, and helps where the
    /// reason passes by itself; an access that is denied does not.
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
        match its_input {
            Some(its_input) if its_input == *input => Ok(Started { execution_arn }),
            Some(_) => Err(StartError::Conflict { name: name.clone() }),
            None => Err(StartError::StepFunctions {
                operation: "DescribeExecution",
                reason: "the answer holds no input".to_owned(),
            }),
        }
    }
}

fn already_exists(error: &SdkError<StartExecutionError>) -> bool {
    error
        .as_service_error()
        .is_some_and(StartExecutionError::is_execution_already_exists)
}

/// AWS's code, or what happened in our words: the SDK's own hold the answer, and so the input.
fn refused<E: ProvideErrorMetadata>(operation: &'static str, error: &SdkError<E>) -> StartError {
    let reason = match error {
        SdkError::ServiceError(refusal) => refusal.err().code().unwrap_or("no error code"),
        SdkError::TimeoutError(_) => "no answer in time",
        SdkError::DispatchFailure(_) => "no connection",
        SdkError::ResponseError(_) => "the answer was not readable",
        _ => "the request could not be built",
    };
    StartError::StepFunctions {
        operation,
        reason: reason.to_owned(),
    }
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
