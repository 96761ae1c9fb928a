//! Runs commands with their output in a log, and servers that stop with all their children.

use std::{
    ffi::OsStr,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};
use tokio::process::{Child, Command};

use crate::Error;

/// How long a server or a command gets to stop by itself.
const GRACE: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(20);
const TAIL_LINES: usize = 25;

/// Runs a command to its end and writes its output to `log`.
pub async fn run_to_log(what: &str, command: &mut Command, log: &Path) -> Result<(), Error> {
    let output = File::create(log).map_err(Error::io(log.display()))?;
    let errors = output.try_clone().map_err(Error::io(log.display()))?;
    command.stdin(Stdio::null()).stdout(output).stderr(errors);
    let status = run(what, command).await?;
    if status.success() {
        return Ok(());
    }
    Err(Error::Command {
        what: what.to_owned(),
        status: status.to_string(),
        log: log.display().to_string(),
        tail: tail(log),
    })
}

/// Runs a command to its end. If this future is dropped, asks the command to stop, so that it can stop its own
/// children, and waits for it.
pub async fn run(what: &str, command: &mut Command) -> Result<ExitStatus, Error> {
    let failed = || Error::io(format!("can't run {what}"));
    let child = command.kill_on_drop(true).spawn().map_err(failed())?;
    let mut running = Running(child);
    running.0.wait().await.map_err(failed())
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let Some(id) = self.0.id().and_then(|id| i32::try_from(id).ok()) else {
            return;
        };
        let _ = kill(Pid::from_raw(id), Signal::SIGTERM);
        let by = Instant::now() + GRACE;
        while matches!(self.0.try_wait(), Ok(None)) && Instant::now() < by {
            thread::sleep(POLL);
        }
    }
}

pub fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

/// A server in a process group of its own, so that its children stop with it.
#[derive(Debug)]
pub struct Server {
    child: Child,
    group: Pid,
    pub log: PathBuf,
}

impl Server {
    pub fn start(what: &str, command: &mut Command, log: PathBuf) -> Result<Self, Error> {
        let output = File::create(&log).map_err(Error::io(log.display()))?;
        let errors = output.try_clone().map_err(Error::io(log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .process_group(0)
            .spawn()
            .map_err(Error::io(format!("can't start {what}")))?;
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        let group = id
            .map(Pid::from_raw)
            .ok_or_else(|| Error::Setup(format!("{what} stopped immediately")))?;
        Ok(Self { child, group, log })
    }

    /// Whether the server has stopped by itself.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Asks the server to stop, waits for a while, and then kills the whole group.
    pub async fn stop(&mut self) {
        let _ = killpg(self.group, Signal::SIGTERM);
        let _ = tokio::time::timeout(GRACE, self.child.wait()).await;
        let _ = killpg(self.group, Signal::SIGKILL);
    }
}

impl Drop for Server {
    /// Kills the group if `stop` was not called, so that no process is left behind.
    fn drop(&mut self) {
        let _ = killpg(self.group, Signal::SIGKILL);
    }
}

/// A command that looks for tools in the virtual environment first.
pub fn command(program: impl AsRef<OsStr>, venv: &Path, folder: &Path) -> Command {
    let mut command = Command::new(program);
    find_tools_first(&mut command, venv);
    command.current_dir(folder);
    command
}

pub(crate) fn find_tools_first(command: &mut Command, venv: &Path) {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(venv.join("bin")).chain(std::env::split_paths(&path));
    // Folders in PATH contain no separators, so joining them cannot fail.
    if let Ok(path) = std::env::join_paths(folders) {
        command.env("PATH", path);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[tokio::test]
    async fn an_abandoned_command_ends_the_processes_that_it_started() {
        let folder = std::env::temp_dir().join(format!("xtask-process-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (started, ended) = (folder.join("started"), folder.join("ended"));
        let mut command = Command::new("sh");
        command.current_dir(&folder).args([
            "-c",
            "trap 'touch ended; exit' TERM; touch started; sleep 60 & wait",
        ]);
        tokio::select! {
            _ = run("a command", &mut command) => panic!("it waits for a minute"),
            () = async {
                while !started.exists() {
                    tokio::time::sleep(POLL).await;
                }
            } => {}
        }
        assert!(ended.exists());
        fs::remove_dir_all(&folder).unwrap();
    }
}
