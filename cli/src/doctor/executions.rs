//! How many executions failed in the last day.

use apgl_client::StateMachines;
use aws_sdk_sfn::{
    Client,
    types::{ExecutionRedriveFilter, ExecutionStatus},
};

use super::finding::Finding;
use crate::{
    deployment::{Deployment, refused},
    report::Failure,
};

/// The workflows' own time-out, in seconds.
const LONGEST_RUN: i64 = 24 * 60 * 60;
/// The limit for each workflow and status. With more failures than this, the exact number does not matter.
const MOST_LOOKED_AT: u32 = 1_000;

/// Executions are listed by their start, the latest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    /// So recently that they can have ended since without a redrive.
    StartedRecently,
    /// Earlier, and redriven.
    RedrivenSince,
}

pub(super) async fn check(
    deployment: &Deployment,
    machines: &StateMachines,
) -> Result<Finding, Failure> {
    let mut failed = 0;
    let day = jiff::Timestamp::now().as_second() - 24 * 60 * 60;
    for (_, machine) in machines.iter() {
        for status in [ExecutionStatus::Failed, ExecutionStatus::TimedOut] {
            for which in [Which::StartedRecently, Which::RedrivenSince] {
                let arn = machine.unqualified();
                failed += count(&deployment.sfn, arn.as_str(), &status, which, day).await?;
            }
        }
    }
    Ok(match failed {
        0 => Finding::good("executions: none failed in the last 24 hours"),
        count => Finding::warning(
            format!("executions: {count} failed in the last 24 hours"),
            "apgl list --failed shows them",
        ),
    })
}

/// How many of these executions ended at `since` or later, in seconds since the epoch.
async fn count(
    sfn: &Client,
    machine: &str,
    status: &ExecutionStatus,
    which: Which,
    since: i64,
) -> Result<usize, Failure> {
    let redriven = which == Which::RedrivenSince;
    let mut pages = sfn
        .list_executions()
        .state_machine_arn(machine)
        .status_filter(status.clone())
        .set_redrive_filter(redriven.then_some(ExecutionRedriveFilter::Redriven))
        .into_paginator()
        .items()
        .send();
    let (mut ended, mut looked_at) = (0, 0);
    while looked_at < MOST_LOOKED_AT
        && let Some(execution) = pages.next().await
    {
        let execution = execution.map_err(|error| refused("ListExecutions", &error))?;
        looked_at += 1;
        let started_recently = execution.start_date.secs() >= since - LONGEST_RUN;
        if started_recently == redriven {
            if redriven {
                continue;
            }
            break;
        }
        let stopped = execution.stop_date.as_ref();
        ended += usize::from(stopped.is_some_and(|stopped| stopped.secs() >= since));
    }
    Ok(ended)
}

#[cfg(test)]
mod tests {
    use aws_smithy_http_client::test_util::infallible_client_fn;
    use aws_smithy_types::body::SdkBody;
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    const HOUR: i64 = 60 * 60;

    /// Step Functions with one failed execution, whose times are in hours before now.
    fn sfn(started: i64, stopped: i64, redriven: bool) -> Client {
        let now = jiff::Timestamp::now().as_second();
        let list = move |request: http::Request<SdkBody>| {
            let body: Value = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
            let is_listed = redriven || body.get("redriveFilter").is_none();
            let execution = json!({
                "executionArn": "arn", "stateMachineArn": "arn", "name": "x", "status": "FAILED",
                "startDate": now - started * HOUR, "stopDate": now - stopped * HOUR,
                "redriveCount": i32::from(redriven),
            });
            let executions: Vec<Value> = is_listed.then_some(execution).into_iter().collect();
            let answer = json!({ "executions": executions });
            http::Response::new(SdkBody::from(answer.to_string()))
        };
        Client::new(&fake_aws::config(infallible_client_fn(list)))
    }

    #[rstest]
    #[case::today(2, 1, false, 1)]
    #[case::yesterday_and_ended_today(40, 1, false, 1)]
    #[case::long_ago(100, 99, false, 0)]
    #[case::long_ago_and_redriven_today(100, 1, true, 1)]
    #[case::long_ago_and_redriven_before_today(300, 99, true, 0)]
    #[case::today_and_redriven(3, 1, true, 1)]
    #[tokio::test]
    async fn a_failure_of_the_last_day_counts_once(
        #[case] started: i64,
        #[case] stopped: i64,
        #[case] redriven: bool,
        #[case] expected: usize,
    ) {
        let sfn = sfn(started, stopped, redriven);
        let day = jiff::Timestamp::now().as_second() - 24 * HOUR;
        let status = ExecutionStatus::Failed;
        let mut counted = 0;
        for which in [Which::StartedRecently, Which::RedrivenSince] {
            let found = count(&sfn, "arn", &status, which, day).await;
            counted += found.unwrap_or_else(|failure| panic!("{failure}"));
        }
        assert_eq!(counted, expected);
    }
}
