//! Tests on the local stack whether the delivery protocol keeps its promises.
//!
//! | module | does |
//! |---|---|
//! | [`dice`] | draws faults from a seed, and counts them |
//! | [`aws`] | faults of AWS: a proxy between the functions and DynamoDB, Secrets Manager and CloudWatch |
//! | [`lambda`] | faults of invocations: killed, timed out, run twice |
//! | [`caller`] | faults of callers: they start twice, or die after starting |
//! | [`people`] | people who change channels and addresses in Slack meanwhile |
//! | [`places`] | whether each message went to the right channel all the same |
//! | [`notifications`] | the notifications of a run, and what is in Slack afterwards |
//! | [`faults`] | `cargo xtask chaos`: all of these faults at once |
//! | [`report`] | what became of its notifications |
//! | [`burst`] | `cargo xtask burst`: many notifications at once without faults, with and without the rate limiter |
//! | [`deadline`] | `cargo xtask deadline`: reminders under all of these faults, with a calendar that the run sets |
//! | [`upgrade`] | `cargo xtask upgrade`: a new version is deployed while executions run and items are open |
//!
//! The sandbox injects Slack's faults: `slack_sandbox::chaos`.

pub mod aws;
pub mod burst;
pub mod caller;
pub mod deadline;
pub mod dice;
pub mod faults;
pub mod lambda;
pub mod notifications;
pub mod people;
pub mod places;
pub mod report;
pub mod upgrade;

/// Fails with the problems that a run has found, if any.
pub fn no_problems(problems: &[String]) -> Result<(), Box<dyn std::error::Error>> {
    if problems.is_empty() {
        return Ok(());
    }
    Err(problems.join("; ").into())
}

/// Parses the share of the calls that fail.
pub fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if (0.0..=0.5).contains(&rate) => Ok(rate),
        _ => Err("must be from 0 to 0.5: with more faults nothing gets through".to_owned()),
    }
}

/// Why a run failed. Problems that a completed run finds are in its report.
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
    #[error(transparent)]
    Table(#[from] apgl_contract::StepError),
    #[error("{0}")]
    Setup(String),
}
