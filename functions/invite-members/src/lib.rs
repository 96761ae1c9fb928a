//! Invites those who are not in the channel yet, at most 100 at once.
//!
//! Who is known to be in the channel costs no Slack call: what Slack said is remembered in the
//! channel table. What happens to one user is an outcome and never stops the others.

mod fates;

use std::collections::BTreeSet;

use apgl_contract::{ChannelRef, Email, Run, Skipped, SlackUser, SlackUserId, StepError};
use apgl_slack::SlackClient;
use apgl_stores::Channels;
use serde::{Deserialize, Serialize};

use crate::fates::{Fate, Fates, fates_in, invited_earlier, outcome};

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

pub async fn handle(deps: &Deps, run: &Run, input: Input) -> Result<Outcome, StepError> {
    let Input { channel, users } = input;
    if users.is_empty() {
        return Ok(Outcome::default());
    }
    let present = present_members(deps, &channel).await?;
    // Sets: two addresses may belong to one user.
    let (there, missing): (BTreeSet<_>, BTreeSet<_>) = users
        .iter()
        .map(|user| user.id.clone())
        .partition(|id| present.contains(id));
    let missing: Vec<_> = missing.into_iter().collect();
    let earlier_look = earlier_look(deps, run, &channel, &there, &missing).await?;
    let mut fates: Fates = there
        .into_iter()
        .map(|id| (id, Fate::AlreadyMember))
        .collect();
    for batch in missing.chunks(INVITE_BATCH) {
        fates.extend(invite(deps, &channel, batch).await?);
    }
    if let Some(there_at_first) = earlier_look {
        invited_earlier(&mut fates, &there_at_first);
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

/// Whom an earlier attempt of this execution found in the channel, if there was one. Before the
/// first invitation it is kept for the attempts that may have to go on.
async fn earlier_look(
    deps: &Deps,
    run: &Run,
    channel: &ChannelRef,
    there: &BTreeSet<SlackUserId>,
    missing: &[SlackUserId],
) -> Result<Option<BTreeSet<SlackUserId>>, StepError> {
    let (channels, execution) = (&deps.channels, &run.execution_id);
    if missing.is_empty() {
        return channels.first_look(&channel.id, execution).await;
    }
    channels
        .keep_first_look(&channel.id, execution, there)
        .await
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
