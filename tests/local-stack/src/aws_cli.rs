//! Runs the project's own AWS command line against a local stack.

use serde_json::Value;
use xtask::process::command;

use crate::{Error, Project, stack::point_at_local_aws};

/// Runs a command, such as `["iam", "list-roles"]`, and returns its output: `Null` if there is none.
pub async fn aws(project: &Project, url: &str, arguments: &[&str]) -> Result<Value, Error> {
    let what = format!("aws {}", arguments.join(" "));
    let venv = project.venv();
    let mut aws = command(venv.join("bin/aws"), &venv, &project.folder());
    point_at_local_aws(&mut aws, url);
    aws.args(["--endpoint-url", url, "--output", "json"])
        .args(arguments);
    let ran = aws.output().await.map_err(Error::io(&what))?;
    if !ran.status.success() {
        let reason = String::from_utf8_lossy(&ran.stderr).trim().to_owned();
        return Err(Error::Setup(format!("{what}: {reason}")));
    }
    match ran.stdout.trim_ascii() {
        b"" => Ok(Value::Null),
        json => {
            serde_json::from_slice(json).map_err(|error| Error::Setup(format!("{what}: {error}")))
        }
    }
}
