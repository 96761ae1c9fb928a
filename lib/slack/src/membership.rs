//! The members of a channel.

use apgl_contract::ChannelRef;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, value::RawValue};

use crate::{
    SlackClient, SlackError,
    client::{DEFAULT_RETRY_AFTER, read_answer},
    conversations::Done,
    page::{Entries, Page, ResponseMetadata, if_readable},
};

/// The result of an invitation. Every invited user who is not in `errors` is in the channel, unless an error does not
/// say whose it is: then only the list of members shows who is missing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Invite {
    pub errors: Vec<UserError>,
}

/// Why one user was not invited, as one of Slack's error codes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct UserError {
    /// `None` if Slack does not say who.
    #[serde(default, deserialize_with = "if_readable")]
    pub user: Option<String>,
    /// Empty if Slack does not say why.
    #[serde(default, deserialize_with = "if_readable")]
    pub error: String,
}

impl UserError {
    /// Classifies the error like the error of a call.
    pub fn to_slack_error(&self) -> SlackError {
        SlackError::from_code(
            "conversations.invite",
            &self.error,
            DEFAULT_RETRY_AFTER,
            None,
        )
    }
}

impl SlackClient {
    /// The ids of the members, in pages as large as Slack allows. Slack recommends 200 per page; a larger page takes
    /// fewer calls, and an id is short.
    ///
    /// <https://docs.slack.dev/reference/methods/conversations.members>
    pub async fn conversations_members(
        &self,
        channel: &str,
        cursor: Option<&str>,
    ) -> Result<Page<String>, SlackError> {
        #[derive(Deserialize)]
        struct Answer {
            members: Entries<String>,
            #[serde(default)]
            response_metadata: Option<ResponseMetadata>,
        }
        let arguments = [
            ("channel", channel),
            ("limit", "999"),
            ("cursor", cursor.unwrap_or_default()),
        ];
        let method = "conversations.members";
        let answer: Answer = self.call(method, &arguments).await?;
        Ok(Page::of(method, answer.members, answer.response_metadata))
    }

    /// Invites at most 100 users. With `force`, Slack invites the valid users even if others are invalid. Problems
    /// with individual users are therefore part of the result and not an error.
    ///
    /// <https://docs.slack.dev/reference/methods/conversations.invite>
    pub async fn conversations_invite(
        &self,
        channel: &str,
        users: &[String],
    ) -> Result<Invite, SlackError> {
        #[derive(Deserialize)]
        struct Answer {
            #[serde(default, deserialize_with = "errors_of_any_shape")]
            errors: Entries<UserError>,
        }
        let list = users.join(",");
        let arguments = [
            ("channel", channel),
            ("users", list.as_str()),
            ("force", "true"),
        ];
        let reply = self.send("conversations.invite", &arguments).await?;
        let Answer { errors } = read_answer("conversations.invite", &reply.body)?;
        let unreadable = errors.unreadable;
        let mut errors = errors.readable("conversations.invite");
        errors.extend((0..unreadable).map(|_| UserError::default()));
        if let [user] = users {
            // It can only be about this user.
            for error in &mut errors {
                error.user.get_or_insert_with(|| user.clone());
            }
        }
        let is_about_users = |code: &str| {
            let is_named = errors.iter().any(|error| error.user.is_some());
            is_named || !errors.is_empty() && is_about_the_user(code)
        };
        match (reply.refusal, users) {
            (None, _) => Ok(Invite { errors }),
            // Slack returns `ok: false` if any user could not be invited.
            (Some(SlackError::Rejected { code, .. }), _) if is_about_users(&code) => {
                let is_named =
                    |user: &String| errors.iter().any(|error| error.user.as_ref() == Some(user));
                if !is_about_the_user(&code) && !users.iter().all(is_named) {
                    // Slack does not say whether the others were invited.
                    errors.push(UserError {
                        user: None,
                        error: code,
                    });
                }
                Ok(Invite { errors })
            }
            // For a single user, Slack may return only the error code.
            (Some(SlackError::Rejected { code, .. }), [user]) if is_about_the_user(&code) => {
                Ok(Invite {
                    errors: vec![UserError {
                        user: Some(user.clone()),
                        error: code,
                    }],
                })
            }
            (Some(refusal), _) => Err(refusal),
        }
    }

    /// Removes one user; Slack can't remove several at once. Slack returns `not_in_channel` if the user is not in
    /// the channel, and also if the bot itself is not.
    ///
    /// <https://docs.slack.dev/reference/methods/conversations.kick>
    pub async fn conversations_kick(&self, channel: &str, user: &str) -> Result<(), SlackError> {
        let arguments = [("channel", channel), ("user", user)];
        let Done {} = self.call("conversations.kick", &arguments).await?;
        Ok(())
    }

    /// Adds the bot itself to a public channel. Succeeds if the bot is already there.
    ///
    /// <https://docs.slack.dev/reference/methods/conversations.join>
    pub async fn conversations_join(&self, channel: &str) -> Result<(), SlackError> {
        let Done {} = self
            .call("conversations.join", &[("channel", channel)])
            .await?;
        Ok(())
    }
}

impl SlackClient {
    /// Makes a call about a channel. If the bot is not in the channel and the channel is public, the bot joins it
    /// and the call is repeated. A private channel needs an invitation.
    pub async fn in_channel<T>(
        &self,
        channel: &ChannelRef,
        call: impl AsyncFn() -> Result<T, SlackError>,
    ) -> Result<T, SlackError> {
        match call().await {
            Err(error)
                if error.rejected_code() == Some("not_in_channel")
                    && !channel.visibility.is_private() =>
            {
                self.conversations_join(&channel.id).await?;
                tracing::info!("joined the channel");
                call().await
            }
            answer => answer,
        }
    }
}

/// Slack's errors about users. Whatever is not a list counts as one error that can't be read, unless it is empty.
fn errors_of_any_shape<'de, D>(deserializer: D) -> Result<Entries<UserError>, D::Error>
where
    D: Deserializer<'de>,
{
    let errors = Box::<RawValue>::deserialize(deserializer)?;
    if let Ok(list) = serde_json::from_str(errors.get()) {
        return Ok(list);
    }
    let is_empty = match serde_json::from_str(errors.get()) {
        Ok(Value::Null) => true,
        Ok(Value::Object(fields)) => fields.is_empty(),
        Ok(Value::String(text)) => text.is_empty(),
        _ => false,
    };
    Ok(Entries {
        unreadable: usize::from(!is_empty),
        ..Entries::default()
    })
}

/// Whether an error code of conversations.invite is about the invited user and not about the call.
fn is_about_the_user(code: &str) -> bool {
    matches!(
        code,
        "already_in_channel"
            | "cant_invite_self"
            | "user_not_found"
            | "cant_invite"
            | "user_is_restricted"
            | "ura_max_channels"
            | "org_user_not_in_team"
            | "invitee_cant_see_channel"
            | "no_external_invite_permission"
            | "app_cannot_join_channel"
    )
}
