use std::process::ExitCode;

use apgl_runtime::{SetupError, aws_config, run};
use plan_reminders::{Deps, handle};

fn deps() -> Result<Deps, SetupError> {
    Ok(Deps::from_env(&aws_config()?)?)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    run("PlanReminders", deps, async |deps, invocation, input| {
        handle(deps, &invocation, input).await
    })
    .await
}
