//! Slack's methods under their own names, as rules over the workspace.

mod chat;
mod conversations;
mod history;
mod membership;
mod users;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::workspace::{Channel, TEAM_ID, Token, Workspace};

/// The response to a call that Slack rejects.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Refusal {
    pub error: String,
    /// The fields of the response besides `ok` and `error`.
    pub more: Map<String, Value>,
}

pub(crate) type Answer = Result<Value, Refusal>;

pub(crate) fn refuse<T>(error: &str) -> Result<T, Refusal> {
    Err(Refusal {
        error: error.to_owned(),
        more: Map::new(),
    })
}

/// One call: the caller's token and the arguments.
pub(crate) struct Call<'a> {
    pub token: &'a Token,
    pub arguments: &'a BTreeMap<String, String>,
}

impl Call<'_> {
    fn argument(&self, name: &str) -> Option<&str> {
        self.arguments
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    fn required(&self, name: &str) -> Result<&str, Refusal> {
        self.argument(name)
            .map_or_else(|| refuse("invalid_arguments"), Ok)
    }

    fn flag(&self, name: &str) -> bool {
        matches!(self.argument(name), Some("true" | "1"))
    }

    fn needs(&self, scope: &str) -> Result<(), Refusal> {
        if self.token.scopes.contains(scope) {
            return Ok(());
        }
        let provided = self
            .token
            .scopes
            .iter()
            .cloned()
            .collect::<Vec<_>>()
            .join(",");
        let mut refusal = Refusal {
            error: "missing_scope".to_owned(),
            more: Map::new(),
        };
        refusal.more.insert("needed".to_owned(), json!(scope));
        refusal.more.insert("provided".to_owned(), json!(provided));
        Err(refusal)
    }

    /// Requires the scope of a family for a channel: `channels:…` for a public one, `groups:…` for a private one.
    fn needs_for(&self, channel: &Channel, public: &str, private: &str) -> Result<(), Refusal> {
        self.needs(if channel.is_private { private } else { public })
    }

    fn is_in(&self, channel: &Channel) -> bool {
        channel.members.contains(&self.token.bot_user_id)
    }

    /// The channel that the argument `channel` names, if the bot can see it.
    fn channel<'w>(&self, workspace: &'w Workspace) -> Result<&'w Channel, Refusal> {
        match workspace.channel(self.required("channel")?) {
            Some(channel) if !channel.is_private || self.is_in(channel) => Ok(channel),
            // Slack does not distinguish an invisible channel from a wrong id.
            _ => refuse("channel_not_found"),
        }
    }

    fn page_limit(
        &self,
        workspace: &Workspace,
        default: usize,
        max: usize,
    ) -> Result<usize, Refusal> {
        let limit = match self.argument("limit") {
            None => default,
            Some(limit) => match limit.parse() {
                Ok(limit) if (1..=max).contains(&limit) => limit,
                _ => return refuse("invalid_limit"),
            },
        };
        Ok(workspace
            .pages
            .max_size
            .map_or(limit, |max| limit.min(max.max(1))))
    }
}

/// Whether the method exists. Slack checks this before it looks at the rest of the call.
pub(crate) fn exists(method: &str) -> bool {
    METHODS.contains(&method)
}

const METHODS: [&str; 20] = [
    "auth.test",
    "users.lookupByEmail",
    "users.info",
    "users.list",
    "users.conversations",
    "conversations.create",
    "conversations.invite",
    "conversations.kick",
    "conversations.archive",
    "conversations.unarchive",
    "conversations.rename",
    "conversations.setTopic",
    "conversations.setPurpose",
    "conversations.list",
    "conversations.info",
    "conversations.members",
    "conversations.join",
    "conversations.history",
    "conversations.replies",
    "chat.postMessage",
];

pub(crate) fn answer(workspace: &mut Workspace, method: &str, call: &Call<'_>) -> Answer {
    match method {
        "auth.test" => Ok(auth_test(workspace, call)),
        "users.lookupByEmail" => users::lookup_by_email(workspace, call),
        "users.info" => users::info(workspace, call),
        "users.list" => users::list(workspace, call),
        "users.conversations" => conversations::of_user(workspace, call),
        "conversations.create" => conversations::create(workspace, call),
        "conversations.archive" => conversations::archive(workspace, call),
        // A bot token cannot unarchive channels.
        "conversations.unarchive" => refuse("not_allowed_token_type"),
        "conversations.rename" => conversations::rename(workspace, call),
        "conversations.setTopic" => conversations::set_topic(workspace, call),
        "conversations.setPurpose" => conversations::set_purpose(workspace, call),
        "conversations.list" => conversations::list(workspace, call),
        "conversations.info" => conversations::info(workspace, call),
        "conversations.members" => membership::members(workspace, call),
        "conversations.invite" => membership::invite(workspace, call),
        "conversations.kick" => membership::kick(workspace, call),
        "conversations.join" => membership::join(workspace, call),
        "conversations.history" => history::history(workspace, call),
        "conversations.replies" => history::replies(workspace, call),
        "chat.postMessage" => chat::post_message(workspace, call),
        _ => refuse("unknown_method"),
    }
}

fn auth_test(workspace: &Workspace, call: &Call<'_>) -> Value {
    let token = call.token;
    let user = workspace
        .user(&token.bot_user_id)
        .map(|user| user.name.as_str());
    json!({
        "url": "https://sandbox.slack.com/",
        "team": "Sandbox",
        "team_id": TEAM_ID,
        "user": user,
        "user_id": token.bot_user_id,
        "bot_id": token.bot_id,
    })
}

/// A page of `items` from the cursor on, which is the index at which the page begins. A page covers `limit` items
/// and contains those that pass `shown`, so it can be short or even empty.
fn page<T>(
    workspace: &Workspace,
    call: &Call<'_>,
    limit: usize,
    items: &[T],
    mut shown: impl FnMut(&T) -> Option<Value>,
) -> Result<(Vec<Value>, Value), Refusal> {
    let (start, may_be_empty) = match call.argument("cursor") {
        None => (0, true),
        Some(cursor) => match parse_cursor(cursor) {
            Some((start, may_be_empty)) if start <= items.len() => (start, may_be_empty),
            _ => return refuse("invalid_cursor"),
        },
    };
    let is_empty = workspace.pages.empty_between && may_be_empty;
    let end = if is_empty {
        start
    } else {
        (start + limit).min(items.len())
    };
    let next = if end < items.len() {
        cursor(end, !is_empty)
    } else {
        String::new()
    };
    let values = items[start..end].iter().filter_map(&mut shown).collect();
    Ok((values, json!({ "next_cursor": next })))
}

fn cursor(start: usize, may_be_empty: bool) -> String {
    format!("next:{start}:{}", u8::from(may_be_empty))
}

fn parse_cursor(cursor: &str) -> Option<(usize, bool)> {
    let (start, may_be_empty) = cursor.strip_prefix("next:")?.split_once(':')?;
    Some((start.parse().ok()?, may_be_empty == "1"))
}
