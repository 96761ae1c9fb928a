use std::process::ExitCode;

use apgl_directory::Directory;
use apgl_runtime::{StartError, aws_config, run, setting, slack_client};
use apgl_stores::{Channels, Table};
use archive_channel::{Deps, handle};
use aws_sdk_dynamodb::Client;

fn deps() -> Result<Deps, StartError> {
    let aws = aws_config()?;
    let table = Table::new(Client::new(&aws), setting("CHANNELS_TABLE")?);
    Ok(Deps {
        directory: Directory {
            channels: Channels::new(table),
            slack: slack_client(&aws)?,
        },
    })
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    run("ArchiveChannel", deps, async |deps, _, input| {
        handle(deps, input).await
    })
    .await
}
