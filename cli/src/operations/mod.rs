//! The eight operations.

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

use self::outcome::shown;
pub use self::{arguments::Operation, outcome::why_not_posted};
use crate::{
    advice::{advice, status_error},
    deployment::{Deployment, Target, name_of},
    report::{BAD, Exit, FAINT, Failure, Report, styled},
};

pub async fn run(operation: Operation, target: &Target) -> Result<Report, Failure> {
    let to_confirm = operation.to_confirm().map(str::to_owned);
    let asked = operation.asked()?;
    // Check before AWS is needed.
    CheckedRequest::check(asked.workflow, asked.request.clone()).map_err(Failure::input)?;
    if to_confirm.is_some() && !io::stdin().is_terminal() {
        return Err(Failure::input("--yes is required without a terminal"));
    }
    let deployment = Deployment::of(target).await?;
    if let Some(channel) = to_confirm {
        confirm(&channel, &deployment).await?;
    }
    let client = deployment.client().await?;
    let started = client
        .start(asked.workflow, &asked.key, &asked.request)
        .await;
    let execution = started.map_err(|error| not_started(&error, &asked.key))?;
    match asked.wait {
        None => Ok(started_report(&execution, &asked.key)),
        Some(at_most) => Ok(end_of(asked.workflow, &execution, at_most).await),
    }
}

/// Asks a person whether to archive the channel. A script says `--yes`.
async fn confirm(channel: &str, deployment: &Deployment) -> Result<(), Failure> {
    let place = deployment.place().await?;
    eprint!("Archive {channel:?} in {place}? Only a person can undo that in Slack. [y/N] ");
    if agrees(&mut io::stdin().lock()).map_err(Failure::input)? {
        return Ok(());
    }
    Err(Failure::input("nothing was done"))
}

/// Whether the next line is a yes. The end of the input is none.
fn agrees(input: &mut impl BufRead) -> io::Result<bool> {
    let mut answer = String::new();
    input.read_line(&mut answer)?;
    let answer = answer.trim().to_lowercase();
    Ok(matches!(answer.as_str(), "y" | "yes"))
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
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::yes("y\n", true)]
    #[case::in_full(" Yes \r\n", true)]
    #[case::without_a_line_break("y", true)]
    #[case::no("n\n", false)]
    #[case::nothing("\n", false)]
    #[case::end_of_the_input("", false)]
    #[case::something_else("yesterday\n", false)]
    #[case::a_later_line("\ny\n", false)]
    fn only_a_yes_agrees(#[case] input: &str, #[case] expected: bool) {
        assert_eq!(agrees(&mut input.as_bytes()).unwrap(), expected);
    }

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
