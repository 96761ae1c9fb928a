//! Has cfn-lint check the templates of every kind of deployment.

use std::{fs, path::PathBuf};

use tokio::process::Command;
use xtask::{Error, Project, process, program::Failure};

use crate::stages::Stages;

/// CDK names in `DependsOn` also what a resource refers to, which cfn-lint calls redundant.
const REDUNDANT_DEPENDENCY: &str = "W3005";

pub async fn check(project: &Project, stages: &Stages) -> Result<(), Failure> {
    let folder = project.folder().join("cfn-lint");
    let temporary = folder.join("tmp");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&temporary).map_err(Error::io(temporary.display()))?;
    let mut write = Command::new("npm");
    write
        .args(["run", "--silent", "templates", "--"])
        .arg(&folder)
        .current_dir(project.cdk())
        .env("TMPDIR", &temporary);
    stages.run("CDK: templates", write).await?;

    let templates: Vec<PathBuf> = fs::read_dir(&folder)
        .map_err(Error::io(folder.display()))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()
        .map_err(Error::io(folder.display()))?;
    let templates = templates.iter().filter(|path| path.is_file());
    let mut lint = process::command("cfn-lint", &project.venv(), &project.root);
    lint.args(["--ignore-checks", REDUNDANT_DEPENDENCY, "--template"])
        .args(templates);
    stages.run("CDK: cfn-lint", lint).await
}
