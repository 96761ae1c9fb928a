//! How large a request may be.

use crate::{InvalidField, request::CheckedRequest};

/// Step Functions ends an execution with `States.DataLimitExceeded` if a state's payload, result or output, or the
/// variables that it assigns, have more than 262,144 bytes as JSON. No redrive helps. The difference is for what the
/// workflows add to every request, such as the channel. `tests/asl/sizes.test.ts` computes the size of everything
/// that the states pass on.
///
/// Source: "Service quotas" and "Passing data between states with variables", AWS Step Functions Developer Guide.
const MAX_BYTES: usize = 250_000;
/// The workflows add Slack's id of a user, or the reason why a person was skipped, to each address.
const BYTES_FOR_ADDRESS: usize = 50;

/// # Errors
/// [`InvalidField`] if a state might exceed the limits of Step Functions with this request.
pub(crate) fn check(request: &CheckedRequest) -> Result<(), InvalidField> {
    // This can't fail: a checked request contains only what JSON can express.
    let json = serde_json::to_vec(request).unwrap_or_default();
    if json.len() + BYTES_FOR_ADDRESS * addresses(request) <= MAX_BYTES {
        return Ok(());
    }
    let rule = "must have at most 250,000 bytes as JSON, where each address counts 50 more";
    Err(InvalidField::new("request", rule))
}

/// How many addresses the workflows pass on with something that they add. An address in `mention` counts twice: for
/// the person's id, and for what became of the mention.
fn addresses(request: &CheckedRequest) -> usize {
    match request {
        CheckedRequest::CreateChannel { members, .. } => members.as_slice().len(),
        CheckedRequest::NotifyPrivateChannel {
            members, notice, ..
        } => members.as_slice().len() + notice.mention.as_slice().len(),
        CheckedRequest::ChangeChannelMembers { add, remove, .. } => {
            add.as_slice().len() + remove.as_slice().len()
        }
        CheckedRequest::NotifyPublicChannel { notice, .. } => 2 * notice.mention.as_slice().len(),
        CheckedRequest::NotifyPerson { .. } => 1,
        CheckedRequest::UpdateItem { item, .. } => item.waiting_for.as_slice().len(),
        CheckedRequest::CheckChannelExists { .. }
        | CheckedRequest::DeleteChannel { .. }
        | CheckedRequest::Remind { .. }
        | CheckedRequest::Escalate { .. } => 0,
    }
}
