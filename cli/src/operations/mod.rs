//! The six operations.

mod arguments;
mod outcome;

use std::{
    io::{self, BufRead, IsTerminal},
    time::Duration,
};

use apgl_client::{
    Execution, Failure as Failed, Operation as Workflow, StartError, WaitError, outcome::Outcome,
};
use apgl_contract::request::CheckedRequest;
use serde_json::json;

pub use self::arguments::Operation;
use self::outcome::shown;
use crate::{
    advice::{advice, status_error},
    deployment::{Deployment, Target, name_of},
    report::{BAD, Exit, FAINT, Failure, Report, styled},
};

pub async fn run(operation: Operation, target: &Target) -> Result<Report, Failure> {
    let question = operation.question();
    let asked = operation.asked()?;
    // Check before AWS is needed.
    CheckedRequest::check(asked.workflow, asked.request.clone()).map_err(Failure::input)?;
    if let Some(question) = question {
        confirm(&question)?;
    }
    let client = Deployment::of(target).await?.client().await?;
    let started = client
        .start(asked.workflow, &asked.key, &asked.request)
        .await;
    let execution = started.map_err(|error| not_started(&error, &asked.key))?;
    match asked.wait {
        None => Ok(started_report(&execution, &asked.key)),
        Some(at_most) => Ok(end_of(asked.workflow, &execution, at_most).await),
    }
}

/// Asks a person. A script says `--yes`.
fn confirm(question: &str) -> Result<(), Failure> {
    let mut input = io::stdin().lock();
    if !input.is_terminal() {
        return Err(Failure::input("--yes is required without a terminal"));
    }
    eprint!("{question} [y/N] ");
    let mut answer = String::new();
    input.read_line(&mut answer).map_err(Failure::input)?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        return Ok(());
    }
    Err(Failure::input("nothing was done"))
}

/// If the execution may have started, only the same key makes it safe to start it again.
fn not_started(error: &StartError, key: &str) -> Failure {
    match error {
        StartError::InvalidRequest(_) | StartError::Key(_) => Failure::input(error),
        StartError::Conflict { .. } => Failure::new(Exit::Conflict, error),
        StartError::Unavailable { .. } => Failure::aws(format!(
            "{error}; it may have started: run the command again with --key {key}"
        )),
        _ => Failure::aws(error),
    }
}

fn started_report(execution: &Execution<Outcome>, key: &str) -> Report {
    let arn = execution.arn();
    let name = name_of(arn);
    let hint = styled(FAINT, format!("apgl inspect {name} shows its progress"));
    Report {
        text: format!("started {name}\n{hint}"),
        json: json!({ "executionArn": arn, "key": key }),
        exit: Exit::Fine,
    }
}

async fn end_of(workflow: Workflow, execution: &Execution<Outcome>, at_most: Duration) -> Report {
    let arn = execution.arn();
    let name = name_of(arn);
    let (text, mut json, exit) = match execution.wait(at_most).await {
        Ok(outcome) => {
            let is_no = workflow == Workflow::CheckChannelExists && outcome.exists == Some(false);
            let exit = if is_no { Exit::No } else { Exit::Fine };
            let json = json!({ "status": "SUCCEEDED", "outcome": outcome });
            (shown(&outcome), json, exit)
        }
        Err(WaitError::Failed(failure)) => {
            let (failed, advice) = (styled(BAD, "failed"), advice(&failure, name));
            let text = format!("{failed} {failure}\n{advice}");
            let json = json!({
                "status": "FAILED", "error": failure.error, "message": failure.message,
                "field": failure.field, "slackError": failure.slack_error,
            });
            (text, json, Exit::NotWell)
        }
        Err(error) => {
            let (status, exit) = match error {
                WaitError::TimedOut => ("TIMED_OUT", Exit::NotWell),
                WaitError::Aborted => ("ABORTED", Exit::NotWell),
                WaitError::StillRunning { .. } => ("RUNNING", Exit::StillRunning),
                _ => ("UNKNOWN", Exit::Aws),
            };
            let json = json!({ "status": status, "message": error.to_string() });
            let mut text = styled(BAD, &error);
            if exit == Exit::NotWell {
                text = format!(
                    "{text}\n{}",
                    advice(&Failed::new(status_error(status), ""), name)
                );
            }
            (text, json, exit)
        }
    };
    json["executionArn"] = json!(arn);
    Report {
        text: format!("{text}\n{}", styled(FAINT, format!("execution {name}"))),
        json,
        exit,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_that_may_have_happened_says_how_to_repeat_it_safely() {
        let unavailable = StartError::Unavailable {
            action: "StartExecution",
            reason: "no answer in time".to_owned(),
        };
        let failure = not_started(&unavailable, "4711");
        assert_eq!(failure.exit, Exit::Aws);
        assert!(failure.to_string().ends_with("again with --key 4711"));
    }
}
