//! Stops EventBridge's scheduled rules, so that they do not disturb the counts.

use aws_sdk_eventbridge::Client;
use aws_types::SdkConfig;

use crate::Error;

const MINUTES_IN_A_MONTH: u64 = 30 * 24 * 60;

/// A function that an EventBridge rule invokes on a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    pub function: String,
    pub times_a_month: u64,
}

/// Stops every rule, so that nothing else runs during a count. Returns the schedules of the stopped rules.
pub async fn stop_all(aws: &SdkConfig) -> Result<Vec<Schedule>, Error> {
    let client = Client::new(aws);
    let rules = client.list_rules().send().await;
    let rules = rules.map_err(Error::aws("ListRules"))?;
    let mut schedules = Vec::new();
    for rule in rules.rules() {
        let Some(name) = rule.name() else { continue };
        let stopped = client.disable_rule().name(name).send().await;
        stopped.map_err(Error::aws("DisableRule"))?;
        let Some(expression) = rule.schedule_expression() else {
            continue;
        };
        let targets = client.list_targets_by_rule().rule(name).send().await;
        let targets = targets.map_err(Error::aws("ListTargetsByRule"))?;
        let times_a_month = times_a_month(expression)
            .ok_or_else(|| Error::Uncounted(format!("{name} has the schedule {expression}")))?;
        let functions = targets.targets().iter().filter_map(|target| {
            let function = target.arn().split(':').nth(6)?;
            Some(function.to_owned())
        });
        schedules.extend(functions.map(|function| Schedule {
            function,
            times_a_month,
        }));
    }
    Ok(schedules)
}

/// The number of runs in a month of 30 days, for an EventBridge rate such as `rate(5 minutes)`.
fn times_a_month(expression: &str) -> Option<u64> {
    let rate = expression.strip_prefix("rate(")?.strip_suffix(')')?;
    let (count, unit) = rate.split_once(' ')?;
    let minutes = match unit.trim_end_matches('s') {
        "minute" => 1,
        "hour" => 60,
        "day" => 24 * 60,
        _ => return None,
    };
    let every: u64 = count.parse::<u64>().ok()?.checked_mul(minutes)?;
    MINUTES_IN_A_MONTH.checked_div(every)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("rate(1 minute)", Some(43_200))]
    #[case("rate(5 minutes)", Some(8_640))]
    #[case("rate(1 hour)", Some(720))]
    #[case("rate(2 days)", Some(15))]
    #[case("rate(0 minutes)", None)]
    #[case("cron(0 8 * * ? *)", None)]
    fn a_rate_is_converted_to_runs_per_month(#[case] expression: &str, #[case] times: Option<u64>) {
        assert_eq!(times_a_month(expression), times);
    }
}
