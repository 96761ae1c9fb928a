use std::process::ExitCode;

use apgl_client::Client;
use apgl_runtime::{SetupError, flag, serve};
use mpc_event_handler::{Deps, handle};

fn deps() -> Result<Deps, SetupError> {
    let client = Client::from_env("mpc-event").map_err(|error| SetupError::Client(error.into()))?;
    Ok(Deps {
        client,
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
