//! Starts, redrives and stops executions, and waits for their ends.

use std::time::{Duration, Instant};

use local_stack::{Execution, Status, Visit};
use serde_json::Value;
use tokio::time::sleep;

use crate::{World, schemas};

/// Generous, because tests must not fail because of a slow machine.
const AT_MOST: Duration = Duration::from_mins(3);

/// An execution that has ended, with the states that it visited.
#[derive(Debug)]
pub struct Ended {
    pub execution: Execution,
    pub visits: Vec<Visit>,
}

impl World {
    /// Runs a workflow to its end.
    pub async fn run(&self, workflow: &str, request: &Value) -> Ended {
        let arn = self.start(workflow, request).await;
        self.end_of(&arn).await
    }

    pub async fn start(&self, workflow: &str, request: &Value) -> String {
        self.executions
            .start(workflow, request)
            .await
            .expect("the execution starts")
    }

    /// Redrives an execution, and waits until it has ended.
    pub async fn redrive(&self, arn: &str) -> Ended {
        let redriven = self.executions.redrive(arn).await;
        redriven.expect("the execution is redriven");
        self.end_of(arn).await
    }

    pub async fn stop(&self, arn: &str) {
        let stopped = self.executions.stop(arn).await;
        stopped.expect("the execution is stopped");
    }

    /// Waits until the execution is in this state.
    pub async fn is_in(&self, arn: &str, state: &str) {
        let started = Instant::now();
        while started.elapsed() < AT_MOST {
            let visits = self.executions.visits(arn).await;
            let visits = visits.expect("the execution has a history");
            if visits.last().is_some_and(|visit| visit.state == state) {
                return;
            }
            sleep(Duration::from_millis(100)).await;
        }
        panic!("{arn} did not reach {state}");
    }

    pub async fn end_of(&self, arn: &str) -> Ended {
        self.end_within(arn, AT_MOST).await
    }

    pub async fn end_within(&self, arn: &str, at_most: Duration) -> Ended {
        let execution = self
            .executions
            .wait(arn, at_most)
            .await
            .expect("the execution ends");
        let visits = self
            .executions
            .visits(arn)
            .await
            .expect("the execution has a history");
        schemas::check(&execution);
        Ended { execution, visits }
    }
}

impl Ended {
    /// The output of the execution. Panics unless it succeeded.
    pub fn output(&self) -> &Value {
        assert_eq!(
            self.execution.status,
            Status::Succeeded,
            "{:?}",
            self.execution
        );
        &self.execution.output
    }

    /// The output, without the time at which Slack confirmed the channel. Panics unless the execution succeeded and
    /// this time is in its output.
    pub fn output_without_time(&self) -> Value {
        let mut output = self.output().clone();
        let channel = output["channel"].as_object_mut();
        let confirmed_at = channel.and_then(|channel| channel.remove("confirmedAt"));
        assert!(confirmed_at.is_some_and(|at| at.is_u64()), "{output}");
        output
    }

    /// The error and the step's own cause, whether the step failed the execution or a `Fail` state did. Panics unless
    /// the execution failed.
    pub fn failure(&self) -> (&str, Value) {
        assert_eq!(
            self.execution.status,
            Status::Failed,
            "{:?}",
            self.execution
        );
        let cause = self.execution.cause.as_deref().unwrap_or_default();
        let error = self.execution.error.as_deref().unwrap_or_default();
        let cause: Value = cause.parse().unwrap_or_default();
        // Lambda puts the step's cause into its own.
        let step_cause = cause["errorMessage"].as_str().map(str::parse);
        let step_cause = step_cause.transpose().unwrap_or_default();
        (error, step_cause.unwrap_or(cause))
    }

    pub fn states(&self) -> Vec<&str> {
        self.visits
            .iter()
            .map(|visit| visit.state.as_str())
            .collect()
    }

    /// The visited states without waits and repetitions, so that the result does not depend on how much of Slack's
    /// limits other tests use.
    pub fn steps(&self) -> Vec<&str> {
        let mut steps = self.states();
        steps.retain(|state| !state.starts_with("Wait"));
        steps.dedup();
        steps
    }

    /// The number of failed attempts of the state, over all its visits.
    pub fn failed_attempts(&self, state: &str) -> u32 {
        let visits = self.visits.iter().filter(|visit| visit.state == state);
        visits.map(|visit| visit.failed_attempts).sum()
    }

    /// The last state that the execution visited.
    pub fn last_state(&self) -> &str {
        self.visits.last().map_or("", |visit| visit.state.as_str())
    }
}
