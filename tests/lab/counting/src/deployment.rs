//! The resources of a deployment to AWS, from the templates that the CDK app synthesises for production.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Stdio,
};

use apgl_aws::METRICS_NAMESPACE;
use aws_sdk_cloudwatch::operation::list_metrics::ListMetricsOutput;
use aws_types::SdkConfig;
use local_stack::Project;
use serde_json::Value;
use tokio::process::Command;

use crate::{
    Error,
    prices::{ALARM_METRIC, COMPOSITE_ALARM, CUSTOM_METRIC, DASHBOARD, KMS_KEY, Price, SECRET},
};

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Deployment {
    resources: Vec<Value>,
}

impl Deployment {
    /// Synthesises the templates, and reads them.
    pub async fn synthesised(project: &Project, name: &str) -> Result<Self, Error> {
        let assembly = project.folder().join(name).join("production");
        let mut synth = Command::new(project.cdk().join("node_modules/.bin/cdk"));
        synth
            .args(["synth", "--quiet", "--no-notices", "--output"])
            .arg(&assembly)
            .args(["--context", "environment=prod", "--context"])
            .arg(format!("functionsDir={}", project.functions().display()))
            .current_dir(project.cdk())
            .env("CDK_DISABLE_CLI_TELEMETRY", "true")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = synth.output().await?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(Error::Synth(said));
        }
        Self::read(&assembly)
    }

    fn read(assembly: &Path) -> Result<Self, Error> {
        let mut templates = Vec::new();
        for file in fs::read_dir(assembly)? {
            let file = file?.path();
            if file.to_string_lossy().ends_with(".template.json") {
                let template = serde_json::from_slice(&fs::read(&file)?);
                templates.push(template.map_err(std::io::Error::from)?);
            }
        }
        Ok(Self::of(&templates))
    }

    fn of(templates: &[Value]) -> Self {
        let resources = templates
            .iter()
            .filter_map(|template| template["Resources"].as_object())
            .flat_map(|resources| resources.values().cloned());
        Self {
            resources: resources.collect(),
        }
    }

    fn properties(&self, kind: &str) -> impl Iterator<Item = &Value> {
        let of_kind = move |resource: &&Value| resource["Type"] == kind;
        let resources = self.resources.iter().filter(of_kind);
        resources.map(|resource| &resource["Properties"])
    }

    /// A function's memory. Lambda's own default is 128 MB.
    pub fn memory_mb(&self, function: &str) -> u64 {
        let functions = self.properties("AWS::Lambda::Function");
        let mut named = functions.filter(|properties| properties["FunctionName"] == function);
        let memory = named
            .next()
            .and_then(|function| function["MemorySize"].as_u64());
        memory.unwrap_or(128)
    }

    /// Whether executions that succeed are logged, event by event.
    pub fn logs_executions(&self) -> bool {
        self.properties("AWS::StepFunctions::StateMachine")
            .any(|machine| machine["LoggingConfiguration"]["Level"] == "ALL")
    }

    /// Whether the logs are scanned for data to mask.
    pub fn masks_logs(&self) -> bool {
        self.properties("AWS::Logs::LogGroup")
            .any(|logs| !logs["DataProtectionPolicy"].is_null())
    }

    /// Whether executions are traced. A trace begins with the state machine and continues in the functions.
    pub fn traces_executions(&self) -> bool {
        self.properties("AWS::StepFunctions::StateMachine")
            .any(|machine| machine["TracingConfiguration"]["Enabled"] == true)
    }

    /// Monthly costs that do not depend on the number of notifications: how many of each resource. Only custom
    /// metrics that have received data count.
    pub fn fixed(&self, custom_metrics: u64) -> Vec<(u64, Price)> {
        let count = |kind| self.properties(kind).count() as u64;
        let alarms = self.properties("AWS::CloudWatch::Alarm").map(metrics_under);
        let filters = self.properties("AWS::Logs::MetricFilter");
        let from_logs = filters.flat_map(metrics_of).collect::<BTreeSet<_>>();
        let from_logs = from_logs.len() as u64;
        let mut fixed = vec![
            (count("AWS::SecretsManager::Secret"), SECRET),
            (custom_metrics + from_logs, CUSTOM_METRIC),
            (alarms.sum(), ALARM_METRIC),
            (count("AWS::CloudWatch::CompositeAlarm"), COMPOSITE_ALARM),
            (count("AWS::CloudWatch::Dashboard"), DASHBOARD),
            (count("AWS::KMS::Key"), KMS_KEY),
        ];
        fixed.retain(|(count, _)| *count > 0);
        fixed
    }
}

