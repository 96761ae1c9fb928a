//! Checks and normalises a workflow's request, before anything has an effect.
//!
//! The rules come from the contract, so the client crate, the workflows and this step can't disagree.

use apgl_contract::{
    InvalidField, StepError,
    request::{CheckedRequest, Operation},
};
use apgl_runtime::{SettingError, optional_setting};
use regex_lite::Regex;
use serde::Deserialize;
use serde_json::Value;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    pub operation: Operation,
    /// The execution's input, unchecked.
    pub request: Value,
}

#[derive(Debug, Default)]
pub struct Deps {
    /// What the whole name of a channel must match.
    channel_name_pattern: Option<Regex>,
}

impl Deps {
    /// Reads the pattern from `CHANNEL_NAME_PATTERN`; without it, requests may name any channel.
    ///
    /// # Errors
    /// [`SettingError::Bad`] if it is not a regular expression.
    pub fn from_env() -> Result<Self, SettingError> {
        let pattern = optional_setting("CHANNEL_NAME_PATTERN");
        Self::with_pattern(pattern.as_deref())
    }

    fn with_pattern(pattern: Option<&str>) -> Result<Self, SettingError> {
        let whole = |pattern| Regex::new(&format!("^(?:{pattern})$"));
        let pattern = pattern.map(whole).transpose();
        Ok(Self {
            channel_name_pattern: pattern.map_err(|_| SettingError::Bad {
                name: "CHANNEL_NAME_PATTERN",
                rule: "must be a regular expression",
            })?,
        })
    }
}

pub fn handle(deps: &Deps, input: Input) -> Result<CheckedRequest, StepError> {
    let checked = CheckedRequest::check(input.operation, input.request)?;
    if let Some(pattern) = &deps.channel_name_pattern
        && let Some(name) = checked.channel_name()
        && !pattern.is_match(name.as_str())
    {
        let rule = "must match the pattern that this deployment sets (channelNamePattern)";
        return Err(InvalidField::new("channelName", rule).into());
    }
    let skipped = checked.skipped().len();
    if skipped > 0 {
        tracing::warn!(
            members.skipped = skipped,
            "skipped entries that are not e-mail addresses"
        );
    }
    Ok(checked)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case::any(None, "guide-42", true)]
    #[case::whole_name(Some("guide-[0-9]+"), "guide-42", true)]
    #[case::only_its_beginning(Some("guide-[0-9]+"), "guide-42-secret", false)]
    #[case::only_its_end(Some("guide-[0-9]+"), "x-guide-42", false)]
    #[case::one_of_two(Some("guide-.*|content-bounties"), "content-bounties", true)]
    #[case::neither_of_two(Some("guide-.*|content-bounties"), "content-bounties-2", false)]
    fn a_request_may_name_only_channels_that_match_the_pattern(
        #[case] pattern: Option<&str>,
        #[case] name: &str,
        #[case] allowed: bool,
    ) {
        let deps = Deps::with_pattern(pattern).unwrap();
        let about_channels = Operation::ALL.into_iter();
        let about_channels = about_channels.filter(|operation| {
            let about_no_channel = [
                Operation::NotifyPerson,
                Operation::Remind,
                Operation::Escalate,
            ];
            !about_no_channel.contains(operation)
        });
        for operation in about_channels {
            let request = json!({ "channelName": name });
            let request = match operation {
                Operation::NotifyPrivateChannel | Operation::NotifyPublicChannel => {
                    json!({ "channelName": name, "message": "hello" })
                }
                Operation::ChangeChannelMembers => json!({ "channelName": name, "add": [] }),
                Operation::UpdateItem => json!({
                    "itemId": "x", "version": 1, "channelName": name, "title": "x", "state": "x",
                }),
                _ => request,
            };
            let checked = handle(&deps, Input { operation, request });
            let refused = checked.err().map(|error| error.to_string());
            assert_eq!(refused.is_none(), allowed, "{operation}: {refused:?}");
            if let Some(refused) = refused {
                assert!(refused.contains("channelNamePattern"), "{refused}");
            }
        }
    }

    #[derive(Deserialize)]
    struct Patterns {
        good: Vec<Good>,
        bad: Vec<String>,
    }

    #[derive(Deserialize)]
    struct Good {
        pattern: String,
        matches: String,
    }

    /// The CDK app's tests read the same list, because the app must refuse what this function can't read.
    #[test]
    fn patterns_are_read_as_the_deployment_reads_them() {
        let patterns = include_str!("../tests/channel_name_patterns.json");
        let Patterns { good, bad } = serde_json::from_str(patterns).unwrap();
        for Good { pattern, matches } in &good {
            let deps = Deps::with_pattern(Some(pattern)).unwrap();
            let whole = deps.channel_name_pattern.unwrap();
            assert!(whole.is_match(matches), "{pattern}");
        }
        for pattern in &bad {
            let error = Deps::with_pattern(Some(pattern)).expect_err(pattern);
            assert!(error.to_string().contains("CHANNEL_NAME_PATTERN"));
        }
    }
}
