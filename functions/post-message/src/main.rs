use std::process::ExitCode;

use apgl_directory::Directory;
use apgl_runtime::{StartError, aws_config, run, setting, slack_client};
use apgl_stores::{Channels, Deliveries, Table};
use aws_sdk_dynamodb::Client;
use post_message::{Deps, handle};

fn deps() -> Result<Deps, StartError> {
    let aws = aws_config()?;
    let dynamodb = Client::new(&aws);
    let channels = Table::new(dynamodb.clone(), setting("CHANNELS_TABLE")?);
    let deliveries = Table::new(dynamodb, setting("DELIVERIES_TABLE")?);
    Ok(Deps {
        directory: Directory {
            channels: Channels::new(channels),
            slack: slack_client(&aws)?,
        },
        deliveries: Deliveries::new(deliveries),
    })
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    run("PostMessage", deps, async |deps, invocation, input| {
        handle(deps, &invocation, input).await
    })
    .await
}
