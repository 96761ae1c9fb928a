//! This checkout and the paths in it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::Error;

/// How the functions are built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Build {
    /// A dev build like all others here. It takes seconds, because it shares its crates with the tests.
    Dev,
    /// The build that is deployed to AWS. It takes minutes.
    Release,
}

impl Build {
    pub fn release_if(is_release: bool) -> Self {
        if is_release { Self::Release } else { Self::Dev }
    }
}

/// This checkout, and how its functions are built.
#[derive(Debug, Clone)]
pub struct Project {
    pub root: PathBuf,
    pub build: Build,
}

impl Project {
    /// The checkout that this crate was built from, with a dev build of the functions.
    pub fn here() -> Self {
        Self::with(Build::Dev)
    }

    /// The same checkout, with another build of the functions.
    pub fn with(build: Build) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        Self {
            root: root.canonicalize().unwrap_or(root),
            build,
        }
    }

    /// The folder for everything that the local stack installs or writes.
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

    /// The folder of the built functions. It contains a folder with a `bootstrap` for each.
    pub fn functions(&self) -> PathBuf {
        match self.build {
            Build::Dev => self.folder().join("functions"),
            Build::Release => self.target().join("lambda"),
        }
    }

    /// The names of the functions' crates. Each has a program of the same name.
    pub fn function_names(&self) -> Result<Vec<String>, Error> {
        let functions = self.root.join("functions");
        let failed = || Error::io(functions.display());
        let mut names = Vec::new();
        for function in fs::read_dir(&functions).map_err(failed())? {
            let function = function.map_err(failed())?;
            if function.path().join("Cargo.toml").exists() {
                names.push(function.file_name().to_string_lossy().into_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    /// Cargo's target folder.
    pub fn target(&self) -> PathBuf {
        let folder = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
        self.root.join(folder)
    }

    /// The folder for tools that cargo installs.
    pub(crate) fn tools(&self) -> PathBuf {
        self.target().join("tools")
    }

    pub fn cargo_cyclonedx(&self) -> PathBuf {
        self.tools().join("bin/cargo-cyclonedx")
    }

    /// Creates the folder for the logs of installations and builds.
    pub fn make_folders(&self) -> Result<(), Error> {
        let logs = self.logs();
        fs::create_dir_all(&logs).map_err(Error::io(logs.display()))
    }

    /// The path of a built program of this workspace.
    pub fn program(&self, name: &str) -> PathBuf {
        self.target().join("debug").join(name)
    }
}
