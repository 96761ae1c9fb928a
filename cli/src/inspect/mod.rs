//! `apgl inspect`: shows what an execution did, for an operator who was woken by it.

mod path;
mod timeline;

use std::time::Duration;

use apgl_client::Failure as Failed;
use aws_sdk_sfn::{
    operation::describe_execution::DescribeExecutionOutput,
    types::{ExecutionRedriveStatus, HistoryEvent},
};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    advice::{advice, status_error},
    deployment::{Deployment, name_of, prefix_and_workflow, refused},
    history::{self, Kind, Visit, visits},
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
        lines.join("\n")
    }

    /// How much time was spent waiting, and how many retries there were.
    fn delays(&self) -> Option<String> {
        let waits = self.visits.iter().filter(|visit| visit.kind == Kind::Wait);
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
            _ => advice(&failure.error, name_of(arn)),
        };
        lines.push(format!("{:<11}{advice}", "what to do"));
        lines.extend(self.where_to_look());
        Some(lines.join("\n"))
    }

    /// The command for the log lines of the function that failed last, or else of the last function.
    fn where_to_look(&self) -> Option<String> {
        let at_work = |visit: &&Visit| visit.kind == Kind::Task;
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
mod tests {
    use aws_sdk_sfn::types::{
        ExecutionStatus, HistoryEventType, StateEnteredEventDetails, StateExitedEventDetails,
        TaskFailedEventDetails,
    };
    use aws_smithy_types::DateTime;
    use rstest::rstest;

    use super::*;

    const ARN: &str =
        "arn:aws:states:eu-west-1:1:execution:apgl-notify-private-channel:mpc-event-1";
    /// 2026-11-25 03:00:00 UTC.
    const START: f64 = 1_795_575_600.0;

    /// Builds a history event by event.
    #[derive(Default)]
    struct History(Vec<HistoryEvent>);

    impl History {
        fn event(
            mut self,
            at: f64,
            kind: HistoryEventType,
            more: impl FnOnce(
                aws_sdk_sfn::types::builders::HistoryEventBuilder,
            ) -> aws_sdk_sfn::types::builders::HistoryEventBuilder,
        ) -> Self {
            let event = HistoryEvent::builder()
                .timestamp(DateTime::from_secs_f64(START + at))
                .r#type(kind)
                .id(0);
            self.0.push(more(event).build().unwrap());
            self
        }

        fn entered(self, at: f64, kind: HistoryEventType, state: &str) -> Self {
            let details = StateEnteredEventDetails::builder().name(state);
            let details = details.build().unwrap();
            self.event(at, kind, |event| event.state_entered_event_details(details))
        }

        fn exited(self, at: f64, state: &str) -> Self {
            let details = StateExitedEventDetails::builder().name(state);
            let details = details.build().unwrap();
            self.event(at, HistoryEventType::TaskStateExited, |event| {
                event.state_exited_event_details(details)
            })
        }

        fn called(self, at: f64) -> Self {
            self.event(at, HistoryEventType::TaskScheduled, |event| event)
        }

        fn answered(self, at: f64) -> Self {
            self.event(at, HistoryEventType::TaskSucceeded, |event| event)
        }

        fn failed(self, at: f64, error: &str, message: &str) -> Self {
            let ours = json!({ "message": message }).to_string();
            let cause = json!({ "errorType": error, "errorMessage": ours });
            let details = TaskFailedEventDetails::builder()
                .error(error)
                .cause(cause.to_string())
                .resource("invoke")
                .resource_type("lambda")
                .build()
                .unwrap();
            self.event(at, HistoryEventType::TaskFailed, |event| {
                event.task_failed_event_details(details)
            })
        }

        fn task(self, from: f64, to: f64, state: &str) -> Self {
            self.entered(from, HistoryEventType::TaskStateEntered, state)
                .called(from)
                .answered(to)
                .exited(to, state)
        }

        fn wait(self, from: f64, to: f64, state: &str) -> Self {
            self.entered(from, HistoryEventType::WaitStateEntered, state)
                .exited(to, state)
        }
    }

    fn inspected(
        history: &History,
        status: ExecutionStatus,
        stopped: Option<f64>,
        error: Option<(&str, String)>,
    ) -> String {
        let mut described = DescribeExecutionOutput::builder()
            .execution_arn(ARN)
            .state_machine_arn("arn")
            .status(status)
            .start_date(DateTime::from_secs_f64(START))
            .set_stop_date(stopped.map(|at| DateTime::from_secs_f64(START + at)));
        if let Some((error, cause)) = error {
            described = described.error(error).cause(cause);
        }
        let inspected = Inspected {
            prefix: "apgl".to_owned(),
            workflow: "notify-private-channel".to_owned(),
            described: described.build().unwrap(),
            visits: visits(&history.0),
            now: timestamp(&DateTime::from_secs_f64(START + 60.0)),
        };
        let report = inspected.report();
        anstream::adapter::strip_str(&report.text).to_string()
    }

    /// A retry, two waits for a rate limit, and an error that an operator must fix.
    fn eventful() -> History {
        let limited = "Slack limits users.lookupByEmail; it may be called again in 12 s";
        History::default()
            .task(0.0, 0.1, "CheckRequest")
            .task(0.1, 0.3, "FilterByPreference")
            .entered(0.3, HistoryEventType::TaskStateEntered, "ResolveUsers")
            .called(0.3)
            .failed(
                0.5,
                "Slack.Unavailable",
                "Slack is unavailable for users.lookupByEmail: no connection",
            )
            .called(2.5)
            .failed(2.7, "Slack.RateLimited", limited)
            .exited(2.7, "ResolveUsers")
            .wait(2.7, 14.7, "WaitToResolveUsers")
            .entered(14.7, HistoryEventType::TaskStateEntered, "ResolveUsers")
            .called(14.7)
            .failed(14.9, "Slack.RateLimited", limited)
            .exited(14.9, "ResolveUsers")
            .wait(14.9, 26.9, "WaitToResolveUsers")
            .task(26.9, 27.1, "ResolveUsers")
            .task(27.1, 28.0, "EnsureChannel")
            .task(28.0, 28.4, "InviteMembers")
            .entered(28.4, HistoryEventType::TaskStateEntered, "PostMessage")
            .called(28.4)
            .failed(
                28.6,
                "Slack.Unauthorized",
                "Slack does not accept the token for chat.postMessage: token_revoked",
            )
    }

    #[test]
    fn a_failed_run_shows_its_retry_its_waits_its_error_and_what_to_do() {
        let ours = r#"{"message":"Slack does not accept the token for chat.postMessage: token_revoked","slackError":"token_revoked"}"#;
        let cause = json!({ "errorType": "Slack.Unauthorized", "errorMessage": ours });
        let history = eventful().event(28.6, HistoryEventType::ExecutionFailed, |event| event);
        insta::assert_snapshot!(inspected(
            &history,
            ExecutionStatus::Failed,
            Some(28.6),
            Some(("Slack.Unauthorized", cause.to_string()))
        ));
    }

    #[test]
    fn a_run_that_was_redriven_shows_it_and_succeeds() {
        let history = eventful()
            .event(28.6, HistoryEventType::ExecutionFailed, |event| event)
            .event(900.0, HistoryEventType::ExecutionRedriven, |event| event)
            .called(900.0)
            .answered(900.4)
            .exited(900.4, "PostMessage")
            .event(900.4, HistoryEventType::ExecutionSucceeded, |event| event);
        insta::assert_snapshot!(inspected(
            &history,
            ExecutionStatus::Succeeded,
            Some(900.4),
            None
        ));
    }

    #[test]
    fn a_run_that_waits_shows_where() {
        let history = History::default()
            .task(0.0, 0.1, "CheckRequest")
            .entered(0.1, HistoryEventType::TaskStateEntered, "PostMessage")
            .called(0.1)
            .failed(
                0.2,
                "Slack.RateLimited",
                "Slack limits chat.postMessage; it may be called again in 90 s",
            )
            .exited(0.2, "PostMessage")
            .entered(0.2, HistoryEventType::WaitStateEntered, "WaitToPostMessage");
        insta::assert_snapshot!(inspected(&history, ExecutionStatus::Running, None, None));
    }

    #[test]
    fn a_crash_shows_its_cause_and_where_to_look() {
        let history = History::default()
            .entered(0.0, HistoryEventType::TaskStateEntered, "CheckRequest")
            .called(0.0)
            .failed(0.2, "Runtime.ExitError", "the function ended")
            .event(0.2, HistoryEventType::ExecutionFailed, |event| event);
        let cause = "RequestId: 1 Error: Runtime exited with error: exit status 1".to_owned();
        insta::assert_snapshot!(inspected(
            &history,
            ExecutionStatus::Failed,
            Some(0.2),
            Some(("Runtime.ExitError", cause))
        ));
    }

    #[test]
    fn a_run_that_took_too_long_or_was_stopped_is_a_failure_too() {
        for (status, error) in [
            (ExecutionStatus::TimedOut, "States.Timeout"),
            (ExecutionStatus::Aborted, "Aborted"),
        ] {
            let history = History::default()
                .task(0.0, 0.1, "CheckRequest")
                .entered(0.1, HistoryEventType::TaskStateEntered, "PostMessage")
                .called(0.1)
                .event(9.0, HistoryEventType::ExecutionTimedOut, |event| event);
            let shown = inspected(&history, status, Some(9.0), None);
            assert!(shown.contains("✗ PostMessage"), "{shown}");
            assert!(shown.contains("PostMessage ─▶ ✗"), "{shown}");
            assert!(shown.contains(&format!("error      {error}")), "{shown}");
            assert!(shown.contains("apgl redrive mpc-event-1"), "{shown}");
            assert!(shown.contains("/aws/lambda/apgl-post-message"), "{shown}");
        }
    }

    #[test]
    fn a_final_error_leads_to_the_function_that_failed() {
        let history = History::default()
            .task(0.0, 0.1, "CheckRequest")
            .entered(0.1, HistoryEventType::TaskStateEntered, "EnsureChannel")
            .called(0.1)
            .failed(
                0.2,
                "Slack.Rejected",
                "Slack refused conversations.create: restricted_action",
            )
            .exited(0.2, "EnsureChannel")
            .entered(0.2, HistoryEventType::FailStateEntered, "Fail")
            .event(0.2, HistoryEventType::ExecutionFailed, |event| event);
        let cause = r#"{"message":"Slack refused conversations.create: restricted_action"}"#;
        let error = Some(("Slack.Rejected", cause.to_owned()));
        let shown = inspected(&history, ExecutionStatus::Failed, Some(0.2), error);
        assert!(shown.contains("/aws/lambda/apgl-ensure-channel"), "{shown}");
    }

    #[test]
    fn a_redrive_that_enters_the_state_again_is_two_visits() {
        let history = eventful()
            .event(28.6, HistoryEventType::ExecutionFailed, |event| event)
            .event(900.0, HistoryEventType::ExecutionRedriven, |event| event)
            .task(900.0, 900.4, "PostMessage");
        let shown = inspected(&history, ExecutionStatus::Succeeded, Some(900.4), None);
        assert!(shown.contains("PostMessage ─▶ PostMessage ─▶ ✔"), "{shown}");
        assert!(shown.contains("│ redriven"), "{shown}");
    }

    #[test]
    fn an_expression_that_can_not_be_evaluated_shows_what_is_wrong() {
        let details = aws_sdk_sfn::types::EvaluationFailedEventDetails::builder()
            .error("States.QueryEvaluationError")
            .cause("undefined")
            .state("CheckRequest")
            .build()
            .unwrap();
        let history = History::default()
            .entered(0.0, HistoryEventType::TaskStateEntered, "CheckRequest")
            .event(0.1, HistoryEventType::EvaluationFailed, |event| {
                event.evaluation_failed_event_details(details)
            })
            .event(0.1, HistoryEventType::ExecutionFailed, |event| event);
        let error = Some(("States.QueryEvaluationError", "line 1\nline 2".to_owned()));
        let shown = inspected(&history, ExecutionStatus::Failed, Some(0.1), error);
        assert!(shown.contains("│ ✗ States.QueryEvaluationError"), "{shown}");
        assert!(shown.contains("cause      line 1 line 2"), "{shown}");
        assert!(shown.contains("deploy a fixed one"), "{shown}");
    }

    #[rstest]
    #[case("PostMessage", "post-message")]
    #[case("CheckRequest", "check-request")]
    fn a_states_log_lines_are_its_functions(#[case] state: &str, #[case] function: &str) {
        assert_eq!(function_of(state), function);
    }
}
