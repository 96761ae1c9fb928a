//! The executions that remind people and escalate items: what they are doing, and what they have done.

use std::collections::HashMap;

use apgl_contract::{ItemId, reminders::Part};
use aws_sdk_sfn::{
    Client,
    types::{ExecutionStatus, HistoryEvent},
};
use jiff::civil::Date;
use local_stack::{
    Execution, Status,
    execution::{Executions, state_machine_arn},
};
use serde::{Deserialize, de::DeserializeOwned};

use super::clock::Micros;
use crate::Error;

/// So many of an execution's last events contain the last two states that it has entered.
const LAST_EVENTS: i32 = 12;

/// The request of a workflow that waits for a time of the calendar before it tells anybody.
pub(crate) trait Timed: DeserializeOwned + Clone {
    const WORKFLOW: &'static str;
    /// The state that looks at the calendar.
    const LOOK: &'static str;
    /// The state that decides what to do then.
    const CHOOSE: &'static str;
    /// The state that waits.
    const WAIT: &'static str;
}

/// Whom an execution reminds, and of what day.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Remind {
    pub user_id: String,
    pub day: Date,
    #[serde(default)]
    pub part: Part,
}

impl Timed for Remind {
    const WORKFLOW: &'static str = "remind";
    const LOOK: &'static str = "FindReminder";
    const CHOOSE: &'static str = "SendIfDue";
    const WAIT: &'static str = "WaitUntilDue";
}

/// Which item an execution escalates.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Escalate {
    pub item_id: ItemId,
}

impl Timed for Escalate {
    const WORKFLOW: &'static str = "escalate";
    const LOOK: &'static str = "FindEscalation";
    const CHOOSE: &'static str = "TellIfOverdue";
    const WAIT: &'static str = "WaitUntilOverdue";
}

/// What an execution is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doing {
    /// It has looked at the calendar as it is now, and waits for a later time.
    Asleep,
    /// It is going to look at the calendar.
    Looking,
    /// It has found something that is due.
    Working,
}

/// Looks at the executions of a workflow.
#[derive(Debug)]
pub(crate) struct Workflow<R> {
    sfn: Client,
    executions: Executions,
    requests: HashMap<String, R>,
}

/// What an execution has done.
#[derive(Debug)]
pub(crate) struct Done<R, O> {
    pub arn: String,
    pub request: R,
    pub outcome: O,
}

impl<R: Timed> Workflow<R> {
    pub fn new(aws: &aws_types::SdkConfig) -> Self {
        Self {
            sfn: Client::new(aws),
            executions: Executions::new(aws),
            requests: HashMap::new(),
        }
    }

    /// The running executions. The calendar was set at `calendar_set`.
    pub async fn running(&mut self, calendar_set: Micros) -> Result<Vec<(R, Doing)>, Error> {
        let mut running = Vec::new();
        for arn in self.with_status(ExecutionStatus::Running).await? {
            let request = self.request(&arn).await?;
            running.push((request, self.doing(&arn, calendar_set).await?));
        }
        Ok(running)
    }

    /// The requests of the running executions that have something to do at this time of the calendar.
    pub async fn awake(&mut self, calendar_set: Micros) -> Result<Vec<R>, Error> {
        let running = self.running(calendar_set).await?.into_iter();
        let awake = running.filter(|(_, doing)| *doing != Doing::Asleep);
        Ok(awake.map(|(request, _)| request).collect())
    }

    /// Whether an execution waits for a time of the calendar.
    pub async fn is_any_waiting(&mut self, calendar_set: Micros) -> Result<bool, Error> {
        let running = self.running(calendar_set).await?;
        Ok(running.iter().any(|(_, doing)| *doing != Doing::Working))
    }

    pub async fn is_any_running(&self) -> Result<bool, Error> {
        let running = self.with_status(ExecutionStatus::Running).await?;
        Ok(!running.is_empty())
    }

