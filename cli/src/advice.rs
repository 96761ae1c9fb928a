//! What a person can do about a failed execution.

use apgl_client::ErrorName;

/// One sentence; `execution` is its name.
pub fn advice(error: &str, execution: &str) -> String {
    let redrive = format!("then: apgl redrive {execution}");
    match ErrorName::from_name(error) {
        Some(ErrorName::InvalidRequest) => {
            "mend the request and start it under a new key; nothing has had an effect".to_owned()
        }
        Some(ErrorName::ChannelNotFound) => {
            "create the channel or invite the bot to it, then start again under a new key"
                .to_owned()
        }
        Some(ErrorName::ChannelNameTaken) => {
            "unarchive the channel that has the name, or invite the bot to it, or choose another \
             name; then start again under a new key"
                .to_owned()
        }
        Some(ErrorName::ChannelArchived) => {
            "a person unarchives the channel in Slack, since a bot can't; then start again under a \
             new key"
                .to_owned()
        }
        Some(ErrorName::SlackRejected) => {
            "look up Slack's code, mend the request or the workspace's settings, then start again \
             under a new key"
                .to_owned()
        }
        Some(ErrorName::SlackUnauthorized) => {
            format!("store a working bot token; `apgl doctor` checks it; {redrive}")
        }
        Some(ErrorName::SlackWaitsExhausted | ErrorName::SlackQueueTooLong) => {
            format!("wait until Slack's limits leave room, {redrive}")
        }
        Some(ErrorName::StepMalformed) => {
            format!("deploy workflows and functions together again, {redrive}")
        }
        Some(ErrorName::StepBug) => format!("report it and deploy a fixed function, {redrive}"),
        Some(ErrorName::StoreRejected) => {
            format!("mend the table, the secret or the role that the error names, {redrive}")
        }
        Some(_) => format!("wait until what is out of order works again, {redrive}"),
        None => match error {
            TIMED_OUT => format!("mend what it waited for, {redrive}"),
            ABORTED => format!("somebody stopped it; if it shall go on, {redrive}"),
            "States.Runtime" | "States.QueryEvaluationError" | "States.DataLimitExceeded" => {
                "the workflow's definition can't deal with this, and a redrive uses the same one: \
                 deploy a mended one, then start again under a new key"
                    .to_owned()
            }
            _ => {
                format!("look at the log lines of the state that failed, mend the cause, {redrive}")
            }
        },
    }
}

/// Step Functions' own name for what has taken too long.
const TIMED_OUT: &str = "States.Timeout";
/// Nobody has a name for what somebody has stopped.
const ABORTED: &str = "Aborted";

/// The error of an execution that ended so and says none.
pub fn status_error(status: &str) -> &'static str {
    match status {
        "TIMED_OUT" => TIMED_OUT,
        "ABORTED" => ABORTED,
        _ => "no error",
    }
}

#[cfg(test)]
mod tests {
    use apgl_client::Kind;

    use super::*;

    #[test]
    fn a_redrive_is_advised_for_whatever_is_not_final() {
        for name in ErrorName::ALL {
            let advice = advice(name.as_str(), "mpc-event-1");
            assert_eq!(advice.contains("apgl redrive"), name.kind() != Kind::Final);
        }
        for error in [TIMED_OUT, ABORTED, "Runtime.ExitError"] {
            assert!(advice(error, "mpc-event-1").contains("apgl redrive mpc-event-1"));
        }
    }

    #[test]
    fn what_the_definition_can_not_deal_with_is_not_redriven() {
        assert!(!advice("States.Runtime", "mpc-event-1").contains("apgl redrive"));
    }
}
