//! The programs that commands start, and what is there before they do.

use std::{env, os::unix::process::CommandExt, process::Command};

use xtask::{Build, Project, program::Failure, progress};

/// A program for each command, of the command's name.
pub const CHAOS: [&str; 2] = ["chaos", "chaos-bootstrap"];

/// Prepares a local stack, and becomes the command's program, which is the first of these, with the arguments
/// behind the command's name.
pub async fn program(build: Build, programs: &[&str]) -> Result<(), Failure> {
    let project = Project::with(build);
    prepare(&project, programs).await?;
    become_program(&project, programs[0])
}

/// The same for a program that needs no local stack.
pub async fn alone(program: &str) -> Result<(), Failure> {
    let project = Project::here();
    progress::step("Building", project.build_programs(&[program])).await?;
    become_program(&project, program)
}

/// Everything that a local stack needs before it starts, side by side.
pub async fn prepare(project: &Project, programs: &[&str]) -> Result<(), Failure> {
    println!(
        "The output of every tool is in {}",
        project.logs().display()
    );
    let cdk = project.cdk();
    let tools = progress::step(
        "Installing MiniStack and other tools",
        project.install_python_tools(),
    );
    let packages = progress::step(
        "Installing the CDK app's packages",
        project.install_node_packages(&cdk),
    );
    match project.build {
        Build::Dev => {
            let building = project.build_with_functions(programs);
            let what = "Building the functions and the local stack (minutes the first time)";
            tokio::try_join!(tools, packages, progress::step(what, building))?;
        }
        Build::Release => {
            let release = async {
                tools.await?;
                let what = "Building the functions for a release (minutes)";
                progress::step(what, project.build_release()).await
            };
            let building = project.build_programs(programs);
            tokio::try_join!(
                release,
                packages,
                progress::step("Building the local stack", building)
            )?;
        }
    }
    Ok(())
}

/// This process goes on as the program: a signal reaches it, and its exit code is the command's.
fn become_program(project: &Project, program: &str) -> Result<(), Failure> {
    let program = project.program(program);
    let error = Command::new(&program).args(env::args_os().skip(2)).exec();
    Err(format!("can't run {}: {error}", program.display()).into())
}
