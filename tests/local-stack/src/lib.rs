//! The whole system on this machine.
//!
//! [`LocalStack::start`] starts MiniStack in place of AWS and the sandbox in place of Slack, deploys the unchanged
//! CDK app, and stores the token. `cargo xtask` must have installed the tools and built the functions before.
//! Dropping the value stops every process that it started.
//!
//! | module | does |
//! |---|---|
//! | [`stack`] | starts, seeds |
//! | [`people`] | adds people for a first notification |
//! | `deployment` | deploys, updates and destroys |
//! | [`aws_cli`] | runs the AWS command line |
//! | [`execution`] | starts executions, waits for them, reads their history |
//! | `http_server` | runs servers between the parts |
//! | [`invoke`] | invokes a function as a Task or a redrive does |
//! | [`runtime_api`] | runs a function without deploying it |
//! | [`leftovers`] | lists what remains after a stack is destroyed |
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

/// A problem for a person to solve: what failed, and where to find more.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Setup(String),
    #[error(transparent)]
    Command(#[from] xtask::Error),
    #[error("{what}: {reason}")]
    Aws { what: &'static str, reason: String },
    #[error(transparent)]
    Sandbox(#[from] slack_sandbox::SandboxError),
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

/// Formats an error with all its causes, because the SDK's own `Display` says only "service error".
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
