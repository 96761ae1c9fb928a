//! `apgl inspect`: shows what an execution did, for an operator who was woken by it.

mod path;
mod timeline;

use std::time::Duration;

use apgl_client::{
    Failure as Failed,
    outcome::{MessageOutcome, NotPosted, Outcome, SkipReason},
};
use apgl_contract::decode::parse;
use aws_sdk_sfn::{
    operation::describe_execution::DescribeExecutionOutput,
    types::{ExecutionRedriveStatus, HistoryEvent},
};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    advice::{advice, status_error},
    deployment::{Deployment, name_of, prefix_and_workflow, refused},
    history::{self, StateKind, Visit, visits},
    operations::why_not_posted,
    report::{BAD, Exit, Failure, Report, STRONG, styled},
    status::{has_failed, style_of},
    time::{between, shown, timestamp, took},
};

/// The largest page size of `GetExecutionHistory`.
const EVENTS_A_PAGE: i32 = 1_000;
const LOGS_MAY_BE_LATE_MILLIS: i64 = 60_000;
/// How much of a cause that is not ours is shown, in characters.
const CAUSE: usize = 400;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The execution's ARN, name or console URL.
    execution: String,
}

/// An execution and its history.
struct Inspected {
    /// The deployment's prefix, which starts the functions' names; empty if the workflow is not ours.
    prefix: String,
    workflow: String,
    described: DescribeExecutionOutput,
    visits: Vec<Visit>,
    now: Timestamp,
}

/// Why nothing was posted, without the address of the person.
#[derive(Debug, Clone, Copy)]
enum NothingPosted {
    Message(NotPosted),
    Person(SkipReason),
}

impl NothingPosted {
    fn as_str(self) -> &'static str {
        match self {
            Self::Message(reason) => reason.as_str(),
            Self::Person(reason) => reason.as_str(),
        }
    }

    fn in_words(self) -> String {
        match self {
            Self::Message(reason) => why_not_posted(reason),
            Self::Person(reason) => format!("{} (the person was skipped)", reason.as_str()),
        }
    }
}

pub async fn run(deployment: &Deployment, arguments: &Arguments) -> Result<Report, Failure> {
    let described = deployment.find_execution(&arguments.execution).await?;
    let events = events_of(deployment, &described.execution_arn).await?;
    let (prefix, workflow) = prefix_and_workflow(&described.execution_arn);
    let inspected = Inspected {
        prefix: prefix.to_owned(),
        workflow: workflow.to_owned(),
        described,
        visits: visits(&events),
        now: Timestamp::now(),
    };
    Ok(inspected.report())
}

async fn events_of(
    deployment: &Deployment,
    execution_arn: &str,
) -> Result<Vec<HistoryEvent>, Failure> {
    let history = deployment.sfn.get_execution_history();
    let mut events = Vec::new();
    let mut pages = history
        .execution_arn(execution_arn)
        // Messages and addresses are not needed here.
        .include_execution_data(false)
        .max_results(EVENTS_A_PAGE)
        .into_paginator()
        .items()
        .send();
    while let Some(event) = pages.next().await {
        events.push(event.map_err(|error| refused("GetExecutionHistory", &error))?);
    }
    Ok(events)
}

impl Inspected {
    fn report(&self) -> Report {
        let mut parts = vec![self.head(), timeline::drawn(self), path::drawn(self)];
        parts.extend(self.what_to_do());
        let exit = if self.has_failed() {
            Exit::NotWell
        } else {
            Exit::Fine
        };
        Report {
            text: parts.join("\n\n"),
            json: self.json(),
            exit,
        }
    }

    fn started(&self) -> Timestamp {
        timestamp(&self.described.start_date)
    }

    fn ended(&self) -> Timestamp {
        let stopped = self.described.stop_date.as_ref();
        stopped.map_or(self.now, timestamp)
    }

    fn has_failed(&self) -> bool {
        has_failed(&self.described.status)
    }

    fn failure(&self) -> Option<Failed> {
        let status = self.described.status.as_str();
        let error = self.described.error.as_deref();
        let cause = self.described.cause.as_deref().unwrap_or_default();
        self.has_failed()
            .then(|| Failed::new(error.unwrap_or(status_error(status)), cause))
    }

    fn head(&self) -> String {
        let status = &self.described.status;
        let arn = &self.described.execution_arn;
        let title = format!(
            "{}  {}",
            styled(STRONG, &self.workflow),
            styled(style_of(status), status.as_str())
        );
        let spent = took(between(self.started(), self.ended()));
        let verb = if self.described.stop_date.is_some() {
            "took"
        } else {
            "running for"
        };
        let redrives = match self.described.redrive_count.unwrap_or_default() {
            0 => String::new(),
            1 => ", redriven once".to_owned(),
            count => format!(", redriven {count} times"),
        };
        let started = shown(self.started());
        let mut lines = vec![
            title,
            format!("{:<11}{}", "execution", name_of(arn)),
            format!("{:<11}{arn}", "arn"),
            format!("{:<11}{started}, {verb} {spent}{redrives}", "started"),
        ];
        lines.extend(self.delays());
        if let Some(nothing) = self.nothing_posted() {
            lines.push(format!("{:<11}{}", "not posted", nothing.in_words()));
        }
        lines.join("\n")
    }

