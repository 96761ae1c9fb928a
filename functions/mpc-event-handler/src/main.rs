use std::{process::ExitCode, time::Duration};

use apgl_client::Client;
use apgl_runtime::{SetupError, flag, serve};
use mpc_event_handler::{Deps, handle};

/// The item, the channel's message and the direct messages are started one after the other, all within the function's 20
/// seconds.
const BUDGET: Duration = Duration::from_secs(6);

fn deps() -> Result<Deps, SetupError> {
    let client = Client::from_env("mpc-event").map_err(|error| SetupError::Client(error.into()))?;
    Ok(Deps {
        client: client.with_budget(BUDGET),
        direct_messages: flag("DIRECT_MESSAGES")?,
    })
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    serve("MpcEventHandler", deps, async |deps, event| {
        handle(deps, event.payload).await
    })
    .await
}
