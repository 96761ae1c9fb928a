//! Turns Slack's responses into each user's result and the step's outcome.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use apgl_contract::{Email, SkipReason, Skipped, SlackUser, SlackUserId, StepError};
use apgl_slack::{SlackError, UserError};

use crate::{MOST_NEW_IDS, Outcome};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InviteResult {
    Invited,
    AlreadyMember,
    /// Slack does not know the id.
    UnknownId,
    Skipped(SkipReason),
}

impl InviteResult {
    pub(crate) fn is_member(self) -> bool {
        matches!(self, Self::Invited | Self::AlreadyMember)
    }
}

pub(crate) type Results = HashMap<SlackUserId, InviteResult>;

/// The results of one call to Slack, and the transient error of a user who therefore has none. A user without an error
/// was invited, unless a transient error does not say whose it is. Another error that does not say it changes no result.
pub(crate) fn results_of(
    users: &[SlackUserId],
    errors: &[UserError],
) -> (Results, Option<StepError>) {
    let invited = users.iter().map(|id| (id.clone(), InviteResult::Invited));
    let mut results: Results = invited.collect();
    let mut failed = None;
    for error in errors {
        let user = error.user.clone().map(SlackUserId);
        match (result_of(error), user) {
            (Ok(result), Some(user)) => {
                if let Some(of_the_user) = results.get_mut(&user) {
                    *of_the_user = result;
                }
            }
            (Ok(_), None) => {}
            (Err(error), Some(user)) => {
                results.remove(&user);
                failed = failed.or(Some(error));
            }
            (Err(error), None) => {
                forget_invited(&mut results);
                failed = failed.or(Some(error));
            }
        }
    }
    (results, failed)
}

/// Removes the results of those who count as invited only because Slack has returned no error for them.
pub(crate) fn forget_invited(results: &mut Results) {
    results.retain(|_, result| *result != InviteResult::Invited);
}

fn result_of(error: &UserError) -> Result<InviteResult, StepError> {
    Ok(match error.error.as_str() {
        // The bot is a member of every channel to which it invites users.
        "already_in_channel" | "cant_invite_self" => InviteResult::AlreadyMember,
        "user_not_found" => InviteResult::UnknownId,
        "user_is_restricted"
        | "ura_max_channels"
        | "org_user_not_in_team"
        | "invitee_cant_see_channel"
        | "no_external_invite_permission" => InviteResult::Skipped(SkipReason::Restricted),
        "app_cannot_join_channel" => InviteResult::Skipped(SkipReason::Bot),
        _ => match error.to_slack_error() {
            SlackError::Rejected { .. } => InviteResult::Skipped(SkipReason::CannotInvite),
            // The error is not about this user: the step fails, and the next attempt invites the user again.
            error => return Err(error.into()),
        },
    })
}

/// Corrects the results of users who count as invited and are not in the channel: Slack returned an error without
/// saying whose it is.
pub(crate) fn correct_by_members(results: &mut Results, present: &BTreeSet<SlackUserId>) {
    for (id, result) in results {
        if *result == InviteResult::Invited && !present.contains(id) {
            *result = InviteResult::Skipped(SkipReason::CannotInvite);
        }
    }
}

/// Reports users who came after the snapshot, and those whom an earlier attempt `invited`, as invited: by an earlier
/// attempt of this execution, or meanwhile by somebody else. Slack does not tell which.
pub(crate) fn credit_earlier_attempts(
    results: &mut Results,
    before: Option<&BTreeSet<SlackUserId>>,
    invited: &BTreeSet<SlackUserId>,
) {
    for (id, result) in results {
        let came = before.is_some_and(|before| !before.contains(id));
        if *result == InviteResult::AlreadyMember && (came || invited.contains(id)) {
            *result = InviteResult::Invited;
        }
    }
}

/// The users with such a result.
pub(crate) fn those(
    results: &Results,
    with: impl Fn(InviteResult) -> bool,
) -> BTreeSet<SlackUserId> {
    let found = results.iter().filter(|(_, result)| with(**result));
    found.map(|(id, _)| id.clone()).collect()
}

/// The ids of the members who had other ids `before`, in the step's input.
pub(crate) fn new_ids(
    before: &[SlackUser],
    users: &[SlackUser],
    results: &Results,
) -> BTreeMap<Email, SlackUserId> {
    let before: HashSet<_> = before.iter().map(|user| (&user.email, &user.id)).collect();
    let is_member = |user: &&SlackUser| results.get(&user.id).is_some_and(|it| it.is_member());
    let changed = users
        .iter()
        .filter(is_member)
        .filter(|user| !before.contains(&(&user.email, &user.id)));
    let new_ids = changed.map(|user| (user.email.clone(), user.id.clone()));
    new_ids.take(MOST_NEW_IDS).collect()
}

