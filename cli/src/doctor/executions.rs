//! How many executions failed in the last day.

use apgl_client::StateMachines;
use aws_sdk_sfn::types::ExecutionStatus;

use super::finding::Finding;
use crate::{
    deployment::{Deployment, refused},
    report::Failure,
};

/// The workflows' own time-out, in seconds.
const LONGEST_RUN: i64 = 24 * 60 * 60;
/// The limit for each workflow and status. With more failures than this, the exact number does not matter.
const MOST_LOOKED_AT: u32 = 1_000;

pub(super) async fn check(
    deployment: &Deployment,
    machines: &StateMachines,
) -> Result<Finding, Failure> {
    let mut failed = 0;
    let day = jiff::Timestamp::now().as_second() - 24 * 60 * 60;
    for (_, machine) in machines.iter() {
        for status in [ExecutionStatus::Failed, ExecutionStatus::TimedOut] {
            let mut pages = deployment
                .sfn
                .list_executions()
                .state_machine_arn(machine.unqualified().as_str())
                .status_filter(status)
                .into_paginator()
                .items()
                .send();
            let mut looked_at = 0;
            while let Some(execution) = pages.next().await {
                let execution = execution.map_err(|error| refused("ListExecutions", &error))?;
                let stopped = execution.stop_date.as_ref();
                failed += usize::from(stopped.is_some_and(|stopped| stopped.secs() >= day));
                looked_at += 1;
                if execution.start_date.secs() < day - LONGEST_RUN || looked_at == MOST_LOOKED_AT {
                    break;
                }
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
