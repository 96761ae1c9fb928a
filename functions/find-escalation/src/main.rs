use std::process::ExitCode;

use apgl_runtime::{SetupError, aws_config, run};
use find_escalation::{Deps, handle};

fn deps() -> Result<Deps, SetupError> {
    Ok(Deps::from_env(&aws_config()?)?)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    run("FindEscalation", deps, async |deps, _invocation, input| {
        handle(deps, input).await
    })
    .await
}
