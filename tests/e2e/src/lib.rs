//! Shared by the end-to-end tests: the running stack, people, and finished executions.
//!
//! The tests in `together` run concurrently on one stack, so each uses channels and people of its own. Every request
//! and outcome that passes through this crate is validated against its JSON Schema.

#![allow(clippy::missing_panics_doc, reason = "a failing test panics")]

pub mod apgl;
pub mod aws_cli;
mod deployment;
mod executions;
pub mod filter_patterns;
pub mod metrics;
pub mod mpc;
mod people;
pub mod schemas;
mod slack;

use std::{
    env,
    path::PathBuf,
    process,
    sync::atomic::{AtomicU32, Ordering},
};

use aws_types::SdkConfig;
use local_stack::{execution::Executions, stack::aws_config};
use slack_sandbox::{Admin, Seed};

pub use crate::executions::Ended;

/// How long one of Slack's seconds lasts on the stack, in seconds. Waits are shortened accordingly.
pub const WAIT_SCALE: f64 = 0.05;
pub const RATE_LIMITS_TABLE: &str = "apgl-rate-limits";
pub const RECEIPTS_TABLE: &str = "apgl-receipts";
pub const ITEMS_TABLE: &str = "apgl-items";
pub const SLACK_USERS_TABLE: &str = "apgl-slack-users";

/// The stack that the `e2e` program has started.
#[derive(Debug)]
pub struct World {
    pub aws: SdkConfig,
    pub sandbox: Admin,
    /// The folder of the deployed functions.
    pub functions: PathBuf,
    executions: Executions,
}

impl World {
    pub fn here() -> Self {
        let aws = aws_config(&variable("APGL_E2E_AWS"));
        Self {
            sandbox: Admin::new(variable("APGL_E2E_SANDBOX")),
            functions: variable("APGL_E2E_FUNCTIONS").into(),
            executions: Executions::new(&aws),
            aws,
        }
    }

    pub async fn seed(&self, seed: Seed) {
        self.sandbox.seed(&seed).await.expect("the seed is planted");
    }
}

/// A name that is unique in this run.
pub fn unique(name: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let n = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{name}-{}-{n}", process::id())
}

fn variable(name: &str) -> String {
    env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set: run these tests with `cargo xtask test`"))
}
