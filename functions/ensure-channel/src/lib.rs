//! The channel of a name, created if it is missing.
//!
//! Slack's conversations.create is not safe for two at once: both can succeed, with two ids. So a
//! channel's creation is claimed in the channel table first.

use std::time::{Duration, SystemTime};

use apgl_contract::{
    ChannelName, ChannelRef, ChannelText, Invocation, Kind, StepError, Visibility,
};
use apgl_directory::{Directory, Found};
use apgl_slack::SlackClient;
use apgl_stores::{Channel, Creation};
use serde::{Deserialize, Serialize};

/// How long a creation may take: longer than the function's own time-out, so that nobody else
/// creates the channel while this one may still be at it.
const CREATION_LEASE: Duration = Duration::from_secs(45);
/// How long an execution sleeps before it looks for the channel that another one is creating.
const CREATION_WAIT: Duration = Duration::from_secs(2);
/// How long Slack's word that a name is taken counts: a scan of a large workspace fits in.
const NAME_TAKEN_MAX_AGE: Duration = Duration::from_mins(30);
/// What a topic or a purpose takes at most.
const TIME_TO_DESCRIBE: Duration = SlackClient::CALL_TIMEOUT;

#[derive(Debug)]
pub struct Deps {
    pub directory: Directory,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Input {
    pub channel_name: ChannelName,
    /// What the channel is created as.
    pub visibility: Visibility,
    /// Whether a channel that is there must be of this visibility: what is meant for a private channel
    /// never goes to a public one of the same name.
    #[serde(default)]
    pub require_visibility: bool,
    /// What a channel is given that this execution creates.
    pub topic: Option<ChannelText>,
    pub purpose: Option<ChannelText>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    pub channel: ChannelRef,
}

pub async fn handle(
    deps: &Deps,
    invocation: &Invocation,
    input: Input,
) -> Result<Outcome, StepError> {
    let usable = |channel: &Channel| input.can_use(channel);
    let found = match deps.directory.known(&input.channel_name, usable).await? {
        Some(found) => found,
        None => create(deps, invocation, &input).await?,
    };
    // The lines that follow say which channel they are about.
    tracing::Span::current().record("channel.id", &found.channel.id);
    let channel = usable_channel(&found, invocation, &input)?;
    if channel.created {
        describe(deps, invocation, &input, &channel).await?;
    }
    Ok(Outcome { channel })
}

impl Input {
    fn can_use(&self, channel: &Channel) -> bool {
        !channel.archived && (!self.require_visibility || channel.visibility == self.visibility)
    }
}

/// Creates the channel, while nobody else does.
async fn create(deps: &Deps, invocation: &Invocation, input: &Input) -> Result<Found, StepError> {
    let (channels, execution_id) = (&deps.directory.channels, &invocation.run.execution_id);
    let claim = channels
        .claim_creation(&input.channel_name, execution_id, CREATION_LEASE)
        .await?;
    let Creation::Mine {
        unfinished_since,
        name_taken_at,
    } = claim
    else {
        return Err(StepError::ChannelBeingCreated {
            channel: input.channel_name.to_string(),
            retry_after: CREATION_WAIT,
        });
    };
    let attempt = Attempt {
        deps,
        invocation,
        input,
        unfinished_since,
    };
    let taken_since = name_taken_at.filter(|since| SystemTime::now() < *since + NAME_TAKEN_MAX_AGE);
    let made = attempt.create_unless_taken(taken_since).await;
    let (found, goes_on) = match made {
        Ok(Made::Found(found)) => (Ok(found), false),
        Ok(Made::NameTaken { since }) => {
            let adopted = attempt.adopt(since).await;
            let goes_on = adopted
                .as_ref()
                .is_err_and(|error| matches!(error.name().kind(), Kind::Passing | Kind::Waiting));
            (adopted, goes_on)
        }
        Err(error) => {
            let may_have_created = error.name().kind() == Kind::Passing;
            (Err(error), may_have_created)
        }
    };
    // A claim that stays tells the next attempt what this one has begun.
    if !goes_on {
        channels
            .release_creation(&input.channel_name, execution_id)
            .await?;
    }
    found
}

/// How far an attempt to create a channel came.
enum Made {
    Found(Found),
    /// Slack does not say whose the name is.
    NameTaken {
        since: SystemTime,
    },
}

/// An attempt to create a channel, by who holds the claim on it.
struct Attempt<'a> {
    deps: &'a Deps,
    invocation: &'a Invocation,
    input: &'a Input,
    /// When an attempt of this execution began that may have created the channel.
    unfinished_since: Option<SystemTime>,
}

