use std::process::ExitCode;

use apgl_runtime::{StartError, aws_config, run, setting, slack_client};
use apgl_stores::{Deliveries, Table};
use aws_sdk_dynamodb::Client;
use post_message::{Deps, handle};

fn deps() -> Result<Deps, StartError> {
    let aws = aws_config()?;
    let table = Table::new(Client::new(&aws), setting("DELIVERIES_TABLE")?);
    Ok(Deps {
        slack: slack_client(&aws)?,
        deliveries: Deliveries::new(table),
    })
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    run("PostMessage", deps, async |deps, invocation, input| {
        handle(deps, &invocation, input).await
    })
    .await
}
