//! What a person can do about a failed execution.

use apgl_client::{ErrorName, Failure};

/// The advice as one sentence; `execution` is the execution's name.
pub fn advice(failure: &Failure, execution: &str) -> String {
    let redrive = if failure.is_in_fail_state {
        "then start it again with a new key: a redrive can't continue from a Fail state".to_owned()
    } else {
        // Another execution for the same event would post the message, too.
        format!("then: apgl redrive {execution} (and no second start under a new key)")
    };
    match failure.name() {
        Some(ErrorName::InvalidRequest) => {
            "fix the request and start it with a new key; the failed one had no effect".to_owned()
        }
        Some(ErrorName::SlackMessageRejected) => {
            "fix the message and start it with a new key; the failed one was not posted".to_owned()
        }
        Some(ErrorName::ChannelNotOurs) => {
            "if it is meant, start it with a new key and --even-if-not-ours".to_owned()
        }
        Some(ErrorName::ChannelNotFound) => {
            format!(
                "unless the error says otherwise: create the channel or invite the bot to it (unarchive it first if it \
                 is archived), {redrive}"
            )
        }
        Some(ErrorName::ChannelNameTaken) => format!(
            "free the name in Slack, or unarchive the channel that has it and invite the bot to it, {redrive}"
        ),
        Some(ErrorName::ChannelArchived) => format!(
            "unarchive the channel in Slack as a person and invite the bot again, since a bot can't, {redrive}"
        ),
        Some(ErrorName::SlackRejected) if failure.slack_error.as_deref() == Some(MESSAGES_TAB_OFF) => {
            format!(
                "enable the messages tab in the App Home of the Slack app (as slack/manifest.json does), {redrive}"
            )
        }
        Some(ErrorName::SlackRejected) => format!(
            "look up Slack's error code, change the workspace's setting, its quota or the channel, {redrive}"
        ),
        Some(ErrorName::SlackUnauthorized) if failure.slack_error.as_deref() == Some(MISSING_SCOPE) => format!(
            "give the Slack app the scopes of slack/manifest.json and install it again, which keeps the token; \
             `apgl doctor` lists the missing ones; {redrive}"
        ),
        Some(ErrorName::SlackUnauthorized) => {
            format!("store a working bot token; `apgl doctor` checks it; {redrive}")
        }
        Some(ErrorName::SlackWaitsExhausted | ErrorName::SlackQueueTooLong) => {
            format!(
                "wait until the load on Slack's rate limits is lower, {redrive}; if the cause names \
                 Delivery.InProgress, redrive the execution first that posts another message of the sequence: \
                 the log of post-message names it as delivery.holder"
            )
        }
        Some(ErrorName::StepMalformed) => {
            format!("deploy the workflows and the functions together again, {redrive}")
        }
        Some(ErrorName::StepBug) => format!("report it and deploy a fixed function, {redrive}"),
        Some(ErrorName::StoreRejected) => {
            format!("fix the table, the secret or the role that the error names, {redrive}")
        }
        Some(_) => format!("wait until the service that failed works again, {redrive}"),
        None => match failure.error.as_str() {
            TIMED_OUT => format!("fix what it waited for, {redrive}"),
            ABORTED => {
                format!(
                    "somebody stopped it; if it should continue: apgl redrive {execution} --even-if-stopped"
                )
            }
            "States.Runtime" | "States.QueryEvaluationError" | "States.DataLimitExceeded" => {
                "the workflow's definition can't handle this, and a redrive uses the same definition: \
                 deploy a fixed one, then start again with a new key"
                    .to_owned()
            }
            _ => {
                format!("look at the log of the state that failed, fix the cause, {redrive}")
            }
        },
    }
}

/// Slack's error code for a call that needs a scope which the token does not have.
const MISSING_SCOPE: &str = "missing_scope";
/// Slack's error code for a direct message of an app whose messages tab is off:
/// <https://docs.slack.dev/reference/methods/chat.postMessage>. A bot token can't read that setting, so `apgl doctor` says
/// nothing about it.
const MESSAGES_TAB_OFF: &str = "messages_tab_disabled";
/// Step Functions' own error name for a time-out.
const TIMED_OUT: &str = "States.Timeout";
/// Our name for an execution that was stopped; Step Functions has none.
const ABORTED: &str = "Aborted";

/// The error to show for an execution that ended with this status and has no error of its own.
pub fn status_error(status: &str) -> &'static str {
    match status {
        "TIMED_OUT" => TIMED_OUT,
        "ABORTED" => ABORTED,
        _ => "no error",
    }
}

#[cfg(test)]
mod tests {
    use apgl_client::Recovery;

    use super::*;

    #[test]
    fn a_redrive_is_advised_unless_the_error_is_final() {
        for name in ErrorName::ALL {
            let advice = advised(name.as_str(), "");
            assert_eq!(
                advice.contains("apgl redrive"),
                name.recovery() != Recovery::Terminal
            );
        }
        for error in [TIMED_OUT, ABORTED, "Runtime.ExitError"] {
            assert!(advised(error, "").contains("apgl redrive mpc-event-1"));
        }
    }

    #[test]
    fn a_new_key_is_advised_after_a_fail_state() {
        for name in ErrorName::ALL {
            let advice = advised(name.as_str(), r#"{"message":"gone"}"#);
            assert!(!advice.contains("apgl redrive"), "{advice}");
            assert!(advice.contains("with a new key"), "{advice}");
        }
    }

    #[test]
    fn a_channel_that_is_not_found_may_be_an_archived_one() {
        let advice = advised("Channel.NotFound", "");
        assert!(advice.contains("unarchive it first"), "{advice}");
    }

    #[test]
    fn an_app_without_a_messages_tab_needs_it_for_direct_messages() {
        let cause =
            r#"{"errorMessage":"{\"message\":\"no\",\"slackError\":\"messages_tab_disabled\"}"}"#;
        let advice = advised("Slack.Rejected", cause);
        assert!(advice.contains("enable the messages tab"), "{advice}");
        assert!(advice.contains("apgl redrive mpc-event-1"), "{advice}");
        let cause = cause.replace("messages_tab_disabled", "restricted_action");
        let advice = advised("Slack.Rejected", &cause);
        assert!(!advice.contains("messages tab"), "{advice}");
    }

    #[test]
    fn an_app_without_a_scope_is_installed_again_with_the_manifests() {
        let cause = r#"{"errorMessage":"{\"message\":\"no\",\"slackError\":\"missing_scope\"}"}"#;
        let advice = advised("Slack.Unauthorized", cause);
        assert!(
            advice.contains("the scopes of slack/manifest.json and install it again"),
            "{advice}"
        );
        assert!(!advice.contains("store a working bot token"), "{advice}");
        assert!(advice.contains("apgl redrive mpc-event-1"), "{advice}");
        let cause = cause.replace("missing_scope", "token_revoked");
        let advice = advised("Slack.Unauthorized", &cause);
        assert!(advice.contains("store a working bot token"), "{advice}");
    }

    #[test]
    fn no_redrive_is_advised_for_an_error_in_the_definition() {
        assert!(!advised("States.Runtime", "").contains("apgl redrive"));
    }

    fn advised(error: &str, cause: &str) -> String {
        advice(&Failure::new(error, cause), "mpc-event-1")
    }
}
