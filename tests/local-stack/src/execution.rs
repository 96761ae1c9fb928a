//! Starts executions like a caller, and inspects them like an operator.

use std::time::Duration;

use aws_sdk_sfn::{
    Client,
    primitives::DateTime,
    types::{ExecutionListItem, ExecutionStatus, HistoryEvent},
};
use aws_types::SdkConfig;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::{
    Error,
    stack::{ACCOUNT, REGION},
};

const POLL: Duration = Duration::from_millis(100);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Running,
    Succeeded,
    Failed,
    TimedOut,
    Aborted,
}

impl From<&ExecutionStatus> for Status {
    fn from(status: &ExecutionStatus) -> Self {
        match status {
            ExecutionStatus::Succeeded => Self::Succeeded,
            ExecutionStatus::Running => Self::Running,
            ExecutionStatus::TimedOut => Self::TimedOut,
            ExecutionStatus::Aborted => Self::Aborted,
            _ => Self::Failed,
        }
    }
}

/// The state of an execution.
#[derive(Debug, Clone)]
pub struct Execution {
    pub arn: String,
    pub status: Status,
    /// The request.
    pub input: Value,
    /// The output, if the execution succeeded.
    pub output: Value,
    /// The error, if the execution failed.
    pub error: Option<String>,
    /// The cause, if the execution failed. Our own causes are JSON.
    pub cause: Option<String>,
}

/// One visit to a state.
#[derive(Debug, Clone, PartialEq)]
pub struct Visit {
    pub state: String,
    /// The time of entry, measured from the execution's start.
    pub began: Duration,
    pub took: Duration,
    /// How many of its attempts failed.
    pub failed_attempts: u32,
}

/// Starts and inspects executions.
#[derive(Debug, Clone)]
pub struct Executions {
    client: Client,
}

impl Executions {
    pub fn new(aws: &SdkConfig) -> Self {
        Self {
            client: Client::new(aws),
        }
    }

    /// Starts a workflow by the name of its file, for example `notify-private-channel`.
    pub async fn start(&self, workflow: &str, input: &Value) -> Result<String, Error> {
        let arn = state_machine_arn(workflow);
        let started = self
            .client
            .start_execution()
            .state_machine_arn(arn)
            .input(input.to_string());
        let started = started.send().await;
        let started = started.map_err(|error| Error::aws("StartExecution")(error.into()))?;
        Ok(started.execution_arn)
    }

    pub async fn describe(&self, arn: &str) -> Result<Execution, Error> {
        let answer = self
            .client
            .describe_execution()
            .execution_arn(arn)
            .send()
            .await;
        let answer = answer.map_err(|error| Error::aws("DescribeExecution")(error.into()))?;
        let json = |text: Option<String>| text.and_then(|text| text.parse().ok());
        Ok(Execution {
            arn: arn.to_owned(),
            input: json(answer.input).unwrap_or_default(),
            status: (&answer.status).into(),
            output: json(answer.output).unwrap_or_default(),
            error: answer.error,
            cause: answer.cause,
        })
    }

    /// Whether a workflow is deployed.
    pub async fn knows(&self, workflow: &str) -> Result<bool, Error> {
        let arn = state_machine_arn(workflow);
        let described = self.client.describe_state_machine().state_machine_arn(arn);
        match described.send().await.map_err(aws_sdk_sfn::Error::from) {
            Ok(_) => Ok(true),
            Err(aws_sdk_sfn::Error::StateMachineDoesNotExist(_)) => Ok(false),
            Err(error) => Err(Error::aws("DescribeStateMachine")(error.into())),
        }
    }

    /// The state of every execution of a workflow.
    pub async fn statuses(&self, workflow: &str) -> Result<Vec<Status>, Error> {
        let arn = state_machine_arn(workflow);
        let list = self.client.list_executions().state_machine_arn(arn);
        let listed = list.into_paginator().items().send().try_collect().await;
        let listed: Vec<ExecutionListItem> =
            listed.map_err(|error| Error::aws("ListExecutions")(error.into()))?;
        Ok(listed.iter().map(|one| (&one.status).into()).collect())
    }

    /// Redrives an execution that did not succeed, from the state that did not finish.
    pub async fn redrive(&self, arn: &str) -> Result<(), Error> {
        let redriven = self.client.redrive_execution().execution_arn(arn);
        let redriven = redriven.send().await;
        redriven.map_err(|error| Error::aws("RedriveExecution")(error.into()))?;
        Ok(())
    }

    /// Stops an execution, as an operator does.
    pub async fn stop(&self, arn: &str) -> Result<(), Error> {
        let stopped = self.client.stop_execution().execution_arn(arn);
        let stopped = stopped.send().await;
        stopped.map_err(|error| Error::aws("StopExecution")(error.into()))?;
        Ok(())
    }

    /// Waits until the execution has ended.
    pub async fn wait(&self, arn: &str, at_most: Duration) -> Result<Execution, Error> {
        let deadline = Instant::now() + at_most;
        loop {
            let execution = self.describe(arn).await?;
            if execution.status != Status::Running {
                return Ok(execution);
            }
            if Instant::now() > deadline {
                return Err(Error::Setup(format!(
                    "{arn} is still running after {} s",
                    at_most.as_secs()
                )));
            }
            sleep(POLL).await;
        }
    }

    /// The states that the execution has visited, in order. The last one may still be running.
    pub async fn visits(&self, arn: &str) -> Result<Vec<Visit>, Error> {
        let mut events: Vec<HistoryEvent> = Vec::new();
        let mut token = None;
        loop {
            let page = self
                .client
                .get_execution_history()
                .execution_arn(arn)
                .set_next_token(token);
            let page = page.send().await;
            let page = page.map_err(|error| Error::aws("GetExecutionHistory")(error.into()))?;
            events.extend(page.events);
            token = page.next_token;
            if token.is_none() {
                break;
            }
        }
        Ok(visits(&events))
    }
}

/// The common prefix of all workflows' ARNs.
pub fn state_machines() -> String {
    format!("arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:apgl")
}

/// The ARN of a workflow's state machine, by the name of the workflow's file.
pub fn state_machine_arn(workflow: &str) -> String {
    format!("{}-{workflow}", state_machines())
}

fn visits(events: &[HistoryEvent]) -> Vec<Visit> {
    let Some(start) = events.first().map(|event| event.timestamp) else {
        return Vec::new();
    };
    let mut visits: Vec<Visit> = Vec::new();
    for event in events {
        let at = since(event.timestamp, start);
        if let Some(last) = visits.last_mut() {
            last.took = at.saturating_sub(last.began);
            last.failed_attempts += u32::from(event.task_failed_event_details.is_some());
        }
        if let Some(entered) = &event.state_entered_event_details {
            visits.push(Visit {
                state: entered.name.clone(),
                began: at,
                took: Duration::ZERO,
                failed_attempts: 0,
            });
        }
    }
    visits
}

fn since(time: DateTime, start: DateTime) -> Duration {
    Duration::try_from_secs_f64(time.as_secs_f64() - start.as_secs_f64()).unwrap_or_default()
}