impl Attempt<'_> {
    async fn create_unless_taken(
        &self,
        taken_since: Option<SystemTime>,
    ) -> Result<Made, StepError> {
        let (directory, name) = (&self.deps.directory, &self.input.channel_name);
        let execution_id = &self.invocation.run.execution_id;
        // Between the look and the claim another execution may have finished.
        let usable = |channel: &Channel| self.input.can_use(channel);
        if let Some(known) = directory.known(name, usable).await? {
            return Ok(Made::Found(known));
        }
        if let Some(since) = taken_since {
            return Ok(Made::NameTaken { since });
        }
        let created = directory.create(name, self.input.visibility, execution_id);
        match created.await {
            Err(error) if error.rejected_code() == Some("name_taken") => {
                let since = directory
                    .channels
                    .name_is_taken(name, execution_id, self.unfinished_since)
                    .await?;
                Ok(Made::NameTaken { since })
            }
            created => Ok(Made::Found(created?)),
        }
    }

    /// Finds the channel that has had the name since `since` at the latest.
    async fn adopt(&self, since: SystemTime) -> Result<Found, StepError> {
        let (directory, name) = (&self.deps.directory, &self.input.channel_name);
        let usable = |channel: &Channel| self.input.can_use(channel);
        let found = directory
            .find_by_scan(name, self.invocation, since, usable)
            .await?;
        let Some(found) = found else {
            return Err(StepError::ChannelNameTaken {
                channel: name.to_string(),
                holder: "by a private channel that the bot is not a member of; invite the bot to it, or use another name",
            });
        };
        tracing::info!(
            channel.name = %name,
            channel.id = found.channel.id,
            "found the channel in Slack"
        );
        match self.unfinished_since {
            None => Ok(found),
            Some(since) => {
                let execution_id = &self.invocation.run.execution_id;
                directory.recognise(name, found, since, execution_id).await
            }
        }
    }
}

fn usable_channel(
    found: &Found,
    invocation: &Invocation,
    input: &Input,
) -> Result<ChannelRef, StepError> {
    let channel = &found.channel;
    let taken = |holder| StepError::ChannelNameTaken {
        channel: channel.name.clone(),
        holder,
    };
    if channel.archived {
        return Err(taken(
            "by an archived channel; unarchive it in Slack, to use it or to rename it, or use another name",
        ));
    }
    let is_other = channel.visibility != input.visibility;
    if is_other && input.require_visibility {
        return Err(taken(match channel.visibility {
            Visibility::Public => "by a public channel; use another name",
            Visibility::Private => "by a private channel; use another name",
        }));
    }
    Ok(ChannelRef {
        requested_visibility: is_other.then_some(input.visibility),
        ..channel.to_ref(found.is_created_by(&invocation.run.execution_id))
    })
}

/// Gives the new channel its topic and purpose. A second time changes nothing.
async fn describe(
    deps: &Deps,
    invocation: &Invocation,
    input: &Input,
    channel: &ChannelRef,
) -> Result<(), StepError> {
    let (directory, slack) = (&deps.directory, &deps.directory.slack);
    let what = "the channel's topic and purpose";
    if let Some(topic) = &input.topic {
        invocation.need_time_for(TIME_TO_DESCRIBE, what)?;
        let set = slack.conversations_set_topic(&channel.id, topic.as_str());
        if let Err(error) = set.await {
            return Err(directory.learn(channel, error).await);
        }
        tracing::info!("set the channel's topic");
    }
    if let Some(purpose) = &input.purpose {
        invocation.need_time_for(TIME_TO_DESCRIBE, what)?;
        let set = slack.conversations_set_purpose(&channel.id, purpose.as_str());
        if let Err(error) = set.await {
            return Err(directory.learn(channel, error).await);
        }
        tracing::info!("set the channel's purpose");
    }
    Ok(())
}
