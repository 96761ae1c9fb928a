//! Validates executions and callers' requests against the checked-in JSON Schemas.

use std::fs;

use jsonschema::Validator;
use local_stack::{Execution, Project, Status};
use serde_json::Value;

/// Panics if an accepted request or an outcome does not match its schema.
pub fn check(execution: &Execution) {
    let workflow = workflow(&execution.arn);
    if execution.error.as_deref() != Some("InvalidRequest") {
        check_against(&format!("{workflow}.request"), &execution.input);
    }
    if execution.status == Status::Succeeded {
        check_against(&format!("{workflow}.outcome"), &execution.output);
    }
}

/// The workflow's file name, from `arn:…:execution:apgl-<workflow>:<name>`. A dot starts the suffix of a test's copy.
fn workflow(arn: &str) -> &str {
    let machine = arn.split(':').nth(6).unwrap_or_default();
    let workflow = machine.strip_prefix("apgl-").unwrap_or(machine);
    workflow.split('.').next().unwrap_or_default()
}

/// Panics if the value does not match the schema with this name, for example `create-channel.request`.
pub fn check_against(schema: &str, value: &Value) {
    let errors: Vec<String> = validator(schema)
        .iter_errors(value)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(
        errors.is_empty(),
        "this does not match the schema {schema}: {errors:?}"
    );
}

fn validator(schema: &str) -> Validator {
    let file = format!("docs/schemas/{schema}.schema.json");
    let text = fs::read_to_string(Project::here().root.join(file)).expect("the schema is there");
    let schema = text.parse().expect("the schema is JSON");
    jsonschema::validator_for(&schema).expect("the schema is valid")
}
