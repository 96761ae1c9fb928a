//! A function, invoked as a workflow's Task invokes it.
//!
//! MiniStack has no `RedriveExecution`. What a redrive does to a failed Task is this: the same function
//! runs again with the same payload, and so with the same execution id.

use aws_sdk_lambda::{Client, primitives::Blob};
use aws_types::SdkConfig;
use serde_json::{Value, json};
use slack_sandbox::admin::ChannelState;

use crate::Error;

/// What a function answers.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    Outcome(Value),
    /// `errorType` and `errorMessage`.
    Failure {
        error: String,
        cause: String,
    },
}

/// What a workflow hands to `PostMessage`: one text to one channel.
pub fn post_message_payload(
    execution_id: &str,
    workflow: &str,
    channel: &ChannelState,
    text: &str,
) -> Value {
    json!({
        "run": {
            "executionId": execution_id, "workflow": format!("apgl-{workflow}"),
            "waitsLeft": 100, "turns": [],
        },
        "input": {
            "channel": channel_ref(channel),
            "message": { "text": text },
        },
    })
}

/// A channel, as steps hand it on: one that was there and is not archived.
pub fn channel_ref(channel: &ChannelState) -> Value {
    let visibility = if channel.is_private {
        "private"
    } else {
        "public"
    };
    json!({
        "id": channel.id, "name": channel.name, "visibility": visibility,
        "archived": false, "created": false,
    })
}

/// Invokes a function, for example `post-message`, by its alias.
pub async fn invoke(aws: &SdkConfig, function: &str, payload: &Value) -> Result<Answer, Error> {
    let answer = Client::new(aws)
        .invoke()
        .function_name(format!("apgl-{function}:live"))
        .payload(Blob::new(payload.to_string()))
        .send()
        .await
        .map_err(|error| Error::aws("Invoke")(error.into()))?;
    let body = answer.payload.map(Blob::into_inner).unwrap_or_default();
    let body: Value = serde_json::from_slice(&body)
        .map_err(|error| Error::Setup(format!("{function} answered no JSON: {error}")))?;
    if answer.function_error.is_none() {
        return Ok(Answer::Outcome(body));
    }
    Ok(Answer::failure(&body))
}

impl Answer {
    /// Lambda's own form of a function's failure.
    pub(crate) fn failure(body: &Value) -> Self {
        let text = |field: &str| body[field].as_str().unwrap_or_default().to_owned();
        Self::Failure {
            error: text("errorType"),
            cause: text("errorMessage"),
        }
    }
}
