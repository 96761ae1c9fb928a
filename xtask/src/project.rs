//! This checkout: where things are in it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::Error;

/// How the functions are built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Build {
    /// As everything else here is: a build of seconds, which shares its crates with the tests.
    Dev,
    /// As they are deployed to AWS: a build of minutes.
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

    /// The same with another build of the functions.
    pub fn with(build: Build) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        Self {
            root: root.canonicalize().unwrap_or(root),
            build,
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

    /// Where the functions are when they are built: a folder each, with a `bootstrap` in it.
    pub fn functions(&self) -> PathBuf {
        match self.build {
            Build::Dev => self.folder().join("functions"),
            Build::Release => self.target().join("lambda"),
        }
    }

    /// The functions' crates, each with a program of the same name.
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

    /// Where cargo builds.
    pub fn target(&self) -> PathBuf {
        let folder = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
        self.root.join(folder)
    }

    /// The tools that cargo has installed.
    pub(crate) fn tools(&self) -> PathBuf {
        self.target().join("tools")
    }

    pub fn cargo_cyclonedx(&self) -> PathBuf {
        self.tools().join("bin/cargo-cyclonedx")
    }

    /// Makes the folders that what is installed and built is logged to.
    pub fn make_folders(&self) -> Result<(), Error> {
        let logs = self.logs();
        fs::create_dir_all(&logs).map_err(Error::io(logs.display()))
    }

    /// A program of this workspace that is built.
    pub fn program(&self, name: &str) -> PathBuf {
        self.target().join("debug").join(name)
    }
}
