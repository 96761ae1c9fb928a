//! The run loop of a function: decode the payload, run the step, log a failure once and return it by name.

use std::{borrow::Cow, fmt, process::ExitCode};

use apgl_aws::{ConfigError, SettingError};
use apgl_contract::{
    InvalidField, Invocation, Origin, Recovery, Step, StepError, decode, epoch::time_of,
    surrogates::without_lone_surrogates,
};
use lambda_runtime::{
    Diagnostic, LambdaEvent, LambdaInvocation, Runtime, layers::TracingLayer, service_fn,
    tower::util::MapRequestLayer,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use tracing::Instrument;

use crate::logs;

/// Why a function can't start. An operator must fix its configuration.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error(transparent)]
    Setting(#[from] SettingError),
    #[error(transparent)]
    Aws(#[from] ConfigError),
    /// From a client that reads its own settings.
    #[error(transparent)]
    Client(Box<dyn std::error::Error>),
}

/// A step's failure as Lambda returns it: `errorType` is the name that ASL matches, `errorMessage` is JSON,
/// because ASL reads `retryAfterSeconds` from it.
#[derive(Debug)]
struct FailedStep(StepError);

impl From<FailedStep> for Diagnostic {
    fn from(FailedStep(error): FailedStep) -> Self {
        Diagnostic {
            error_type: error.name().as_str().to_owned(),
            error_message: error.cause().to_string(),
        }
    }
}

/// Runs the step `name` for every invocation, until Lambda ends the environment.
///
/// `deps` creates the step's clients and settings once. The payload is a [`Step`]: the run, and the step's own
/// input. Any other payload fails with `Step.Malformed`.
pub async fn run<D, I, O>(
    name: &'static str,
    deps: impl FnOnce() -> Result<D, SetupError>,
    handle: impl AsyncFn(&D, Invocation, I) -> Result<O, StepError>,
) -> ExitCode
where
    I: DeserializeOwned,
    O: Serialize,
{
    let handle = &handle;
    serve(name, deps, async |deps, event: LambdaEvent<Value>| {
        let LambdaEvent { payload, context } = event;
        let channel_id = text_in(&payload, "/input/channel/id")
            .or_else(|| text_in(&payload, "/input/conversation/id"));
        let execution_id = text_in(&payload, "/run/executionId");
        let decoded = decode::<Step<I>>(payload).map_err(malformed);
        let Step { run, input } = decoded.map_err(|error| {
            tracing::info_span!("step", executionId = execution_id, step = name)
                .in_scope(|| log_failure(&error));
            FailedStep(error)
        })?;
        let span = tracing::info_span!(
            "step",
            executionId = run.execution_id,
            workflow = run.workflow,
            step = name,
            channel.id = channel_id,
        );
        let invocation = Invocation {
            run: run.clone(),
            request_id: context.request_id,
            deadline: time_of(context.deadline),
        };
        async {
            // Boxed, because otherwise the compiler has to analyse all futures of all clients at once.
            let outcome = Box::pin(handle(deps, invocation, input)).await;
            let outcome = outcome
                .map_err(|error| fail_if_out_of_waits(error, run.has_waits_left()))
                .map_err(|error| error.or_look_up_again(&run));
            outcome.inspect_err(log_failure).map_err(FailedStep)
        }
        .instrument(span)
        .await
    })
    .await
}

/// Runs `handle` for every invocation, until Lambda ends the environment. For functions that are not steps, and
/// whose payload is therefore not a [`Step`].
///
/// `deps` creates the clients and settings once. `handle` logs its own failures.
pub async fn serve<D, O, E>(
    name: &'static str,
    deps: impl FnOnce() -> Result<D, SetupError>,
    handle: impl AsyncFn(&D, LambdaEvent<Value>) -> Result<O, E>,
) -> ExitCode
where
    O: Serialize,
    E: Into<Diagnostic> + fmt::Debug,
{
    logs::start();
    let deps = match deps() {
        Ok(deps) => deps,
        Err(error) => {
            tracing::error!(function = name, %error, "the function can't start");
            return ExitCode::FAILURE;
        }
    };
    let (deps, handle) = (&deps, &handle);
    let ended = Runtime::new(service_fn(async |event| handle(deps, event).await))
        // Before the runtime parses the payload, which fails on a lone surrogate.
        .layer(MapRequestLayer::new(repaired))
        .layer(TracingLayer::new())
        .run()
        .await;
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(function = name, %error, "can't reach the Lambda Runtime API");
            ExitCode::FAILURE
        }
    }
}

