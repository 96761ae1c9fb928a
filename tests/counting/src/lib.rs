//! Work, counted: what an execution takes of AWS and Slack, on the local stack, and what that costs.
//!
//! | module | does |
//! |---|---|
//! | [`aws`] | a proxy between the functions and AWS that counts their calls |
//! | [`dynamodb`] | the units that a request to DynamoDB takes |
//! | [`history`] | an execution's transitions, invocations and log lines, from its history |
//! | [`logs`] | the functions' invocations, times and log lines, from their logs |
//! | [`schedules`] | what runs by the clock |
//! | [`work`] | all of it, as the work of one execution |
//! | [`counter`] | a local stack on which that work is counted |
//! | [`cases`] | typical notifications |
//! | [`growth`] | how notifications grow with their members, and with the channels of a workspace |
//! | [`prices`] | AWS's price list |
//! | [`deployment`] | what a deployment to AWS has that costs by the month |
//! | [`bill`] | work, part by part, with its price |
//! | [`report`] | `cargo xtask cost`: all of it for a person to read |
//! | [`section`] | a part of a report: title, note, table |
//! | [`table`] | tables in a terminal and in Markdown |

pub mod aws;
pub mod bill;
pub mod cases;
pub mod counter;
pub mod deployment;
pub mod dynamodb;
pub mod growth;
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
    /// A count that is not certain is none.
    #[error("the work can't be counted: {0}")]
    Uncounted(String),
    #[error("the templates for production can't be made:\n{0}")]
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
