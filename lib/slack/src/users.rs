use serde::Deserialize;

use crate::{SlackClient, SlackError};

/// A member of the workspace.
#[derive(Debug, Clone, Deserialize)]
pub struct User {
    pub id: String,
    #[serde(default)]
    pub deleted: bool,
    #[serde(default)]
    pub is_bot: bool,
}

impl SlackClient {
    /// The user with this e-mail address, or `None`: there is none, or the account is deactivated.
    ///
    /// <https://docs.slack.dev/reference/methods/users.lookupByEmail>
    pub async fn users_lookup_by_email(&self, email: &str) -> Result<Option<User>, SlackError> {
        #[derive(Deserialize)]
        struct Answer {
            user: User,
        }
        match self
            .call::<Answer>("users.lookupByEmail", &[("email", email)])
            .await
        {
            Ok(Answer { user }) => Ok(Some(user)),
            Err(error) if error.rejected_code() == Some("users_not_found") => Ok(None),
            Err(error) => Err(error),
        }
    }
}
