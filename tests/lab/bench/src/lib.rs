//! Measures the functions' speed, memory and size, and holds a budget of what they use.
//!
//! Each function's release `bootstrap` runs against the benchmark's own Runtime API, with the variables that it
//! is deployed with, MiniStack as AWS and the sandbox as Slack. `tests/lab/bare`, a minimal function, runs the same
//! way, to compare them with.
//!
//! | module | does |
//! |---|---|
//! | [`contender`] | what is measured |
//! | [`events`] | an event for each function, a new one each time |
//! | [`stopwatch`] | measures how much of an invocation AWS and Slack took |
//! | [`cold`] | from the start of the process to the first response; memory |
//! | [`warm`] | many warm invocations of each contender |
//! | [`sizes`] | how large a function is, and its zip |
//! | [`spread`] | median, minimum and maximum |
//! | [`budget`] | figures that must not grow unnoticed |
//! | [`report`] | the report |

pub mod budget;
pub mod cold;
pub mod contender;
pub mod events;
pub mod report;
pub mod sizes;
pub mod spread;
pub mod stopwatch;
pub mod warm;

/// The length of one of Slack's seconds, in seconds: short enough that Slack's limits do not delay anything.
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
    /// Failures are faster than successes, so they would distort the measurement.
    #[error("{contender} returned the error {error}: {cause}")]
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
