use std::process::ExitCode;

use apgl_runtime::run_slack_step;
use find_channel::{Deps, handle};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    run_slack_step("FindChannel", Deps::from_env, handle).await
}
