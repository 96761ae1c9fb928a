//! Checks that this crate does not bring a second TLS or HTTP stack into a handler.
#![allow(clippy::unwrap_used)]

use std::{collections::BTreeSet, process::Command};

#[test]
fn the_client_has_one_tls_stack_one_http_stack_and_no_credential_provider_chain() {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--package", "apgl-client", "--edges", "normal"])
        .args(["--prefix", "none", "--locked", "--offline"])
        .output()
        .unwrap();
    assert!(tree.status.success(), "{tree:?}");
    let tree = String::from_utf8(tree.stdout).unwrap();
    let crates: BTreeSet<(&str, &str)> = tree
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            Some((words.next()?, words.next()?))
        })
        .collect();
    let versions = |name: &str| crates.iter().filter(|(known, _)| *known == name).count();
    for name in ["rustls", "reqwest", "hyper", "http", "ring"] {
        assert_eq!(versions(name), 1, "{name} in {crates:?}");
    }
    for name in [
        "aws-config",
        "aws-lc-rs",
        "aws-smithy-http-client",
        "openssl",
        "native-tls",
    ] {
        assert_eq!(versions(name), 0, "{name}");
    }
}
