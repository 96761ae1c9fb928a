//! `cargo xtask upgrade`: from the previous version to this one while executions run, and away.

use std::{fs, path::Path};

use chaos::upgrade;
use local_stack::{App, Project};
use tokio::process::Command;

use crate::{Failure, chaos::no_problems, progress};

/// The commit of the previous release, 0.1.0. A release puts its own commit here.
const PREVIOUS: &str = "fe647173e5a45088bd8e9994f28d6e016056895e";

#[derive(clap::Args)]
pub struct Arguments {
    /// The version to update from: a commit, a tag or a branch of this clone.
    #[arg(long, default_value = PREVIOUS)]
    from: String,
}

pub async fn run(arguments: Arguments) -> Result<(), Failure> {
    let project = Project::here();
    progress::prepare(&project).await?;
    let commit = commit_of(&project, &arguments.from).await?;
    from(&project, &commit).await
}

/// As `cargo xtask test` runs it. A clone without history has no previous release: there it is this
/// version with other functions, as far as CDK can tell.
pub(crate) async fn from_the_previous_release(project: &Project) -> Result<(), Failure> {
    match commit_of(project, PREVIOUS).await {
        Ok(commit) => from(project, &commit).await,
        Err(failure) => {
            println!("! {failure}: updating from this version to itself instead");
            measure(project, "this version", &marked_copy(project)?).await
        }
    }
}

async fn from(project: &Project, commit: &str) -> Result<(), Failure> {
    let previous = check_out(project, commit).await?;
    build(project, &previous).await?;
    measure(project, commit, &previous).await
}

async fn build(project: &Project, previous: &App) -> Result<(), Failure> {
    let installing = project.install_node_packages(&previous.cdk);
    progress::step("Installing the packages of the version before", installing).await?;
    let tree = previous.cdk.parent().unwrap_or(&previous.cdk);
    let target = tree.with_file_name("target");
    let building = project.build_functions_of(tree, &target, &previous.functions);
    let what = "Building the functions of the version before (minutes the first time)";
    progress::step(what, building).await
}

async fn measure(project: &Project, from: &str, previous: &App) -> Result<(), Failure> {
    let what = format!("Updating from {from} while executions run");
    let report = progress::step(&what, upgrade::run(project, previous)).await?;
    println!("\n{report}");
    no_problems(&report.problems())
}

/// The commit that a tag, a branch or a commit's name means.
async fn commit_of(project: &Project, version: &str) -> Result<String, Failure> {
    let commit = format!("{version}^{{commit}}");
    let asked = ["rev-parse", "--verify", "--end-of-options", &commit];
    match git(project, &asked).await {
        Ok(commit) => Ok(commit.trim().to_owned()),
        Err(_) => Err(format!(
            "this clone has no version {version}: fetch the whole history, `git fetch --unshallow`"
        )
        .into()),
    }
}

/// The files of a version, below the target folder.
async fn check_out(project: &Project, commit: &str) -> Result<App, Failure> {
    let folder = project.target().join("upgrade").join(commit);
    let tree = folder.join("tree");
    if !tree.exists() {
        // Under another name first: what was interrupted is not taken for the whole.
        let partial = folder.join("partial");
        let _ = fs::remove_dir_all(&partial);
        fs::create_dir_all(&partial)?;
        let archive = folder.join("tree.tar");
        let output = format!("--output={}", archive.display());
        git(project, &["archive", &output, commit]).await?;
        unpack(&archive, &partial).await?;
        fs::remove_file(&archive)?;
        fs::rename(&partial, &tree)?;
    }
    Ok(App {
        cdk: tree.join("cdk"),
        functions: folder.join("functions"),
    })
}

/// This version, whose functions hold one more file: other code, as CDK sees it.
fn marked_copy(project: &Project) -> Result<App, Failure> {
    let functions = project.target().join("upgrade/marked");
    project.copy_functions(&functions, |own, copy| {
        fs::copy(own, copy.join("bootstrap"))?;
        fs::write(copy.join("version-before"), "")
    })?;
    let cdk = project.cdk();
    Ok(App { cdk, functions })
}

async fn git(project: &Project, arguments: &[&str]) -> Result<String, Failure> {
    let mut git = Command::new("git");
    let git = git.args(arguments).current_dir(&project.root).output();
    let output = git
        .await
        .map_err(|error| format!("can't run git: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(String::from_utf8_lossy(&output.stderr).trim().into())
}

async fn unpack(archive: &Path, folder: &Path) -> Result<(), Failure> {
    let mut tar = Command::new("tar");
    tar.arg("-xf").arg(archive).arg("-C").arg(folder);
    if tar.status().await?.success() {
        return Ok(());
    }
    Err(format!("can't unpack {}", archive.display()).into())
}
