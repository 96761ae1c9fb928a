use std::process::ExitCode;

use check_request::handle;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    apgl_runtime::run(
        "CheckRequest",
        || Ok(()),
        async |(), _, input| handle(input),
    )
    .await
}
