//! A sandbox with some people and channels, and a client that calls its methods.

use serde_json::{Value, json};
use slack_sandbox::{
    Admin, Options, Sandbox, Seed,
    seed::ALL_SCOPES,
    server::{PersonsMessage, Settings},
};

pub const TOKEN: &str = "xoxb-test";
/// The scopes that only other apps have.
const OTHER_SCOPES: [&str; 5] = [
    "im:read",
    "mpim:write",
    "pins:read",
    "reactions:read",
    "reactions:write",
];

pub struct Slack {
    pub http: reqwest::Client,
    pub sandbox: Sandbox,
    pub admin: Admin,
}

impl Slack {
    /// Ana and Bob are people; the other users cannot be invited. The bot is in `team`, `closed` and `old`, but not
    /// in `open` and `secret`.
    pub async fn start() -> Self {
        let scopes: Vec<&str> = ALL_SCOPES.into_iter().chain(OTHER_SCOPES).collect();
        let seed: Seed = serde_json::from_value(json!({
            "tokens": [{ "token": TOKEN, "scopes": scopes }, { "token": "xoxb-poor", "scopes": ["users:read"] }],
            "users": [
                { "id": "UANA", "name": "ana", "email": "ana@example.com" },
                { "id": "UBOB", "name": "bob", "email": "bob@example.com", "tz": "Europe/Berlin" },
                { "id": "UGONE", "name": "gone", "email": "gone@example.com", "deleted": true },
                { "id": "UGUEST", "name": "guest", "email": "guest@example.com", "is_restricted": true },
                { "id": "USINGLE", "name": "single", "email": "single@example.com", "is_ultra_restricted": true },
                { "id": "UAPP", "name": "app", "is_bot": true },
            ],
            "channels": [
                { "name": "general" },
                { "name": "team", "members": ["ana@example.com"], "created_by_bot": true },
                { "name": "open", "members": ["USINGLE"], "bot_is_member": false },
                { "name": "closed", "is_private": true },
                { "name": "secret", "is_private": true, "bot_is_member": false },
                { "name": "old", "is_archived": true },
            ],
        })).unwrap();
        let sandbox = Sandbox::start(Options {
            seed,
            ..Options::default()
        })
        .await
        .unwrap();
        let admin = Admin::new(sandbox.url());
        Self {
            http: reqwest::Client::new(),
            sandbox,
            admin,
        }
    }

    /// The same, but without rate limits.
    pub async fn without_limits() -> Self {
        let slack = Self::start().await;
        let settings = Settings {
            limits: Some(false),
            ..Settings::default()
        };
        slack.admin.change_settings(&settings).await.unwrap();
        slack
    }

    pub async fn call_as(&self, token: &str, method: &str, arguments: &[(&str, &str)]) -> Value {
        let url = format!("{}/api/{method}", self.sandbox.url());
        let answer = self
            .http
            .post(url)
            .bearer_auth(token)
            .form(arguments)
            .send()
            .await
            .unwrap();
        answer.json().await.unwrap()
    }

    pub async fn call(&self, method: &str, arguments: &[(&str, &str)]) -> Value {
        self.call_as(TOKEN, method, arguments).await
    }

    /// Calls the method with the id of the channel with this name.
    pub async fn call_in(&self, name: &str, method: &str, arguments: &[(&str, &str)]) -> Value {
        let id = match self.admin.channel(name).await.unwrap() {
            Some(channel) => channel.id,
            None => name.to_owned(),
        };
        let arguments: Vec<_> = [("channel", id.as_str())]
            .into_iter()
            .chain(arguments.iter().copied())
            .collect();
        self.call(method, &arguments).await
    }

    /// Posts a message to the channel with this name. Returns its `ts`.
    pub async fn post(&self, name: &str, text: &str, arguments: &[(&str, &str)]) -> String {
        let arguments = [&[("text", text)], arguments].concat();
        let posted = self.call_in(name, "chat.postMessage", &arguments).await;
        posted["ts"].as_str().unwrap().to_owned()
    }

    /// The texts of the messages that the method returns for the channel with this name.
    pub async fn texts(&self, name: &str, method: &str, arguments: &[(&str, &str)]) -> Vec<String> {
        let answer = self.call_in(name, method, arguments).await;
        let messages = answer["messages"].as_array().unwrap().iter();
        messages
            .map(|message| message["text"].as_str().unwrap().to_owned())
            .collect()
    }

    pub async fn emails(&self, name: &str) -> Vec<String> {
        self.admin.channel(name).await.unwrap().unwrap().emails
    }
}

/// A message of Ana in the channel `team`. Returns its `ts`.
pub async fn anas_message(slack: &Slack) -> String {
    let message = PersonsMessage {
        user: "UANA".to_owned(),
        text: "hello".to_owned(),
        ..PersonsMessage::default()
    };
    let posted = slack.admin.post_as_person("team", &message).await;
    posted.unwrap()
}

pub fn error(answer: &Value) -> &str {
    if answer["ok"] == true {
        "ok"
    } else {
        answer["error"].as_str().unwrap()
    }
}
