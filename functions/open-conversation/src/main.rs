use std::process::ExitCode;

use apgl_runtime::run_slack_step;
use open_conversation::{Deps, handle};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    run_slack_step("OpenConversation", Deps::from_env, handle).await
}
