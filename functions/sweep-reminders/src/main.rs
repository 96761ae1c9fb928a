use std::{process::ExitCode, time::Duration};

use apgl_client::Client;
use apgl_runtime::{SetupError, aws_config, serve};
use sweep_reminders::{Deps, handle};

/// For one start.
const BUDGET: Duration = Duration::from_secs(20);

fn deps() -> Result<Deps, SetupError> {
    let client = Client::from_env("sweep").map_err(|error| SetupError::Client(error.into()))?;
    Ok(Deps::from_env(&aws_config()?, client.with_budget(BUDGET))?)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    serve("SweepReminders", deps, async |deps, _event| {
        handle(deps).await
    })
    .await
}
