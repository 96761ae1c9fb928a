use aws_sdk_sfn::operation::describe_execution::builders::DescribeExecutionOutputBuilder;
use aws_sdk_sfn::types::{
    ExecutionStatus, HistoryEventType, StateEnteredEventDetails, StateExitedEventDetails,
    TaskFailedEventDetails,
};
use aws_smithy_types::DateTime;
use rstest::rstest;

use super::*;

const ARN: &str = "arn:aws:states:eu-west-1:1:execution:apgl-notify-private-channel:mpc-event-1";
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
    let described = described(status, stopped);
    let described = match error {
        Some((error, cause)) => described.error(error).cause(cause),
        None => described,
    };
    let report = report(history, described);
    anstream::adapter::strip_str(&report.text).to_string()
}

fn described(status: ExecutionStatus, stopped: Option<f64>) -> DescribeExecutionOutputBuilder {
    DescribeExecutionOutput::builder()
        .execution_arn(ARN)
        .state_machine_arn("arn")
        .status(status)
        .start_date(DateTime::from_secs_f64(START))
        .set_stop_date(stopped.map(|at| DateTime::from_secs_f64(START + at)))
}

fn report(history: &History, described: DescribeExecutionOutputBuilder) -> Report {
    let inspected = Inspected {
        prefix: "apgl".to_owned(),
        workflow: "notify-private-channel".to_owned(),
        described: described.build().unwrap(),
        visits: visits(&history.0),
        now: timestamp(&DateTime::from_secs_f64(START + 60.0)),
    };
    inspected.report()
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
fn a_redriven_run_shows_the_redrive_and_succeeds() {
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

#[rstest]
#[case::expired(
    json!({ "message": { "expired": true } }),
    "expired", "the request's expiresAt passed before it could be posted"
)]
#[case::superseded(
    json!({ "message": { "superseded": true } }),
    "superseded", "a message with a higher number in its sequence has been posted"
)]
#[case::opted_out(
    json!({ "skipped": [{ "email": "ana@example.com", "reason": "opted_out" }] }),
    "opted_out", "the person was skipped"
)]
fn a_run_that_posted_nothing_shows_why_and_no_address(
    #[case] outcome: Value,
    #[case] reason: &str,
    #[case] meaning: &str,
) {
    let history = History::default().task(0.0, 0.1, "CheckRequest");
    let described = described(ExecutionStatus::Succeeded, Some(0.1)).output(outcome.to_string());
    let report = report(&history, described);
    let shown = anstream::adapter::strip_str(&report.text).to_string();
    let expected = format!("\nnot posted {reason} ({meaning})\n");
    assert!(shown.contains(&expected), "{shown}");
    assert_eq!(report.json["notPosted"], reason);
    assert!(!format!("{shown}{}", report.json).contains("ana@"));
}

#[rstest]
#[case::posted(json!({ "message": { "ts": "1.2", "duplicate": false }, "skipped": [] }))]
#[case::no_message(json!({ "exists": true }))]
#[case::an_item(json!({
    "item": { "id": "guide-42", "version": 2, "superseded": true },
    "skipped": [{ "email": "ana@example.com", "reason": "not_in_slack" }],
}))]
#[case::only_in_the_channel(json!({
    "escalated": true, "channelMessage": { "ts": "1.2", "duplicate": false },
    "skipped": [{ "email": "ana@example.com", "reason": "opted_out" }],
}))]
#[case::of_a_newer_release(json!({ "message": { "later": true } }))]
fn no_other_run_says_that_nothing_was_posted(#[case] outcome: Value) {
    let described = described(ExecutionStatus::Succeeded, Some(0.1)).output(outcome.to_string());
    let report = report(&History::default(), described);
    assert!(!report.text.contains("not posted"), "{}", report.text);
    assert_eq!(report.json["notPosted"], Value::Null);
}

#[test]
fn a_waiting_run_shows_where_it_waits() {
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
fn a_run_that_timed_out_or_was_stopped_is_a_failure() {
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
fn a_final_error_points_to_the_function_that_failed() {
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
fn a_state_that_a_redrive_enters_again_is_shown_twice() {
    let history = eventful()
        .event(28.6, HistoryEventType::ExecutionFailed, |event| event)
        .event(900.0, HistoryEventType::ExecutionRedriven, |event| event)
        .task(900.0, 900.4, "PostMessage");
    let shown = inspected(&history, ExecutionStatus::Succeeded, Some(900.4), None);
    assert!(shown.contains("PostMessage ─▶ PostMessage ─▶ ✔"), "{shown}");
    assert!(shown.contains("│ redriven"), "{shown}");
}

#[test]
fn an_expression_that_cannot_be_evaluated_shows_what_is_wrong() {
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
fn each_state_maps_to_its_function(#[case] state: &str, #[case] function: &str) {
    assert_eq!(function_of(state), function);
}
