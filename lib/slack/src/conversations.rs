use serde::Deserialize;

use crate::{
    Metadata, SlackClient, SlackError,
    client::{DEFAULT_RETRY_AFTER, read_answer},
};

/// A channel.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Conversation {
    pub id: String,
    /// As Slack has it: it may differ from the name that was asked for.
    pub name: String,
    #[serde(default)]
    pub is_private: bool,
    #[serde(default)]
    pub is_archived: bool,
    /// When it was created, in seconds since the epoch; 0 where Slack does not say.
    #[serde(default)]
    pub created: u64,
}

/// One page of a list. A page may be short or even empty and still have a next one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// `None` on the last page.
    pub next_cursor: Option<String>,
}

/// A message as conversations.history and conversations.replies answer it. Its text is not read.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct HistoryMessage {
    pub ts: String,
    pub bot_id: Option<String>,
    pub metadata: Option<Metadata>,
}

/// What became of an invitation. Who is not in `errors` is in the channel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Invite {
    pub errors: Vec<UserError>,
}

/// Why one user was not invited: one of Slack's codes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct UserError {
    pub user: String,
    pub error: String,
}

impl UserError {
    /// The same, sorted like the error of a call.
    pub fn to_slack_error(&self) -> SlackError {
        SlackError::from_code(
            "conversations.invite",
            &self.error,
            DEFAULT_RETRY_AFTER,
            None,
        )
    }
}

#[derive(Deserialize)]
struct ChannelAnswer {
    channel: Conversation,
}

#[derive(Deserialize, Default)]
struct ResponseMetadata {
    #[serde(default)]
    next_cursor: String,
}

impl ResponseMetadata {
    fn next_cursor(self) -> Option<String> {
        Some(self.next_cursor).filter(|cursor| !cursor.is_empty())
    }
}

#[derive(Deserialize)]
struct MessagesAnswer {
    messages: Vec<HistoryMessage>,
    #[serde(default)]
    response_metadata: Option<ResponseMetadata>,
}

impl From<MessagesAnswer> for Page<HistoryMessage> {
    fn from(answer: MessagesAnswer) -> Self {
        Page {
            items: answer.messages,
            next_cursor: answer
                .response_metadata
                .and_then(ResponseMetadata::next_cursor),
        }
    }
}

impl SlackClient {
    /// <https://docs.slack.dev/reference/methods/conversations.create>
    pub async fn conversations_create(
        &self,
        name: &str,
        is_private: bool,
    ) -> Result<Conversation, SlackError> {
        let arguments = [("name", name), ("is_private", bool_argument(is_private))];
        let answer: ChannelAnswer = self.call("conversations.create", &arguments).await?;
        Ok(answer.channel)
    }

    /// <https://docs.slack.dev/reference/methods/conversations.info>
    pub async fn conversations_info(&self, channel: &str) -> Result<Conversation, SlackError> {
        let answer: ChannelAnswer = self
            .call("conversations.info", &[("channel", channel)])
            .await?;
        Ok(answer.channel)
    }

    /// Public and private channels, archived ones too, as many a page as Slack gives.
    ///
    /// <https://docs.slack.dev/reference/methods/conversations.list>
    pub async fn conversations_list(
        &self,
        cursor: Option<&str>,
    ) -> Result<Page<Conversation>, SlackError> {
        #[derive(Deserialize)]
        struct Answer {
            channels: Vec<Conversation>,
            #[serde(default)]
            response_metadata: Option<ResponseMetadata>,
        }
        let arguments = [
            ("types", "public_channel,private_channel"),
            ("exclude_archived", "false"),
            ("limit", "999"),
            ("cursor", cursor.unwrap_or_default()),
        ];
        let answer: Answer = self.call("conversations.list", &arguments).await?;
        Ok(Page {
            items: answer.channels,
            next_cursor: answer
                .response_metadata
                .and_then(ResponseMetadata::next_cursor),
        })
    }

