use std::process::ExitCode;

use apgl_runtime::run_slack_step;
use remove_members::{Deps, handle};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    run_slack_step("RemoveMembers", Deps::from_env, handle).await
}
