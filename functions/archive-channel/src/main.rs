use std::process::ExitCode;

use apgl_runtime::run_slack_step;
use archive_channel::{Deps, handle};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    run_slack_step("ArchiveChannel", Deps::from_env, handle).await
}