    /// Ids of the members, 200 a page.
    ///
    /// <https://docs.slack.dev/reference/methods/conversations.members>
    pub async fn conversations_members(
        &self,
        channel: &str,
        cursor: Option<&str>,
    ) -> Result<Page<String>, SlackError> {
        #[derive(Deserialize)]
        struct Answer {
            members: Vec<String>,
            #[serde(default)]
            response_metadata: Option<ResponseMetadata>,
        }
        let arguments = [
            ("channel", channel),
            ("limit", "200"),
            ("cursor", cursor.unwrap_or_default()),
        ];
        let answer: Answer = self.call("conversations.members", &arguments).await?;
        Ok(Page {
            items: answer.members,
            next_cursor: answer
                .response_metadata
                .and_then(ResponseMetadata::next_cursor),
        })
    }

    /// Invites at most 100 users. `force` makes Slack invite the valid ones when others are not, so
    /// what went wrong with single users is an outcome here and not an error.
    ///
    /// <https://docs.slack.dev/reference/methods/conversations.invite>
    pub async fn conversations_invite(
        &self,
        channel: &str,
        users: &[String],
    ) -> Result<Invite, SlackError> {
        #[derive(Deserialize)]
        struct Answer {
            #[serde(default)]
            errors: Vec<UserError>,
        }
        let list = users.join(",");
        let arguments = [
            ("channel", channel),
            ("users", list.as_str()),
            ("force", "true"),
        ];
        let reply = self.send("conversations.invite", &arguments).await?;
        let Answer { errors } = read_answer("conversations.invite", &reply.body)?;
        match (reply.refusal, users) {
            (None, _) => Ok(Invite { errors }),
            // Slack says `ok: false` as soon as one user could not be invited.
            (Some(SlackError::Rejected { .. }), _) if !errors.is_empty() => Ok(Invite { errors }),
            // For a single user Slack may name only the code.
            (Some(SlackError::Rejected { code, .. }), [user]) if is_about_the_user(&code) => {
                Ok(Invite {
                    errors: vec![UserError {
                        user: user.clone(),
                        error: code,
                    }],
                })
            }
            (Some(refusal), _) => Err(refusal),
        }
    }

    /// Adds the bot itself to a public channel. Being there already is a success.
    ///
    /// <https://docs.slack.dev/reference/methods/conversations.join>
    pub async fn conversations_join(&self, channel: &str) -> Result<(), SlackError> {
        let _: ChannelAnswer = self
            .call("conversations.join", &[("channel", channel)])
            .await?;
        Ok(())
    }

    /// The messages since `oldest`, newest first, threads left out, with their metadata.
    ///
    /// <https://docs.slack.dev/reference/methods/conversations.history>
    pub async fn conversations_history(
        &self,
        channel: &str,
        oldest: &str,
        cursor: Option<&str>,
    ) -> Result<Page<HistoryMessage>, SlackError> {
        let arguments = [
            ("channel", channel),
            ("oldest", oldest),
            ("inclusive", "true"),
            ("include_all_metadata", "true"),
            ("limit", "200"),
            ("cursor", cursor.unwrap_or_default()),
        ];
        let answer: MessagesAnswer = self.call("conversations.history", &arguments).await?;
        Ok(answer.into())
    }

    /// The same for one thread: its parent first, then the replies since `oldest`.
    ///
    /// <https://docs.slack.dev/reference/methods/conversations.replies>
    pub async fn conversations_replies(
        &self,
        channel: &str,
        thread_ts: &str,
        oldest: &str,
        cursor: Option<&str>,
    ) -> Result<Page<HistoryMessage>, SlackError> {
        let arguments = [
            ("channel", channel),
            ("ts", thread_ts),
            ("oldest", oldest),
            ("inclusive", "true"),
            ("include_all_metadata", "true"),
            ("limit", "200"),
            ("cursor", cursor.unwrap_or_default()),
        ];
        let answer: MessagesAnswer = self.call("conversations.replies", &arguments).await?;
        Ok(answer.into())
    }
}

/// The codes of conversations.invite that say something of the invited user, not of the call.
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

fn bool_argument(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}
