use std::process::ExitCode;

use apgl_aws::optional_setting;
use apgl_rate_limit::{RateLimits, SlackClock};
use apgl_runtime::{StartError, aws_config, serve};
use apgl_stores::Receipts;
use record_outcome::{Deps, handle};

fn deps() -> Result<Deps, StartError> {
    let aws = aws_config()?;
    let rate_limits = optional_setting("RATE_LIMITS_TABLE");
    let dynamodb = aws_sdk_dynamodb::Client::new(&aws);
    Ok(Deps {
        receipts: Receipts::from_env(&aws)?,
        rate_limits: rate_limits.map(|table| RateLimits::new(dynamodb, table)),
        slack_clock: SlackClock::from_env()?,
        sfn: aws_sdk_sfn::Client::new(&aws),
        cloudwatch: aws_sdk_cloudwatch::Client::new(&aws),
    })
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    serve("RecordOutcome", deps, async |deps, event| {
        handle(deps, event.payload).await
    })
    .await
}
