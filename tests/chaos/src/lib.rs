//! What the delivery protocol promises, measured on the local stack.
//!
//! | module | does |
//! |---|---|
//! | [`dice`] | draws what goes wrong from a seed, and counts it |
//! | [`aws`] | a proxy between the functions and AWS: DynamoDB, Secrets Manager and CloudWatch go wrong |
//! | [`lambda`] | invocations go wrong: killed, timed out, run twice |
//! | [`caller`] | callers go wrong: they start twice, or die when they have started |
//! | [`notifications`] | what is asked for, and what stands in Slack afterwards |
//! | [`faults`] | `cargo xtask chaos`: all of it at once |
//! | [`burst`] | `cargo xtask burst`: many at once without faults, with the rate limiter and without it |
//! | [`upgrade`] | `cargo xtask upgrade`: a new version is deployed meanwhile |
//!
//! Slack's own faults are the sandbox's: `slack_sandbox::chaos`.

pub mod aws;
pub mod burst;
pub mod caller;
pub mod dice;
pub mod faults;
pub mod lambda;
pub mod notifications;
pub mod upgrade;

/// A run that has found a problem is a failure that names it.
pub fn no_problems(problems: &[String]) -> Result<(), Box<dyn std::error::Error>> {
    if problems.is_empty() {
        return Ok(());
    }
    Err(problems.join("; ").into())
}

/// Why a run could not be made. What a run finds is in its report.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Counting(#[from] counting::Error),
    #[error(transparent)]
    LocalStack(#[from] local_stack::Error),
    #[error(transparent)]
    Sandbox(#[from] slack_sandbox::admin::AdminError),
    #[error("{0}")]
    Setup(String),
}
