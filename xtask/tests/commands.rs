//! Arguments are checked before anything is built.
#![allow(clippy::unwrap_used)]

use std::process::{Command, Output};

fn xtask(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(arguments)
        .env_remove("SLACK_TOKEN")
        .output()
        .unwrap()
}

#[test]
fn the_help_of_a_command_names_its_options() {
    for (command, option) in [
        ("demo", "--request"),
        ("local", "--wait-scale"),
        ("test", "--e2e"),
    ] {
        let help = xtask(&[command, "--help"]);
        assert!(help.status.success());
        let help = String::from_utf8(help.stdout).unwrap();
        assert!(help.contains(option), "{help}");
        assert!(help.contains(&format!("cargo xtask {command}")), "{help}");
    }
}

#[test]
fn an_invalid_option_is_rejected_by_name() {
    for (arguments, named) in [
        (["demo", "--reqest=x.json"], "--reqest"),
        (
            ["local", "--wait-scale=2"],
            "must be greater than 0 and at most 1",
        ),
        (
            ["local", "--slack-url=https://slack.com/api"],
            "--slack-token",
        ),
        (["test", "a_name"], "--e2e"),
    ] {
        let refused = xtask(&arguments);
        assert_eq!(refused.status.code(), Some(2));
        let why = String::from_utf8(refused.stderr).unwrap();
        assert!(why.contains(named), "{why}");
    }
}
