//! Logs as CloudWatch wants them: one JSON object a line, with an RFC 3339 `timestamp` and a `level`.

use std::{env, panic};

use tracing_subscriber::{EnvFilter, layer::SubscriberExt, registry, util::SubscriberInitExt};

/// Starts logging: JSON, or plain text where `AWS_LAMBDA_LOG_FORMAT` is `Text`; from the level that
/// `AWS_LAMBDA_LOG_LEVEL` names, `INFO` if none.
///
/// Source of both variables: "Configuring advanced logging controls for your Lambda function", AWS.
pub(crate) fn start() {
    let filter = EnvFilter::new(directives(env::var("AWS_LAMBDA_LOG_LEVEL").ok().as_deref()));
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
        // Not the message: it could hold a value.
        tracing::error!(panic.place = place, "the function panicked; this is a bug");
    }));
}

/// `run` logs each failure once, with the execution; the runtime's own line for it is left out.
fn directives(level: Option<&str>) -> String {
    let level = match level.map(str::to_ascii_uppercase).as_deref() {
        Some(level @ ("TRACE" | "DEBUG" | "WARN" | "ERROR")) => level.to_owned(),
        Some("FATAL") => "ERROR".to_owned(),
        _ => "INFO".to_owned(),
    };
    format!("{level},lambda_runtime::layers::panic=off")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_is_lambdas_or_info() {
        assert!(directives(Some("debug")).starts_with("DEBUG,"));
        assert!(directives(Some("FATAL")).starts_with("ERROR,"));
        assert!(directives(Some("loud")).starts_with("INFO,"));
        assert!(directives(None).starts_with("INFO,"));
    }
}
