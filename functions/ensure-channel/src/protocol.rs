//! Creates one channel when many executions need it at the same time.
//!
//! 1. If the table has the channel, the step is done.
//! 2. If no execution has claimed the name, this execution claims it and creates the channel.
//! 3. If another execution has claimed the name, this execution waits until the other one has created the channel.
//!    While the owner waits for Slack's rate limit, it keeps its claim, so no other execution takes a call from the
//!    quota.
//! 4. If Slack says that the name is taken, the claim ends and every execution may look for the channel. They all
//!    share one scan. If it finds no such channel, one execution tries once more to create it, because the name may
//!    be free by now. If Slack refuses it again, all who waited for the scan end.
//!
//! An attempt with an unknown outcome leaves its claim behind. By this claim the execution's next attempt recognises
//! the channel as its own, even if another execution found it first.

use std::time::{Duration, SystemTime};

use apgl_contract::{Recovery, StepError};
use apgl_directory::Found;
use apgl_stores::{Claims, Creation, CreationClaim};

/// How long an execution waits before it looks for the channel that another execution is creating.
const CREATION_WAIT: Duration = Duration::from_secs(2);
/// How long the claim of an execution with an uncertain attempt is kept for it after Slack has said that the name is
/// taken, if no scan finds the channel.
const OWNER_RETURNS_WITHIN: Duration = Duration::from_mins(30);

/// One channel name in Slack and in the table. Production and the simulation each implement it.
#[expect(
    async_fn_in_trait,
    reason = "a Lambda function runs on one thread, so the futures need not be Send"
)]
pub trait Workspace: Claims {
    fn name(&self) -> String;

    fn now(&self) -> SystemTime;

    /// Converts a duration in Slack's time to real time.
    fn lasts(&self, slack_time: Duration) -> Duration;

    /// Converts a duration in real time to Slack's time.
    fn in_slack(&self, duration: Duration) -> Duration;

    /// Whether to ask Slack again for a name that it refused at this time.
    fn asks_again(&self, refused_at: SystemTime) -> bool;

    /// Reads the channel and the creation claim from the table.
    async fn known(&self) -> Result<(Option<Found>, Option<CreationClaim>), StepError>;

    /// Creates the channel. Returns `None` if the name is taken.
    async fn create(&self) -> Result<Option<Found>, StepError>;

    /// Finds the channel with a scan that began at `since` or later.
    async fn find_by_scan(&self, since: SystemTime) -> Result<Option<Found>, StepError>;

    /// Marks the channel as created by this execution if it was created after `since`.
    async fn recognise(&self, found: Found, since: SystemTime) -> Result<Found, StepError>;
}

/// Returns the channel for the execution `execution_id`. Creates it if necessary.
pub async fn ensure(workspace: &impl Workspace, execution_id: &str) -> Result<Found, StepError> {
    let (found, claim) = workspace.known().await?;
    if let Some(found) = found {
        let uncertain = claim.filter(|claim| claim.uncertain_attempt_of(execution_id).is_some());
        let Some(claim) = uncertain else {
            return Ok(found);
        };
        return finish(workspace, found, &claim, claim.uncertain_since).await;
    }
    match workspace
        .claim(claim, execution_id, workspace.now())
        .await?
    {
        Creation::Mine {
            claim,
            uncertain_since,
        } => create(workspace, claim, uncertain_since).await,
        Creation::NameTaken(claim) => adopt(workspace, execution_id, &claim).await,
        Creation::Theirs { waits_until } => {
            let until = waits_until.and_then(|until| until.duration_since(workspace.now()).ok());
            Err(StepError::ChannelBeingCreated {
                channel: workspace.name(),
                retry_after: workspace.in_slack(until.unwrap_or_default()) + CREATION_WAIT,
            })
        }
    }
}

/// Creates the channel that this execution has claimed.
async fn create(
    workspace: &impl Workspace,
    claim: CreationClaim,
    uncertain_since: Option<SystemTime>,
) -> Result<Found, StepError> {
    // Another execution may have created the channel after the first look and before the claim.
    let created = match workspace.known().await {
        Ok((None, _)) => workspace.create().await,
        known => known.map(|(found, _)| found),
    };
    match created {
        Ok(Some(found)) => finish(workspace, found, &claim, uncertain_since).await,
        Ok(None) => {
            let taken = claim.name_taken(uncertain_since, workspace.now());
            workspace.replace(Some(&claim), Some(&taken)).await?.ok();
            adopt(workspace, &claim.owner, &taken).await
        }
        Err(error) => {
            let left = claim_after(&error, &claim, uncertain_since, workspace);
            workspace.replace(Some(&claim), left.as_ref()).await?.ok();
            Err(error)
        }
    }
}

