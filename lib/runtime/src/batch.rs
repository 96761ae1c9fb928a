//! Batches of messages from SQS.

use apgl_contract::{InvalidField, decode};
use aws_lambda_events::sqs::{SqsEvent, SqsMessage};
use lambda_runtime::Diagnostic;
use serde_json::Value;

/// The batch could not be read, so all of it stays in the queue.
#[derive(Debug, PartialEq, Eq)]
pub struct UnreadableBatch(InvalidField);

/// The messages of a batch. Each has an id, because SQS can't keep a failed message without it.
///
/// # Errors
/// [`UnreadableBatch`], which is logged.
pub fn messages(event: Value) -> Result<Vec<SqsMessage>, UnreadableBatch> {
    let unreadable = |invalid: InvalidField| {
        tracing::error!(error = %invalid, "the event is not a batch from SQS");
        UnreadableBatch(invalid)
    };
    let SqsEvent { records, .. } = decode(event).map_err(unreadable)?;
    if records.iter().any(|record| record.message_id.is_none()) {
        let invalid = InvalidField::new("Records.messageId", "is required");
        return Err(unreadable(invalid));
    }
    Ok(records)
}

impl From<UnreadableBatch> for Diagnostic {
    fn from(UnreadableBatch(invalid): UnreadableBatch) -> Self {
        Self {
            error_type: "UnreadableBatch".to_owned(),
            error_message: invalid.to_string(),
        }
    }
}
