//! `apgl redrive`: redrives failed executions, which continue from the step that failed.

use apgl_client::Failure as Failed;
use aws_sdk_sfn::{
    operation::redrive_execution::RedriveExecutionError,
    types::{ExecutionRedriveStatus, ExecutionStatus},
};
use serde_json::{Value, json};

use crate::{
    deployment::{Deployment, name_of, refused},
    report::{BAD, Exit, Failure, GOOD, Report, styled},
};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The executions: the ARN, name or console URL of each.
    #[arg(required = true, value_name = "EXECUTION")]
    executions: Vec<String>,
    /// Redrives an execution that somebody has stopped, too.
    #[arg(long)]
    even_if_stopped: bool,
}

/// Redrives the executions, in the order of the command line. One that can't be redriven does not stop the others.
pub async fn run(deployment: &Deployment, arguments: &Arguments) -> Result<Report, Failure> {
    let mut lines = Vec::new();
    let mut all: Vec<Value> = Vec::new();
    let mut exits = Vec::new();
    for named in &arguments.executions {
        let (name, refusal) = match redrive(deployment, named, arguments.even_if_stopped).await {
            Ok(arn) => {
                exits.push(Exit::Fine);
                (name_of(&arn).to_owned(), None)
            }
            Err(failure) => {
                exits.push(failure.exit);
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
        exit: in_all(&exits),
    })
}

/// The exit that all of them share, or `NotWell` if they differ.
fn in_all(exits: &[Exit]) -> Exit {
    match exits {
        [first, others @ ..] if others.iter().all(|other| other == first) => *first,
        _ => Exit::NotWell,
    }
}

async fn redrive(
    deployment: &Deployment,
    named: &str,
    even_if_stopped: bool,
) -> Result<String, Failure> {
    let described = deployment.find_execution(named).await?;
    let not_now = |why: String| Err(Failure::new(Exit::NotWell, why));
    match described.status {
        ExecutionStatus::Running => return not_now("it is running".to_owned()),
        ExecutionStatus::Succeeded => return not_now("it has succeeded".to_owned()),
        ExecutionStatus::Aborted if !even_if_stopped => {
            return not_now(
                "somebody has stopped it; --even-if-stopped redrives it all the same".to_owned(),
            );
        }
        _ => {}
    }
    if let Some(error) = &described.error {
        let failure = Failed::new(error, described.cause.as_deref().unwrap_or_default());
        if failure.is_final() {
            return not_now(format!(
                "{error} is final: start a fixed request with a new key"
            ));
        }
        if failure.is_in_fail_state {
            return not_now(format!(
                "it ended in a Fail state, from which no redrive continues: fix the cause of {error} and start it \
                 again with a new key"
            ));
        }
    }
    if described.redrive_status == Some(ExecutionRedriveStatus::NotRedrivable) {
        let why = described.redrive_status_reason.unwrap_or_default();
        return not_now(format!("Step Functions says that it can't be: {why}"));
    }
    let arn = described.execution_arn;
    let redriven = deployment.sfn.redrive_execution().execution_arn(&arn);
    redriven.send().await.map_err(|error| {
        let is_late = error
            .as_service_error()
            .is_some_and(RedriveExecutionError::is_execution_not_redrivable);
        if is_late {
            Failure::new(
                Exit::NotWell,
                "it can't be redriven, or somebody has just redriven it",
            )
        } else {
            refused("RedriveExecution", &error)
        }
    })?;
    Ok(arn)
}

#[cfg(test)]
mod tests {
    use apgl_aws::config;
    use aws_credential_types::Credentials;
    use aws_smithy_http_client::test_util::{ReplayEvent, StaticReplayClient};
    use aws_smithy_types::body::SdkBody;

    use super::*;

    const ARN: &str = "arn:aws:states:us-east-1:1:execution:apgl-delete-channel:cli-1";

    fn answer(body: &Value) -> ReplayEvent {
        let request = http::Request::builder().uri("http://127.0.0.1/");
        let response = http::Response::builder().status(200);
        ReplayEvent::new(
            request.body(SdkBody::empty()).unwrap(),
            response.body(SdkBody::from(body.to_string())).unwrap(),
        )
    }

    fn execution(status: &str, error: Option<&str>, redrive_status: &str) -> ReplayEvent {
        execution_with(status, error, "{}", redrive_status)
    }

    fn execution_with(
        status: &str,
        error: Option<&str>,
        cause: &str,
        redrive_status: &str,
    ) -> ReplayEvent {
        answer(&json!({
            "executionArn": ARN, "stateMachineArn": "arn", "status": status, "startDate": 1.0,
            "error": error, "cause": cause, "redriveStatus": redrive_status,
            "redriveStatusReason": "it is older than 14 days",
        }))
    }

    /// The report, and the calls that were made.
    async fn redriven(answers: Vec<ReplayEvent>) -> (Report, Vec<String>) {
        let http = StaticReplayClient::new(answers);
        let aws = config("us-east-1".to_owned(), None, Credentials::for_tests()).unwrap();
        let sfn = aws_sdk_sfn::config::Builder::from(&aws).http_client(http.clone());
        let deployment = Deployment {
            sfn: aws_sdk_sfn::Client::from_conf(sfn.build()),
            aws,
            prefix: "apgl".to_owned(),
        };
        let arguments = Arguments {
            executions: vec![ARN.to_owned()],
            even_if_stopped: false,
        };
        let report = run(&deployment, &arguments).await.unwrap();
        let calls = http.actual_requests().map(|request| {
            let target = request.headers().get("x-amz-target").unwrap();
            target.rsplit('.').next().unwrap().to_owned()
        });
        (report, calls.collect())
    }

    #[tokio::test]
    async fn a_fixable_failure_is_redriven() {
        let failed = execution("FAILED", Some("Slack.Unauthorized"), "REDRIVABLE");
        let (report, calls) = redriven(vec![failed, answer(&json!({ "redriveDate": 1.0 }))]).await;
        assert_eq!(calls, ["DescribeExecution", "RedriveExecution"]);
        assert_eq!(report.exit, Exit::Fine);
        assert_eq!(report.json["executions"][0]["redriven"], true);
    }

    #[tokio::test]
    async fn an_execution_that_cannot_be_redriven_is_skipped_with_the_reason() {
        for (there, why) in [
            (
                execution("RUNNING", None, "NOT_REDRIVABLE"),
                "it is running",
            ),
            (
                execution("SUCCEEDED", None, "NOT_REDRIVABLE"),
                "it has succeeded",
            ),
            (
                execution("FAILED", Some("Channel.NotOurs"), "REDRIVABLE"),
                "Channel.NotOurs is final",
            ),
            // As an execution of release 0.1 ends.
            (
                execution_with(
                    "FAILED",
                    Some("Channel.NotFound"),
                    r#"{"message":"gone"}"#,
                    "REDRIVABLE",
                ),
                "it ended in a Fail state",
            ),
            (
                execution("ABORTED", None, "REDRIVABLE"),
                "somebody has stopped it",
            ),
            (
                execution("TIMED_OUT", None, "NOT_REDRIVABLE"),
                "it is older than 14 days",
            ),
        ] {
            let (report, calls) = redriven(vec![there]).await;
            assert_eq!(calls, ["DescribeExecution"]);
            assert_eq!(report.exit, Exit::NotWell);
            assert!(report.text.contains(why), "{}", report.text);
        }
    }
}
