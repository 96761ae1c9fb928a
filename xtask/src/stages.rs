//! The stages of the test run, with the time that each took.

use std::{
    cell::RefCell,
    fmt,
    future::Future,
    path::PathBuf,
    time::{Duration, Instant},
};

use tokio::process::Command;
use xtask::{Project, process::run_to_log, program::Failure, progress};

pub struct Stages {
    logs: PathBuf,
    started: Instant,
    took: RefCell<Vec<(String, Duration)>>,
}

impl Stages {
    pub fn new(project: &Project) -> Self {
        Self {
            logs: project.logs(),
            started: Instant::now(),
            took: RefCell::default(),
        }
    }

    /// Runs a check to its end, then shows all its output at once, because other checks run in parallel.
    pub async fn run(&self, what: &str, mut command: Command) -> Result<(), Failure> {
        let log = self
            .logs
            .join(format!("test-{}.log", what.replace([' ', ':'], "-")));
        let running = async {
            let ran = run_to_log(what, &mut command, &log).await;
            print!("{}", std::fs::read_to_string(&log).unwrap_or_default());
            ran.map_err(|_| {
                format!(
                    "{what} failed; its output is above and in {}",
                    log.display()
                )
            })
        };
        self.time(what, progress::step(what, running)).await
    }

    pub async fn time<T>(
        &self,
        what: &str,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let started = Instant::now();
        let outcome = work.await;
        self.took
            .borrow_mut()
            .push((what.to_owned(), started.elapsed()));
        outcome
    }
}

impl fmt::Display for Stages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, took) in self.took.borrow().iter() {
            writeln!(f, "{what:<24}{:>7.1} s", took.as_secs_f64())?;
        }
        writeln!(
            f,
            "{:<24}{:>7.1} s",
            "the whole",
            self.started.elapsed().as_secs_f64()
        )
    }
}
