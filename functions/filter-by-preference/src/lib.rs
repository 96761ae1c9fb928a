//! Decides which members of the request want Slack notifications, and why the others are skipped.

use apgl_contract::{Email, SkipReason, Skipped, StepError};
use apgl_stores::{Preference, UserProfiles};
use serde::{Deserialize, Serialize};

#[derive(Debug)]
pub struct Deps {
    pub profiles: UserProfiles,
    /// The default for a profile without a preference.
    pub wanted_by_default: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    pub members: Vec<Email>,
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
        match skip_reason(preferences.get(&email).copied(), deps.wanted_by_default) {
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

fn skip_reason(preference: Option<Preference>, wanted_by_default: bool) -> Option<SkipReason> {
    match preference {
        Some(Preference::Wanted) => None,
        Some(Preference::Unset) if wanted_by_default => None,
        Some(Preference::Unset | Preference::Unwanted) => Some(SkipReason::OptedOut),
        Some(Preference::Invalid) => Some(SkipReason::InvalidProfile),
        None => Some(SkipReason::NoProfile),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(Some(Preference::Wanted), false, None)]
    #[case(Some(Preference::Unwanted), true, Some(SkipReason::OptedOut))]
    #[case(Some(Preference::Unset), true, None)]
    #[case(Some(Preference::Unset), false, Some(SkipReason::OptedOut))]
    #[case(Some(Preference::Invalid), true, Some(SkipReason::InvalidProfile))]
    #[case(None, true, Some(SkipReason::NoProfile))]
    fn a_preference_decides_and_the_default_applies_only_without_one(
        #[case] preference: Option<Preference>,
        #[case] wanted_by_default: bool,
        #[case] expected: Option<SkipReason>,
    ) {
        assert_eq!(skip_reason(preference, wanted_by_default), expected);
    }
}
