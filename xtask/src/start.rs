//! Starts a command's program.

use std::{env, os::unix::process::CommandExt, process::Command};

use xtask::{Build, Project, prepare::prepare, program::Failure, progress};

/// Builds and becomes the command's program, which parses the arguments after the command's name, and then prepares
/// what it needs.
pub async fn program(name: &str) -> Result<(), Failure> {
    let project = Project::here();
    let what = format!("Building `{name}`");
    progress::step(&what, project.build_programs(&[name])).await?;
    become_program(&project, name)
}

/// The same for a program whose arguments are already parsed: builds everything that it needs at once.
pub async fn prepared_program(name: &str, build: Build) -> Result<(), Failure> {
    let project = Project::with(build);
    prepare(&project, &[name]).await?;
    become_program(&project, name)
}

/// Replaces this process with the program, so that signals reach it and its exit code is the command's.
fn become_program(project: &Project, program: &str) -> Result<(), Failure> {
    let program = project.program(program);
    let error = Command::new(&program).args(env::args_os().skip(2)).exec();
    Err(format!("can't run {}: {error}", program.display()).into())
}
