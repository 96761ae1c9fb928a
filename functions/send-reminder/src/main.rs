use std::process::ExitCode;

use apgl_runtime::run_slack_step;
use send_reminder::{Deps, handle};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    run_slack_step("SendReminder", Deps::from_env, handle).await
}
