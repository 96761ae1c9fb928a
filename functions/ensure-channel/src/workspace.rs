//! The [`protocol::Workspace`] of production: one channel name in Slack and in the channel table.

use std::time::{Duration, SystemTime};

use apgl_contract::{Invocation, StepError};
use apgl_directory::Found;
use apgl_stores::{Channel, Claims, ClaimsOn, CreationClaim};

use crate::{Deps, Input, protocol};

/// How long nobody asks Slack again whether the name is still taken.
const NAME_TAKEN_TRUST: Duration = Duration::from_mins(1);

pub(crate) struct Workspace<'a> {
    deps: &'a Deps,
    invocation: &'a Invocation,
    input: &'a Input,
}

impl<'a> Workspace<'a> {
    pub fn new(deps: &'a Deps, invocation: &'a Invocation, input: &'a Input) -> Self {
        Self {
            deps,
            invocation,
            input,
        }
    }

    fn can_use(&self, channel: &Channel) -> bool {
        let allow_externally_shared = self.deps.allow_externally_shared;
        let reason = self
            .input
            .reason_not_to_use(channel, allow_externally_shared);
        reason.is_none()
    }
}

impl Claims for Workspace<'_> {
    async fn replace(
        &self,
        expected: Option<&CreationClaim>,
        claim: Option<&CreationClaim>,
    ) -> Result<Result<(), Option<CreationClaim>>, StepError> {
        let claims = ClaimsOn {
            channels: &self.deps.directory.channels,
            name: &self.input.channel_name,
        };
        claims.replace(expected, claim).await
    }
}

impl protocol::Workspace for Workspace<'_> {
    fn name(&self) -> String {
        self.input.channel_name.to_string()
    }

    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn lasts(&self, slack_time: Duration) -> Duration {
        self.deps.clock.lasts(slack_time)
    }

    fn in_slack(&self, duration: Duration) -> Duration {
        self.deps.clock.in_slack(duration)
    }

    async fn known(&self) -> Result<(Option<Found>, Option<CreationClaim>), StepError> {
        let (directory, name) = (&self.deps.directory, &self.input.channel_name);
        directory
            .known_or_claimed(name, self.invocation, |channel| self.can_use(channel))
            .await
    }

    fn asks_again(&self, refused_at: SystemTime) -> bool {
        let age = refused_at.elapsed().unwrap_or_default();
        let redriven_at = self.invocation.run.redriven_at();
        age > NAME_TAKEN_TRUST || redriven_at.is_some_and(|at| refused_at < at)
    }

    async fn create(&self) -> Result<Option<Found>, StepError> {
        let (directory, name) = (&self.deps.directory, &self.input.channel_name);
        if !name.can_be_created() {
            // Only a scan can find it.
            return Ok(None);
        }
        let execution_id = &self.invocation.run.execution_id;
        directory
            .create(name, self.input.visibility, execution_id)
            .await
    }

    async fn find_by_scan(&self, since: SystemTime) -> Result<Option<Found>, StepError> {
        let (directory, name) = (&self.deps.directory, &self.input.channel_name);
        let found = directory
            .find_by_scan(name, self.invocation, since, |channel| {
                self.can_use(channel)
            })
            .await?;
        if let Some(found) = &found {
            let id = &found.channel.id;
            tracing::info!(channel.name = %name, channel.id = id, "found the channel in Slack");
        }
        Ok(found)
    }

    async fn recognise(&self, found: Found, since: SystemTime) -> Result<Found, StepError> {
        let (directory, name) = (&self.deps.directory, &self.input.channel_name);
        let execution_id = &self.invocation.run.execution_id;
        directory.recognise(name, found, since, execution_id).await
    }
}
