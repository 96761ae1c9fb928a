//! Checks and normalises a workflow's request, before anything has an effect.
//!
//! The rules come from the contract, so the client crate, the workflows and this step can't disagree.

use apgl_contract::{
    StepError,
    request::{CheckedRequest, Operation},
};
use serde::Deserialize;
use serde_json::Value;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    pub operation: Operation,
    /// The execution's input, unchecked.
    pub request: Value,
}

pub fn handle(input: Input) -> Result<CheckedRequest, StepError> {
    let checked = CheckedRequest::check(input.operation, input.request)?;
    let skipped = checked.skipped().len();
    if skipped > 0 {
        tracing::warn!(
            members.skipped = skipped,
            "skipped entries that are not e-mail addresses"
        );
    }
    Ok(checked)
}
