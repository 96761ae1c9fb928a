//! Reads the functions' log lines from CloudWatch Logs.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_types::SdkConfig;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{Error, signed};

pub const GROUPS: &str = "/aws/lambda/";
const ATTEMPTS: u32 = 5;

/// Returns every line of every function, by function and time.
pub async fn function_logs(aws: &SdkConfig) -> Result<Vec<String>, Error> {
    let mut lines = Vec::new();
    for (_, of_group) in log_groups_since(aws, UNIX_EPOCH).await? {
        lines.extend(of_group.iter().map(|line| line.trim_end().to_owned()));
    }
    Ok(lines)
}

/// Returns the lines of each function's log group since a point in time.
pub async fn log_groups_since(
    aws: &SdkConfig,
    began: SystemTime,
) -> Result<Vec<(String, Vec<String>)>, Error> {
    let began = began.duration_since(UNIX_EPOCH).unwrap_or_default();
    let query = json!({ "logGroupNamePrefix": GROUPS });
    let mut groups = Vec::new();
    for group in all(aws, "DescribeLogGroups", query, "logGroups").await? {
        let name = text(&group, "logGroupName").to_owned();
        let query = json!({ "logGroupName": name, "startTime": began.as_millis() });
        let events = all(aws, "FilterLogEvents", query, "events").await?;
        let lines = events.iter().map(|event| text(event, "message"));
        groups.push((name, lines.map(str::to_owned).collect()));
    }
    Ok(groups)
}

/// The items of all pages.
async fn all(
    aws: &SdkConfig,
    operation: &str,
    mut query: Value,
    items: &str,
) -> Result<Vec<Value>, Error> {
    let mut found = Vec::new();
    loop {
        let page = read(aws, operation, &query).await?;
        found.extend(page[items].as_array().into_iter().flatten().cloned());
        if page["nextToken"].is_null() {
            return Ok(found);
        }
        query["nextToken"] = page["nextToken"].clone();
    }
}

/// Reads one page. MiniStack fails if a function opens a log stream at the same time, so a failed request is
/// repeated, as an SDK would do.
async fn read(aws: &SdkConfig, operation: &str, query: &Value) -> Result<Value, Error> {
    let target = format!("Logs_20140328.{operation}");
    let headers = [
        ("content-type", "application/x-amz-json-1.1"),
        ("x-amz-target", target.as_str()),
    ];
    let mut attempts = 1;
    let answer = loop {
        match signed::post(aws, "logs", "/", &headers, query).await {
            Err(_) if attempts < ATTEMPTS => attempts += 1,
            answer => break answer?,
        }
        sleep(Duration::from_millis(100)).await;
    };
    let page = answer.json().await;
    page.map_err(|error| Error::Setup(format!("{operation}: {error}")))
}

fn text<'a>(item: &'a Value, field: &str) -> &'a str {
    item[field].as_str().unwrap_or_default()
}
