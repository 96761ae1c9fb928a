use std::collections::BTreeSet;

use serde::Deserialize;

use crate::{SlackClient, SlackError, client::read_answer};

/// The owner of the token.
#[derive(Debug, Clone, Deserialize)]
pub struct AuthTest {
    pub team_id: String,
    /// The workspace's name.
    pub team: String,
    pub user_id: String,
    /// Present for a bot token.
    pub bot_id: Option<String>,
    /// The token's scopes; `None` if Slack does not say.
    #[serde(skip)]
    pub scopes: Option<BTreeSet<String>>,
}

impl SlackClient {
    /// <https://docs.slack.dev/reference/methods/auth.test>
    pub async fn auth_test(&self) -> Result<AuthTest, SlackError> {
        let reply = self.send("auth.test", &[]).await?;
        if let Some(refusal) = reply.refusal {
            return Err(refusal);
        }
        let answer: AuthTest = read_answer("auth.test", &reply.body)?;
        let scopes = reply.scopes.map(|scopes| {
            let scopes = scopes.split(',').map(str::trim);
            scopes.map(str::to_owned).collect()
        });
        Ok(AuthTest { scopes, ..answer })
    }
}
