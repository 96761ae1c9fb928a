//! Counts on the local stack what an execution uses of AWS and Slack, and calculates the cost.
//!
//! | module | does |
//! |---|---|
//! | [`aws`] | a proxy between the functions and AWS that counts their calls |
//! | [`dynamodb`] | the units that a request to DynamoDB uses |
//! | [`history`] | an execution's transitions, invocations and log lines, from its history |
//! | [`logs`] | the functions' invocations, times and log lines, from their logs |
//! | [`schedules`] | the functions that run on a schedule |
//! | [`work`] | all of these, combined as the work of one execution |
//! | [`counter`] | a local stack that counts that work |
//! | [`cases`] | typical notifications |
//! | [`prices`] | AWS's price list |
//! | [`deployment`] | the resources of a deployment to AWS that have a monthly cost |
//! | [`bill`] | work, part by part, with its price |
//! | [`report`] | the report of `cargo xtask cost` |
//! | [`section`] | a part of a report: title, note, table |
//! | [`table`] | tables in a terminal and in Markdown |

pub mod aws;
pub mod bill;
pub mod cases;
pub mod counter;
pub mod deployment;
pub mod dynamodb;
pub mod history;
pub mod logs;
pub mod prices;
pub mod report;
pub mod schedules;
pub mod section;
pub mod table;
pub mod work;

pub use section::Section;
pub use table::Table;

/// Why work could not be counted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    LocalStack(#[from] local_stack::Error),
    #[error(transparent)]
    Sandbox(#[from] slack_sandbox::admin::AdminError),
    #[error("{what}: {reason}")]
    Aws { what: &'static str, reason: String },
    #[error("the execution {arn} failed with {error}")]
    Failed { arn: String, error: String },
    #[error("counting needs the sandbox")]
    NoSandbox,
    /// An uncertain count is an error.
    #[error("can't count the work: {0}")]
    Uncounted(String),
    #[error("can't synthesise the templates for production:\n{0}")]
    Synth(String),
}

impl Error {
    pub(crate) fn aws<E: std::fmt::Debug>(what: &'static str) -> impl FnOnce(E) -> Self {
        move |error| Self::Aws {
            what,
            reason: format!("{error:?}"),
        }
    }
}
