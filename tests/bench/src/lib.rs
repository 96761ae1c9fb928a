//! How fast and how large the functions are, measured beside others in the same run.
//!
//! Each function's release `bootstrap` runs against a Runtime API of the benchmark's own, with the variables
//! that it is deployed with, MiniStack as AWS and the sandbox as Slack. So do the peers in `tests/peers`:
//! the least that there is, and the same small piece of work in Rust, Node and Python.
//!
//! | module | does |
//! |---|---|
//! | [`contender`] | what is measured: the functions and the peers |
//! | [`peers`] | builds the peers |
//! | [`events`] | an event for each function, a new one each time |
//! | [`stopwatch`] | how long AWS and Slack took of an invocation |
//! | [`cold`] | from the start of the process to the first answer; memory |
//! | [`throughput`] | starts and executions a second, and where the time goes |
//! | [`processor`] | whose processor time it is |
//! | [`warm`] | a thousand invocations of each |
//! | [`growth`] | how what a notification takes grows with its members and with the channels |
//! | [`plot`] | the same as plots |
//! | [`sizes`] | how large a function is, and its zip |
//! | [`spread`] | median, minimum and maximum |
//! | [`budget`] | what may not grow unseen |
//! | [`report`] | all of it, for a person to read |

pub mod budget;
pub mod cold;
pub mod contender;
pub mod events;
pub mod growth;
pub mod peers;
pub mod plot;
pub mod processor;
pub mod report;
pub mod sizes;
pub mod spread;
pub mod stopwatch;
pub mod throughput;
pub mod warm;

/// How long one of Slack's seconds lasts where time is measured, in seconds: its limits hold nobody up.
pub const TIME_SCALE: f64 = 0.001;

/// Why something could not be measured.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Counting(#[from] counting::Error),
    #[error(transparent)]
    LocalStack(#[from] local_stack::Error),
    #[error(transparent)]
    Xtask(#[from] xtask::Error),
    #[error(transparent)]
    Sandbox(#[from] slack_sandbox::admin::AdminError),
    #[error("{what}: {source}")]
    Io {
        what: String,
        source: std::io::Error,
    },
    #[error("{what}: {reason}")]
    Aws { what: &'static str, reason: String },
    #[error("{command} failed")]
    Command { command: String },
    /// What fails is quicker than what works.
    #[error("{contender} answered with the error {error}: {cause}")]
    Answer {
        contender: String,
        error: String,
        cause: String,
    },
    #[error("{0}")]
    Unmeasured(String),
}

impl Error {
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}