/// Ends this execution's claim, because the channel exists.
async fn finish(
    workspace: &impl Workspace,
    found: Found,
    claim: &CreationClaim,
    uncertain_since: Option<SystemTime>,
) -> Result<Found, StepError> {
    let found = recognise(workspace, found, uncertain_since).await?;
    workspace.replace(Some(claim), None).await?.ok();
    Ok(found)
}

/// The claim that remains after a failed creation.
fn claim_after(
    error: &StepError,
    claim: &CreationClaim,
    uncertain_since: Option<SystemTime>,
    workspace: &impl Workspace,
) -> Option<CreationClaim> {
    match error {
        StepError::SlackRateLimited { retry_after, .. } => {
            let until = workspace.now() + workspace.lasts(*retry_after);
            Some(claim.waiting(uncertain_since, until))
        }
        // Slack may have created the channel. The claim tells the next attempt when this one began.
        error if error.name().recovery() == Recovery::Transient => Some(claim.clone()),
        _ => uncertain_since.map(|since| claim.released(since, workspace.now())),
    }
}

/// Finds the channel that has the name already. Meanwhile no execution holds the claim.
async fn adopt(
    workspace: &impl Workspace,
    execution_id: &str,
    taken: &CreationClaim,
) -> Result<Found, StepError> {
    let since = taken.name_taken_at.unwrap_or_else(|| workspace.now());
    let found = workspace.find_by_scan(since).await?;
    let uncertain_since = taken.uncertain_attempt_of(execution_id);
    // If another execution has an uncertain attempt, it must still find its claim.
    let is_nobody_elses = taken.uncertain_since == uncertain_since;
    let Some(found) = found else {
        let is_abandoned = workspace.now() > since + OWNER_RETURNS_WITHIN;
        let refused_at = taken.refused_again_at.unwrap_or(since);
        if (is_nobody_elses || is_abandoned) && workspace.asks_again(refused_at) {
            return ask_again(workspace, execution_id, taken).await;
        }
        if is_nobody_elses && taken.refused_again_at.is_none() {
            workspace.replace(Some(taken), None).await?.ok();
        }
        return Err(name_taken(workspace));
    };
    let found = recognise(workspace, found, uncertain_since).await?;
    if is_nobody_elses {
        workspace.replace(Some(taken), None).await?.ok();
    }
    Ok(found)
}

/// Tries once more to create the channel, after a scan has not found the channel that had the name.
async fn ask_again(
    workspace: &impl Workspace,
    execution_id: &str,
    taken: &CreationClaim,
) -> Result<Found, StepError> {
    let uncertain_since = taken.uncertain_attempt_of(execution_id);
    let claim = taken.claimed_again(execution_id, workspace.now());
    if workspace.replace(Some(taken), Some(&claim)).await?.is_err() {
        return Err(StepError::ChannelBeingCreated {
            channel: workspace.name(),
            retry_after: CREATION_WAIT,
        });
    }
    match workspace.create().await {
        Ok(Some(found)) => finish(workspace, found, &claim, uncertain_since).await,
        Ok(None) => {
            let refused = taken.refused_again(workspace.now());
            workspace.replace(Some(&claim), Some(&refused)).await?.ok();
            Err(name_taken(workspace))
        }
        Err(error) => {
            let left = claim_after(&error, &claim, uncertain_since, workspace);
            workspace.replace(Some(&claim), left.as_ref()).await?.ok();
            Err(error)
        }
    }
}

fn name_taken(workspace: &impl Workspace) -> StepError {
    StepError::ChannelNameTaken {
        channel: workspace.name(),
        holder: "by a private channel that the bot is not a member of; invite the bot to it (a person must \
                 unarchive it first if it is archived), or use another name",
    }
}

/// Recognises a channel that an earlier attempt of this execution created without getting Slack's response.
async fn recognise(
    workspace: &impl Workspace,
    found: Found,
    uncertain_since: Option<SystemTime>,
) -> Result<Found, StepError> {
    match uncertain_since {
        Some(since) if found.created_by.is_none() => workspace.recognise(found, since).await,
        _ => Ok(found),
    }
}
