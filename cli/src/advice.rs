//! What a person can do about a failed execution.

use apgl_client::{ErrorName, Failure};

/// One sentence; `execution` is its name.
pub fn advice(failure: &Failure, execution: &str) -> String {
    let redrive = format!("then: apgl redrive {execution}");
    match failure.name() {
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
        Some(ErrorName::SlackWaitsExhausted) => {
            format!("wait until Slack's limits leave room, {redrive}")
        }
        Some(ErrorName::StepMalformed) => {
            format!("deploy workflows and functions together again, {redrive}")
        }
        Some(ErrorName::StoreRejected) => {
            format!("mend the table, the secret or the role that the error names, {redrive}")
        }
        Some(_) => format!("wait until what is out of order works again, {redrive}"),
        None => {
            format!("look at the log lines of the state that failed, mend the cause, {redrive}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_of_ours_has_its_advice() {
        for name in ErrorName::ALL {
            let failure = Failure::new(name.as_str(), "{}");
            let advice = advice(&failure, "mpc-event-1");
            assert_eq!(advice.contains("apgl redrive"), failure.can_be_redriven());
        }
    }
}
