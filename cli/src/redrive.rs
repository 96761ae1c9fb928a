//! `apgl redrive`: failed executions go on from the step that failed.

use apgl_client::Failure as Failed;
use aws_sdk_sfn::types::{ExecutionRedriveStatus, ExecutionStatus};
use serde_json::{Value, json};

use crate::{
    deployment::{Deployment, name_of, refused},
    report::{BAD, Exit, Failure, GOOD, Report, styled},
};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The executions, each by its ARN, its name, or the console's address of it.
    #[arg(required = true, value_name = "EXECUTION")]
    executions: Vec<String>,
}

/// What became of each, in the order of the command line. One that can't be redriven holds up nobody.
pub async fn run(deployment: &Deployment, arguments: &Arguments) -> Result<Report, Failure> {
    let mut lines = Vec::new();
    let mut all: Vec<Value> = Vec::new();
    let mut exit = Exit::Fine;
    for named in &arguments.executions {
        let (name, refusal) = match redrive(deployment, named).await {
            Ok(arn) => (name_of(&arn).to_owned(), None),
            Err(failure) => {
                exit = if exit == Exit::Fine {
                    failure.exit
                } else {
                    exit
                };
                (named.clone(), Some(failure.to_string()))
            }
        };
        lines.push(match &refusal {
            None => format!("{} {name}", styled(GOOD, "redriven")),
            Some(why) => format!("{} {name}: {why}", styled(BAD, "not redriven")),
        });
        all.push(json!({ "execution": name, "redriven": refusal.is_none(), "reason": refusal }));
    }
    Ok(Report {
        text: lines.join("\n"),
        json: json!({ "executions": all }),
        exit,
    })
}

async fn redrive(deployment: &Deployment, named: &str) -> Result<String, Failure> {
    let described = deployment.find_execution(named).await?;
    let not_now = |why: String| Err(Failure::new(Exit::NotWell, why));
    match described.status {
        ExecutionStatus::Running => return not_now("it is running".to_owned()),
        ExecutionStatus::Succeeded => return not_now("it has succeeded".to_owned()),
        _ => {}
    }
    if let Some(error) = &described.error {
        let failure = Failed::new(error, described.cause.as_deref().unwrap_or_default());
        if !failure.can_be_redriven() {
            let why = format!("{error} is final: start a mended request under a new key");
            return not_now(why);
        }
    }
    if described.redrive_status == Some(ExecutionRedriveStatus::NotRedrivable) {
        let why = described.redrive_status_reason.unwrap_or_default();
        return not_now(format!("Step Functions says that it can't be: {why}"));
    }
    let arn = described.execution_arn;
    let redriven = deployment.sfn.redrive_execution().execution_arn(&arn);
    redriven
        .send()
        .await
        .map_err(|error| refused("RedriveExecution", &error))?;
    Ok(arn)
}
