//! Which log lines the deployed metric filters count, and so which alarms they trigger. Compares the filters'
//! patterns with real lines of real failures, because the local stack does not apply the filters.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use e2e::{
    World,
    filter_patterns::{MetricFilter, deployed},
    unique,
};
use local_stack::{
    function_logs,
    invoke::{Answer, invoke},
};
use rstest::rstest;
use serde_json::{Value, json};
use slack_sandbox::faults::How;

/// The metrics that these lines add to, once for each line that matches.
fn counted(filters: &[MetricFilter], function: &str, lines: &[String]) -> Vec<String> {
    let group = format!("/aws/lambda/apgl-{function}");
    let of_function = filters.iter().filter(|filter| filter.log_group == group);
    let mut metrics: Vec<String> = of_function
        .flat_map(|filter| {
            let lines = lines.iter().filter(|line| filter.counts(line));
            lines.map(|_| filter.metric.clone())
        })
        .collect();
    metrics.sort_unstable();
    metrics
}

#[tokio::test]
async fn the_errors_of_every_function_and_the_refusals_of_every_slack_caller_are_counted() {
    let world = World::here();
    let filters = deployed(&world.aws).await;
    let with = |metric: &str| -> BTreeSet<&str> {
        let filters = filters
            .iter()
            .filter(|filter| filter.metric.ends_with(metric));
        let groups = filters.map(|filter| filter.log_group.as_str());
        groups
            .filter_map(|group| group.strip_prefix("/aws/lambda/apgl-"))
            .collect()
    };
    let functions = world.functions().await;
    let names: BTreeSet<&str> = functions.keys().map(String::as_str).collect();
    assert_eq!(with("Errors"), names);
    let callers = functions.iter().filter(|(_, function)| {
        let variables = function.environment().and_then(|all| all.variables());
        variables.is_some_and(|all| all.contains_key("SLACK_API_URL"))
    });
    let callers: BTreeSet<&str> = callers.map(|(name, _)| name.as_str()).collect();
    assert!(callers.len() > 1);
    assert_eq!(with("SlackRefusals"), callers);
    assert_eq!(with("TokenRejections"), callers);
}

/// Longer than the sandbox's own limit for a channel asks for, so a rate limit from that is not mistaken for the
/// failure under test; and short enough to delay only the channel, not the posts of all tests.
const RETRY_AFTER: u64 = 10;

#[rstest]
#[case::token_refused(How::refused("not_allowed_token_type"), &["PostMessageErrors", "TokenRejections"])]
#[case::rate_limited(How::RateLimited { retry_after: RETRY_AFTER }, &["SlackRefusals"])]
#[case::final_for_this_request(How::refused("msg_too_long"), &[])]
#[case::transient(How::refused("internal_error"), &[])]
#[tokio::test]
async fn a_failed_post_is_counted_once_if_an_operator_must_know(
    #[case] how: How,
    #[case] metrics: &[&str],
) {
    let world = World::here();
    let channel = unique("filters");
    let id = world.public_channel(&channel).await.id;
    world
        .fault("chat.postMessage", "channel", &id, 1, how)
        .await;
    let request = json!({ "channelName": channel, "message": "hi" });
    let ended = world.run("notify-public-channel", &request).await;

    let lines = function_logs(&world.aws).await.unwrap();
    let is_ours = |line: &&String| {
        let line: Value = line.parse().unwrap_or_default();
        let refused = &line["slack.retryAfter"];
        line["executionId"] == ended.execution.arn.as_str()
            && line["step"] == "PostMessage"
            && (refused.is_null() || *refused == RETRY_AFTER)
    };
    let lines: Vec<String> = lines.iter().filter(is_ours).cloned().collect();
    assert!(!lines.is_empty());
    let filters = deployed(&world.aws).await;
    assert_eq!(
        counted(&filters, "post-message", &lines),
        metrics,
        "{lines:#?}"
    );
}

#[tokio::test]
async fn a_bug_of_ours_is_counted_as_an_error() {
    let world = World::here();
    let name = unique("unreadable");
    let answer = invoke(&world.aws, "check-request", &json!({ &name: "no step" })).await;
    let is_malformed =
        |answer| matches!(answer, Answer::Failure { error, .. } if error == "Step.Malformed");
    assert!(is_malformed(answer.unwrap()));
    let lines = function_logs(&world.aws).await.unwrap();
    let malformed = lines.iter().filter(|line| {
        let line: Value = line.parse().unwrap_or_default();
        line["step"] == "CheckRequest" && line["error.name"] == "Step.Malformed"
    });
    let malformed: Vec<String> = malformed.cloned().collect();
    let filters = deployed(&world.aws).await;
    let metrics = counted(&filters, "check-request", &malformed);
    assert!(!metrics.is_empty());
    assert!(
        metrics.iter().all(|metric| metric == "CheckRequestErrors"),
        "{metrics:?}"
    );
}
