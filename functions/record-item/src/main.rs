use std::process::ExitCode;

use apgl_runtime::{SetupError, aws_config, run};
use apgl_stores::Items;
use record_item::{Deps, handle};

fn deps() -> Result<Deps, SetupError> {
    Ok(Deps {
        items: Items::from_env(&aws_config()?)?,
    })
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    run("RecordItem", deps, async |deps, invocation, input| {
        handle(deps, &invocation, input).await
    })
    .await
}
