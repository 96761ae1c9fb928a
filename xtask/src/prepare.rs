//! What there is before a local stack starts.

use crate::{Build, Project, program::Failure, progress};

/// Installs and builds everything that a local stack needs, and these programs with it, side by side.
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
