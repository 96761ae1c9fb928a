//! What became of each user: pure rules, from Slack's answers to the step's outcome.

use std::collections::{BTreeSet, HashMap};

use apgl_contract::{SkipReason, Skipped, SlackUser, SlackUserId, StepError};
use apgl_slack::{SlackError, UserError};

use crate::Outcome;

/// What became of one user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Invited,
    AlreadyMember,
    /// Slack does not know the id.
    NotInSlack,
    Skipped(SkipReason),
}

pub(crate) type Fates = HashMap<SlackUserId, Fate>;

/// Who is not among Slack's errors was invited.
pub(crate) fn fates_in(users: &[SlackUserId], errors: &[UserError]) -> Result<Fates, StepError> {
    let mut fates: Fates = users.iter().map(|id| (id.clone(), Fate::Invited)).collect();
    for error in errors {
        if let Some(fate) = fates.get_mut(&SlackUserId(error.user.clone())) {
            *fate = fate_of(error)?;
        }
    }
    Ok(fates)
}

fn fate_of(error: &UserError) -> Result<Fate, StepError> {
    Ok(match error.error.as_str() {
        // The bot is in every channel that it invites to.
        "already_in_channel" | "cant_invite_self" => Fate::AlreadyMember,
        "user_not_found" => Fate::NotInSlack,
        "user_is_restricted"
        | "ura_max_channels"
        | "org_user_not_in_team"
        | "invitee_cant_see_channel"
        | "no_external_invite_permission" => Fate::Skipped(SkipReason::Restricted),
        "app_cannot_join_channel" => Fate::Skipped(SkipReason::Bot),
        _ => match error.to_slack_error() {
            SlackError::Rejected { .. } => Fate::Skipped(SkipReason::CannotInvite),
            // It passes by itself: the step fails, and a retry reaches this user.
            passing => return Err(passing.into()),
        },
    })
}

/// Who is there now and was not at the first look was invited by an attempt in between.
pub(crate) fn invited_earlier(fates: &mut Fates, there_at_first: &BTreeSet<SlackUserId>) {
    for (id, fate) in fates {
        if *fate == Fate::AlreadyMember && !there_at_first.contains(id) {
            *fate = Fate::Invited;
        }
    }
}

/// In the order of the request.
pub(crate) fn outcome(users: Vec<SlackUser>, fates: &Fates) -> Outcome {
    let mut outcome = Outcome::default();
    for SlackUser { email, id } in users {
        match fates.get(&id) {
            Some(Fate::Invited) => outcome.invited.push(email),
            Some(Fate::NotInSlack) => outcome.skipped.push(Skipped {
                email,
                reason: SkipReason::NotInSlack,
            }),
            Some(Fate::Skipped(reason)) => outcome.skipped.push(Skipped {
                email,
                reason: *reason,
            }),
            Some(Fate::AlreadyMember) | None => outcome.already_members.push(email),
        }
    }
    outcome
}

#[cfg(test)]
mod tests {
    use apgl_contract::ErrorName;
    use rstest::rstest;

    use super::*;

    fn user_error(code: &str) -> UserError {
        UserError {
            user: "U1".to_owned(),
            error: code.to_owned(),
        }
    }

    #[rstest]
    #[case("already_in_channel", Ok(Fate::AlreadyMember))]
    #[case("cant_invite_self", Ok(Fate::AlreadyMember))]
    #[case("user_not_found", Ok(Fate::NotInSlack))]
    #[case("cant_invite", Ok(Fate::Skipped(SkipReason::CannotInvite)))]
    #[case("user_is_restricted", Ok(Fate::Skipped(SkipReason::Restricted)))]
    #[case("ura_max_channels", Ok(Fate::Skipped(SkipReason::Restricted)))]
    #[case("org_user_not_in_team", Ok(Fate::Skipped(SkipReason::Restricted)))]
    #[case("invitee_cant_see_channel", Ok(Fate::Skipped(SkipReason::Restricted)))]
    #[case(
        "no_external_invite_permission",
        Ok(Fate::Skipped(SkipReason::Restricted))
    )]
    #[case("app_cannot_join_channel", Ok(Fate::Skipped(SkipReason::Bot)))]
    #[case("a_code_of_tomorrow", Ok(Fate::Skipped(SkipReason::CannotInvite)))]
    #[case("internal_error", Err(ErrorName::SlackUnavailable))]
    #[case("ratelimited", Err(ErrorName::SlackRateLimited))]
    fn a_users_error_is_an_outcome_unless_it_passes_by_itself(
        #[case] code: &str,
        #[case] expected: Result<Fate, ErrorName>,
    ) {
        assert_eq!(
            fate_of(&user_error(code)).map_err(|error| error.name()),
            expected
        );
    }

    #[test]
    fn who_was_not_there_at_the_first_look_was_invited_by_an_earlier_attempt() {
        let [ana, bob] = ["U1", "U2"].map(|id| SlackUserId(id.to_owned()));
        let mut fates = Fates::from([
            (ana.clone(), Fate::AlreadyMember),
            (bob.clone(), Fate::AlreadyMember),
        ]);
        invited_earlier(&mut fates, &BTreeSet::from([ana.clone()]));
        assert_eq!(fates[&ana], Fate::AlreadyMember);
        assert_eq!(fates[&bob], Fate::Invited);
    }

    #[test]
    fn who_is_not_among_the_errors_was_invited() {
        let users = ["U1", "U2"].map(|id| SlackUserId(id.to_owned()));
        let fates = fates_in(&users, &[user_error("user_not_found")]).unwrap();
        assert_eq!(fates[&users[0]], Fate::NotInSlack);
        assert_eq!(fates[&users[1]], Fate::Invited);
    }
}
