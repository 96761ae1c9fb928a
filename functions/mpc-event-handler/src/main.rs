use std::process::ExitCode;

use apgl_client::Client;
use apgl_runtime::{SetupError, serve};
use mpc_event_handler::handle;

fn client() -> Result<Client, SetupError> {
    Client::from_env("mpc-event").map_err(|error| SetupError::Client(error.into()))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    serve("MpcEventHandler", client, async |client, event| {
        handle(client, event.payload).await
    })
    .await
}
