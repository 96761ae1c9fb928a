//! Bad input leads to one clear line and a non-zero exit code. Nothing is done: there is no AWS to do it with.
#![allow(clippy::unwrap_used)]

use std::{
    io::Write,
    process::{Command, Output, Stdio},
};

use rstest::rstest;

/// Runs `apgl` with credentials, but without AWS.
fn apgl(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

fn command(arguments: &[&str]) -> Command {
    let mut apgl = Command::new(env!("CARGO_BIN_EXE_apgl"));
    apgl.args(arguments)
        .env_clear()
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        // Nothing listens on this port.
        .env("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        .env("AWS_MAX_ATTEMPTS", "1");
    apgl
}

/// The only line on standard error, without colours.
fn line_of(output: &Output) -> String {
    let errors = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(errors.lines().count(), 1, "{errors}");
    assert!(output.stdout.is_empty());
    assert!(!errors.contains('\u{1b}'), "colours are for terminals");
    let line = errors.trim_end().strip_prefix("error: ");
    line.unwrap_or_else(|| panic!("{errors}")).to_owned()
}

#[rstest]
#[case(&["nonsense"], "unrecognized subcommand 'nonsense'")]
#[case(&["list", "--nonsense"], "unexpected argument '--nonsense' found")]
#[case(&["list", "--output", "xml"], "invalid value 'xml' for '--output <OUTPUT>' [possible values: text, json]")]
#[case(&["list", "--limit", "0"], "invalid value '0' for '--limit <LIMIT>': 0 is not in 1..=1000")]
#[case(&["list", "--workflow", "nonsense"], "invalid value 'nonsense' for '--workflow <WORKFLOW>'")]
#[case(&["inspect"], "the following required arguments were not provided: <EXECUTION>")]
#[case(&["inspect", ""], "`` is neither the ARN nor the name of an execution")]
#[case(&["inspect", "arn:aws:lambda:x"], "`arn:aws:lambda:x` is neither the ARN nor the name of an execution")]
#[case(&["redrive"], "the following required arguments were not provided: <EXECUTION>...")]
#[case(&["completion", "tcsh"], "invalid value 'tcsh' for '<SHELL>'")]
#[case(&["preferences", "get"], "the following required arguments were not provided: <EMAIL>")]
#[case(&["preferences", "get", "ana"], "invalid value 'ana' for '<EMAIL>': must be an e-mail address")]
#[case(&["preferences", "set", "ana@example.com"], "the following required arguments were not provided: <WANTED>")]
#[case(&["preferences", "set", "ana@example.com", "maybe"], "invalid value 'maybe' for '<WANTED>' [possible values: on, off, unset]")]
#[case(&["preferences", "set", "ana@example.com", "off", "--category", "gossip"], "invalid value 'gossip' for '--category <CATEGORY>' [possible values: action, news, bounty]")]
#[case(&["preferences", "set", "ana@example.com", "off", "--category", "critical"], "invalid value 'critical' for '--category <CATEGORY>': critical messages can only be turned off together with all others")]
#[case(&["preferences", "set", "ana@example.com", "off", "--category", "news", "--direct"], "the argument '--category <CATEGORY>' cannot be used with '--direct'")]
#[case(&["preferences", "get", "ana@example.com", "--direct"], "unexpected argument '--direct' found")]
#[case(&["doctor", "extra"], "unexpected argument 'extra' found")]
#[case(&["create-channel"], "the following required arguments were not provided: <CHANNEL>")]
#[case(&["create-channel", "Not a name"], "channelName: must contain only lower-case letters, digits, - and _")]
#[case(&["create-channel", "x", "--member", "ana"], "members[0]: must be an e-mail address")]
#[case(&["create-channel", "x", "--topic", ""], "topic: must not be empty")]
#[case(&["create-channel", "x", "--key", ""], "a value is required for '--key <KEY>' but none was supplied")]
#[case(&["create-channel", "x", "--timeout", "5"], "the following required arguments were not provided: --wait")]
#[case(&["notify-private", "x"], "the following required arguments were not provided: <--message <TEXT>|--message-file <FILE>>")]
#[case(&["notify-private", "x", "--message", " "], "message.text: must not be empty")]
#[case(&["notify-private", "x", "--message", "a", "--message-file", "b"], "the argument '--message <TEXT>' cannot be used with '--message-file <FILE>'")]
#[case(&["notify-private", "x", "--message-file", "/nowhere"], "--message-file /nowhere: No such file or directory")]
#[case(&["notify-private", "x", "--message", "a", "--blocks", "Cargo.toml"], "--blocks must be a JSON list of blocks")]
#[case(&["notify-private", "x", "--message", "a", "--thread-ts", "now"], "message.threadTs: must be a message's timestamp")]
#[case(&["notify-private", "x", "--message", "a", "--member", "b"], "members[0]: must be an e-mail address")]
#[case(&["notify-public", "x", "--message", "a", "--member", "b"], "unexpected argument '--member' found")]
#[case(&["notify-public", "x", "--message", "a", "--wait", "--timeout", "soon"], "invalid value 'soon' for '--timeout <SECONDS>'")]
#[case(&["notify-private", "x", "--message", "a", "--mention", "ana"], "invalid value 'ana' for '--mention <EMAIL>': must be an e-mail address")]
#[case(&["notify-public", "x", "--message", "a", "--actor", "ana"], "invalid value 'ana' for '--actor <EMAIL>': must be an e-mail address")]
#[case(&["notify-private", "x", "--message", "a", "--category", "gossip"], "invalid value 'gossip' for '--category <CATEGORY>' [possible values: action, news, bounty, critical]")]
#[case(&["notify-public", "x", "--message", "a", "--occurred-at", "noon"], "invalid value 'noon' for '--occurred-at <TIME>': must be a time from 1970 to 9999-12-30 with seconds and an offset, such as 2026-11-25T10:00:00Z")]
#[case(&["notify-private", "x", "--message", "a", "--expires-at", "2026-11-25"], "invalid value '2026-11-25' for '--expires-at <TIME>': must be a time from 1970 to 9999-12-30 with seconds and an offset, such as 2026-11-25T10:00:00Z")]
#[case(&["notify-person", "ana@example.com", "--message", "a", "--sequence", "guide-42"], "invalid value 'guide-42' for '--sequence <KEY=NUMBER>': must be KEY=NUMBER, such as guide-42=3")]
#[case(&["notify-public", "x", "--message", "a", "--sequence", "guide-42=soon"], "invalid value 'guide-42=soon' for '--sequence <KEY=NUMBER>': the number must be an integer")]
#[case(&["notify-person"], "the following required arguments were not provided: <--message <TEXT>|--message-file <FILE>> <EMAIL>")]
#[case(&["notify-person", "ana", "--message", "a"], "invalid value 'ana' for '<EMAIL>': must be an e-mail address")]
#[case(&["notify-person", "ana@example.com", "--message", " "], "message.text: must not be empty")]
#[case(&["notify-person", "ana@example.com", "--message", "a", "--allow-broadcast"], "unexpected argument '--allow-broadcast' found")]
#[case(&["notify-person", "ana@example.com", "--message", "a", "--mention", "bob@example.com"], "unexpected argument '--mention' found")]
#[case(&["change-members", "x"], "the following required arguments were not provided: <--add <EMAIL>|--remove <EMAIL>>")]
#[case(&["change-members", "x", "--add", "ana@example.com", "--remove", "Ana@example.com"], "remove[0]: must not be in `add` as well")]
#[case(&["check-channel", "#"], "channelName: must not be empty")]
#[case(&["delete-channel", "x", "y"], "unexpected argument 'y' found")]
#[case(&["delete-channel", "x"], "--yes is required without a terminal")]
#[case(&["update-item", "bounty:7"], "the following required arguments were not provided: --version <NUMBER> --channel <CHANNEL> --title <TITLE> --state <STATE>")]
#[case(&["update-item", "bounty 7", "--version", "1", "--channel", "x", "--title", "a", "--state", "b"], "itemId: must contain only visible characters")]
#[case(&["update-item", "bounty:7", "--version", "one", "--channel", "x", "--title", "a", "--state", "b"], "invalid value 'one' for '--version <NUMBER>'")]
#[case(&["update-item", "bounty:7", "--version", "1", "--channel", "x", "--title", "a", "--state", "b", "--public", "--own-channel"], "the argument '--public' cannot be used with '--own-channel'")]
#[case(&["update-item", "bounty:7", "--version", "1", "--channel", "x", "--title", "a", "--state", "b", "--due-date", "soon"], "dueDate: must be a date such as 2026-11-25")]
#[case(&["update-item", "bounty:7", "--version", "1", "--channel", "x", "--title", "a", "--state", "b", "--waiting-for", "ana"], "invalid value 'ana' for '--waiting-for <EMAIL>': must be an e-mail address")]
#[case(&["items", "--waiting-for", "ana"], "invalid value 'ana' for '--waiting-for <EMAIL>': must be an e-mail address")]
#[case(&["items", "--all", "--overdue"], "the argument '--all' cannot be used with '--overdue'")]
#[case(&["snooze", "bounty:7"], "the following required arguments were not provided: <--until <WHEN>|--off>")]
#[case(&["snooze", "bounty 7", "--off"], "invalid value 'bounty 7' for '<ITEM>': must contain only visible characters")]
#[case(&["snooze", "bounty:7", "--off", "--until", "2026-11-25"], "the argument '--off' cannot be used with '--until <WHEN>'")]
#[case(&["snooze", "bounty:7", "--until", "tomorrow"], "invalid value 'tomorrow' for '--until <WHEN>': must be a date, such as 2026-11-25, or a time with seconds and an offset, such as 2026-11-25T10:00:00Z")]
#[case(&["remind"], "the hourly sweep reminds people; --dry-run shows what it would do")]
#[case(&["remind", "--dry-run", "--at", "2026-11-25"], "invalid value '2026-11-25' for '--at <TIME>': must be a time from 1970 to 9999-12-30 with seconds and an offset")]
#[case(&["--prefix", "", "list"], "invalid value '' for '--prefix <PREFIX>': must be 1 to 20")]
fn bad_input_is_rejected_in_one_line(#[case] arguments: &[&str], #[case] expected: &str) {
    let output = apgl(arguments);
    let line = line_of(&output);
    assert!(line.starts_with(expected), "{line}");
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_message_from_standard_input_is_checked_too() {
    let mut apgl = command(&["notify-private", "x", "--message-file", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    apgl.stdin.take().unwrap().write_all(b"\n").unwrap();
    let output = apgl.wait_with_output().unwrap();
    assert_eq!(line_of(&output), "message.text: must not be empty");
}

#[rstest]
#[case(&["list"])]
#[case(&["inspect", "cli-1"])]
#[case(&["doctor"])]
#[case(&["preferences", "get", "ana@example.com"])]
#[case(&["items"])]
#[case(&["snooze", "bounty:7", "--off"])]
#[case(&["remind", "--dry-run"])]
#[case(&["delete-channel", "x", "--yes"])]
#[case(&["notify-person", "ana@example.com", "--message", "a", "--sequence", "guide-42=3"])]
fn unreachable_aws_has_its_own_exit_code(#[case] arguments: &[&str]) {
    let output = apgl(arguments);
    let line = line_of(&output);
    assert!(
        line.ends_with("failed: no connection, or the connection broke"),
        "{line}"
    );
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn the_error_for_a_missing_region_or_credentials_says_what_to_set() {
    let region = command(&["list"]).env_remove("AWS_REGION").output();
    let line = line_of(&region.unwrap());
    assert!(
        line.starts_with("no AWS region is known: set AWS_REGION"),
        "{line}"
    );
    let credentials = command(&["list"])
        .env_remove("AWS_ACCESS_KEY_ID")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .output();
    let output = credentials.unwrap();
    let line = line_of(&output);
    assert!(
        line.starts_with("no AWS credentials are known: sign in"),
        "{line}"
    );
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn a_missing_profile_is_named_and_the_environment_is_not_used_instead() {
    let output = apgl(&["--profile", "nobodys", "list"]);
    let line = line_of(&output);
    assert!(
        line.starts_with("there is no AWS profile nobodys"),
        "{line}"
    );
    assert_eq!(output.status.code(), Some(2));
    let with_region = apgl(&["--profile", "nobodys", "--region", "us-east-1", "list"]);
    let line = line_of(&with_region);
    assert!(
        line.starts_with("the AWS profile nobodys gives no credentials"),
        "{line}"
    );
}

#[test]
fn help_succeeds_but_a_call_without_arguments_fails() {
    let help = apgl(&["--help"]);
    assert!(help.status.success());
    assert!(String::from_utf8_lossy(&help.stdout).contains("Exit codes: 0 fine"));
    let nothing = apgl(&[]);
    assert_eq!(nothing.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&nothing.stderr).contains("Usage: apgl"));
}

#[rstest]
#[case("bash")]
#[case("zsh")]
#[case("fish")]
fn each_shell_has_completions(#[case] shell: &str) {
    let output = apgl(&["completion", shell]);
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains("notify-private"));
}
