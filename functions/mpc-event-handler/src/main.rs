use std::process::ExitCode;

use apgl_client::Client;
use apgl_runtime::{StartError, serve};
use mpc_event_handler::handle;

fn client() -> Result<Client, StartError> {
    Client::from_env("mpc-event").map_err(|error| StartError::Client(error.into()))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    serve("MpcEventHandler", client, async |client, event| {
        handle(client, event.payload).await
    })
    .await
}
