//! Installs and builds what a local stack needs.

use crate::{Build, Project, program::Failure, progress};

/// Installs and builds everything that a local stack needs, and these programs with it, in parallel.
pub async fn prepare(project: &Project, programs: &[&str]) -> Result<(), Failure> {
    println!("Every tool's output is in {}", project.logs().display());
    let (tools, packages) = (install_tools(project), install_cdk_packages(project));
    match project.build {
        Build::Dev => {
            let building = project.build_with_functions(programs);
            let what = "Building the functions and the local stack (takes minutes the first time)";
            tokio::try_join!(tools, packages, progress::step(what, building))?;
        }
        Build::Release => {
            let release = async {
                tools.await?;
                let what = "Building the functions for a release (takes minutes)";
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

pub async fn install_tools(project: &Project) -> Result<(), Failure> {
    let installing = project.install_python_tools();
    progress::step("Installing MiniStack and other tools", installing).await
}

pub async fn install_cdk_packages(project: &Project) -> Result<(), Failure> {
    let cdk = project.cdk();
    let installing = project.install_node_packages(&cdk);
    progress::step("Installing the CDK app's packages", installing).await
}
