use std::process::ExitCode;

use apgl_runtime::run_slack_step;
use ensure_channel::{Deps, handle};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    run_slack_step("EnsureChannel", Deps::from_env, handle).await
}
