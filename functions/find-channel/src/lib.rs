//! The channel of a name, or that there is none.

use apgl_contract::{ChannelName, ChannelRef, StepError, Visibility};
use apgl_directory::Directory;
use apgl_stores::Channel;
use serde::{Deserialize, Serialize};

#[derive(Debug)]
pub struct Deps {
    pub directory: Directory,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Input {
    pub channel_name: ChannelName,
    /// The only visibility that counts: a channel of the other one is none for this request.
    pub visibility: Option<Visibility>,
    /// Whether a workflow can't go on without an active channel.
    #[serde(default)]
    pub required: bool,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    pub channel: Option<ChannelRef>,
}

pub async fn handle(deps: &Deps, input: Input) -> Result<Outcome, StepError> {
    let found = deps.directory.find(&input.channel_name).await?;
    tracing::info!(
        channel.name = %input.channel_name,
        channel.id = found.as_ref().map(|channel| channel.id.as_str()),
        "looked for the channel"
    );
    outcome(found, &input)
}

fn outcome(found: Option<Channel>, input: &Input) -> Result<Outcome, StepError> {
    let not_found = |hint| StepError::ChannelNotFound {
        channel: input.channel_name.to_string(),
        hint,
    };
    let wrong_visibility = |channel: &Channel| {
        input
            .visibility
            .is_some_and(|wanted| wanted != channel.visibility)
    };
    match found {
        None if input.required => Err(not_found(
            "create it, or invite the bot to it if it is private",
        )),
        Some(channel) if wrong_visibility(&channel) && input.required => {
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
        Some(channel) if !wrong_visibility(&channel) => Ok(Outcome {
            channel: Some(channel.to_ref(false)),
        }),
        _ => Ok(Outcome { channel: None }),
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
            created_by: None,
        }
    }

    fn input(required: bool) -> Input {
        Input {
            channel_name: ChannelName::try_from("x".to_owned()).unwrap(),
            visibility: Some(Visibility::Public),
            required,
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
    fn a_required_channel_is_there_active_and_of_the_wanted_visibility(
        #[case] found: Option<Channel>,
        #[case] expected: Result<bool, ErrorName>,
    ) {
        let found = outcome(found, &input(true));
        assert_eq!(
            found.map(|o| o.channel.is_some()).map_err(|e| e.name()),
            expected
        );
    }

    #[rstest]
    #[case(None, false)]
    #[case(Some(channel(Visibility::Private, false)), false)]
    #[case(Some(channel(Visibility::Public, false)), true)]
    fn a_channel_that_is_not_required_may_be_none(
        #[case] found: Option<Channel>,
        #[case] expected: bool,
    ) {
        assert_eq!(
            outcome(found, &input(false)).unwrap().channel.is_some(),
            expected
        );
    }
}
