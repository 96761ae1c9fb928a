//! The functions' log lines, from CloudWatch Logs, where they stand in AWS too.

use aws_sdk_cloudwatchlogs::Client;
use aws_types::SdkConfig;

use crate::Error;

const GROUPS: &str = "/aws/lambda/";

/// Every line of every function, by function and time.
pub async fn function_logs(aws: &SdkConfig) -> Result<Vec<String>, Error> {
    let client = Client::new(aws);
    let groups = client
        .describe_log_groups()
        .log_group_name_prefix(GROUPS)
        .send()
        .await;
    let groups = groups.map_err(|error| Error::aws("DescribeLogGroups")(error.into()))?;
    let mut lines = Vec::new();
    for group in groups.log_groups() {
        let Some(name) = group.log_group_name() else {
            continue;
        };
        let mut pages = client
            .filter_log_events()
            .log_group_name(name)
            .into_paginator()
            .send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| Error::aws("FilterLogEvents")(error.into()))?;
            let messages = page
                .events
                .into_iter()
                .flatten()
                .filter_map(|event| event.message);
            lines.extend(messages.map(|message| message.trim_end().to_owned()));
        }
    }
    Ok(lines)
}
