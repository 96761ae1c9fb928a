//! Counts what a workflow did, as CloudWatch metrics. It may fail without failing a workflow.
//!
//! Two callers: the workflows themselves, with their outcome or with the final error that they
//! caught; and an EventBridge rule, with each execution that failed, timed out or was stopped. An
//! error that the workflow has counted already is not counted again when its event comes.

mod counts;

use apgl_contract::{InvalidField, Run, Step, StepError, decode, outcome::Outcome};
use aws_sdk_cloudwatch::{
    Client,
    types::{Dimension, MetricDatum, StandardUnit},
};
use serde::Deserialize;
use serde_json::Value;

use crate::counts::{Count, counts};

#[derive(Debug)]
pub struct Deps {
    pub cloudwatch: Client,
}

/// What there is to count.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Input {
    /// The workflow ends well, with this outcome.
    Outcome(Outcome),
    /// The workflow caught this final error.
    FinalError(String),
    /// EventBridge says that the execution ended with this error or status.
    Ended(String),
}

pub async fn handle(deps: &Deps, run: &Run, input: &Input) -> Result<(), StepError> {
    let counts = counts(input);
    if counts.is_empty() {
        return Ok(());
    }
    let data = counts
        .iter()
        .map(|count| datum(&run.workflow, count))
        .collect();
    deps.cloudwatch
        .put_metric_data()
        .namespace(apgl_aws::METRICS_NAMESPACE)
        .set_metric_data(Some(data))
        .send()
        .await
        .map_err(|error| apgl_aws::step_error("CloudWatch", "PutMetricData", &error))?;
    tracing::info!(metrics = counts.len(), "published metrics");
    Ok(())
}

/// Reads a workflow's payload, or EventBridge's "Step Functions Execution Status Change".
pub fn read(payload: Value) -> Result<Step<Input>, InvalidField> {
    if payload.get("detail-type").is_none() {
        return decode(payload);
    }
    let StatusChange { detail } = decode(payload)?;
    let workflow = detail
        .state_machine_arn
        .rsplit(':')
        .next()
        .unwrap_or_default();
    let run = Run {
        execution_id: detail.execution_arn,
        workflow: workflow.to_owned(),
        ..Run::default()
    };
    Ok(Step {
        run,
        input: Input::Ended(detail.error.unwrap_or(detail.status)),
    })
}

/// Source: "Automating Step Functions event delivery with EventBridge", AWS.
#[derive(Deserialize)]
struct StatusChange {
    detail: Detail,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Detail {
    execution_arn: String,
    state_machine_arn: String,
    status: String,
    error: Option<String>,
}

fn datum(workflow: &str, count: &Count) -> MetricDatum {
    let dimension = |name: &str, value: &str| Dimension::builder().name(name).value(value).build();
    let own = count
        .dimension
        .as_ref()
        .map(|(name, value)| dimension(name, value));
    let dimensions = std::iter::once(dimension("Workflow", workflow))
        .chain(own)
        .collect();
    #[expect(
        clippy::cast_precision_loss,
        reason = "a request names at most 1,000 people"
    )]
    let value = count.value as f64;
    MetricDatum::builder()
        .metric_name(count.metric)
        .value(value)
        .unit(StandardUnit::Count)
        .set_dimensions(Some(dimensions))
        .build()
}
