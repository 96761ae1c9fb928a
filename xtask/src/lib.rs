//! What `cargo xtask` and the programs that it starts share.
//!
//! | module | holds |
//! |---|---|
//! | [`arguments`] | what the demo and the local stack can be told |
//! | [`builds`] | how programs and functions are built |
//! | [`prepare`] | what there is before a local stack starts |
//! | [`process`] | commands with their output in a log, and servers that end with their children |
//! | [`program`] | the frame of a program: it ends at Ctrl-C, and says why it failed |
//! | [`progress`] | lines that tell a person what is going on |
//! | [`project`] | this checkout: where things are in it |
//! | `tools` | what is installed into it |

pub mod arguments;
pub mod builds;
pub mod prepare;
pub mod process;
pub mod program;
pub mod progress;
pub mod project;
mod tools;

pub use project::{Build, Project};

/// Something that a person must see to: what failed, and where to read on.
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
