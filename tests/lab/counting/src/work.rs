//! The work of one execution.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use slack_sandbox::calls::Tally;

use crate::{
    Error,
    aws::{Call, Passed, Service},
    dynamodb::Taken,
    history::Steps,
    logs::Invocations,
};

/// The work of one execution. Counts are the same in every run; measured times are not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Work {
    pub counted: Counted,
    pub measured: Measured,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counted {
    /// State transitions, by state.
    pub transitions: BTreeMap<String, u64>,
    /// Invocations, by function.
    pub invocations: BTreeMap<String, u64>,
    /// Requests to DynamoDB, by table and operation, for example `apgl-rate-limits UpdateItem`.
    pub dynamodb: BTreeMap<String, Taken>,
    pub secret_reads: u64,
    pub metric_puts: u64,
    /// Events that Step Functions sends to EventBridge.
    pub status_events: u64,
    /// Calls, by Slack's method.
    pub slack: BTreeMap<String, u64>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Measured {
    /// How long the functions ran, by function.
    pub times: BTreeMap<String, Duration>,
    pub function_log_bytes: u64,
    pub execution_log_bytes: u64,
}

impl Work {
    /// Combines the history, the logs, the proxy and the sandbox. The history and the logs must agree on the
    /// invocations, otherwise something ran that does not belong to the execution.
    pub fn of(
        steps: Steps,
        passed: &Passed,
        logs: &BTreeMap<String, Invocations>,
        slack: BTreeMap<String, Tally>,
    ) -> Result<Self, Error> {
        if let Some(problem) = passed.problems.first() {
            return Err(Error::Uncounted(problem.clone()));
        }
        let logged: BTreeMap<String, u64> = logs
            .iter()
            .map(|(function, seen)| (function.clone(), seen.count))
            .collect();
        if steps.invocations != logged {
            return Err(Error::Uncounted(format!(
                "the history has the invocations {:?}, and the functions' logs have {logged:?}",
                steps.invocations
            )));
        }
        let calls = |service| {
            passed
                .calls
                .iter()
                .filter(move |call| call.service == service)
        };
        Ok(Self {
            counted: Counted {
                transitions: steps.transitions,
                invocations: steps.invocations,
                dynamodb: by_table_and_operation(calls(Service::DynamoDb)),
                secret_reads: calls(Service::SecretsManager).count() as u64,
                metric_puts: calls(Service::CloudWatch).count() as u64,
                status_events: steps.status_events,
                slack: slack
                    .into_iter()
                    .map(|(method, tally)| (method, tally.total))
                    .collect(),
            },
            measured: Measured {
                times: without(passed.held_up, logs),
                function_log_bytes: logs.values().map(|seen| seen.log_bytes).sum(),
                execution_log_bytes: steps.log_bytes,
            },
        })
    }
}

impl Counted {
    pub fn dynamodb_total(&self) -> Taken {
        let mut total = Taken::default();
        self.dynamodb.values().for_each(|taken| total += *taken);
        total
    }
}

/// The calls to DynamoDB, summed over all works.
pub fn by_table_and_operation<'a>(
    calls: impl IntoIterator<Item = &'a Call>,
) -> BTreeMap<String, Taken> {
    let mut sums: BTreeMap<String, Taken> = BTreeMap::new();
    for call in calls {
        for (table, taken) in &call.tables {
            let name = format!("{table} {}", call.operation);
            *sums.entry(name).or_default() += *taken;
        }
    }
    sums
}

/// The functions' running times, without the proxy's delays. It is not known which function the proxy delayed, so
/// all times are shortened by the same share.
fn without(held_up: Duration, logs: &BTreeMap<String, Invocations>) -> BTreeMap<String, Duration> {
    let all: Duration = logs.values().map(|seen| seen.time).sum();
    let share = if all.is_zero() {
        1.0
    } else {
        all.saturating_sub(held_up).as_secs_f64() / all.as_secs_f64()
    };
    logs.iter()
        .map(|(function, seen)| (function.clone(), seen.time.mul_f64(share)))
        .collect()
}

/// All names that occur in any of the maps.
pub fn names<'a, T: 'a>(
    maps: impl IntoIterator<Item = &'a BTreeMap<String, T>>,
) -> BTreeSet<&'a str> {
    maps.into_iter()
        .flat_map(|map| map.keys().map(String::as_str))
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const FUNCTION: &str = "apgl-post-message";

    fn invoked(count: u64) -> Steps {
        Steps {
            invocations: BTreeMap::from([(FUNCTION.to_owned(), count)]),
            ..Steps::default()
        }
    }

    fn logged(count: u64) -> BTreeMap<String, Invocations> {
        let invocations = Invocations {
            count,
            time: Duration::from_millis(100 * count),
            log_bytes: 500,
        };
        BTreeMap::from([(FUNCTION.to_owned(), invocations)])
    }

    fn call(service: Service, operation: &str, tables: &[(&str, Taken)]) -> Call {
        let tables = tables.iter();
        Call {
            service,
            operation: operation.to_owned(),
            tables: tables
                .map(|(table, taken)| ((*table).to_owned(), *taken))
                .collect(),
        }
    }

    #[test]
    fn calls_are_summed_by_table_and_operation() {
        let write = Taken {
            requests: 1,
            half_read_units: 0,
            write_units: 2,
        };
        let passed = Passed {
            calls: vec![
                call(Service::DynamoDb, "PutItem", &[("channels", write)]),
                call(Service::DynamoDb, "PutItem", &[("channels", write)]),
                call(Service::DynamoDb, "PutItem", &[("deliveries", write)]),
                call(Service::SecretsManager, "GetSecretValue", &[]),
                call(Service::CloudWatch, "PutMetricData", &[]),
            ],
            held_up: Duration::from_millis(50),
            problems: Vec::new(),
        };
        let work = Work::of(invoked(2), &passed, &logged(2), BTreeMap::new()).unwrap();
        let twice = Taken {
            requests: 2,
            half_read_units: 0,
            write_units: 4,
        };
        assert_eq!(
            work.counted.dynamodb,
            BTreeMap::from([
                ("channels PutItem".to_owned(), twice),
                ("deliveries PutItem".to_owned(), write),
            ])
        );
        assert_eq!(work.counted.dynamodb_total().write_units, 6);
        assert_eq!(
            (work.counted.secret_reads, work.counted.metric_puts),
            (1, 1)
        );
        // The proxy's delay is not part of the function's own time.
        assert_eq!(work.measured.times[FUNCTION], Duration::from_millis(150));
    }

    #[test]
    fn a_concurrent_invocation_spoils_the_count() {
        let passed = Passed::default();
        let spoiled = Work::of(invoked(1), &passed, &logged(2), BTreeMap::new());
        assert!(matches!(spoiled, Err(Error::Uncounted(_))));
    }

    #[test]
    fn a_request_that_could_not_be_weighed_spoils_the_count() {
        let passed = Passed {
            problems: vec!["Scan is an unknown operation".to_owned()],
            ..Passed::default()
        };
        let spoiled = Work::of(invoked(1), &passed, &logged(1), BTreeMap::new());
        assert!(matches!(spoiled, Err(Error::Uncounted(_))));
    }
}
