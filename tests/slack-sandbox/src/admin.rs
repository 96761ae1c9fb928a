//! A client for the admin routes.

use std::collections::BTreeMap;

use reqwest::{Method, Response, StatusCode};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{
    Seed,
    calls::{Call, Tally},
    chaos::Chaos,
    faults::Fault,
    server::{ChannelChange, PersonsMessage, Settings, UserChange},
    workspace::{Message, Version},
};

/// A client for a running sandbox.
#[derive(Debug, Clone)]
pub struct Admin {
    http: reqwest::Client,
    url: String,
}

#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    #[error("can't reach the sandbox: {0}")]
    Http(#[from] reqwest::Error),
    #[error("the sandbox rejected the request: {0}")]
    Refused(String),
}

/// The current state of a channel or of a direct message.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ChannelState {
    pub id: String,
    /// The id, for a direct message with one user.
    pub name: String,
    pub is_private: bool,
    pub is_archived: bool,
    pub is_ext_shared: bool,
    /// The id of the user who created the channel.
    pub creator: String,
    pub topic: String,
    pub purpose: String,
    /// User ids, including the bot's.
    pub members: Vec<String>,
    /// The addresses of the members who have one, in the order of their ids, without the bot's.
    pub emails: Vec<String>,
    pub messages: Vec<Message>,
    /// What the channel has been, oldest first.
    pub versions: Vec<Version>,
}

