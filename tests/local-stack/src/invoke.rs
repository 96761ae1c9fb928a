//! Invokes a function as a workflow's Task does.

use aws_types::SdkConfig;
use serde_json::{Value, json};
use slack_sandbox::admin::ChannelState;

use crate::{Error, signed};

/// What a function returns.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    Outcome(Value),
    /// `errorType` and `errorMessage`.
    Failure {
        error: String,
        cause: String,
    },
}

/// The payload that a workflow passes to `PostMessage`: one text for one channel.
pub fn post_message_payload(
    execution_id: &str,
    workflow: &str,
    channel: &ChannelState,
    text: &str,
) -> Value {
    json!({
        "run": {
            "executionId": execution_id, "workflow": format!("apgl-{workflow}"), "waits": 0,
        },
        "input": {
            "channel": channel_ref(channel),
            "message": { "text": text },
        },
    })
}

/// A channel as steps pass it on: one that existed before and is not archived.
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

/// Invokes a function through its alias, for example `post-message`.
pub async fn invoke(aws: &SdkConfig, function: &str, payload: &Value) -> Result<Answer, Error> {
    let path = format!("/2015-03-31/functions/apgl-{function}:live/invocations");
    let answer = signed::post(aws, "lambda", &path, &[], payload).await?;
    let has_failed = answer.headers().contains_key("x-amz-function-error");
    let body = answer.json().await;
    let body: Value =
        body.map_err(|error| Error::Setup(format!("{function} did not return JSON: {error}")))?;
    if has_failed {
        return Ok(Answer::failure(&body));
    }
    Ok(Answer::Outcome(body))
}

impl Answer {
    /// Parses Lambda's format of a function's failure.
    pub(crate) fn failure(body: &Value) -> Self {
        let text = |field: &str| body[field].as_str().unwrap_or_default().to_owned();
        Self::Failure {
            error: text("errorType"),
            cause: text("errorMessage"),
        }
    }
}