    async fn doing(&self, arn: &str, calendar_set: Micros) -> Result<Doing, Error> {
        let last = self.sfn.get_execution_history().execution_arn(arn);
        let last = last.reverse_order(true).max_results(LAST_EVENTS);
        let last = last.include_execution_data(false).send().await;
        let last = last.map_err(failed("GetExecutionHistory"))?;
        let mut entered = last.events.iter().filter_map(|event| {
            let details = event.state_entered_event_details.as_ref()?;
            Some((details.name.as_str(), micros(event)))
        });
        let Some((state, _)) = entered.next() else {
            return Ok(Doing::Looking);
        };
        if state == R::WAIT {
            let looked = entered.find(|(state, _)| *state == R::LOOK);
            let is_asleep = looked.is_some_and(|(_, at)| at > calendar_set);
            return Ok(if is_asleep {
                Doing::Asleep
            } else {
                Doing::Looking
            });
        }
        let is_looking = ["CheckRequest", R::LOOK, R::CHOOSE].contains(&state);
        Ok(if is_looking {
            Doing::Looking
        } else {
            Doing::Working
        })
    }

    async fn request(&mut self, arn: &str) -> Result<R, Error> {
        if let Some(request) = self.requests.get(arn) {
            return Ok(request.clone());
        }
        let execution = self.executions.describe(arn).await?;
        let request: R = request_of(&execution)?;
        self.requests.insert(arn.to_owned(), request.clone());
        Ok(request)
    }

    /// Redrives those that have failed, as an operator does. Returns their requests.
    pub async fn redrive_failed(&mut self) -> Result<Vec<R>, Error> {
        let mut redriven = Vec::new();
        for status in [ExecutionStatus::Failed, ExecutionStatus::TimedOut] {
            for arn in self.with_status(status).await? {
                redriven.push(self.request(&arn).await?);
                self.executions.redrive(&arn).await?;
            }
        }
        Ok(redriven)
    }

    /// What those that have succeeded have done.
    pub async fn done<O: DeserializeOwned>(&self) -> Result<Vec<Done<R, O>>, Error> {
        let mut done = Vec::new();
        for arn in self.with_status(ExecutionStatus::Succeeded).await? {
            let execution = self.executions.describe(&arn).await?;
            let outcome = serde_json::from_value(execution.output.clone());
            done.push(Done {
                request: request_of(&execution)?,
                outcome: outcome
                    .map_err(|error| Error::Setup(format!("the output of {arn}: {error}")))?,
                arn,
            });
        }
        Ok(done)
    }

    async fn with_status(&self, status: ExecutionStatus) -> Result<Vec<String>, Error> {
        let listing = self.sfn.list_executions();
        let listed = listing
            .state_machine_arn(state_machine_arn(R::WORKFLOW))
            .status_filter(status)
            .into_paginator()
            .items()
            .send()
            .try_collect()
            .await
            .map_err(failed("ListExecutions"))?;
        Ok(listed.into_iter().map(|one| one.execution_arn).collect())
    }

    /// When an execution entered each of its states, and when it left it for the last time.
    pub async fn states(&self, arn: &str) -> Result<HashMap<String, (Micros, Micros)>, Error> {
        let events = self.sfn.get_execution_history().execution_arn(arn);
        let events: Vec<HistoryEvent> = events
            .include_execution_data(false)
            .into_paginator()
            .items()
            .send()
            .try_collect()
            .await
            .map_err(failed("GetExecutionHistory"))?;
        let mut states: HashMap<String, (Micros, Micros)> = HashMap::new();
        for event in &events {
            let at = micros(event);
            if let Some(entered) = &event.state_entered_event_details {
                states.entry(entered.name.clone()).or_insert((at, at));
            }
            if let Some(exited) = &event.state_exited_event_details {
                states.entry(exited.name.clone()).or_insert((at, at)).1 = at;
            }
        }
        Ok(states)
    }
}

fn request_of<R: Timed>(execution: &Execution) -> Result<R, Error> {
    serde_json::from_value(execution.input.clone())
        .map_err(|error| Error::Setup(format!("the request of {}: {error}", execution.arn)))
}

/// Whether the execution can be redriven.
pub(crate) fn has_failed(execution: &Execution) -> bool {
    matches!(execution.status, Status::Failed | Status::TimedOut)
}

fn micros(event: &HistoryEvent) -> Micros {
    let micros = event.timestamp.as_nanos() / 1_000;
    Micros::try_from(micros).unwrap_or_default()
}

fn failed<E: Into<aws_sdk_sfn::Error>>(call: &'static str) -> impl Fn(E) -> Error {
    move |error| Error::Setup(format!("{call}: {}", error.into()))
}
