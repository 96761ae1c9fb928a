//! Compares what typical notifications use, and how large the functions are, with `tests/lab/bench/budget.json`.
//! Every increase shows in that file's history, together with its reason.

use std::{
    collections::BTreeMap,
    env::consts::ARCH,
    fs,
    path::{Path, PathBuf},
};

use counting::{
    cases,
    counter::Counter,
    work::{Work, names},
};
use local_stack::Project;
use serde::{Deserialize, Serialize};
use tokio::process::Command;

use crate::{Error, sizes::sizes};

/// The same source builds to nearly the same size on another machine: the binaries contain source paths.
const SIZE_TOLERANCE_PERCENT: u64 = 1;

/// The figures that must only grow on purpose.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Counts of each notification.
    pub notifications: BTreeMap<String, Counts>,
    /// The size in bytes of each function's zip, by architecture and compiler.
    pub zips: BTreeMap<String, BTreeMap<String, u64>>,
}

/// What one notification uses. Reads of the token are left out, because they depend on the time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Counts {
    pub state_transitions: u64,
    pub lambda_invocations: u64,
    pub dynamodb_requests: u64,
    pub dynamodb_write_units: u64,
    pub dynamodb_half_read_units: u64,
    pub metric_puts: u64,
    pub slack_calls: u64,
}

impl From<&Work> for Counts {
    fn from(work: &Work) -> Self {
        let counted = &work.counted;
        let dynamodb = counted.dynamodb_total();
        Self {
            state_transitions: counted.transitions.values().sum(),
            lambda_invocations: counted.invocations.values().sum(),
            dynamodb_requests: dynamodb.requests,
            dynamodb_write_units: dynamodb.write_units,
            dynamodb_half_read_units: dynamodb.half_read_units,
            metric_puts: counted.metric_puts,
            slack_calls: counted.slack.values().sum(),
        }
    }
}

impl Counts {
    fn figures(self) -> [(&'static str, u64); 7] {
        [
            ("state transitions", self.state_transitions),
            ("Lambda invocations", self.lambda_invocations),
            ("DynamoDB requests", self.dynamodb_requests),
            ("DynamoDB write units", self.dynamodb_write_units),
            (
                "halves of DynamoDB read units",
                self.dynamodb_half_read_units,
            ),
            ("requests to CloudWatch", self.metric_puts),
            ("calls to Slack", self.slack_calls),
        ]
    }
}

pub fn file(project: &Project) -> PathBuf {
    project.root.join("tests/lab/bench/budget.json")
}

/// What each typical notification uses, counted on a local stack of its own.
pub async fn counted(project: &Project) -> Result<BTreeMap<String, Counts>, Error> {
    let counter = Counter::start(project, "budget").await?;
    let works = cases::run(&counter).await;
    counter.stop().await;
    let notifications = works?;
    let notifications = notifications
        .iter()
        .map(|(case, work)| (case.to_string(), work.into()));
    Ok(notifications.collect())
}

/// The sizes of the functions' zips for this architecture and compiler.
pub async fn weighed(project: &Project) -> Result<BTreeMap<String, BTreeMap<String, u64>>, Error> {
    Ok(BTreeMap::from([(build().await?, zips(project)?)]))
}

impl Budget {
    pub fn read(file: &Path) -> Result<Self, Error> {
        let what = file.display().to_string();
        let json = fs::read(file).map_err(Error::io(&what))?;
        serde_json::from_slice(&json).map_err(|error| Error::Unmeasured(format!("{what}: {error}")))
    }

    /// Writes the budget, and keeps the recorded sizes of other builds.
    pub fn write(&self, file: &Path) -> Result<(), Error> {
        let mut budget = self.clone();
        if file.exists() {
            let written = Self::read(file)?;
            for (build, zips) in written.zips {
                budget.zips.entry(build).or_insert(zips);
            }
        }
        let json = format!("{:#}\n", serde_json::json!(budget));
        fs::write(file, json).map_err(Error::io(file.display().to_string()))
    }

    /// The differences between `counted` and the budget, one sentence each. Counts must be equal: a decrease
    /// must be recorded too, otherwise the count could grow back unnoticed.
    pub fn broken_by_counts(&self, counted: &BTreeMap<String, Counts>) -> Vec<String> {
        let mut problems = Vec::new();
        for (notification, written, now) in both(&self.notifications, counted) {
            let (Some(written), Some(now)) = (written, now) else {
                problems.push(only_in_one(notification, written.is_some()));
                continue;
            };
            for ((figure, written), (_, now)) in written.figures().into_iter().zip(now.figures()) {
                if written != now {
                    problems.push(format!("{notification}: {written} {figure} became {now}"));
                }
            }
        }
        problems
    }

