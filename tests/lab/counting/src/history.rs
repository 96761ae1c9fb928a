//! Counts the billable work in Step Functions' history of an execution.

use std::collections::BTreeMap;

use aws_sdk_sfn::{
    Client,
    types::{HistoryEvent, HistoryEventType},
};
use serde_json::{Value, json};

use crate::Error;

/// The billable work of an execution.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Steps {
    /// State transitions by state: every entry into a state, and every retry.
    ///
    /// Source: "AWS Step Functions pricing": "a state transition each time a step of your workflow is
    /// executed", and "each retry will be charged as an additional state transition".
    pub transitions: BTreeMap<String, u64>,
    /// The number of invocations of each function, including retries.
    pub invocations: BTreeMap<String, u64>,
    /// EventBridge events: one when the execution starts, one when it ends.
    pub status_events: u64,
    /// The bytes that the execution writes to its log group at level `ALL`, without execution data.
    pub log_bytes: u64,
}

/// The events of one execution.
#[derive(Debug, Clone)]
pub struct History {
    arn: String,
    events: Vec<HistoryEvent>,
    /// The function that each Task invokes.
    functions: BTreeMap<String, String>,
}

impl History {
    /// Reads the history of an execution that has ended.
    pub async fn of(client: &Client, arn: &str) -> Result<Self, Error> {
        let pages = client
            .get_execution_history()
            .execution_arn(arn)
            .into_paginator()
            .items();
        let events = pages.send().try_collect().await;
        let events = events.map_err(Error::aws("GetExecutionHistory"))?;
        let machine = client
            .describe_state_machine_for_execution()
            .execution_arn(arn)
            .send()
            .await
            .map_err(Error::aws("DescribeStateMachineForExecution"))?;
        let definition: Value = machine.definition.parse().unwrap_or_default();
        Ok(Self {
            arn: arn.to_owned(),
            events,
            functions: functions_in(&definition),
        })
    }

