use std::process::ExitCode;

use apgl_runtime::run_slack_step;
use post_message::{Deps, handle};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    run_slack_step("PostMessage", Deps::from_env, handle).await
}
