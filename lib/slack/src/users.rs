use serde::Deserialize;

use crate::{
    SlackClient, SlackError,
    page::{Page, ResponseMetadata},
};

/// A member of the workspace.
#[derive(Debug, Clone, Deserialize)]
pub struct User {
    pub id: String,
    #[serde(default)]
    pub deleted: bool,
    #[serde(default)]
    pub is_bot: bool,
    #[serde(default)]
    pub profile: Profile,
}

/// What a user says of themselves. `Debug` does not show the address.
#[derive(Clone, Default, Deserialize)]
pub struct Profile {
    /// Bots have none, and without the scope `users:read.email` nobody has.
    pub email: Option<String>,
}

impl std::fmt::Debug for Profile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Profile").finish_non_exhaustive()
    }
}

impl SlackClient {
    /// The users with these e-mail addresses, one answer for each, in their order. `None`: there is no
    /// such user, or the account is deactivated. The calls go at once.
    ///
    /// <https://docs.slack.dev/reference/methods/users.lookupByEmail>
    ///
    /// # Errors
    /// Where none of the calls was made.
    pub async fn users_lookup_by_email(
        &self,
        emails: &[&str],
    ) -> Result<Vec<Result<Option<User>, SlackError>>, SlackError> {
        #[derive(Deserialize)]
        struct Answer {
            user: User,
        }
        let arguments: Vec<_> = emails.iter().map(|email| [("email", *email)]).collect();
        let arguments: Vec<_> = arguments.iter().map(<[_; 1]>::as_slice).collect();
        let answers = self.call_at_once("users.lookupByEmail", &arguments).await?;
        let users = answers.into_iter().map(|answer| match answer {
            Ok(Answer { user }) => Ok(Some(user)),
            Err(error) if error.rejected_code() == Some("users_not_found") => Ok(None),
            Err(error) => Err(error),
        });
        Ok(users.collect())
    }

    /// Everybody, bots and deactivated people too, 1,000 a page at most.
    ///
    /// <https://docs.slack.dev/reference/methods/users.list>
    pub async fn users_list(&self, cursor: Option<&str>) -> Result<Page<User>, SlackError> {
        #[derive(Deserialize)]
        struct Answer {
            members: Vec<User>,
            #[serde(default)]
            response_metadata: Option<ResponseMetadata>,
        }
        let arguments = [("limit", "1000"), ("cursor", cursor.unwrap_or_default())];
        let answer: Answer = self.call("users.list", &arguments).await?;
        Ok(Page {
            items: answer.members,
            next_cursor: ResponseMetadata::cursor(answer.response_metadata),
        })
    }
}