fn repaired(mut invocation: LambdaInvocation) -> LambdaInvocation {
    if let Cow::Owned(body) = without_lone_surrogates(&invocation.body) {
        invocation.body = body.into();
    }
    invocation
}

/// The text at `pointer` in a payload, even if the payload as a whole can't be decoded.
fn text_in(payload: &Value, pointer: &str) -> Option<String> {
    let text = payload.pointer(pointer)?.as_str()?;
    Some(text.to_owned())
}

/// A payload that can't be read is our bug and not the caller's mistake, so an operator can fix it and redrive.
fn malformed(InvalidField { field, rule }: InvalidField) -> StepError {
    StepError::StepMalformed { field, rule }
}

/// Fails a step that has used up its waits, unless it is certain to go on after the wait.
fn fail_if_out_of_waits(error: StepError, has_waits_left: bool) -> StepError {
    let is_wait = error.name().recovery() == Recovery::Wait && !error.is_certain();
    if is_wait && !has_waits_left {
        return StepError::SlackWaitsExhausted { last: error.name() };
    }
    error
}

/// Only failures of the system itself are logged as errors, because an alarm counts error lines, and a release is
/// taken back when it rings. Waiting is normal, and what a request or people in Slack have caused says nothing about
/// the function.
fn log_failure(error: &StepError) {
    let (name, reason, code) = (error.name(), error.to_string(), error.slack_code());
    match (name.recovery(), name.origin()) {
        (Recovery::Wait, _) => {
            tracing::info!(error.name = %name, error.reason = reason, slack.error = code, "the step waits");
        }
        (Recovery::LookUp, _) => {
            tracing::info!(error.name = %name, error.reason = reason, "the channel is looked up again");
        }
        (Recovery::Transient, _) => {
            tracing::warn!(error.name = %name, error.reason = reason, slack.error = code, "the step failed temporarily");
        }
        (Recovery::Terminal, _) | (_, Origin::Outside) => {
            tracing::warn!(error.name = %name, error.reason = reason, slack.error = code, "the request can't be fulfilled");
        }
        (Recovery::Redrive, Origin::System) => {
            tracing::error!(error.name = %name, error.reason = reason, slack.error = code, "the step failed");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use apgl_contract::ErrorName;

    use super::*;

    fn limited(is_certain: bool) -> StepError {
        StepError::SlackRateLimited {
            method: "chat.postMessage",
            retry_after: Duration::from_secs(7),
            is_certain,
        }
    }

    #[test]
    fn lambda_returns_the_error_name_and_a_json_cause() {
        let diagnostic = Diagnostic::from(FailedStep(limited(false)));
        assert_eq!(diagnostic.error_type, "Slack.RateLimited");
        let cause: Value = serde_json::from_str(&diagnostic.error_message).unwrap();
        assert_eq!(cause["retryAfterSeconds"], 7);
    }

    #[test]
    fn the_last_wait_becomes_a_failure_that_can_be_redriven() {
        assert_eq!(fail_if_out_of_waits(limited(false), true), limited(false));
        let exhausted = fail_if_out_of_waits(limited(false), false);
        assert_eq!(
            exhausted,
            StepError::SlackWaitsExhausted {
                last: ErrorName::SlackRateLimited
            }
        );
        assert_eq!(exhausted.name().recovery(), Recovery::Redrive);
    }

    #[test]
    fn a_wait_for_a_reserved_call_is_bounded_only_by_the_executions_end() {
        assert_eq!(fail_if_out_of_waits(limited(true), false), limited(true));
    }

    #[test]
    fn a_malformed_payload_can_be_redriven_after_a_new_deployment() {
        let error = malformed(InvalidField::new("input.users", "is required"));
        assert_eq!(error.name().recovery(), Recovery::Redrive);
    }

    #[test]
    fn other_errors_are_not_fail_if_out_of_waits() {
        let error = StepError::from(InvalidField::new("channelName", "is required"));
        assert_eq!(fail_if_out_of_waits(error.clone(), false), error);
    }
}
