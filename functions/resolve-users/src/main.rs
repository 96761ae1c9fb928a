use std::process::ExitCode;

use apgl_runtime::run_slack_step;
use resolve_users::{Deps, handle};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    run_slack_step("ResolveUsers", Deps::from_env, handle).await
}