    pub fn steps(&self) -> Steps {
        let mut steps = Steps::default();
        let mut attempts = 0;
        // The local stack's history lacks these events.
        let started = HistoryEventType::TaskStarted;
        let has_started = self.events.iter().any(|event| event.r#type == started);
        for (state, event) in self.events_by_state() {
            steps.log_bytes += self.log_line(&event.r#type, event.id, state);
            steps.status_events += u64::from(event.r#type.as_str().starts_with("Execution"));
            if event.state_entered_event_details.is_some() {
                attempts = 0;
                *steps.transitions.entry(state.to_owned()).or_default() += 1;
            }
            if event.task_scheduled_event_details.is_none() {
                continue;
            }
            attempts += 1;
            if attempts > 1 {
                *steps.transitions.entry(state.to_owned()).or_default() += 1;
            }
            if !has_started {
                steps.log_bytes += self.log_line(&started, event.id, state);
            }
            if let Some(function) = self.functions.get(state) {
                *steps.invocations.entry(function.clone()).or_default() += 1;
            }
        }
        steps
    }

    /// The approximate length of the log line for an event.
    fn log_line(&self, kind: &HistoryEventType, id: i64, state: &str) -> u64 {
        let line = json!({
            "id": id.to_string(),
            "type": kind.as_str(),
            "details": { "name": state, "resource": "invoke", "resourceType": "lambda" },
            "redrive_count": "0",
            "previous_event_id": (id - 1).to_string(),
            "event_timestamp": "1764053146123",
            "execution_arn": self.arn,
        });
        line.to_string().len() as u64
    }

    /// Each event with the execution's state at that point. Our workflows are in one state at a time.
    fn events_by_state(&self) -> impl Iterator<Item = (&str, &HistoryEvent)> {
        let mut state = "";
        self.events.iter().map(move |event| {
            if let Some(entered) = &event.state_entered_event_details {
                state = entered.name.as_str();
            }
            (state, event)
        })
    }
}

/// The function of each Task, by the ARN of its alias.
fn functions_in(definition: &Value) -> BTreeMap<String, String> {
    let states = definition["States"].as_object().into_iter().flatten();
    let function = |state: &Value| {
        let arn = state["Arguments"]["FunctionName"].as_str()?;
        arn.split(':').nth(6).map(str::to_owned)
    };
    states
        .filter_map(|(name, state)| Some((name.clone(), function(state)?)))
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use aws_smithy_http_client::test_util::{ReplayEvent, StaticReplayClient};
    use aws_smithy_types::body::SdkBody;

    use super::*;

    const ARN: &str = "arn:aws:states:us-east-1:1:execution:apgl-notify-public-channel:e";

    fn answer(body: String) -> ReplayEvent {
        let request = http::Request::builder()
            .uri("http://127.0.0.1/")
            .body(SdkBody::empty())
            .unwrap();
        let response = http::Response::builder().body(SdkBody::from(body)).unwrap();
        ReplayEvent::new(request, response)
    }

    /// Builds a history as Step Functions returns it, of a machine whose Tasks invoke functions.
    async fn history(events: &str, definition: &Value) -> History {
        let machine = json!({
            "stateMachineArn": "arn:aws:states:us-east-1:1:stateMachine:apgl-notify-public-channel",
            "name": "apgl-notify-public-channel",
            "definition": definition.to_string(),
            "roleArn": "arn:aws:iam::1:role/r",
            "updateDate": 1.0,
        });
        let answers = vec![answer(events.to_owned()), answer(machine.to_string())];
        let aws = fake_aws::config(StaticReplayClient::new(answers));
        History::of(&Client::new(&aws), ARN).await.unwrap()
    }

    fn task(function: &str) -> Value {
        let arn = format!("arn:aws:lambda:us-east-1:1:function:{function}:live");
        json!({ "Type": "Task", "Arguments": { "FunctionName": arn } })
    }

    fn counts<const N: usize>(counts: [(&str, u64); N]) -> BTreeMap<String, u64> {
        let counts = counts.map(|(name, count)| (name.to_owned(), count));
        counts.into()
    }

    #[tokio::test]
    async fn a_recorded_execution_that_waits_once_is_counted() {
        let definition = json!({ "States": {
            "CheckRequest": task("apgl-check-request"),
            "FindChannel": task("apgl-find-channel"),
            "PostMessage": task("apgl-post-message"),
            "WaitToPost": { "Type": "Wait" },
            "PublishMetrics": task("apgl-publish-metrics"),
        } });
        let steps = history(include_str!("../histories/waits-once.json"), &definition)
            .await
            .steps();
        let transitions = counts([
            ("CheckRequest", 1),
            ("FindChannel", 1),
            ("PostMessage", 2),
            ("PublishMetrics", 1),
            ("WaitToPost", 1),
        ]);
        assert_eq!(steps.transitions, transitions);
        let invocations = counts([
            ("apgl-check-request", 1),
            ("apgl-find-channel", 1),
            ("apgl-post-message", 2),
            ("apgl-publish-metrics", 1),
        ]);
        assert_eq!(steps.invocations, invocations);
        assert_eq!(steps.status_events, 2);
    }

    #[tokio::test]
    async fn a_retry_is_one_more_transition_and_one_more_invocation() {
        let events = json!({ "events": [
            { "id": 1, "type": "ExecutionStarted", "timestamp": 1.0 },
            { "id": 2, "type": "TaskStateEntered", "timestamp": 1.0,
              "stateEnteredEventDetails": { "name": "PostMessage" } },
            scheduled(3),
            { "id": 4, "type": "TaskStarted", "timestamp": 1.0 },
            { "id": 5, "type": "TaskFailed", "timestamp": 1.0 },
            scheduled(6),
            { "id": 7, "type": "TaskStarted", "timestamp": 1.0 },
            { "id": 8, "type": "TaskSucceeded", "timestamp": 1.0 },
            { "id": 9, "type": "ExecutionSucceeded", "timestamp": 1.0 },
        ] });
        let definition = json!({ "States": { "PostMessage": task("apgl-post-message") } });
        let history = history(&events.to_string(), &definition).await;
        let steps = history.steps();
        assert_eq!(steps.transitions, counts([("PostMessage", 2)]));
        assert_eq!(steps.invocations, counts([("apgl-post-message", 2)]));
        // Step Functions' own history includes the start events.
        let lines =
            steps.log_bytes / history.log_line(&HistoryEventType::TaskStarted, 4, "PostMessage");
        assert!((8..=9).contains(&lines), "{lines} lines");
    }

    fn scheduled(id: u64) -> Value {
        json!({
            "id": id, "type": "TaskScheduled", "timestamp": 1.0,
            "taskScheduledEventDetails": {
                "resourceType": "lambda", "resource": "invoke", "region": "us-east-1", "parameters": "{}",
            },
        })
    }
}
