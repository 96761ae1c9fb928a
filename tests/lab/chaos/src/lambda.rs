//! Faults of Lambda invocations.
//!
//! Each function is deployed with a `bootstrap` that runs between Lambda's Runtime API and the function's own
//! (`bin/chaos-bootstrap.rs`). For every invocation it asks this server which fault to cause.

use std::{fs, path::PathBuf};

use axum::{
    Json, Router,
    extract::{Path, State},
    routing::post,
};
use local_stack::{HttpServer, Project};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Error,
    dice::{Dice, Seam},
    people::People,
};

/// The environment variable with the URL that the bootstraps ask, followed by the function's name. They send the
/// invocation's payload.
pub const INVOCATION_FAULTS_URL: &str = "CHAOS_INVOCATION_FAULTS_URL";
/// The program that runs in front of each function.
pub const BOOTSTRAP: &str = "chaos-bootstrap";
/// The function's own bootstrap, in the same folder as ours.
pub const OWN_BOOTSTRAP: &str = "bootstrap.own";
/// A step takes some tens of milliseconds, so most kills hit it in the middle of its work.
const LATEST_KILL_MILLIS: u64 = 60;
const LATEST_COPY_MILLIS: u64 = 30;

/// What happens to one invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum InvocationFault {
    /// No fault.
    None,
    /// The process is killed after this time, or after its work is done but before it has responded.
    Killed { after_millis: u64 },
    /// The function never starts its work, and Lambda stops it at the timeout.
    TimedOutBefore,
    /// The function does its work but never responds.
    TimedOutAfter,
    /// The invocation runs a second time, concurrently, after this delay.
    Copied { after_millis: u64 },
}

const KINDS: [(&str, u32); 4] = [
    ("killed", 45),
    ("run twice", 45),
    ("timed out before", 5),
    ("timed out after", 5),
];

/// Serves the bootstraps until it is dropped.
#[derive(Debug)]
pub struct InvocationFaults {
    server: HttpServer,
}

impl InvocationFaults {
    pub async fn start(dice: Dice, people: People) -> Result<Self, Error> {
        let router = Router::new()
            .route("/{function}", post(fault))
            .with_state((dice, people));
        let server = HttpServer::start(router).await?;
        Ok(Self { server })
    }

    pub fn url(&self) -> String {
        format!("{}/", self.server.url())
    }
}

async fn fault(
    State((dice, people)): State<(Dice, People)>,
    Path(function): Path<String>,
    Json(payload): Json<Value>,
) -> Json<InvocationFault> {
    people.before(&function, &payload).await;
    let Some((kind, mut rng)) = dice.roll(Seam::Lambda, &KINDS) else {
        return Json(InvocationFault::None);
    };
    Json(match kind {
        "killed" => InvocationFault::Killed {
            after_millis: rng.u64(..LATEST_KILL_MILLIS),
        },
        "timed out before" => InvocationFault::TimedOutBefore,
        "timed out after" => InvocationFault::TimedOutAfter,
        _ => InvocationFault::Copied {
            after_millis: rng.u64(..LATEST_COPY_MILLIS),
        },
    })
}

/// Copies the built functions, each with our bootstrap in front of its own. Returns the folder.
pub fn put_in_front(project: &Project) -> Result<PathBuf, Error> {
    let folder = project.folder().join("chaos-functions");
    project.copy_functions(&folder, |own, copy| {
        fs::copy(own, copy.join(OWN_BOOTSTRAP)).map(drop)
    })?;
    for name in project.function_names().map_err(local_stack::Error::from)? {
        let bootstrap = folder.join(name).join("bootstrap");
        let written = project.bootstrap_of(BOOTSTRAP, &bootstrap);
        written.map_err(local_stack::Error::from)?;
    }
    Ok(folder)
}
