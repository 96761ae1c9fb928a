//! Builds programs and functions, and creates the functions' bootstraps.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use tokio::process::Command;

use crate::{
    Build, Error, Project,
    process::{find_tools_first, run_to_log},
};

impl Project {
    /// The bootstrap of each built function, by the function's name.
    pub fn built_functions(&self) -> io::Result<BTreeMap<String, PathBuf>> {
        built_functions(&self.functions())
    }

    /// Creates a folder for each built function. `put` fills the folder, given the path of the function's own
    /// bootstrap.
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

    /// Builds programs of this workspace, together with a dev build of every function.
    pub async fn build_with_functions(&self, programs: &[&str]) -> Result<(), Error> {
        let functions = self.function_names()?;
        let functions = functions.iter().map(String::as_str);
        let together: Vec<_> = programs.iter().copied().chain(functions).collect();
        self.build_programs(&together).await?;
        self.lay_out_functions()
    }

    /// Builds every function as for AWS, but to run on this machine. The Python tools must be installed before.
    pub async fn build_release(&self) -> Result<(), Error> {
        let (target, functions) = (self.target(), self.functions());
        self.cargo_lambda_build(&self.root, &target, &functions, Build::Release)
            .await
    }

    /// Builds programs of this workspace.
    pub async fn build_programs(&self, programs: &[&str]) -> Result<(), Error> {
        self.make_folders()?;
        let mut cargo = cargo_build(&self.root);
        for program in programs {
            cargo.args(["--bin", program]);
        }
        let log = self.logs().join("build.log");
        run_to_log("cargo build", &mut cargo, &log).await
    }

    /// Creates a folder with a `bootstrap` for each function that cargo has built, using [`Self::bootstrap_of`].
    pub fn lay_out_functions(&self) -> Result<(), Error> {
        for name in self.function_names()? {
            let bootstrap = self.functions().join(&name).join("bootstrap");
            self.bootstrap_of(&name, &bootstrap)?;
        }
        Ok(())
    }

    /// Writes a `bootstrap` script that executes this program, so that a dev build's large programs need not be
    /// zipped, uploaded and unpacked for each stack. The script differs for each build, so CDK sees that the code
    /// has changed. It executes a kept copy of the program, which later builds do not change.
    pub fn bootstrap_of(&self, program: &str, bootstrap: &Path) -> Result<(), Error> {
        let kept = self.folder().join("programs").join(program);
        let written = write_bootstrap(&self.program(program), &kept, bootstrap);
        written.map_err(Error::io(bootstrap.display()))
    }

    /// Builds the functions of another version of the project. A dev build is enough, because only their behaviour
    /// matters. They need a target folder of their own, otherwise cargo would confuse the two versions' crates.
    pub async fn build_functions_of(
        &self,
        root: &Path,
        target: &Path,
        functions: &Path,
    ) -> Result<(), Error> {
        self.cargo_lambda_build(root, target, functions, Build::Dev)
            .await
    }

    async fn cargo_lambda_build(
        &self,
        root: &Path,
        target: &Path,
        functions: &Path,
        build: Build,
    ) -> Result<(), Error> {
        self.make_folders()?;
        let _alone = lock(self.folder().join("build.lock")).await?;
        let mut cargo = cargo(root);
        find_tools_first(&mut cargo, &self.venv());
        // Builds the workspace's default members with cargo's own compiler; zig is only for other machines.
        cargo.args([
            "lambda",
            "build",
            "--locked",
            "--compiler",
            "cargo",
            "--lambda-dir",
        ]);
        cargo.arg(functions).env("CARGO_TARGET_DIR", target);
        match build {
            Build::Release => cargo.arg("--release"),
            // The functions are zipped and uploaded, and most of their size would be symbols.
            Build::Dev => cargo.env("CARGO_PROFILE_DEV_STRIP", "true"),
        };
        let log = self.logs().join("build-functions.log");
        run_to_log("cargo lambda build", &mut cargo, &log).await
    }
}

/// A cargo command that builds the packages that the caller adds, with the same features as the whole workspace
/// with its tests. So cargo does not compile any crate twice, with different features, for a program, a test or a
/// function.
///
/// Cargo enables the features that the selected packages ask for. It includes those of development dependencies if
/// the build includes a test, so this command always builds a small one.
///
/// Source: "Features: Feature resolver version 2", The Cargo Book.
pub fn cargo_build(root: &Path) -> Command {
    let mut cargo = cargo(root);
    cargo.args(["build", "--workspace", "--locked", "--test", "commands"]);
    cargo
}

