//! Work split into parts, and the cost of each.

use std::time::Duration;

use crate::{
    deployment::Deployment,
    prices::{
        GB_SECOND, INVOCATION, LOG_GB, METRIC_PUT, PROTECTED_LOG_GB, Price, QUEUE_REQUEST,
        READ_UNIT, SECRET_READ, STATE_TRANSITION, STATUS_EVENT, TRACE, WRITE_UNIT,
    },
    work::Work,
};

/// An assumption, because the sandbox responds at once and Slack publishes no figure. The function is billed
/// while it waits.
pub const SLACK_ANSWERS_IN: Duration = Duration::from_millis(300);
const MB_IN_A_GB: f64 = 1_024.0;
const BYTES_IN_A_GB: f64 = 1_073_741_824.0;

/// One part of the work.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Line {
    pub part: &'static str,
    pub quantity: f64,
    pub price: Price,
}

impl Line {
    pub fn dollars(&self) -> f64 {
        self.price.of(self.quantity)
    }
}

/// The cost of all parts together.
pub fn dollars(work: &Work, deployment: &Deployment) -> f64 {
    lines(work, deployment).iter().map(Line::dollars).sum()
}

/// The parts of the work, always the same ones in the same order.
pub fn lines(work: &Work, deployment: &Deployment) -> Vec<Line> {
    let counted = &work.counted;
    let dynamodb = counted.dynamodb_total();
    let traces = u64::from(deployment.traces_executions());
    let log_gb = number(log_bytes(work, deployment)) / BYTES_IN_A_GB;
    let masked_gb = if deployment.masks_logs() { log_gb } else { 0.0 };
    let line = |part, quantity, price| Line {
        part,
        quantity,
        price,
    };
    vec![
        line(
            "Step Functions: state transitions",
            sum(counted.transitions.values()),
            STATE_TRANSITION,
        ),
        line(
            "Lambda: invocations",
            sum(counted.invocations.values()),
            INVOCATION,
        ),
        line(
            "Lambda: GB-seconds",
            gb_seconds(work, deployment),
            GB_SECOND,
        ),
        line(
            "DynamoDB: write units",
            number(dynamodb.write_units),
            WRITE_UNIT,
        ),
        line(
            "DynamoDB: read units",
            number(dynamodb.half_read_units) / 2.0,
            READ_UNIT,
        ),
        line(
            "CloudWatch: metric requests",
            number(counted.metric_puts),
            METRIC_PUT,
        ),
        line("CloudWatch: GB of logs", log_gb, LOG_GB),
        line("CloudWatch: GB of logs masked", masked_gb, PROTECTED_LOG_GB),
        line("X-Ray: traces", number(traces), TRACE),
        line(
            "Secrets Manager: calls",
            number(counted.secret_reads),
            SECRET_READ,
        ),
        line(
            "EventBridge: events of executions",
            number(counted.status_events),
            STATUS_EVENT,
        ),
        // Each event is sent to the queue, received and deleted.
        line(
            "SQS: requests",
            3.0 * number(counted.status_events),
            QUEUE_REQUEST,
        ),
    ]
}

pub fn log_bytes(work: &Work, deployment: &Deployment) -> u64 {
    let of_execution = if deployment.logs_executions() {
        work.measured.execution_log_bytes
    } else {
        0
    };
    work.measured.function_log_bytes + of_execution
}

/// The functions' measured running time plus the assumed response time of Slack.
fn gb_seconds(work: &Work, deployment: &Deployment) -> f64 {
    let gb = |function| number(deployment.memory_mb(function)) / MB_IN_A_GB;
    let times = work.measured.times.iter();
    let here: f64 = times
        .map(|(function, time)| gb(function) * time.as_secs_f64())
        .sum();
    let largest = work.measured.times.keys().map(|function| gb(function));
    let largest = largest.fold(0.0, f64::max);
    here + largest * SLACK_ANSWERS_IN.as_secs_f64() * sum(work.counted.slack.values())
}

pub(crate) fn sum<'a>(counts: impl Iterator<Item = &'a u64>) -> f64 {
    number(counts.sum())
}

/// A count as a number to calculate with.
#[expect(clippy::cast_precision_loss, reason = "no count here comes near 2^53")]
pub fn number(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rstest::rstest;

    use super::*;
    use crate::{
        dynamodb::Taken,
        work::{Counted, Measured},
    };

    fn counts(name: &str, count: u64) -> BTreeMap<String, u64> {
        BTreeMap::from([(name.to_owned(), count)])
    }

    fn work() -> Work {
        let taken = Taken {
            requests: 3,
            half_read_units: 5,
            write_units: 4,
        };
        Work {
            counted: Counted {
                transitions: counts("PostMessage", 7),
                invocations: counts("apgl-post-message", 7),
                dynamodb: BTreeMap::from([("apgl-channels PutItem".to_owned(), taken)]),
                secret_reads: 4,
                metric_puts: 1,
                status_events: 2,
                slack: counts("chat.postMessage", 1),
            },
            measured: Measured {
                times: BTreeMap::from([(
                    "apgl-post-message".to_owned(),
                    Duration::from_millis(700),
                )]),
                function_log_bytes: 1_073_741_824,
                execution_log_bytes: 5,
            },
        }
    }

    #[rstest]
    #[case("Step Functions: state transitions", 7.0, 0.000_175)]
    #[case("Lambda: invocations", 7.0, 0.000_001_4)]
    #[case("Lambda: GB-seconds", 0.125, 0.000_001_666_675)]
    #[case("DynamoDB: write units", 4.0, 0.000_002_5)]
    #[case("DynamoDB: read units", 2.5, 0.000_000_312_5)]
    #[case("CloudWatch: metric requests", 1.0, 0.000_01)]
    #[case("CloudWatch: GB of logs", 1.0, 0.5)]
    #[case("CloudWatch: GB of logs masked", 0.0, 0.0)]
    #[case("X-Ray: traces", 0.0, 0.0)]
    #[case("Secrets Manager: calls", 4.0, 0.000_02)]
    #[case("EventBridge: events of executions", 2.0, 0.0)]
    fn each_part_has_its_price(#[case] part: &str, #[case] quantity: f64, #[case] dollars: f64) {
        let lines = lines(&work(), &Deployment::default());
        let line = lines.iter().find(|line| line.part == part).unwrap();
        assert!((line.quantity - quantity).abs() < 1e-12, "{line:?}");
        assert!((line.dollars() - dollars).abs() < 1e-12, "{line:?}");
    }
}
