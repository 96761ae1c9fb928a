//! The whole system on this machine.
//!
//! [`LocalStack::start`] starts MiniStack in the role of AWS and the sandbox in the role of Slack,
//! deploys the CDK app as it is, and stores the token. `cargo xtask` has installed the tools and
//! built the functions before. When the value is dropped, every process that it started is gone.
//!
//! | module | does |
//! |---|---|
//! | [`stack`] | starts, seeds |
//! | [`people`] | adds people to send a first notification to |
//! | `deployment` | deploys, updates and destroys |
//! | [`aws_cli`] | runs the AWS command line |
//! | [`execution`] | starts executions, waits for them, reads their history |
//! | `http_server` | serves what stands between the parts |
//! | [`invoke`] | invokes a function as a Task does, and as a redrive does |
//! | [`runtime_api`] | runs a function that nobody has deployed |
//! | [`leftovers`] | lists what a destroyed stack has left behind |
//! | [`logs`] | reads the functions' log lines |
//! | [`signed`] | signs a request by hand |

pub mod aws_cli;
mod deployment;
pub mod execution;
mod http_server;
pub mod invoke;
pub mod leftovers;
pub mod logs;
pub mod people;
pub mod runtime_api;
pub mod signed;
pub mod stack;

pub use deployment::App;
pub use execution::{Execution, Status, Visit};
pub use http_server::HttpServer;
pub use logs::function_logs;
pub use stack::{Detour, Endpoints, LocalStack, Slack, StackOptions, TOKEN};
pub use xtask::Project;

/// Something that a person must see to: what failed, and where to read on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Setup(String),
    #[error(transparent)]
    Command(#[from] xtask::Error),
    #[error("{what}: {reason}")]
    Aws { what: &'static str, reason: String },
    #[error(transparent)]
    Sandbox(#[from] slack_sandbox::StartError),
    #[error(transparent)]
    SandboxAdmin(#[from] slack_sandbox::admin::AdminError),
}

impl Error {
    pub(crate) fn aws(what: &'static str) -> impl FnOnce(Box<dyn std::error::Error>) -> Self {
        move |error| Self::Aws {
            what,
            reason: chain(error.as_ref()),
        }
    }

    pub(crate) fn io(what: impl std::fmt::Display) -> impl FnOnce(std::io::Error) -> Self {
        move |error| Self::Setup(format!("{what}: {error}"))
    }
}

/// An error with all its causes: the SDK's own `Display` says only "service error".
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