/// A cargo command that builds as if it was started by hand. `cargo xtask` itself runs under cargo, which sets
/// variables for the package that it runs. ring's build script watches these, so ring and everything that depends
/// on it would be rebuilt.
pub fn cargo(folder: &Path) -> Command {
    let mut cargo = Command::new("cargo");
    for (name, _) in std::env::vars_os() {
        let of_a_package = [
            "CARGO_PKG_",
            "CARGO_MANIFEST_",
            "CARGO_BIN_",
            "CARGO_CRATE_",
        ];
        let text = name.to_string_lossy();
        if of_a_package.iter().any(|prefix| text.starts_with(prefix)) {
            cargo.env_remove(&name);
        }
    }
    cargo.current_dir(folder).kill_on_drop(true);
    cargo
}

fn write_bootstrap(built: &Path, kept: &Path, bootstrap: &Path) -> io::Result<()> {
    let modified = keep(built, kept)?;
    let path = kept.display().to_string().replace('\'', r"'\''");
    let script = format!("#!/bin/sh\n# Built at {modified}\nexec '{path}'\n");
    write_program(bootstrap, &script)
}

/// Keeps a file under another name, and returns its modification time in nanoseconds since 1970.
fn keep(built: &Path, kept: &Path) -> io::Result<i128> {
    let source = fs::metadata(built)?;
    let modified = i128::from(source.mtime()) * 1_000_000_000 + i128::from(source.mtime_nsec());
    let is_the_same =
        |there: fs::Metadata| (there.dev(), there.ino()) == (source.dev(), source.ino());
    if fs::metadata(kept).is_ok_and(is_the_same) {
        return Ok(modified);
    }
    // Replace the file atomically, because another process may be running it. Copy it if a link is impossible.
    let new = kept.with_extension(format!("new-{}", std::process::id()));
    make_way(&new)?;
    fs::hard_link(built, &new).or_else(|_| fs::copy(built, &new).map(drop))?;
    fs::rename(&new, kept)?;
    Ok(modified)
}

fn write_program(file: &Path, script: &str) -> io::Result<()> {
    if fs::read_to_string(file).is_ok_and(|there| there == script) {
        return Ok(());
    }
    make_way(file)?;
    fs::write(file, script)?;
    fs::set_permissions(file, fs::Permissions::from_mode(0o755))
}

/// Removes the file, if it exists. Processes that have it open keep their version.
fn make_way(file: &Path) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
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

/// Waits until no other process in this checkout builds functions: cargo-lambda moves the files that cargo has
/// built, and two processes would move the same file.
async fn lock(path: PathBuf) -> Result<fs::File, Error> {
    let what = path.display().to_string();
    let locking = tokio::task::spawn_blocking(move || {
        let file = fs::File::create(path)?;
        file.lock().map(|()| file)
    });
    let locked = locking.await.map_err(io::Error::other);
    locked.flatten().map_err(Error::io(what))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::{
        process::Command,
        time::{Duration, SystemTime},
    };

    use super::*;

    #[test]
    fn a_bootstrap_keeps_running_the_program_that_was_built_when_it_was_written() {
        let folder = std::env::temp_dir().join(format!("xtask's-project-{}", std::process::id()));
        let (built, kept) = (folder.join("built"), folder.join("kept"));
        let bootstrap = folder.join("function/bootstrap");
        let says = |program: &Path| {
            // Another test may have forked while the program was written: until its child runs a program of its own, the
            // child has the file open.
            let output = loop {
                match Command::new(program).output() {
                    Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => {}
                    output => break output.unwrap(),
                }
            };
            String::from_utf8(output.stdout).unwrap()
        };
        let mut texts = Vec::new();
        for (version, seconds) in [("one", 1), ("two", 2)] {
            write_program(&built, &format!("#!/bin/sh\necho {version}\n")).unwrap();
            let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            fs::File::open(&built)
                .unwrap()
                .set_modified(modified)
                .unwrap();
            // A new build must not change the bootstrap of the previous one.
            if let Some(before) = texts.last() {
                assert_eq!(&fs::read_to_string(&bootstrap).unwrap(), before);
                assert_eq!(says(&bootstrap), "one\n");
            }
            write_bootstrap(&built, &kept, &bootstrap).unwrap();
            assert_eq!(says(&bootstrap), format!("{version}\n"));
            texts.push(fs::read_to_string(&bootstrap).unwrap());
        }
        assert_ne!(texts[0], texts[1]);
        fs::remove_dir_all(&folder).unwrap();
    }
}