    /// The zips that are larger than recorded, one sentence each. A smaller zip is fine.
    pub fn broken_by_sizes(
        &self,
        weighed: &BTreeMap<String, BTreeMap<String, u64>>,
    ) -> Vec<String> {
        let mut problems = Vec::new();
        for (build, zips) in weighed {
            let Some(known) = self.zips.get(build) else {
                continue;
            };
            for (function, written, now) in both(known, zips) {
                let (Some(written), Some(now)) = (written, now) else {
                    problems.push(only_in_one(function, written.is_some()));
                    continue;
                };
                if *now > written + written * SIZE_TOLERANCE_PERCENT / 100 {
                    problems.push(format!(
                        "{function}: its zip of {written} bytes became {now}"
                    ));
                }
            }
        }
        problems
    }

    /// A build that the budget has no sizes for: another architecture or another compiler.
    pub fn unknown_build<'a>(
        &self,
        weighed: &'a BTreeMap<String, BTreeMap<String, u64>>,
    ) -> Option<&'a str> {
        let mut builds = weighed.keys();
        let unknown = builds.find(|build| !self.zips.contains_key(*build));
        unknown.map(String::as_str)
    }
}

/// Every name that is in either map, with both values.
fn both<'a, T>(
    written: &'a BTreeMap<String, T>,
    measured: &'a BTreeMap<String, T>,
) -> impl Iterator<Item = (&'a str, Option<&'a T>, Option<&'a T>)> {
    names([written, measured])
        .into_iter()
        .map(|name| (name, written.get(name), measured.get(name)))
}

fn only_in_one(name: &str, is_written: bool) -> String {
    if is_written {
        format!("{name}: in the budget, but not measured")
    } else {
        format!("{name}: not in the budget")
    }
}

/// The build that sizes depend on, besides the source.
async fn build() -> Result<String, Error> {
    let mut rustc = Command::new("rustc");
    let version = rustc.arg("--version").output().await;
    let version = version.map_err(Error::io("rustc"))?.stdout;
    let version = String::from_utf8_lossy(&version);
    let number = version.split(' ').nth(1).unwrap_or_default();
    Ok(format!("{ARCH}, rustc {number}"))
}

fn zips(project: &Project) -> Result<BTreeMap<String, u64>, Error> {
    let built = project.built_functions();
    let built = built.map_err(Error::io("the functions"))?.into_iter();
    built
        .map(|(name, bootstrap)| Ok((name, sizes(&bootstrap)?.zip)))
        .collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn budget(slack_calls: u64, zip: u64) -> Budget {
        let counts = Counts {
            slack_calls,
            ..Counts::default()
        };
        let zips = BTreeMap::from([("post-message".to_owned(), zip)]);
        Budget {
            notifications: BTreeMap::from([("first".to_owned(), counts)]),
            zips: BTreeMap::from([("x86_64".to_owned(), zips)]),
        }
    }

    fn broken(written: &Budget, measured: &Budget) -> Vec<String> {
        let mut problems = written.broken_by_counts(&measured.notifications);
        problems.extend(written.broken_by_sizes(&measured.zips));
        problems
    }

    #[rstest]
    #[case::the_same(4, 2_000_000, &[])]
    #[case::one_call_more(5, 2_000_000, &["first: 4 calls to Slack became 5"])]
    #[case::one_call_less(3, 2_000_000, &["first: 4 calls to Slack became 3"])]
    #[case::another_machine(4, 2_019_000, &[])]
    #[case::a_larger_zip(4, 2_030_000, &["post-message: its zip of 2000000 bytes became 2030000"])]
    #[case::a_smaller_zip(4, 1_500_000, &[])]
    fn growth_breaks_the_budget(
        #[case] slack_calls: u64,
        #[case] zip: u64,
        #[case] problems: &[&str],
    ) {
        let written = budget(4, 2_000_000);
        assert_eq!(broken(&written, &budget(slack_calls, zip)), problems);
    }

    #[test]
    fn an_entry_that_only_one_side_has_breaks_the_budget() {
        let (known, nothing) = (budget(4, 1), Budget::default());
        let problems = broken(&nothing, &known);
        assert_eq!(problems, ["first: not in the budget"]);
        let problems = broken(&known, &nothing);
        assert_eq!(problems, ["first: in the budget, but not measured"]);
        let mut without = known.clone();
        without.zips.values_mut().for_each(BTreeMap::clear);
        let problems = broken(&known, &without);
        assert_eq!(problems, ["post-message: in the budget, but not measured"]);
    }

    #[test]
    fn another_build_has_its_own_sizes() {
        let (known, mut other) = (budget(4, 1), budget(4, 9));
        let zips = other.zips.remove("x86_64").unwrap_or_default();
        other.zips.insert("aarch64".to_owned(), zips);
        assert_eq!(broken(&known, &other), [""; 0]);
        assert_eq!(known.unknown_build(&other.zips), Some("aarch64"));
        assert_eq!(known.unknown_build(&known.zips), None);
    }
}
