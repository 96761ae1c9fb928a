use std::process::ExitCode;

use apgl_client::Client;
use apgl_runtime::{SetupError, serve};
use lambda_runtime::Diagnostic;
use mpc_request_handler::handle;

fn client() -> Result<Client, SetupError> {
    Client::from_env("mpc-request").map_err(|error| SetupError::Client(error.into()))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    serve("MpcRequestHandler", client, async |client, event| {
        Ok::<_, Diagnostic>(handle(client, event.payload).await)
    })
    .await
}
