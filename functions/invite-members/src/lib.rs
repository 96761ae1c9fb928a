//! Invites those who are not in the channel yet, at most 100 at once.
//!
//! Who is known to be in the channel costs no Slack call: what Slack said is remembered in the
//! channel table. What happens to one user is an outcome and never stops the others.

use std::collections::{BTreeSet, HashMap};

use apgl_contract::{
    ChannelRef, Email, Run, SkipReason, Skipped, SlackUser, SlackUserId, StepError,
};
use apgl_slack::{SlackClient, SlackError, UserError};
use apgl_stores::Channels;
use serde::{Deserialize, Serialize};

/// Slack's limit for one conversations.invite; it was 1,000 until 2025.
const INVITE_BATCH: usize = 100;

#[derive(Debug)]
pub struct Deps {
    pub slack: SlackClient,
    pub channels: Channels,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    pub channel: ChannelRef,
    pub users: Vec<SlackUser>,
}

#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    pub invited: Vec<Email>,
    pub already_members: Vec<Email>,
    pub skipped: Vec<Skipped>,
}

/// What became of one user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Invited,
    AlreadyMember,
    Skipped(SkipReason),
}

type Fates = HashMap<SlackUserId, Fate>;

pub async fn handle(deps: &Deps, run: &Run, input: Input) -> Result<Outcome, StepError> {
    let Input { channel, users } = input;
    if users.is_empty() {
        return Ok(Outcome::default());
    }
    let present = present_members(deps, &channel).await?;
    let (there, missing): (Vec<_>, Vec<_>) = users
        .iter()
        .map(|user| user.id.clone())
        .partition(|id| present.contains(id));
    let mut fates = fates_of_those_there(deps, run, &channel, there).await?;
    for batch in missing.chunks(INVITE_BATCH) {
        match invite(deps, &channel, batch).await {
            Ok(batch) => fates.extend(batch),
            Err(error) => {
                keep_progress(deps, run, &channel, &fates).await?;
                return Err(error);
            }
        }
    }
    let outcome = outcome(users, &fates);
    tracing::info!(
        channel.id = channel.id,
        members.invited = outcome.invited.len(),
        members.already = outcome.already_members.len(),
        members.skipped = outcome.skipped.len(),
        "invited members"
    );
    Ok(outcome)
}

/// Who is in the channel: those who are remembered, nobody in a new one, else those whom Slack names.
async fn present_members(
    deps: &Deps,
    channel: &ChannelRef,
) -> Result<BTreeSet<SlackUserId>, StepError> {
    if let Some(remembered) = deps.channels.members(&channel.id).await? {
        return Ok(remembered);
    }
    let members = if channel.created {
        BTreeSet::new()
    } else {
        members_in_slack(deps, channel).await?
    };
    deps.channels
        .remember_members(&channel.id, &members)
        .await?;
    Ok(members)
}

async fn members_in_slack(
    deps: &Deps,
    channel: &ChannelRef,
) -> Result<BTreeSet<SlackUserId>, StepError> {
    let mut members = BTreeSet::new();
    let mut cursor = None;
    loop {
        let page = deps
            .slack
            .conversations_members(&channel.id, cursor.as_deref())
            .await
            .map_err(|error| error.about_channel(&channel.name))?;
        members.extend(page.items.into_iter().map(SlackUserId));
        cursor = page.next_cursor;
        if cursor.is_none() {
            return Ok(members);
        }
    }
}

/// Who is there already may have been invited by an earlier attempt of this very execution.
async fn fates_of_those_there(
    deps: &Deps,
    run: &Run,
    channel: &ChannelRef,
    there: Vec<SlackUserId>,
) -> Result<Fates, StepError> {
    if there.is_empty() {
        return Ok(Fates::new());
    }
    let earlier = deps
        .channels
        .invited_so_far(&channel.id, &run.execution_id)
        .await?;
    let fate = |id: &SlackUserId| {
        if earlier.contains(id) {
            Fate::Invited
        } else {
            Fate::AlreadyMember
        }
    };
    Ok(there
        .into_iter()
        .map(|id| (id.clone(), fate(&id)))
        .collect())
}

async fn invite(
    deps: &Deps,
    channel: &ChannelRef,
    users: &[SlackUserId],
) -> Result<Fates, StepError> {
    let ids: Vec<String> = users.iter().map(|user| user.0.clone()).collect();
    let answer = match deps.slack.conversations_invite(&channel.id, &ids).await {
        Err(error)
            if error.rejected_code() == Some("not_in_channel")
                && !channel.visibility.is_private() =>
        {
            let joined = deps.slack.conversations_join(&channel.id).await;
            joined.map_err(|error| error.about_channel(&channel.name))?;
            deps.slack.conversations_invite(&channel.id, &ids).await
        }
        answer => answer,
    };
    let errors = answer
        .map_err(|error| error.about_channel(&channel.name))?
        .errors;
    let fates = fates_in(users, &errors)?;
    let members = fates
        .iter()
        .filter(|(_, fate)| !matches!(fate, Fate::Skipped(_)));
    let members = members.map(|(id, _)| id.clone()).collect();
    deps.channels.add_members(&channel.id, &members).await?;
    Ok(fates)
}

/// Who is not among Slack's errors was invited.
fn fates_in(users: &[SlackUserId], errors: &[UserError]) -> Result<Fates, StepError> {
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
        "user_not_found" => Fate::Skipped(SkipReason::NotInSlack),
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

/// So that the attempt that goes on can still tell whom this execution has invited.
async fn keep_progress(
    deps: &Deps,
    run: &Run,
    channel: &ChannelRef,
    fates: &Fates,
) -> Result<(), StepError> {
    let invited = invited(fates);
    if invited.is_empty() {
        return Ok(());
    }
    deps.channels
        .keep_invited(&channel.id, &run.execution_id, &invited)
        .await
}

fn invited(fates: &Fates) -> BTreeSet<SlackUserId> {
    fates
        .iter()
        .filter(|(_, fate)| **fate == Fate::Invited)
        .map(|(id, _)| id.clone())
        .collect()
}

/// In the order of the request.
fn outcome(users: Vec<SlackUser>, fates: &Fates) -> Outcome {
    let mut outcome = Outcome::default();
    for SlackUser { email, id } in users {
        match fates.get(&id) {
            Some(Fate::Invited) => outcome.invited.push(email),
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
    #[case("user_not_found", Ok(Fate::Skipped(SkipReason::NotInSlack)))]
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
    fn who_is_not_among_the_errors_was_invited() {
        let users = ["U1", "U2"].map(|id| SlackUserId(id.to_owned()));
        let fates = fates_in(&users, &[user_error("user_not_found")]).unwrap();
        assert_eq!(fates[&users[0]], Fate::Skipped(SkipReason::NotInSlack));
        assert_eq!(fates[&users[1]], Fate::Invited);
    }
}
