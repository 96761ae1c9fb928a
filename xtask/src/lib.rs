//! Shared by `cargo xtask` and the programs that it starts.
//!
//! | module | does |
//! |---|---|
//! | [`arguments`] | the arguments of the demo and the local stack |
//! | [`builds`] | builds programs and functions |
//! | [`ministack`] | starts MiniStack, the local AWS |
//! | [`prepare`] | installs and builds what a local stack needs |
//! | [`process`] | runs commands with their output in a log, and servers that stop with their children |
//! | [`program`] | runs a program's work until it is done or stopped, and prints why it failed |
//! | [`progress`] | prints progress |
//! | [`project`] | this checkout and the paths in it |
//! | `tools` | installs tools into the checkout |

pub mod arguments;
pub mod builds;
pub mod ministack;
pub mod prepare;
pub mod process;
pub mod program;
pub mod progress;
pub mod project;
mod tools;

pub use project::{Build, Project};

/// A problem for a person to solve: what failed, and where to find more.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Setup(String),
    #[error("{what} failed ({status}); its output is in {log}:\n{tail}")]
    Command {
        what: String,
        status: String,
        log: String,
        /// The log's last lines.
        tail: String,
    },
}

impl Error {
    pub fn io(what: impl std::fmt::Display) -> impl FnOnce(std::io::Error) -> Self {
        move |error| Self::Setup(format!("{what}: {error}"))
    }
}
