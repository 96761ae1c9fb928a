//! Alarms: whether one rings.

use aws_sdk_cloudformation::types::Stack;
use aws_sdk_cloudwatch::types::StateValue;

use super::finding::Finding;
use crate::{
    deployment::{Deployment, refused},
    report::Failure,
};

/// The maximum number of names that `DescribeAlarms` takes.
const MOST_ALARMS: usize = 100;

/// Checks the alarms that belong to the stacks. Names would not do: another deployment may share the prefix.
pub(super) async fn check(
    deployment: &Deployment,
    stacks: &[&Stack],
) -> Result<Vec<Finding>, Failure> {
    let cloudformation = aws_sdk_cloudformation::Client::new(&deployment.aws);
    let mut names = Vec::new();
    for stack in stacks {
        let mut resources = cloudformation
            .list_stack_resources()
            .stack_name(stack.stack_name().unwrap_or_default())
            .into_paginator()
            .items()
            .send();
        while let Some(resource) = resources.next().await {
            let resource = resource.map_err(|error| refused("ListStackResources", &error))?;
            if resource.resource_type() == Some("AWS::CloudWatch::Alarm") {
                names.extend(resource.physical_resource_id);
            }
        }
    }
    if names.is_empty() {
        return Ok(vec![Finding::warning(
            "alarms: there are none",
            "deploy with -c alarms=true -c alarmEmail=…, so that somebody is notified of failures",
        )]);
    }
    let cloudwatch = aws_sdk_cloudwatch::Client::new(&deployment.aws);
    let mut alarms = Vec::new();
    for names in names.chunks(MOST_ALARMS) {
        let described = cloudwatch
            .describe_alarms()
            .set_alarm_names(Some(names.to_vec()))
            .max_records(100)
            .send()
            .await
            .map_err(|error| refused("DescribeAlarms", &error))?;
        alarms.extend(described.metric_alarms.unwrap_or_default());
    }
    let mut ringing: Vec<Finding> = alarms
        .iter()
        .filter(|alarm| alarm.state_value() == Some(&StateValue::Alarm))
        .map(|alarm| {
            let name = alarm.alarm_name().unwrap_or_default();
            let advice = alarm.alarm_description().unwrap_or("see it in CloudWatch");
            Finding::bad(format!("alarm {name} rings"), advice)
        })
        .collect();
    if ringing.is_empty() {
        ringing.push(Finding::good(format!(
            "alarms: {}, none rings",
            alarms.len()
        )));
    }
    Ok(ringing)
}
