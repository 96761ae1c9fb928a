//! What a command prints, and its exit code.

use std::{fmt, io::Write, process::ExitCode};

use anstyle::{AnsiColor, Style};
use serde_json::Value;

pub const GOOD: Style = AnsiColor::Green.on_default();
pub const BAD: Style = AnsiColor::Red.on_default().bold();
pub const WARNING: Style = AnsiColor::Yellow.on_default();
pub const FAINT: Style = Style::new().dimmed();
pub const STRONG: Style = Style::new().bold();

/// How a command ends: the exit codes of `apgl`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Fine = 0,
    /// An execution failed, or a check found a problem.
    NotWell = 1,
    /// The command line, the request or something that it names is invalid. Nothing was done.
    BadInput = 2,
    /// AWS refused, or could not be reached.
    Aws = 3,
    /// The execution is still running after the time to wait.
    StillRunning = 4,
    /// The key has already been used for a different request.
    Conflict = 5,
    /// The answer is no: the bot sees no such channel.
    No = 6,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// What a command reports, for people and for programs.
#[derive(Debug)]
pub struct Report {
    /// Text with styles, which are removed if the output is not a terminal.
    pub text: String,
    pub json: Value,
    pub exit: Exit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    Text,
    Json,
}

impl Report {
    /// Prints the report. Ignores errors: a reader that closes the pipe early is not a failure.
    pub fn print(&self, output: Output) {
        let text = match output {
            Output::Text => self.text.clone(),
            Output::Json => format!("{:#}", self.json),
        };
        let _ = writeln!(anstream::stdout(), "{}", text.trim_end());
    }
}

/// Why a command has nothing to report, in one line.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    pub exit: Exit,
    message: String,
}

impl Failure {
    pub fn new(exit: Exit, message: impl fmt::Display) -> Self {
        // Join everything into one line.
        let message = message.to_string();
        let words: Vec<&str> = message.split_whitespace().collect();
        Self {
            exit,
            message: words.join(" "),
        }
    }

    pub fn input(message: impl fmt::Display) -> Self {
        Self::new(Exit::BadInput, message)
    }

    pub fn aws(message: impl fmt::Display) -> Self {
        Self::new(Exit::Aws, message)
    }

    pub fn print(&self) {
        let _ = writeln!(anstream::stderr(), "{BAD}error:{BAD:#} {self}");
    }
}

/// The text in a style.
pub fn styled(style: Style, text: impl fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}