/// The outcome, in the order of the request.
///
/// # Errors
/// [`StepError::StepBug`] if a user has no result.
pub(crate) fn outcome(users: Vec<SlackUser>, results: &Results) -> Result<Outcome, StepError> {
    let mut outcome = Outcome::default();
    for SlackUser { email, id } in users {
        let result = results.get(&id).ok_or(StepError::StepBug {
            what: "a user was neither invited nor skipped".into(),
        })?;
        let reason = match result {
            InviteResult::Invited => {
                outcome.invited.push(email);
                continue;
            }
            InviteResult::AlreadyMember => {
                outcome.already_members.push(email);
                continue;
            }
            InviteResult::UnknownId => SkipReason::NotInSlack,
            InviteResult::Skipped(reason) => *reason,
        };
        outcome.skipped.push(Skipped::new(email, reason));
    }
    Ok(outcome)
}

#[cfg(test)]
mod tests {
    use apgl_contract::ErrorName;
    use rstest::rstest;

    use super::*;

    fn user_error(code: &str) -> UserError {
        UserError {
            user: Some("U1".to_owned()),
            error: code.to_owned(),
        }
    }

    #[rstest]
    #[case("already_in_channel", Ok(InviteResult::AlreadyMember))]
    #[case("cant_invite_self", Ok(InviteResult::AlreadyMember))]
    #[case("user_not_found", Ok(InviteResult::UnknownId))]
    #[case("cant_invite", Ok(InviteResult::Skipped(SkipReason::CannotInvite)))]
    #[case(
        "user_is_restricted",
        Ok(InviteResult::Skipped(SkipReason::Restricted))
    )]
    #[case("ura_max_channels", Ok(InviteResult::Skipped(SkipReason::Restricted)))]
    #[case(
        "org_user_not_in_team",
        Ok(InviteResult::Skipped(SkipReason::Restricted))
    )]
    #[case(
        "invitee_cant_see_channel",
        Ok(InviteResult::Skipped(SkipReason::Restricted))
    )]
    #[case(
        "no_external_invite_permission",
        Ok(InviteResult::Skipped(SkipReason::Restricted))
    )]
    #[case("app_cannot_join_channel", Ok(InviteResult::Skipped(SkipReason::Bot)))]
    #[case(
        "a_code_of_tomorrow",
        Ok(InviteResult::Skipped(SkipReason::CannotInvite))
    )]
    #[case("internal_error", Err(ErrorName::SlackUnavailable))]
    #[case("ratelimited", Err(ErrorName::SlackRateLimited))]
    fn a_users_error_is_an_outcome_unless_it_is_transient(
        #[case] code: &str,
        #[case] expected: Result<InviteResult, ErrorName>,
    ) {
        assert_eq!(
            result_of(&user_error(code)).map_err(|error| error.name()),
            expected
        );
    }

    #[test]
    fn a_user_who_was_not_there_before_was_invited_by_an_earlier_attempt() {
        let [ana, bob] = ["U1", "U2"].map(|id| SlackUserId(id.to_owned()));
        let mut results = Results::from([
            (ana.clone(), InviteResult::AlreadyMember),
            (bob.clone(), InviteResult::AlreadyMember),
        ]);
        let before = BTreeSet::from([ana.clone()]);
        credit_earlier_attempts(&mut results, Some(&before), &BTreeSet::new());
        assert_eq!(results[&ana], InviteResult::AlreadyMember);
        assert_eq!(results[&bob], InviteResult::Invited);
        let mut results = Results::from([(ana.clone(), InviteResult::AlreadyMember)]);
        credit_earlier_attempts(&mut results, None, &BTreeSet::new());
        assert_eq!(results[&ana], InviteResult::AlreadyMember);
        credit_earlier_attempts(&mut results, None, &before);
        assert_eq!(results[&ana], InviteResult::Invited);
    }

    #[test]
    fn a_user_who_is_not_in_the_channel_was_not_invited() {
        let [ana, bob] = ["U1", "U2"].map(|id| SlackUserId(id.to_owned()));
        let nameless = UserError {
            user: None,
            error: "cant_invite".to_owned(),
        };
        let (mut results, _) = results_of(&[ana.clone(), bob.clone()], &[nameless]);
        correct_by_members(&mut results, &BTreeSet::from([ana.clone()]));
        assert_eq!(results[&ana], InviteResult::Invited);
        assert_eq!(
            results[&bob],
            InviteResult::Skipped(SkipReason::CannotInvite)
        );
    }

    #[test]
    fn a_user_without_an_error_was_invited() {
        let users = ["U1", "U2"].map(|id| SlackUserId(id.to_owned()));
        let (results, _) = results_of(&users, &[user_error("user_not_found")]);
        assert_eq!(results[&users[0]], InviteResult::UnknownId);
        assert_eq!(results[&users[1]], InviteResult::Invited);
    }

    #[test]
    fn a_user_without_a_result_is_a_bug_and_not_a_member() {
        let user = SlackUser {
            email: "ana@example.com".to_owned().try_into().unwrap(),
            id: SlackUserId("U1".to_owned()),
        };
        let bug = outcome(vec![user], &Results::new()).unwrap_err();
        assert_eq!(bug.name(), ErrorName::StepBug);
        assert!(!bug.to_string().contains("ana"));
    }
}
