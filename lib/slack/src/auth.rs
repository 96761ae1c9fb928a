use serde::Deserialize;

use crate::{SlackClient, SlackError};

/// Who the token belongs to.
#[derive(Debug, Clone, Deserialize)]
pub struct AuthTest {
    pub team_id: String,
    pub user_id: String,
    /// Present for a bot token.
    pub bot_id: Option<String>,
}

impl SlackClient {
    /// <https://docs.slack.dev/reference/methods/auth.test>
    pub async fn auth_test(&self) -> Result<AuthTest, SlackError> {
        self.call("auth.test", &[]).await
    }
}
