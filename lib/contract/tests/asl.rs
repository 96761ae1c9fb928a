//! Checks that the contract and the state machines use the same error names.
#![allow(clippy::unwrap_used)]

use std::{collections::BTreeSet, fs, path::Path};

use apgl_contract::{ErrorName, Recovery};
use serde_json::Value;

/// Every name in a `Retry`'s or `Catch`'s `ErrorEquals`.
fn names_matched(rules: &str) -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../statemachines");
    let mut names = BTreeSet::new();
    for file in fs::read_dir(folder).unwrap() {
        let machine: Value =
            serde_json::from_slice(&fs::read(file.unwrap().path()).unwrap()).unwrap();
        for state in machine["States"].as_object().unwrap().values() {
            for rule in state[rules].as_array().into_iter().flatten() {
                for name in rule["ErrorEquals"].as_array().unwrap() {
                    names.insert(name.as_str().unwrap().to_owned());
                }
            }
        }
    }
    assert!(!names.is_empty());
    names
}

fn ours(recoveries: &[Recovery]) -> BTreeSet<String> {
    ErrorName::ALL
        .iter()
        .filter(|name| recoveries.contains(&name.recovery()))
        .map(|name| name.as_str().to_owned())
        .collect()
}

/// Whether AWS defines the name: such names start with the prefix of a service or of the runtime.
fn is_awss(name: &str) -> bool {
    ["States.", "Lambda.", "Runtime.", "Sandbox."]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

fn without_awss(names: BTreeSet<String>) -> BTreeSet<String> {
    names.into_iter().filter(|name| !is_awss(name)).collect()
}

#[test]
fn the_state_machines_retry_exactly_the_transient_errors() {
    assert_eq!(
        without_awss(names_matched("Retry")),
        ours(&[Recovery::Transient])
    );
}

#[test]
fn the_state_machines_catch_exactly_the_errors_that_need_no_operator() {
    let caught = |name: &&ErrorName| {
        let recoveries = [Recovery::Terminal, Recovery::Wait, Recovery::LookUp];
        recoveries.contains(&name.recovery()) || name.is_fixed_in_slack()
    };
    let caught = ErrorName::ALL.iter().filter(caught);
    assert_eq!(
        without_awss(names_matched("Catch")),
        caught.map(|name| name.as_str().to_owned()).collect()
    );
}

#[test]
fn no_error_name_of_ours_looks_like_one_of_awss() {
    assert!(ErrorName::ALL.iter().all(|name| !is_awss(name.as_str())));
}
