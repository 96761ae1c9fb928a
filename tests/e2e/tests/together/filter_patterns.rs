//! Tests of our evaluation of CloudWatch's filter patterns.

use e2e::filter_patterns::MetricFilter;
use rstest::rstest;

const TROUBLE: &str =
    r#"{ ($.level = "ERROR") || ($.type = "platform.report" && $.record.status = "timeout") }"#;

#[rstest]
#[case(
    r#""Slack.Unauthorized""#,
    r#"{"error.name":"Slack.Unauthorized"}"#,
    true
)]
#[case(r#""Slack.Unauthorized""#, r#"{"error.name":"Slack.Rejected"}"#, false)]
#[case(TROUBLE, r#"{"level":"ERROR"}"#, true)]
#[case(TROUBLE, r#"{"level":"WARN","message":"ERROR"}"#, false)]
#[case(
    TROUBLE,
    r#"{"type":"platform.report","record":{"status":"timeout"}}"#,
    true
)]
#[case(
    TROUBLE,
    r#"{"type":"platform.report","record":{"status":"success"}}"#,
    false
)]
#[case(
    TROUBLE,
    r#"{"type":"platform.start","record":{"status":"timeout"}}"#,
    false
)]
#[case(TROUBLE, "REPORT RequestId: 1", false)]
fn a_pattern_counts_the_lines_that_match(
    #[case] pattern: &str,
    #[case] line: &str,
    #[case] counts: bool,
) {
    assert_eq!(filter(pattern).counts(line), counts);
}

#[rstest]
#[case("ERROR")]
#[case(r#"{ $.level = "ERROR" }"#)]
#[case("{ ($.level = ERROR) }")]
#[should_panic(expected = "unsupported")]
fn a_pattern_of_another_shape_is_an_error(#[case] pattern: &str) {
    filter(pattern).counts(r#"{"level":"ERROR"}"#);
}

fn filter(pattern: &str) -> MetricFilter {
    MetricFilter {
        log_group: "/aws/lambda/apgl-a-function".to_owned(),
        metric: "a-metric".to_owned(),
        pattern: pattern.to_owned(),
    }
}
