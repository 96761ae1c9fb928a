//! What a command prints, and how it ends.

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
    /// What was asked about is not well: an execution failed, a check found something.
    NotWell = 1,
    /// The command line, the request or what it names is wrong. Nothing was done.
    BadInput = 2,
    /// AWS refused, or could not be reached.
    Aws = 3,
    /// The time to wait is over, and the execution goes on.
    StillRunning = 4,
    /// The key has been used for another request.
    Conflict = 5,
    /// The answer to a question is no: there is no such channel.
    No = 6,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// What a command has to say, for people and for programs.
#[derive(Debug)]
pub struct Report {
    /// With styles, which are left out where there is no terminal.
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
    /// Prints it. Whoever reads may have seen enough, which is no failure.
    pub fn print(&self, output: Output) {
        let text = match output {
            Output::Text => self.text.clone(),
            Output::Json => format!("{:#}", self.json),
        };
        let _ = writeln!(anstream::stdout(), "{}", text.trim_end());
    }
}

/// Why a command has nothing to report: one line.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    pub exit: Exit,
    message: String,
}

impl Failure {
    pub fn new(exit: Exit, message: impl fmt::Display) -> Self {
        // One line, whatever it was made from.
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
