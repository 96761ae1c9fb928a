//! Logs in CloudWatch's format: one JSON object per line, with an RFC 3339 `timestamp` and a `level`.

use std::{env, panic};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{
    filter::Targets, layer::SubscriberExt, registry, util::SubscriberInitExt,
};

/// Starts logging: JSON, or plain text if `AWS_LAMBDA_LOG_FORMAT` is `Text`. `AWS_LAMBDA_LOG_LEVEL` sets the
/// level, which is never more verbose than `INFO`.
///
/// Source of both variables: "Configuring advanced logging controls for your Lambda function", AWS.
pub(crate) fn start() {
    let level = level(env::var("AWS_LAMBDA_LOG_LEVEL").ok().as_deref());
    // `run` logs each failure once, with the execution; the runtime's own line is left out.
    let filter = Targets::new()
        .with_default(level)
        .with_target("lambda_runtime::layers::panic", LevelFilter::OFF);
    let as_text =
        env::var("AWS_LAMBDA_LOG_FORMAT").is_ok_and(|format| format.eq_ignore_ascii_case("text"));
    if as_text {
        let text = tracing_subscriber::fmt::layer().with_ansi(false);
        registry().with(filter).with(text).init();
    } else {
        let json = json_subscriber::layer()
            .with_current_span(false)
            .with_span_list(false)
            .flatten_event(true)
            .flatten_span_list_on_top_level(true);
        registry().with(filter).with(json).init();
    }
    panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        // Leave out the message, which could contain a value.
        tracing::error!(panic.place = place, "the function panicked; this is a bug");
    }));
}

/// Never more verbose than `INFO`: at lower levels the AWS SDK logs requests and responses, including tokens and
/// addresses.
fn level(name: Option<&str>) -> LevelFilter {
    match name.map(str::to_ascii_uppercase).as_deref() {
        Some("WARN") => LevelFilter::WARN,
        Some("ERROR" | "FATAL") => LevelFilter::ERROR,
        _ => LevelFilter::INFO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_level_is_lambdas_or_info() {
        assert_eq!(level(Some("warn")), LevelFilter::WARN);
        assert_eq!(level(Some("FATAL")), LevelFilter::ERROR);
        assert_eq!(level(Some("loud")), LevelFilter::INFO);
        assert_eq!(level(None), LevelFilter::INFO);
    }

    #[test]
    fn the_aws_sdks_messages_about_requests_and_responses_are_never_logged() {
        for name in ["debug", "DEBUG", "TRACE"] {
            assert_eq!(level(Some(name)), LevelFilter::INFO, "{name}");
        }
    }
}
