//! Decides which members of the request want the message or the invitation, and why the others are skipped.

use apgl_contract::{Category, Email, SkipReason, Skipped, StepError};
use apgl_stores::{InvalidPreference, UserProfiles};
use serde::{Deserialize, Serialize};

#[derive(Debug)]
pub struct Deps {
    pub profiles: UserProfiles,
    /// The default for a profile that does not say whether the person wants Slack notifications.
    pub wanted_by_default: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    pub members: Vec<Email>,
    /// What the message is about. An invitation that is about no message has no category.
    #[serde(default)]
    pub category: Option<Category>,
    /// Whether the message goes to each member alone.
    #[serde(default)]
    pub direct: bool,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    pub wanted: Vec<Email>,
    pub skipped: Vec<Skipped>,
}

pub async fn handle(deps: &Deps, input: Input) -> Result<Outcome, StepError> {
    let preferences = deps.profiles.preferences(&input.members).await?;
    let mut outcome = Outcome {
        wanted: Vec::new(),
        skipped: Vec::new(),
    };
    for email in input.members {
        let wants = preferences.get(&email).map(|preferences| {
            preferences.wants(input.category, input.direct, deps.wanted_by_default)
        });
        match skip_reason(wants) {
            None => outcome.wanted.push(email),
            Some(reason) => outcome.skipped.push(Skipped::new(email, reason)),
        }
    }
    let (wanted, skipped) = (outcome.wanted.len(), outcome.skipped.len());
    tracing::info!(
        members.wanted = wanted,
        members.skipped = skipped,
        "filtered by preference"
    );
    Ok(outcome)
}

/// Why a person is skipped who has answered like this. `None` stands for a person without a profile.
fn skip_reason(wants: Option<Result<bool, InvalidPreference>>) -> Option<SkipReason> {
    match wants {
        Some(Ok(true)) => None,
        Some(Ok(false)) => Some(SkipReason::OptedOut),
        Some(Err(InvalidPreference)) => Some(SkipReason::InvalidProfile),
        None => Some(SkipReason::NoProfile),
    }
}

#[cfg(test)]
mod tests {
    use apgl_contract::decode;
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    #[rstest]
    #[case(Some(Ok(true)), None)]
    #[case(Some(Ok(false)), Some(SkipReason::OptedOut))]
    #[case(Some(Err(InvalidPreference)), Some(SkipReason::InvalidProfile))]
    #[case(None, Some(SkipReason::NoProfile))]
    fn who_does_not_surely_want_it_is_skipped_with_the_reason(
        #[case] wants: Option<Result<bool, InvalidPreference>>,
        #[case] expected: Option<SkipReason>,
    ) {
        assert_eq!(skip_reason(wants), expected);
    }

    #[rstest]
    #[case(json!({ "members": [] }), None, false)]
    #[case(json!({ "members": [], "category": null }), None, false)]
    #[case(json!({ "members": [], "category": "news" }), Some(Category::News), false)]
    #[case(json!({ "members": [], "category": "critical", "direct": true }), Some(Category::Critical), true)]
    fn a_message_is_not_direct_and_has_no_category_unless_the_workflow_says_so(
        #[case] input: Value,
        #[case] category: Option<Category>,
        #[case] direct: bool,
    ) {
        let input: Input = decode(input).unwrap();
        assert_eq!((input.category, input.direct), (category, direct));
    }

    #[rstest]
    #[case(json!({ "members": [], "category": "gossip" }), "category: must be one of `action`, `news`, `bounty`, `critical`")]
    #[case(json!({ "members": [], "categories": [] }), "categories: is not a known field; known fields: `members`, `category`, `direct`")]
    fn a_malformed_input_is_refused(#[case] input: Value, #[case] expected: &str) {
        assert_eq!(decode::<Input>(input).unwrap_err().to_string(), expected);
    }
}
