use std::{process::ExitCode, time::SystemTime};

use apgl_runtime::{SetupError, aws_config, serve, setting};
use apgl_stores::Receipts;
use watch_executions::{Deps, handle, state_machines};

fn deps() -> Result<Deps, SetupError> {
    let aws = aws_config()?;
    Ok(Deps {
        sfn: aws_sdk_sfn::Client::new(&aws),
        cloudwatch: aws_sdk_cloudwatch::Client::new(&aws),
        sqs: aws_sdk_sqs::Client::new(&aws),
        receipts: Receipts::from_env(&aws)?,
        outcomes_queue: setting("OUTCOMES_QUEUE_URL")?,
        state_machines: state_machines(&setting("STATE_MACHINES")?)?,
    })
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    serve("WatchExecutions", deps, async |deps, _event| {
        handle(deps, SystemTime::now()).await
    })
    .await
}
