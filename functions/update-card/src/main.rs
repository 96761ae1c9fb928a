use std::process::ExitCode;

use apgl_runtime::run_slack_step;
use update_card::{Deps, handle};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    run_slack_step("UpdateCard", Deps::from_env, handle).await
}
