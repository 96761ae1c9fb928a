//! How a command becomes its program.

use std::{env, os::unix::process::CommandExt, process::Command};

use xtask::{Build, Project, prepare::prepare, program::Failure, progress};

/// Becomes the command's program, which reads the arguments behind the command's name, and then prepares what
/// it needs.
pub async fn program(name: &str) -> Result<(), Failure> {
    let project = Project::here();
    let what = format!("Building `{name}`");
    progress::step(&what, project.build_programs(&[name])).await?;
    become_program(&project, name)
}

/// The same for a program whose arguments are read already: all that it needs is built at once.
pub async fn prepared_program(name: &str, build: Build) -> Result<(), Failure> {
    let project = Project::with(build);
    prepare(&project, &[name]).await?;
    become_program(&project, name)
}

/// This process goes on as the program: a signal reaches it, and its exit code is the command's.
fn become_program(project: &Project, program: &str) -> Result<(), Failure> {
    let program = project.program(program);
    let error = Command::new(&program).args(env::args_os().skip(2)).exec();
    Err(format!("can't run {}: {error}", program.display()).into())
}
