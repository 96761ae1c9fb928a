//! Turns Slack's responses into each user's result and the step's outcome.

use std::collections::HashMap;

use apgl_contract::{SkipReason, Skipped, SlackUser, SlackUserId};
use apgl_slack::SlackError;

use crate::Outcome;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RemovalResult {
    Removed,
    Skipped(SkipReason),
}

pub(crate) type Results = HashMap<SlackUserId, RemovalResult>;

/// The user's result after Slack refused the removal. An error that is not about the user remains an error.
pub(crate) fn result_of(error: SlackError) -> Result<RemovalResult, SlackError> {
    match error.rejected_code() {
        Some("cant_kick_self") => Ok(RemovalResult::Skipped(SkipReason::Bot)),
        Some("user_not_found") => Ok(RemovalResult::Skipped(SkipReason::NotInSlack)),
        // No user can be removed: the workspace forbids it, or the channel does not allow it.
        Some(
            "restricted_action"
            | "cant_kick_from_general"
            | "channel_not_found"
            | "is_archived"
            | "method_not_supported_for_channel_type",
        )
        | None => Err(error),
        Some(code) if code.starts_with("invalid_") => Err(error),
        // Undocumented. It counts as being about this user, unless Slack refuses all removals with it.
        Some(_) => Ok(RemovalResult::Skipped(SkipReason::CannotRemove)),
    }
}

/// The outcome, in the order of the request. A user without a result was not in the channel.
pub(crate) fn outcome(users: Vec<SlackUser>, results: &Results) -> Outcome {
    let mut outcome = Outcome::default();
    for SlackUser { email, id } in users {
        match results.get(&id) {
            Some(RemovalResult::Removed) => outcome.removed.push(email),
            Some(RemovalResult::Skipped(reason)) => {
                outcome.skipped.push(Skipped::new(email, *reason));
            }
            None => outcome
                .skipped
                .push(Skipped::new(email, SkipReason::NotAMember)),
        }
    }
    outcome
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn rejected(code: &str) -> SlackError {
        SlackError::Rejected {
            method: "conversations.kick",
            code: code.to_owned(),
            detail: None,
        }
    }

    #[rstest]
    #[case::the_bot_itself("cant_kick_self", SkipReason::Bot)]
    #[case("user_not_found", SkipReason::NotInSlack)]
    #[case("a_code_of_tomorrow", SkipReason::CannotRemove)]
    fn an_error_about_one_user_is_an_outcome(#[case] code: &str, #[case] reason: SkipReason) {
        assert_eq!(
            result_of(rejected(code)),
            Ok(RemovalResult::Skipped(reason))
        );
    }

    #[rstest]
    #[case("restricted_action")]
    #[case("cant_kick_from_general")]
    #[case("channel_not_found")]
    #[case("is_archived")]
    #[case("invalid_arguments")]
    fn an_error_about_the_call_is_returned(#[case] code: &str) {
        assert_eq!(result_of(rejected(code)), Err(rejected(code)));
    }

    #[test]
    fn a_transient_error_is_returned() {
        let unavailable = SlackError::Unavailable {
            method: "conversations.kick",
            reason: "service_unavailable".to_owned(),
        };
        assert_eq!(result_of(unavailable.clone()), Err(unavailable));
    }
}
