//! `apgl`, the command line.

use std::process::Output;

use local_stack::{Project, stack::client_environment};
use tokio::process::Command;

use crate::World;

/// Runs `apgl` against the stack.
pub async fn apgl(world: &World, arguments: &[&str]) -> Output {
    let endpoint = world.aws.endpoint_url().expect("the local stack has a URL");
    Command::new(Project::here().program("apgl"))
        .args(arguments)
        .envs(client_environment(endpoint))
        .output()
        .await
        .expect("apgl starts")
}