impl Admin {
    /// A client for the sandbox at `url`, for example `http://127.0.0.1:4580`.
    pub fn new(url: impl Into<String>) -> Self {
        // reqwest needs a TLS provider even for plain HTTP. Installing one a second time changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self {
            http: reqwest::Client::new(),
            url: url.into(),
        }
    }

    pub async fn reset(&self) -> Result<(), AdminError> {
        self.send(Method::POST, "reset", &json!({})).await
    }

    pub async fn seed(&self, seed: &Seed) -> Result<(), AdminError> {
        self.send(Method::POST, "seed", seed).await
    }

    /// Returns the channel with this name, if it exists. The name of a direct message with one user is its id.
    pub async fn channel(&self, name: &str) -> Result<Option<ChannelState>, AdminError> {
        self.find(&format!("channels/{name}")).await
    }

    /// Returns the bot's direct message with the user with this id or address, if it was ever opened.
    pub async fn direct_message(&self, user: &str) -> Result<Option<ChannelState>, AdminError> {
        self.find(&format!("users/{user}/direct-message")).await
    }

    /// Returns every channel, and every direct message.
    pub async fn channels(&self) -> Result<Vec<ChannelState>, AdminError> {
        #[derive(Deserialize)]
        struct State {
            channels: Vec<ChannelState>,
        }
        let state: State = self.get("state").await?;
        Ok(state.channels)
    }

    /// Changes the channel with this name as a person in Slack could.
    pub async fn change_channel(
        &self,
        name: &str,
        change: &ChannelChange,
    ) -> Result<(), AdminError> {
        let route = format!("channels/{name}");
        self.send(Method::PATCH, &route, change).await
    }

    pub async fn rename_channel(&self, name: &str, new_name: &str) -> Result<(), AdminError> {
        self.change(name, |change| change.name = Some(new_name.to_owned()))
            .await
    }

    pub async fn convert_to_private(&self, name: &str) -> Result<(), AdminError> {
        self.change(name, |change| change.is_private = Some(true))
            .await
    }

    pub async fn convert_to_public(&self, name: &str) -> Result<(), AdminError> {
        self.change(name, |change| change.is_private = Some(false))
            .await
    }

    /// Archives the channel, which removes the bot from it.
    pub async fn archive_channel(&self, name: &str) -> Result<(), AdminError> {
        self.change(name, |change| change.is_archived = Some(true))
            .await
    }

    /// Unarchives the channel. A private one has its former members without the bot, a public one has none.
    pub async fn unarchive_channel(&self, name: &str) -> Result<(), AdminError> {
        self.change(name, |change| change.is_archived = Some(false))
            .await
    }

    /// Shares the channel with another organisation, or ends that.
    pub async fn share_channel(&self, name: &str, is_ext_shared: bool) -> Result<(), AdminError> {
        self.change(name, |change| change.is_ext_shared = Some(is_ext_shared))
            .await
    }

    /// Adds the user with this id or address to the channel.
    pub async fn add_member(&self, name: &str, user: &str) -> Result<(), AdminError> {
        self.change(name, |change| change.joined = vec![user.to_owned()])
            .await
    }

    /// Removes the user with this id or address from the channel.
    pub async fn remove_member(&self, name: &str, user: &str) -> Result<(), AdminError> {
        self.change(name, |change| change.left = vec![user.to_owned()])
            .await
    }

    /// Invites the bot.
    pub async fn add_bot(&self, name: &str) -> Result<(), AdminError> {
        self.change(name, |change| change.bot_is_member = Some(true))
            .await
    }

    pub async fn remove_bot(&self, name: &str) -> Result<(), AdminError> {
        self.change(name, |change| change.bot_is_member = Some(false))
            .await
    }

    /// Posts a message of a person to the channel. Returns its `ts`.
    pub async fn post_as_person(
        &self,
        channel: &str,
        message: &PersonsMessage,
    ) -> Result<String, AdminError> {
        let route = format!("channels/{channel}/messages");
        let answer = self.ask(Method::POST, &route, message).await?;
        Ok(answer.json().await?)
    }

    /// Deletes a message. One with replies leaves a placeholder.
    pub async fn delete_message(&self, channel: &str, ts: &str) -> Result<(), AdminError> {
        let route = format!("channels/{channel}/messages/{ts}");
        self.send(Method::DELETE, &route, &json!({})).await
    }

    /// The names of the methods that the sandbox has.
    pub async fn methods(&self) -> Result<Vec<String>, AdminError> {
        self.get("methods").await
    }

    /// Changes the account with this id or address.
    pub async fn change_user(&self, user: &str, change: &UserChange) -> Result<(), AdminError> {
        let route = format!("users/{user}");
        self.send(Method::PATCH, &route, change).await
    }

    /// Changes the address of the account with this id or address. The former address is free for another account.
    pub async fn change_email(&self, user: &str, email: &str) -> Result<(), AdminError> {
        let change = UserChange {
            email: Some(email.to_owned()),
            ..UserChange::default()
        };
        self.change_user(user, &change).await
    }

    pub async fn calls(&self) -> Result<Vec<Call>, AdminError> {
        self.get("calls").await
    }

    pub async fn clear_calls(&self) -> Result<(), AdminError> {
        self.send(Method::DELETE, "calls", &json!({})).await
    }

    pub async fn call_summary(&self) -> Result<BTreeMap<String, Tally>, AdminError> {
        self.get("calls/summary").await
    }

    pub async fn add_fault(&self, fault: &Fault) -> Result<(), AdminError> {
        self.send(Method::POST, "faults", fault).await
    }

    pub async fn clear_faults(&self) -> Result<(), AdminError> {
        self.send(Method::DELETE, "faults", &json!({})).await
    }

    pub async fn begin_chaos(&self, chaos: &Chaos) -> Result<(), AdminError> {
        self.send(Method::PUT, "chaos", chaos).await
    }

    pub async fn end_chaos(&self) -> Result<(), AdminError> {
        self.send(Method::DELETE, "chaos", &json!({})).await
    }

    pub async fn revoke_token(&self, token: &str) -> Result<(), AdminError> {
        self.send(Method::POST, "tokens/revoke", &json!({ "token": token }))
            .await
    }

    pub async fn add_token(&self, token: &crate::seed::TokenSeed) -> Result<(), AdminError> {
        self.send(Method::POST, "tokens", token).await
    }

    pub async fn change_settings(&self, settings: &Settings) -> Result<(), AdminError> {
        self.send(Method::PUT, "settings", settings).await
    }

    async fn change(
        &self,
        name: &str,
        change: impl FnOnce(&mut ChannelChange),
    ) -> Result<(), AdminError> {
        let mut changed = ChannelChange::default();
        change(&mut changed);
        self.change_channel(name, &changed).await
    }

    async fn find(&self, route: &str) -> Result<Option<ChannelState>, AdminError> {
        let url = format!("{}/admin/{route}", self.url);
        let answer = self.http.get(url).send().await?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        Ok(Some(answer.error_for_status()?.json().await?))
    }

    async fn get<T: DeserializeOwned>(&self, route: &str) -> Result<T, AdminError> {
        let answer = self
            .http
            .get(format!("{}/admin/{route}", self.url))
            .send()
            .await?;
        Ok(answer.error_for_status()?.json().await?)
    }

    async fn send(
        &self,
        method: Method,
        route: &str,
        body: &impl Serialize,
    ) -> Result<(), AdminError> {
        self.ask(method, route, body).await?;
        Ok(())
    }

    async fn ask(
        &self,
        method: Method,
        route: &str,
        body: &impl Serialize,
    ) -> Result<Response, AdminError> {
        let url = format!("{}/admin/{route}", self.url);
        let answer = self.http.request(method, url).json(body).send().await?;
        if answer.status() == StatusCode::BAD_REQUEST {
            let body: Value = answer.json().await?;
            return Err(AdminError::Refused(
                body["error"].as_str().unwrap_or_default().to_owned(),
            ));
        }
        Ok(answer.error_for_status()?)
    }
}