    /// Why the execution has posted nothing, although it succeeded. An outcome of a newer release may not be readable.
    fn nothing_posted(&self) -> Option<NothingPosted> {
        let output = self.described.output.as_deref()?;
        let outcome: Outcome = parse(output.as_bytes()).ok()?;
        match outcome.message {
            Some(MessageOutcome::NotPosted(reason)) => Some(NothingPosted::Message(reason)),
            Some(_) => None,
            None if outcome.item.is_some() || outcome.channel_message.is_some() => None,
            None => {
                let person = outcome.skipped.first()?;
                Some(NothingPosted::Person(person.reason))
            }
        }
    }

    /// How much time was spent waiting, and how many retries there were.
    fn delays(&self) -> Option<String> {
        let waits = self
            .visits
            .iter()
            .filter(|visit| visit.kind == StateKind::Wait);
        let lengths: Vec<Duration> = waits
            .map(|wait| between(wait.began, wait.ended.unwrap_or(self.ended())))
            .collect();
        let retries: usize = self
            .visits
            .iter()
            .map(|visit| visit.attempts.len().saturating_sub(1))
            .sum();
        if lengths.is_empty() && retries == 0 {
            return None;
        }
        let waited = took(lengths.iter().sum());
        let waits = match lengths.len() {
            1 => "1 wait".to_owned(),
            count => format!("{count} waits"),
        };
        Some(format!(
            "{:<11}{waited} in {waits}; retries: {retries}",
            "waited"
        ))
    }

    /// The error, and what a person can do about it.
    fn what_to_do(&self) -> Option<String> {
        let failure = self.failure()?;
        let arn = &self.described.execution_arn;
        let cause = self.described.cause.as_deref().unwrap_or_default();
        let mut lines = vec![format!("{:<11}{}", "error", styled(BAD, &failure))];
        if failure.message.is_none() && !cause.is_empty() {
            lines.push(format!("{:<11}{}", "cause", one_line(cause)));
        }
        let advice = match &self.described.redrive_status {
            Some(ExecutionRedriveStatus::NotRedrivable) if failure.can_be_redriven() => {
                let reason = self.described.redrive_status_reason.as_deref();
                let reason = reason.unwrap_or("it can't be redriven");
                format!("Step Functions can't redrive it ({reason}): start again with a new key")
            }
            _ => advice(&failure, name_of(arn)),
        };
        lines.push(format!("{:<11}{advice}", "what to do"));
        lines.extend(self.where_to_look());
        Some(lines.join("\n"))
    }

    /// The command for the log lines of the function that failed last, or else of the last function.
    fn where_to_look(&self) -> Option<String> {
        let at_work = |visit: &&Visit| visit.kind == StateKind::Task;
        let mut tasks = self.visits.iter().rev().filter(at_work);
        let last = tasks.clone().next()?;
        let failed = tasks.find(|visit| visit.failures().next().is_some());
        let function = function_of(&failed.unwrap_or(last).state);
        let (arn, prefix) = (&self.described.execution_arn, &self.prefix);
        let (from, to) = (
            self.started().as_millisecond(),
            self.ended().as_millisecond() + LOGS_MAY_BE_LATE_MILLIS,
        );
        Some(format!(
            "{:<11}aws logs filter-log-events --log-group-name /aws/lambda/{prefix}-{function} \
             --start-time {from} --end-time {to} --filter-pattern '{{ $.executionId = \"{arn}\" }}'",
            "logs"
        ))
    }

    fn json(&self) -> Value {
        let failure = self.failure();
        json!({
            "executionArn": self.described.execution_arn,
            "workflow": self.workflow,
            "status": self.described.status.as_str(),
            "startedAt": self.started().to_string(),
            "stoppedAt": self.described.stop_date.as_ref().map(|at| timestamp(at).to_string()),
            "redriveCount": self.described.redrive_count.unwrap_or_default(),
            "error": failure.as_ref().map(|failure| &failure.error),
            "message": failure.as_ref().and_then(|failure| failure.message.as_ref()),
            "notPosted": self.nothing_posted().map(NothingPosted::as_str),
            "canBeRedriven": failure.as_ref().map(Failed::can_be_redriven),
            "states": self.visits.iter().map(json_of).collect::<Vec<_>>(),
            "path": path::steps(&self.visits),
        })
    }
}

/// The start of the text, without line breaks and other control characters.
fn one_line(cause: &str) -> String {
    let visible = |c: char| if c.is_control() { ' ' } else { c };
    cause.chars().map(visible).take(CAUSE).collect()
}

/// The function of a state: `post-message` for `PostMessage`.
fn function_of(state: &str) -> String {
    let mut name = String::new();
    for (n, c) in state.char_indices() {
        if c.is_ascii_uppercase() && n > 0 {
            name.push('-');
        }
        name.push(c.to_ascii_lowercase());
    }
    name
}

fn json_of(visit: &Visit) -> Value {
    let attempts: Vec<Value> = visit
        .attempts
        .iter()
        .map(|attempt| {
            let failed = attempt.failed.as_ref();
            json!({
                "beganAt": attempt.began.to_string(),
                "endedAt": attempt.ended.map(|at| at.to_string()),
                "error": failed.map(|failed| &failed.error),
                "reason": failed.map(history::Failed::said),
                "redriven": attempt.redriven,
            })
        })
        .collect();
    json!({
        "state": visit.state,
        "beganAt": visit.began.to_string(),
        "endedAt": visit.ended.map(|at| at.to_string()),
        "attempts": attempts,
    })
}

#[cfg(test)]
mod tests;
