//! Evaluates CloudWatch's filter patterns, as far as the deployed metric filters use them. The local stack stores
//! the filters but does not apply them.
//!
//! | pattern | matches a line |
//! |---|---|
//! | `"text"` | that contains this text |
//! | `{ ($.a = "x") \|\| ($.b = "y" && $.c.d = "z") }` | that is JSON with these values |
//!
//! Any other pattern is an error. Source: "Filter pattern syntax for metric filters", Amazon CloudWatch Logs
//! User Guide.

use aws_types::SdkConfig;
use serde_json::Value;

use crate::aws_cli::aws;

/// A deployed metric filter.
#[derive(Debug, Clone)]
pub struct MetricFilter {
    pub log_group: String,
    pub metric: String,
    pub pattern: String,
}

/// The metric filters of our functions.
pub async fn deployed(config: &SdkConfig) -> Vec<MetricFilter> {
    let answer = aws(config, &["logs", "describe-metric-filters"]).await;
    let filters = answer["metricFilters"].as_array().expect("a list");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let filters = filters.iter().map(|filter| MetricFilter {
        log_group: text(&filter["logGroupName"]),
        metric: text(&filter["metricTransformations"][0]["metricName"]),
        pattern: text(&filter["filterPattern"]),
    });
    filters
        .filter(|filter| filter.log_group.starts_with("/aws/lambda/apgl-"))
        .collect()
}

impl MetricFilter {
    /// Whether the filter counts the line.
    pub fn counts(&self, line: &str) -> bool {
        matches(&self.pattern, line)
    }
}

fn matches(pattern: &str, line: &str) -> bool {
    let pattern = pattern.trim();
    if let Some(text) = quoted(pattern) {
        return line.contains(text);
    }
    let inner = pattern.strip_prefix('{').and_then(|p| p.strip_suffix('}'));
    let alternatives = inner.unwrap_or_else(|| panic!("unsupported pattern: {pattern}"));
    let line: Value = line.parse().unwrap_or_default();
    alternatives.split("||").any(|alternative| {
        let all = alternative.trim();
        let all = all.strip_prefix('(').and_then(|all| all.strip_suffix(')'));
        let all = all.unwrap_or_else(|| panic!("unsupported pattern: {pattern}"));
        all.split("&&").all(|one| holds(one, &line))
    })
}

/// Whether the line satisfies `$.path = "value"`.
fn holds(comparison: &str, line: &Value) -> bool {
    let sides = comparison.split_once('=');
    let (path, value) = sides.unwrap_or_else(|| panic!("unsupported comparison: {comparison}"));
    let path = path.trim().strip_prefix("$.");
    let path = path.unwrap_or_else(|| panic!("unsupported comparison: {comparison}"));
    let value =
        quoted(value.trim()).unwrap_or_else(|| panic!("unsupported comparison: {comparison}"));
    line.pointer(&format!("/{}", path.replace('.', "/")))
        .is_some_and(|found| found == value)
}

fn quoted(text: &str) -> Option<&str> {
    let text = text.strip_prefix('"')?.strip_suffix('"')?;
    (!text.contains('"')).then_some(text)
}
