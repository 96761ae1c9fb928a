use std::process::ExitCode;

use apgl_runtime::run_slack_step;
use send_escalation::{Deps, handle};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    run_slack_step("SendEscalation", Deps::from_env, handle).await
}
