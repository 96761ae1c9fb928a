//! Slack's official SDKs call every method of the sandbox: `tests/slack-sdks`.
#![allow(clippy::unwrap_used)]

use std::{collections::BTreeSet, time::Duration};

use serde_json::json;
use slack_sandbox::{Admin, Options, Sandbox, calls::Call, seed::ALL_SCOPES};
use tokio::process::Command;
use xtask::{Project, prepare::install_tools};

const TOKEN: &str = "xoxb-sdk";
/// The scopes that the product doesn't ask for.
const OTHER_SCOPES: [&str; 6] = [
    "im:read",
    "mpim:read",
    "mpim:write",
    "pins:read",
    "reactions:read",
    "reactions:write",
];
/// A busy machine needs some seconds to compile the responses.
const TIMEOUT: Duration = Duration::from_mins(5);

async fn sandbox() -> Sandbox {
    let scopes: Vec<&str> = ALL_SCOPES.into_iter().chain(OTHER_SCOPES).collect();
    let seed = json!({
        "tokens": [{ "token": TOKEN, "scopes": scopes }],
        "users": [
            { "id": "UANA", "name": "ana", "email": "ana@example.com", "tz": "Europe/Berlin" },
            { "id": "UBOB", "name": "bob", "email": "bob@example.com" },
        ],
    });
    let options = Options {
        seed: serde_json::from_value(seed).unwrap(),
        limits: false,
        ..Options::default()
    };
    Sandbox::start(options).await.unwrap()
}

#[tokio::test]
async fn the_python_sdk_can_call_every_method() {
    let project = Project::here();
    install_tools(&project).await.unwrap();
    let mut python = Command::new(project.venv().join("bin/python"));
    python.arg("every_method.py");
    calls_every_method(&project, python).await;
}

#[tokio::test]
async fn the_node_sdk_can_call_every_method_and_knows_the_responses() {
    let project = Project::here();
    let folder = project.root.join("tests/slack-sdks");
    project.install_node_packages(&folder).await.unwrap();
    let mut node = Command::new("node");
    node.args([
        "node_modules/vitest/vitest.mjs",
        "run",
        "--testTimeout=60000",
    ]);
    calls_every_method(&project, node).await;
}

async fn calls_every_method(project: &Project, mut sdk: Command) {
    let sandbox = sandbox().await;
    sdk.current_dir(project.root.join("tests/slack-sdks"))
        .env("SLACK_SANDBOX_URL", sandbox.url())
        .env("SLACK_TOKEN", TOKEN)
        .kill_on_drop(true);
    let ended = tokio::time::timeout(TIMEOUT, sdk.output()).await;
    let ended = ended.unwrap().unwrap();
    let printed = [ended.stdout, ended.stderr].concat();
    let printed = String::from_utf8_lossy(&printed);
    assert!(ended.status.success(), "{printed}");

    let admin = Admin::new(sandbox.url());
    let calls = admin.calls().await.unwrap();
    let methods: BTreeSet<String> = admin.methods().await.unwrap().into_iter().collect();
    let names = |wanted: fn(&Call) -> bool| -> BTreeSet<String> {
        let wanted = calls.iter().filter(|call| wanted(call));
        wanted.map(|call| call.method.clone()).collect()
    };
    assert_eq!(names(|_| true), methods);
    let failed = &methods - &names(|call| call.error.is_none());
    // A bot can't unarchive a channel.
    assert_eq!(
        failed,
        BTreeSet::from(["conversations.unarchive".to_owned()])
    );
}