/// The number of metrics that an alarm watches: its own, or those in its expression.
fn metrics_under(alarm: &Value) -> u64 {
    let metrics = alarm["Metrics"].as_array().into_iter().flatten();
    let read = metrics.filter(|metric| !metric["MetricStat"].is_null());
    (read.count() as u64).max(1)
}

/// The metrics that a log metric filter publishes, by namespace and name. Several filters can share one.
fn metrics_of(filter: &Value) -> impl Iterator<Item = (String, String)> {
    let transformations = filter["MetricTransformations"].as_array();
    transformations.into_iter().flatten().map(|metric| {
        let field = |name: &str| metric[name].to_string();
        (field("MetricNamespace"), field("MetricName"))
    })
}

/// The number of custom metrics that the functions have published: each combination of dimensions is one.
pub async fn custom_metrics(aws: &SdkConfig) -> Result<u64, Error> {
    let pages = aws_sdk_cloudwatch::Client::new(aws)
        .list_metrics()
        .namespace(METRICS_NAMESPACE)
        .into_paginator()
        .send()
        .try_collect()
        .await
        .map_err(Error::aws("ListMetrics"))?;
    let metrics = pages.iter().flat_map(ListMetricsOutput::metrics);
    let names = metrics.map(|metric| {
        let dimensions: BTreeMap<_, _> = metric
            .dimensions()
            .iter()
            .map(|dimension| (dimension.name(), dimension.value()))
            .collect();
        (metric.metric_name(), dimensions)
    });
    Ok(names.collect::<BTreeSet<_>>().len() as u64)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn deployment() -> Deployment {
        let machine = json!({
            "Type": "AWS::StepFunctions::StateMachine",
            "Properties": {
                "LoggingConfiguration": { "Level": "ALL" },
                "TracingConfiguration": { "Enabled": true },
            },
        });
        let function = json!({
            "Type": "AWS::Lambda::Function",
            "Properties": { "FunctionName": "apgl-post-message", "MemorySize": 256 },
        });
        let plain = json!({
            "Type": "AWS::CloudWatch::Alarm",
            "Properties": { "MetricName": "ExecutionsFailed" },
        });
        let stat = json!({ "Id": "a", "MetricStat": {} });
        let share = json!({
            "Type": "AWS::CloudWatch::Alarm",
            "Properties": { "Metrics": [{ "Id": "e", "Expression": "a / b" }, stat, stat] },
        });
        let secret = json!({ "Type": "AWS::SecretsManager::Secret" });
        let filter = |name: &str| {
            let metric = json!({ "MetricNamespace": "APGL/Logs", "MetricName": name });
            let properties = json!({ "MetricTransformations": [metric] });
            json!({ "Type": "AWS::Logs::MetricFilter", "Properties": properties })
        };
        let one = json!({ "Resources": {
            "M": machine, "F": function, "A": plain, "G": filter("Refusals"),
        } });
        let other = json!({ "Resources": {
            "A": share, "S": secret, "G": filter("Refusals"), "H": filter("Errors"),
        } });
        Deployment::of(&[one, other])
    }

    #[test]
    fn fixed_resources_are_counted_in_all_templates() {
        let expected = [(1, SECRET), (4 + 2, CUSTOM_METRIC), (3, ALARM_METRIC)];
        assert_eq!(deployment().fixed(4), expected);
    }

    #[test]
    fn an_alarm_over_an_expression_counts_each_metric_in_it() {
        let alarms = deployment();
        let alarms = alarms.properties("AWS::CloudWatch::Alarm");
        assert_eq!(alarms.map(metrics_under).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn the_state_machine_determines_whether_executions_are_logged_and_traced() {
        assert!(deployment().logs_executions());
        assert!(deployment().traces_executions());
        let silent = Deployment::of(&[json!({ "Resources": { "M": {
            "Type": "AWS::StepFunctions::StateMachine",
            "Properties": { "LoggingConfiguration": { "Level": "ERROR" } },
        } } })]);
        assert!(!silent.logs_executions());
        assert!(!silent.traces_executions());
    }

    #[test]
    fn a_function_has_the_memory_of_its_template_or_lambdas_default() {
        assert_eq!(deployment().memory_mb("apgl-post-message"), 256);
        assert_eq!(deployment().memory_mb("apgl-check-request"), 128);
    }
}
