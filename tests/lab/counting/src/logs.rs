//! What the functions write to CloudWatch Logs, and how long they ran according to Lambda.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use aws_types::SdkConfig;
use local_stack::logs::{GROUPS, log_groups_since};
use serde_json::json;

use crate::Error;

/// The local stack writes these lines around each invocation, as Lambda does in its text format.
const START: &str = "START RequestId: ";
const END: &str = "END RequestId: ";
const REPORT: &str = "REPORT RequestId: ";

/// The invocations of one function.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Invocations {
    pub count: u64,
    pub time: Duration,
    pub log_bytes: u64,
}

/// The invocations since a point in time, by function.
pub async fn invocations_since(
    aws: &SdkConfig,
    began: SystemTime,
) -> Result<BTreeMap<String, Invocations>, Error> {
    let mut functions = BTreeMap::new();
    for (name, lines) in log_groups_since(aws, began).await? {
        let mut invocations = Invocations::default();
        for line in &lines {
            invocations.add(&name, line);
        }
        if invocations.count > 0 {
            let function = name.trim_start_matches(GROUPS);
            functions.insert(function.to_owned(), invocations);
        }
    }
    Ok(functions)
}

impl Invocations {
    fn add(&mut self, group: &str, line: &str) {
        if let Some(report) = line.strip_prefix(REPORT) {
            let report = Report::read(report);
            self.count += 1;
            self.time += report.billed;
            self.log_bytes += report.log_bytes(group);
        } else if !line.starts_with(START) && !line.starts_with(END) {
            self.log_bytes += line.len() as u64;
        }
    }
}

struct Report<'a> {
    request_id: &'a str,
    billed: Duration,
}

impl<'a> Report<'a> {
    /// Rounds up as Lambda does, because the local stack drops the fraction of a millisecond.
    fn read(report: &'a str) -> Self {
        let mut fields = report.split('\t');
        let request_id = fields.next().unwrap_or_default();
        let billed = fields
            .find_map(|field| field.strip_prefix("Billed Duration: "))
            .and_then(|billed| billed.strip_suffix(" ms")?.parse().ok())
            .unwrap_or(0_u64);
        Self {
            request_id,
            billed: Duration::from_millis(billed + 1),
        }
    }

    /// Our functions log as JSON, so Lambda writes its own two lines as JSON too.
    ///
    /// Source: "Lambda Telemetry API Event schema reference", AWS Lambda Developer Guide.
    fn log_bytes(&self, group: &str) -> u64 {
        let time = "2026-11-25T06:45:46.123Z";
        let function = group.trim_start_matches(GROUPS);
        let start = json!({ "time": time, "type": "platform.start", "record": {
            "requestId": self.request_id,
            "functionArn": format!("arn:aws:lambda:us-east-1:000000000000:function:{function}"),
            "version": "1",
        } });
        let report = json!({ "time": time, "type": "platform.report", "record": {
            "requestId": self.request_id,
            "metrics": {
                "durationMs": 12.345, "billedDurationMs": 13, "memorySizeMB": 128, "maxMemoryUsedMB": 20,
            },
            "status": "success",
        } });
        (start.to_string().len() + report.to_string().len()) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: &str = "/aws/lambda/apgl-post-message";

    #[test]
    fn a_report_is_an_invocation_and_every_other_line_is_the_functions_own() {
        let mut invocations = Invocations::default();
        let own = r#"{"level":"INFO","message":"posted"}"#;
        for line in [
            "START RequestId: 1 Version: live",
            own,
            "END RequestId: 1",
            "REPORT RequestId: 1\tDuration: 12 ms\tBilled Duration: 12 ms\tMemory Size: 128 MB",
        ] {
            invocations.add(GROUP, line);
        }
        let report = Report::read("1\tDuration: 12 ms\tBilled Duration: 12 ms");
        assert_eq!(report.request_id, "1");
        let expected = Invocations {
            count: 1,
            time: Duration::from_millis(13),
            log_bytes: own.len() as u64 + report.log_bytes(GROUP),
        };
        assert_eq!(invocations, expected);
    }
}
