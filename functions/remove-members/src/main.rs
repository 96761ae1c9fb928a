use std::process::ExitCode;

use apgl_directory::{Directory, People};
use apgl_runtime::{StartError, aws_config, run, setting, slack_client};
use apgl_stores::{Channels, SlackUsers, Table};
use aws_sdk_dynamodb::Client;
use remove_members::{Deps, handle};

fn deps() -> Result<Deps, StartError> {
    let aws = aws_config()?;
    let (dynamodb, slack) = (Client::new(&aws), slack_client(&aws)?);
    let channels = Table::new(dynamodb.clone(), setting("CHANNELS_TABLE")?);
    let slack_users = Table::new(dynamodb, setting("SLACK_USERS_TABLE")?);
    Ok(Deps {
        directory: Directory {
            channels: Channels::new(channels),
            slack: slack.clone(),
        },
        people: People {
            known: SlackUsers::new(slack_users),
            slack,
        },
    })
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    run("RemoveMembers", deps, async |deps, invocation, input| {
        handle(deps, &invocation, input).await
    })
    .await
}
