//! `apgl list`: lists executions, the latest first.

use apgl_client::{Failure as Failed, Operation, StateMachineArn};
use aws_sdk_sfn::types::{ExecutionListItem, ExecutionStatus};
use clap::builder::PossibleValuesParser;
use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    deployment::{Deployment, name_of, refused},
    report::{Exit, Failure, Report, STRONG, styled},
    status::{FAILED, has_failed, style_of},
    time::{between, shown, timestamp, took},
};

/// The largest page size of `ListExecutions`.
const MOST: i32 = 1_000;
/// `DescribeExecution` is rate-limited for the whole account, so older failures are listed without their error.
const MOST_DESCRIBED: usize = 100;
const DESCRIBED_AT_ONCE: usize = 10;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Only executions that failed, timed out or were stopped.
    #[arg(long)]
    failed: bool,
    /// Only executions of this workflow.
    #[arg(long, value_parser = PossibleValuesParser::new(Operation::ALL.map(Operation::as_str)))]
    workflow: Option<String>,
    /// The maximum number of executions.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(i32).range(1..=i64::from(MOST)))]
    limit: i32,
}

/// One line of the list.
struct Row {
    arn: String,
    workflow: &'static str,
    status: ExecutionStatus,
    started: Timestamp,
    stopped: Option<Timestamp>,
    /// The error, if the execution failed.
    error: Option<String>,
}

pub async fn run(deployment: &Deployment, arguments: &Arguments) -> Result<Report, Failure> {
    let machines = deployment.state_machines().await?;
    let is_asked_for = |operation: &Operation| {
        let asked = arguments.workflow.as_deref();
        asked.is_none_or(|asked| asked == operation.as_str())
    };
    let mut rows = Vec::new();
    for (operation, machine) in machines.iter().filter(|(one, _)| is_asked_for(one)) {
        let statuses = if arguments.failed {
            FAILED.map(Some).to_vec()
        } else {
            vec![None]
        };
        for status in statuses {
            let listed = executions(deployment, machine, status, arguments.limit).await?;
            rows.extend(listed.into_iter().map(|item| Row::of(operation, &item)));
        }
    }
    rows.sort_by(|a, b| b.started.cmp(&a.started).then_with(|| a.arn.cmp(&b.arn)));
    rows.truncate(usize::try_from(arguments.limit).unwrap_or(usize::MAX));
    let failed = rows.iter_mut().filter(|row| has_failed(&row.status));
    stream::iter(failed.take(MOST_DESCRIBED))
        .for_each_concurrent(DESCRIBED_AT_ONCE, async |row| {
            row.error = error_of(deployment, &row.arn).await;
        })
        .await;
    Ok(report(&rows, arguments.failed))
}

async fn executions(
    deployment: &Deployment,
    machine: &StateMachineArn,
    status: Option<ExecutionStatus>,
    limit: i32,
) -> Result<Vec<ExecutionListItem>, Failure> {
    let mut pages = deployment
        .sfn
        .list_executions()
        .state_machine_arn(machine.unqualified().as_str())
        .set_status_filter(status)
        .max_results(limit)
        .into_paginator()
        .items()
        .send();
    let mut executions = Vec::new();
    // A page may contain fewer executions than requested.
    while executions.len() < usize::try_from(limit).unwrap_or(usize::MAX)
        && let Some(execution) = pages.next().await
    {
        executions.push(execution.map_err(|error| refused("ListExecutions", &error))?);
    }
    Ok(executions)
}

/// `None` if Step Functions does not return it: a list without the error is better than no list.
async fn error_of(deployment: &Deployment, arn: &str) -> Option<String> {
    let described = deployment.find_execution(arn).await.ok()?;
    let cause = described.cause.unwrap_or_default();
    Some(Failed::new(&described.error?, &cause).to_string())
}

impl Row {
    fn of(operation: Operation, item: &ExecutionListItem) -> Self {
        Self {
            arn: item.execution_arn.clone(),
            workflow: operation.as_str(),
            status: item.status.clone(),
            started: timestamp(&item.start_date),
            stopped: item.stop_date.as_ref().map(timestamp),
            error: None,
        }
    }

    fn took(&self) -> Option<std::time::Duration> {
        self.stopped.map(|stopped| between(self.started, stopped))
    }

    fn json(&self) -> Value {
        json!({
            "executionArn": self.arn,
            "workflow": self.workflow,
            "status": self.status.as_str(),
            "startedAt": self.started.to_string(),
            "stoppedAt": self.stopped.map(|time| time.to_string()),
            "error": self.error,
        })
    }
}

fn report(rows: &[Row], failed: bool) -> Report {
    let mut lines = Vec::with_capacity(rows.len() + 1);
    if rows.is_empty() {
        let what = if failed {
            "failed executions"
        } else {
            "executions"
        };
        lines.push(format!("there are no {what}"));
    } else {
        let head = format!(
            "{:<25}{:<14}{:<11}{:<25}{}",
            "STARTED", "TOOK", "STATUS", "WORKFLOW", "EXECUTION"
        );
        lines.push(styled(STRONG, head));
    }
    for row in rows {
        let time = row.took().map_or_else(|| "–".to_owned(), took);
        let status = styled(
            style_of(&row.status),
            format!("{:<11}", row.status.as_str()),
        );
        let (started, name) = (shown(row.started), name_of(&row.arn));
        lines.push(format!(
            "{started:<25}{time:<14}{status}{:<25}{name}",
            row.workflow
        ));
        if let Some(error) = &row.error {
            lines.push(format!("{:<25}{error}", ""));
        }
    }
    Report {
        text: lines.join("\n"),
        json: json!({ "executions": rows.iter().map(Row::json).collect::<Vec<_>>() }),
        exit: Exit::Fine,
    }
}
