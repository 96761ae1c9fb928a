use std::process::ExitCode;

use apgl_runtime::run_slack_step;
use invite_members::{Deps, handle};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    run_slack_step("InviteMembers", Deps::from_env, handle).await
}
