use std::process::ExitCode;

use check_request::{Deps, handle};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    apgl_runtime::run(
        "CheckRequest",
        || Ok(Deps::from_env()?),
        async |deps, _, input| handle(deps, input),
    )
    .await
}
