//! Processor time by component.

use std::{collections::HashMap, time::Duration};

use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

use crate::Error;

/// How much processor time each part of a local stack has used since it started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProcessorTime {
    /// MiniStack itself: Step Functions, Lambda and the tables.
    pub ministack: Duration,
    /// The functions, which are child processes of MiniStack.
    pub functions: Duration,
    /// This process: the client, the polling for finished executions, and the sandbox.
    pub own: Duration,
}

impl ProcessorTime {
    /// Reads the times of the running processes. `ministack` is MiniStack's process id.
    pub fn of(ministack: u32) -> Result<Self, Error> {
        let system = System::new();
        let mut system = system.map_err(|error| Error::Unmeasured(error.to_string()))?;
        let what = ProcessRefreshKind::nothing().with_cpu().without_tasks();
        system.refresh_processes_specifics(ProcessesToUpdate::All, true, what);
        let processes = system.processes();
        let parents: HashMap<Pid, Pid> = processes
            .iter()
            .filter_map(|(pid, process)| Some((*pid, process.parent()?)))
            .collect();
        let (ministack, own) = (Pid::from_u32(ministack), Pid::from_u32(std::process::id()));
        let mut time = Self::default();
        for (pid, process) in processes {
            let taken = Duration::from_millis(process.accumulated_cpu_time());
            if *pid == ministack {
                time.ministack += taken;
            } else if *pid == own {
                time.own += taken;
            } else if ancestors(*pid, &parents).any(|ancestor| ancestor == ministack) {
                time.functions += taken;
            }
        }
        Ok(time)
    }

    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            ministack: self.ministack.saturating_sub(earlier.ministack),
            functions: self.functions.saturating_sub(earlier.functions),
            own: self.own.saturating_sub(earlier.own),
        }
    }
}

fn ancestors(pid: Pid, parents: &HashMap<Pid, Pid>) -> impl Iterator<Item = Pid> {
    let parent_of = |child: &Pid| parents.get(child).copied();
    std::iter::successors(parent_of(&pid), parent_of)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_child_of_a_child_counts_for_the_functions_and_nothing_else_does() {
        let busy = "sh -c 'n=0; while [ $n -lt 300000 ]; do n=$((n+1)); done; echo done; cat'; :";
        let mut ministack = Command::new("sh")
            .args(["-c", busy])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let output = ministack.stdout.take().unwrap();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(output), &mut line).unwrap();
        let time = ProcessorTime::of(ministack.id()).unwrap();
        let of_nobody = ProcessorTime::of(u32::MAX).unwrap();
        ministack.kill().unwrap();
        ministack.wait().unwrap();
        assert!(time.functions > time.ministack, "{time:?}");
        assert_eq!(of_nobody.functions + of_nobody.ministack, Duration::ZERO);
    }
}
