//! How one channel comes of many executions that need it at the same time.
//!
//! 1. The table knows the channel: done.
//! 2. Nobody has claimed the name: this execution claims it and creates the channel.
//! 3. Another execution has claimed it: this one waits, until the other has created the channel. If the other
//!    waits for its time to call Slack, it keeps its claim, and nobody else takes a call from the quota.
//! 4. Slack says that the name is taken: everybody may look for the channel, by the one scan that serves all.
//!
//! An attempt whose outcome is unknown leaves its claim. The execution's next attempt recognises the channel as
//! its own, whoever found it.

use std::time::{Duration, SystemTime};

use apgl_contract::{Recovery, StepError};
use apgl_directory::Found;
use apgl_stores::{Claims, Creation, CreationClaim};

/// How long an execution sleeps before it looks for the channel that another one is creating.
const CREATION_WAIT: Duration = Duration::from_secs(2);

/// One name in Slack and in the table: the real ones, or those of a simulation.
#[expect(
    async_fn_in_trait,
    reason = "a Lambda function runs on one thread, so nobody needs the futures to be Send"
)]
pub trait Workspace: Claims {
    fn name(&self) -> String;

    fn now(&self) -> SystemTime;

    /// How long a time of Slack's lasts in the time of day.
    fn lasts(&self, slack_time: Duration) -> Duration;

    /// How long a duration of the time of day is in Slack's time.
    fn in_slack(&self, duration: Duration) -> Duration;

    /// The channel that the table knows, and the claim on creating one.
    async fn known(&self) -> Result<(Option<Found>, Option<CreationClaim>), StepError>;

    /// Creates the channel; `None` where the name is taken.
    async fn create(&self) -> Result<Option<Found>, StepError>;

    /// Finds the channel by a scan that began at `since` or later.
    async fn find_by_scan(&self, since: SystemTime) -> Result<Option<Found>, StepError>;

    /// The channel, as made by this execution if it came into being after `since`.
    async fn recognise(&self, found: Found, since: SystemTime) -> Result<Found, StepError>;
}

/// The channel, for the execution `execution_id`.
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
    // Between the look and the claim another execution may have finished.
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

/// The channel is there, so this execution's claim ends.
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

/// What is left of a claim when the creation has failed.
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
        // The channel may have been created: the next attempt must know since when.
        error if error.name().recovery() == Recovery::Transient => Some(claim.clone()),
        _ => uncertain_since.map(|since| claim.released(since, workspace.now())),
    }
}

/// Finds the channel whose name is taken. Nobody holds the claim meanwhile.
async fn adopt(
    workspace: &impl Workspace,
    execution_id: &str,
    taken: &CreationClaim,
) -> Result<Found, StepError> {
    let since = taken.name_taken_at.unwrap_or_else(|| workspace.now());
    let found = workspace.find_by_scan(since).await?;
    let uncertain_since = taken.uncertain_attempt_of(execution_id);
    let found = match found {
        Some(found) => Ok(recognise(workspace, found, uncertain_since).await?),
        None => Err(StepError::ChannelNameTaken {
            channel: workspace.name(),
            holder: "by a private channel that the bot is not a member of; invite the bot to it, or use another name",
        }),
    };
    // The owner of an uncertain attempt must still find its claim.
    if taken.uncertain_since == uncertain_since {
        workspace.replace(Some(taken), None).await?.ok();
    }
    found
}

/// The channel is this execution's own if an attempt of it made the channel and was not told so.
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
