//! A sandbox with one channel, `team`, and calls to it.

use std::time::Duration;

use serde_json::json;
use slack_sandbox::{Admin, Options, Sandbox};

pub const TOKEN: &str = "xoxb-test";

pub async fn start(time_factor: f64) -> (Sandbox, Admin) {
    let seed = serde_json::from_value(json!({
        "tokens": [{ "token": TOKEN }],
        "users": [
            { "id": "UANA", "name": "ana", "email": "ana@example.com" },
            { "id": "UBOB", "name": "bob", "email": "bob@example.com" },
        ],
        "channels": [{ "name": "team", "members": ["ana@example.com"] }],
    }));
    let sandbox = Sandbox::start(Options {
        seed: seed.unwrap(),
        time_factor,
        ..Options::default()
    })
    .await
    .unwrap();
    let admin = Admin::new(sandbox.url());
    (sandbox, admin)
}

pub async fn call(
    sandbox: &Sandbox,
    method: &str,
    arguments: &[(&str, &str)],
) -> reqwest::Result<reqwest::Response> {
    let http = reqwest::Client::builder()
        .timeout(Duration::from_secs(30))
        .build()?;
    http.post(format!("{}/api/{method}", sandbox.url()))
        .bearer_auth(TOKEN)
        .form(arguments)
        .send()
        .await
}

pub async fn team_messages(admin: &Admin) -> usize {
    admin.channel("team").await.unwrap().unwrap().messages.len()
}

pub async fn post(sandbox: &Sandbox, admin: &Admin) -> reqwest::Result<reqwest::Response> {
    let id = admin.channel("team").await.unwrap().unwrap().id;
    call(
        sandbox,
        "chat.postMessage",
        &[("channel", &id), ("text", "hi")],
    )
    .await
}

/// The web page with these query parameters.
pub async fn page(sandbox: &Sandbox, query: &[(&str, &str)]) -> String {
    let request = reqwest::Client::new().get(sandbox.url()).query(query);
    let page = request.send().await.unwrap().error_for_status().unwrap();
    page.text().await.unwrap()
}
