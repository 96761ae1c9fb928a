use serde::Deserialize;

use crate::{
    SlackClient, SlackError,
    page::{Entries, Page, ResponseMetadata},
};

/// A member of the workspace.
#[derive(Debug, Clone, Deserialize)]
pub struct User {
    pub id: String,
    #[serde(default)]
    pub deleted: bool,
    #[serde(default)]
    pub is_bot: bool,
    /// Their time zone, by its IANA name, such as `Europe/Berlin`.
    #[serde(default)]
    pub tz: Option<String>,
    #[serde(default)]
    pub profile: Profile,
}

/// A user's profile. `Debug` does not show the e-mail address.
#[derive(Clone, Default, Deserialize)]
pub struct Profile {
    /// `None` for bots, and for everyone if the token lacks the scope `users:read.email`.
    pub email: Option<String>,
}

impl std::fmt::Debug for Profile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Profile").finish_non_exhaustive()
    }
}

impl SlackClient {
    /// The users with these e-mail addresses: one result per address, in the same order. `None` means that there is
    /// no such user, or that the account is deactivated. The calls are made at the same time.
    ///
    /// <https://docs.slack.dev/reference/methods/users.lookupByEmail>
    ///
    /// # Errors
    /// If none of the calls was made.
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

    /// All users, including bots and deactivated users, at most 1,000 per page.
    ///
    /// <https://docs.slack.dev/reference/methods/users.list>
    pub async fn users_list(&self, cursor: Option<&str>) -> Result<Page<User>, SlackError> {
        #[derive(Deserialize)]
        struct Answer {
            members: Entries<User>,
            #[serde(default)]
            response_metadata: Option<ResponseMetadata>,
        }
        let arguments = [("limit", "1000"), ("cursor", cursor.unwrap_or_default())];
        let answer: Answer = self.call("users.list", &arguments).await?;
        let Answer {
            members,
            response_metadata,
        } = answer;
        Ok(Page::of("users.list", members, response_metadata))
    }
}
