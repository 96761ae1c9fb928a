use std::process::ExitCode;

use apgl_directory::People;
use apgl_runtime::{StartError, aws_config, run, setting, slack_client};
use apgl_stores::{SlackUsers, Table};
use aws_sdk_dynamodb::Client;
use resolve_users::{Deps, handle};

fn deps() -> Result<Deps, StartError> {
    let aws = aws_config()?;
    let table = Table::new(Client::new(&aws), setting("SLACK_USERS_TABLE")?);
    Ok(Deps {
        people: People {
            known: SlackUsers::new(table),
            slack: slack_client(&aws)?,
        },
    })
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    run("ResolveUsers", deps, async |deps, invocation, input| {
        handle(deps, &invocation, input).await
    })
    .await
}
