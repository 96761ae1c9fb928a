//! Finds the channel with a name, or reports that there is no such channel.

use std::{sync::Arc, time::UNIX_EPOCH};

use apgl_contract::{ChannelName, ChannelRef, Invocation, StepError, Visibility};
use apgl_directory::Directory;
use apgl_runtime::SettingError;
use apgl_slack::{LimitedBy, RateLimiter, SlackClient};
use apgl_stores::Channel;
use aws_types::SdkConfig;
use serde::{Deserialize, Serialize};

#[derive(Debug)]
pub struct Deps {
    pub directory: Directory,
}

impl Deps {
    pub fn from_env(aws: &SdkConfig, slack: SlackClient) -> Result<Self, SettingError> {
        Ok(Self {
            directory: Directory::from_env(aws, slack)?,
        })
    }
}

impl LimitedBy for Deps {
    fn limited_by(&self, limiter: &Arc<dyn RateLimiter>) -> Self {
        Self {
            directory: self.directory.limited_by(limiter),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Input {
    pub channel_name: ChannelName,
    /// If set, a channel with the other visibility is treated as not found.
    pub visibility: Option<Visibility>,
    /// Whether the step fails if there is no active channel.
    #[serde(default)]
    pub required: bool,
    /// Whether to ask Slack even if our table has the channel.
    #[serde(default)]
    pub verify: bool,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    pub exists: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<ChannelRef>,
}

pub async fn handle(
    deps: &Deps,
    invocation: &Invocation,
    input: Input,
) -> Result<Outcome, StepError> {
    let usable = |channel: &Channel| {
        !input.verify && !channel.archived && input.is_wanted(channel.visibility)
    };
    // Whoever asks whether a channel exists is not answered with what was learnt long before.
    let not_before = if input.verify {
        deps.directory.trusted_at_start(&invocation.run)
    } else {
        UNIX_EPOCH
    };
    let found = deps
        .directory
        .find(&input.channel_name, invocation, not_before, usable)
        .await?
        .map(|found| found.channel);
    tracing::info!(
        channel.name = %input.channel_name,
        channel.id = found.as_ref().map(|channel| channel.id.as_str()),
        "looked for the channel"
    );
    outcome(found, &input)
}

impl Input {
    fn is_wanted(&self, visibility: Visibility) -> bool {
        self.visibility.is_none_or(|wanted| wanted == visibility)
    }
}

fn outcome(found: Option<Channel>, input: &Input) -> Result<Outcome, StepError> {
    let not_found = |hint| StepError::ChannelNotFound {
        channel: input.channel_name.to_string(),
        hint,
    };
    match found {
        None if input.required => Err(not_found(
            "create it, or, if it is private, invite the bot to it (a person must unarchive it first if it is archived)",
        )),
        Some(channel) if !input.is_wanted(channel.visibility) && input.required => {
            Err(not_found(match channel.visibility {
                Visibility::Public => {
                    "a public channel has this name, and the request is for a private one"
                }
                Visibility::Private => {
                    "a private channel has this name, and the request is for a public one"
                }
            }))
        }
        Some(channel) if channel.archived && input.required => Err(StepError::ChannelArchived {
            channel: channel.name,
        }),
        found => {
            let found = found.filter(|channel| input.is_wanted(channel.visibility));
            Ok(Outcome {
                exists: found.is_some(),
                channel: found.map(|channel| channel.to_ref(false)),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use apgl_contract::ErrorName;
    use rstest::rstest;

    use super::*;

    fn channel(visibility: Visibility, archived: bool) -> Channel {
        Channel {
            name: "x".to_owned(),
            id: "C1".to_owned(),
            visibility,
            archived,
            externally_shared: false,
            ours: None,
            confirmed_at: UNIX_EPOCH,
        }
    }

    fn input(required: bool) -> Input {
        Input {
            channel_name: ChannelName::try_from("x".to_owned()).unwrap(),
            visibility: Some(Visibility::Public),
            required,
            verify: false,
        }
    }

    #[rstest]
    #[case(None, Err(ErrorName::ChannelNotFound))]
    #[case(
        Some(channel(Visibility::Private, false)),
        Err(ErrorName::ChannelNotFound)
    )]
    #[case(
        Some(channel(Visibility::Public, true)),
        Err(ErrorName::ChannelArchived)
    )]
    #[case(Some(channel(Visibility::Public, false)), Ok(true))]
    fn a_required_channel_exists_is_active_and_has_the_wanted_visibility(
        #[case] found: Option<Channel>,
        #[case] expected: Result<bool, ErrorName>,
    ) {
        let found = outcome(found, &input(true));
        assert_eq!(found.map(|o| o.exists).map_err(|e| e.name()), expected);
    }

    #[rstest]
    #[case(None, false)]
    #[case(Some(channel(Visibility::Private, false)), false)]
    #[case(Some(channel(Visibility::Public, false)), true)]
    #[case(Some(channel(Visibility::Public, true)), true)]
    fn an_optional_channel_may_be_missing(#[case] found: Option<Channel>, #[case] expected: bool) {
        let outcome = outcome(found, &input(false)).unwrap();
        assert_eq!(
            (outcome.exists, outcome.channel.is_some()),
            (expected, expected)
        );
    }
}
