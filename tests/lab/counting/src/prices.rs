//! AWS's list prices in us-east-1, without free tiers and without discounts for volume.
//!
//! Each price's source is the page that lists it. The prices of Step Functions, X-Ray and KMS were read there. The
//! other pages load their tables by script, so those prices were taken from pages that quote them.

/// The day on which the prices were read.
pub const READ_ON: &str = "2026-11-25";

/// A price and its source.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Price {
    /// US dollars for `per` units.
    pub dollars: f64,
    pub per: f64,
    pub unit: &'static str,
    pub source: &'static str,
}

impl Price {
    pub fn of(&self, quantity: f64) -> f64 {
        quantity * self.dollars / self.per
    }
}

const MILLION: f64 = 1e6;

pub const STATE_TRANSITION: Price = Price {
    dollars: 25.0,
    per: MILLION,
    unit: "state transitions of Standard workflows",
    source: "https://aws.amazon.com/step-functions/pricing/",
};
pub const INVOCATION: Price = Price {
    dollars: 0.20,
    per: MILLION,
    unit: "Lambda requests",
    source: "https://aws.amazon.com/lambda/pricing/",
};
/// On ARM64. The start of an environment is billed like any other duration.
pub const GB_SECOND: Price = Price {
    dollars: 13.333_4,
    per: MILLION,
    unit: "GB-seconds of Lambda on ARM64",
    source: "https://aws.amazon.com/lambda/pricing/",
};
pub const WRITE_UNIT: Price = Price {
    dollars: 0.625,
    per: MILLION,
    unit: "DynamoDB write request units, on demand",
    source: "https://aws.amazon.com/dynamodb/pricing/on-demand/",
};
pub const READ_UNIT: Price = Price {
    dollars: 0.125,
    per: MILLION,
    unit: "DynamoDB read request units, on demand",
    source: "https://aws.amazon.com/dynamodb/pricing/on-demand/",
};
pub const METRIC_PUT: Price = Price {
    dollars: 0.01,
    per: 1_000.0,
    unit: "requests to CloudWatch (PutMetricData)",
    source: "https://aws.amazon.com/cloudwatch/pricing/",
};
/// Logs of functions and of state machines. Both are vended logs, which cost the same up to 10 TB a month.
pub const LOG_GB: Price = Price {
    dollars: 0.50,
    per: 1.0,
    unit: "GB of logs into CloudWatch",
    source: "https://aws.amazon.com/cloudwatch/pricing/",
};
/// In addition to `LOG_GB`, if a data protection policy scans the lines.
pub const PROTECTED_LOG_GB: Price = Price {
    dollars: 0.12,
    per: 1.0,
    unit: "GB of logs looked through for data to mask",
    source: "https://aws.amazon.com/cloudwatch/pricing/",
};
pub const TRACE: Price = Price {
    dollars: 5.0,
    per: MILLION,
    unit: "traces recorded by X-Ray",
    source: "https://aws.amazon.com/xray/pricing/",
};
pub const SECRET_READ: Price = Price {
    dollars: 0.05,
    per: 10_000.0,
    unit: "calls to Secrets Manager",
    source: "https://aws.amazon.com/secrets-manager/pricing/",
};
/// Events of AWS's own services are free.
pub const STATUS_EVENT: Price = Price {
    dollars: 0.0,
    per: MILLION,
    unit: "events of AWS's own services in EventBridge",
    source: "https://aws.amazon.com/eventbridge/pricing/",
};
pub const QUEUE_REQUEST: Price = Price {
    dollars: 0.40,
    per: MILLION,
    unit: "requests to a standard queue of SQS",
    source: "https://aws.amazon.com/sqs/pricing/",
};

/// The price of one for a month, as for the following constants.
pub const SECRET: Price = Price {
    dollars: 0.40,
    per: 1.0,
    unit: "secret a month",
    source: "https://aws.amazon.com/secrets-manager/pricing/",
};
pub const CUSTOM_METRIC: Price = Price {
    dollars: 0.30,
    per: 1.0,
    unit: "custom metric a month",
    source: "https://aws.amazon.com/cloudwatch/pricing/",
};
/// An alarm on an expression is billed for each metric in the expression.
pub const ALARM_METRIC: Price = Price {
    dollars: 0.10,
    per: 1.0,
    unit: "metric under an alarm a month",
    source: "https://aws.amazon.com/cloudwatch/pricing/",
};
pub const COMPOSITE_ALARM: Price = Price {
    dollars: 0.50,
    per: 1.0,
    unit: "composite alarm a month",
    source: "https://aws.amazon.com/cloudwatch/pricing/",
};
pub const DASHBOARD: Price = Price {
    dollars: 3.0,
    per: 1.0,
    unit: "dashboard a month",
    source: "https://aws.amazon.com/cloudwatch/pricing/",
};
pub const KMS_KEY: Price = Price {
    dollars: 1.0,
    per: 1.0,
    unit: "customer managed KMS key a month",
    source: "https://aws.amazon.com/kms/pricing/",
};

/// In the order in which the report shows them.
pub const ALL: [Price; 18] = [
    STATE_TRANSITION,
    INVOCATION,
    GB_SECOND,
    WRITE_UNIT,
    READ_UNIT,
    METRIC_PUT,
    LOG_GB,
    PROTECTED_LOG_GB,
    TRACE,
    SECRET_READ,
    STATUS_EVENT,
    QUEUE_REQUEST,
    SECRET,
    CUSTOM_METRIC,
    ALARM_METRIC,
    COMPOSITE_ALARM,
    DASHBOARD,
    KMS_KEY,
];
