use std::process::ExitCode;

use apgl_rate_limit::SharedLimiter;
use apgl_runtime::{SetupError, aws_config, serve};
use apgl_stores::Receipts;
use record_outcome::{Deps, SettledEvents, handle};

fn deps() -> Result<Deps, SetupError> {
    let aws = aws_config()?;
    Ok(Deps {
        receipts: Receipts::from_env(&aws)?,
        rate_limiter: SharedLimiter::from_env(&aws)?,
        sfn: aws_sdk_sfn::Client::new(&aws),
        cloudwatch: aws_sdk_cloudwatch::Client::new(&aws),
        settled_events: SettledEvents::from_env(&aws)?,
    })
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    serve("RecordOutcome", deps, async |deps, event| {
        handle(deps, event.payload).await
    })
    .await
}
