use std::process::ExitCode;

use apgl_runtime::{StartError, aws_config, run_decoding};
use aws_sdk_cloudwatch::Client;
use publish_metrics::{Deps, handle, read};

fn deps() -> Result<Deps, StartError> {
    Ok(Deps {
        cloudwatch: Client::new(&aws_config()?),
    })
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    run_decoding(
        "PublishMetrics",
        deps,
        read,
        async |deps, invocation, input| handle(deps, &invocation.run, &input).await,
    )
    .await
}
