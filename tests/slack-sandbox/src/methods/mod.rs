//! Slack's methods under their own names, as rules over the workspace.

mod chat;
mod content;
mod conversations;
mod direct;
mod history;
mod lists;
mod membership;
mod pins;
mod reactions;
mod shapes;
mod table;
mod users;
mod views;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

pub(crate) use self::{
    chat::channel_named,
    table::{Body, METHODS, Method, method},
};
use crate::workspace::{Channel, Kind, Message, Token, Workspace};

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

    /// Checks the scope for this kind of conversation, for example `groups:history` for the history of a private
    /// channel.
    fn needs_for(&self, channel: &Channel, action: &str) -> Result<(), Refusal> {
        self.needs(&scope(channel.type_name(), action))
    }

    fn is_in(&self, channel: &Channel) -> bool {
        channel.members.contains(&self.token.bot_user_id)
    }

    fn sees(&self, channel: &Channel) -> bool {
        !channel.is_private || self.is_in(channel)
    }

    /// The channel that the argument `channel` names, if the bot can see it.
    fn channel<'w>(&self, workspace: &'w Workspace) -> Result<&'w Channel, Refusal> {
        match workspace.channel(self.required("channel")?) {
            Some(channel) if self.sees(channel) => Ok(channel),
            // Slack does not distinguish an invisible channel from a wrong id.
            _ => refuse("channel_not_found"),
        }
    }

    /// The message of the channel that the argument `timestamp` names.
    fn message<'c>(&self, channel: &'c Channel) -> Result<&'c Message, Refusal> {
        let Some(ts) = self.argument("timestamp") else {
            return refuse("no_item_specified");
        };
        if micros(ts).is_none() {
            return refuse("bad_timestamp");
        }
        channel
            .message(ts)
            .map_or_else(|| refuse("message_not_found"), Ok)
    }

    /// Refuses a direct message, for a method that is only for channels.
    fn only_channels(channel: &Channel) -> Result<(), Refusal> {
        if channel.kind == Kind::Channel {
            return Ok(());
        }
        refuse("method_not_supported_for_channel_type")
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

/// The scope for an action on a type of conversation. A bot manages public channels with a scope of another name.
fn scope(type_name: &str, action: &str) -> String {
    let prefix = match type_name {
        "public_channel" if action == "write" => return "channels:manage".to_owned(),
        "public_channel" => "channels",
        "private_channel" => "groups",
        other => other,
    };
    format!("{prefix}:{action}")
}

/// `1712345678.000200` in microseconds.
fn micros(ts: &str) -> Option<u64> {
    let (seconds, fraction) = ts.split_once('.').unwrap_or((ts, "0"));
    let fraction: u64 = format!("{fraction:0<6}").get(..6)?.parse().ok()?;
    seconds
        .parse::<u64>()
        .ok()?
        .checked_mul(1_000_000)?
        .checked_add(fraction)
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
