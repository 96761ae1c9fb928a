//! `cargo xtask upgrade`: updates to this version from the previous one while executions run, then destroys it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tokio::process::Command;
use xtask::{Build, Project, prepare::prepare, process, program::Failure, progress};

/// The commit of the previous release, 0.1.0. Every release sets this to its own commit.
const PREVIOUS: &str = "fe647173e5a45088bd8e9994f28d6e016056895e";

#[derive(clap::Args)]
pub struct Arguments {
    /// The version to update from: a commit, a tag or a branch of this clone.
    #[arg(long, default_value = PREVIOUS)]
    from: String,
    /// Uses a dev build of this version's functions, which takes only seconds to build.
    #[arg(long)]
    dev: bool,
}

/// The folders of a previous version's CDK app and functions.
struct Version {
    name: String,
    cdk: PathBuf,
    functions: PathBuf,
}

pub async fn run(arguments: Arguments) -> Result<(), Failure> {
    let project = Project::with(Build::release_if(!arguments.dev));
    prepare(&project, &["upgrade"]).await?;
    let commit = commit_of(&project, &arguments.from).await?;
    from(&project, &commit).await
}

/// The update that `cargo xtask release-checks` runs. A clone without history has no previous release, so it updates
/// from a copy of this version whose functions look different to CDK.
pub(crate) async fn from_the_previous_release(project: &Project) -> Result<(), Failure> {
    match commit_of(project, PREVIOUS).await {
        Ok(commit) => from(project, &commit).await,
        Err(failure) => {
            println!("! {failure}: updating from this version to itself instead");
            measure(project, &marked_copy(project)?).await
        }
    }
}

async fn from(project: &Project, commit: &str) -> Result<(), Failure> {
    let previous = check_out(project, commit).await?;
    build(project, &previous).await?;
    measure(project, &previous).await
}

async fn build(project: &Project, previous: &Version) -> Result<(), Failure> {
    let tree = previous.cdk.parent().unwrap_or(&previous.cdk);
    let target = tree.with_file_name("target");
    tokio::try_join!(
        progress::step(
            "Installing the packages of the previous version",
            project.install_node_packages(&previous.cdk)
        ),
        progress::step(
            "Building the functions of the previous version (takes minutes the first time)",
            project.build_functions_of(tree, &target, &previous.functions)
        ),
    )?;
    Ok(())
}

async fn measure(project: &Project, previous: &Version) -> Result<(), Failure> {
    let mut upgrade = Command::new(project.program("upgrade"));
    upgrade.arg("--from").arg(&previous.name);
    upgrade.arg("--cdk").arg(&previous.cdk);
    upgrade.arg("--functions").arg(&previous.functions);
    if project.build == Build::Dev {
        upgrade.arg("--dev");
    }
    if process::run("the update", &mut upgrade).await?.success() {
        return Ok(());
    }
    Err("the update failed or broke a promise".into())
}

/// Returns the commit that a tag, a branch or a commit name refers to.
async fn commit_of(project: &Project, version: &str) -> Result<String, Failure> {
    let commit = format!("{version}^{{commit}}");
    let asked = ["rev-parse", "--verify", "--end-of-options", &commit];
    match git(project, &asked).await {
        Ok(commit) => Ok(commit.trim().to_owned()),
        Err(_) => Err(format!(
            "this clone has no version {version}: fetch the whole history with `git fetch --unshallow`"
        )
        .into()),
    }
}

/// Extracts the files of a version into a folder below the target folder.
async fn check_out(project: &Project, commit: &str) -> Result<Version, Failure> {
    let folder = project.target().join("upgrade").join(commit);
    let tree = folder.join("tree");
    if !tree.exists() {
        // Extract under another name first, so that an interrupted extraction is not mistaken for a complete one.
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
    Ok(Version {
        name: commit.to_owned(),
        cdk: tree.join("cdk"),
        functions: folder.join("functions"),
    })
}

/// A copy of this version with an additional file in each function, so that CDK sees different code.
fn marked_copy(project: &Project) -> Result<Version, Failure> {
    let functions = project.target().join("upgrade/marked");
    project.copy_functions(&functions, |own, copy| {
        fs::copy(own, copy.join("bootstrap"))?;
        fs::write(copy.join("version-before"), "")
    })?;
    Ok(Version {
        name: "this version".to_owned(),
        cdk: project.cdk(),
        functions,
    })
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
