//! The state of a workspace: users, channels with their messages, tokens.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::{SystemTime, UNIX_EPOCH},
};

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub const TEAM_ID: &str = "T00SANDBOX";
/// The app that every token belongs to.
pub const APP_ID: &str = "A00SANDBOX";
/// The bot user that every token belongs to.
pub const BOT_USER_ID: &str = "U00BOT";
/// The person who created the channels that neither the bot nor one of their members created.
pub const OWNER_USER_ID: &str = "U00OWNER";

use crate::time_zone;
pub use crate::{
    channel::{Channel, Kind, Version},
    message::{Edited, Message, Pinned, Reaction},
};

/// Everything that Slack stores.
#[derive(Debug, Default)]
pub struct Workspace {
    pub users: Vec<User>,
    users_by_id: HashMap<String, usize>,
    users_by_email: HashMap<String, usize>,
    pub channels: Vec<Channel>,
    channels_by_id: HashMap<String, usize>,
    /// Includes archived channels, which keep their names.
    channels_by_name: HashMap<String, usize>,
    pub tokens: BTreeMap<String, Token>,
    /// By the user's id: what the bot published as the user's home tab.
    pub homes: BTreeMap<String, Value>,
    pub restrictions: Restrictions,
    pub pages: Pages,
    last_ts_micros: u64,
    /// How many channels existed before the last reset: Slack never reuses an id.
    earlier_channels: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "these are Slack's own fields of a user"
)]
pub struct User {
    #[serde(default)]
    pub id: String,
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Deactivated.
    #[serde(default)]
    pub deleted: bool,
    #[serde(default)]
    pub is_bot: bool,
    /// A multi-channel guest.
    #[serde(default)]
    pub is_restricted: bool,
    /// A single-channel guest.
    #[serde(default)]
    pub is_ultra_restricted: bool,
    /// The IANA name of the user's time zone, for example `Europe/Berlin`.
    #[serde(default = "utc")]
    pub tz: String,
}

fn utc() -> String {
    time_zone::DEFAULT.to_owned()
}

impl Default for User {
    /// An active person without a name, in UTC.
    fn default() -> Self {
        Self {
            id: String::new(),
            name: String::new(),
            email: None,
            deleted: false,
            is_bot: false,
            is_restricted: false,
            is_ultra_restricted: false,
            tz: utc(),
        }
    }
}

impl User {
    /// UTC if `tz` names no time zone.
    pub fn time_zone(&self) -> TimeZone {
        time_zone::named(&self.tz).unwrap_or(TimeZone::UTC)
    }
}

#[derive(Debug, Clone, Default)]
pub struct Token {
    pub scopes: BTreeSet<String>,
    pub bot_user_id: String,
    /// Empty if the token is a person's.
    pub bot_id: String,
    pub revoked: bool,
}

/// Settings of the workspace or the app that restrict a bot despite its scopes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a setting of its own"
)]
pub struct Restrictions {
    pub kick: bool,
    pub archive: bool,
    pub rename: bool,
    pub create: bool,
    /// Posts to direct messages: the app's messages tab is off.
    pub messages_tab: bool,
}

/// How lists are split into pages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pages {
    /// The maximum page size, whatever the call's `limit`.
    pub max_size: Option<usize>,
    /// Makes every other page empty, but still with a next cursor.
    pub empty_between: bool,
}

impl Workspace {
    /// An empty workspace whose channels do not reuse the ids of the previous one.
    pub fn after(before: &Self) -> Self {
        Self {
            earlier_channels: before.earlier_channels + before.channels.len(),
            ..Self::default()
        }
    }

    pub fn user(&self, id: &str) -> Option<&User> {
        self.users_by_id.get(id).map(|index| &self.users[*index])
    }

    pub fn user_by_email(&self, email: &str) -> Option<&User> {
        self.users_by_email
            .get(&email.to_lowercase())
            .map(|index| &self.users[*index])
    }

    /// The user with this id or address.
    pub fn user_named(&self, id_or_email: &str) -> Option<&User> {
        self.user(id_or_email)
            .or_else(|| self.user_by_email(id_or_email))
    }

    /// Adds a user, or replaces the one with the same id or address.
    pub fn put_user(&mut self, mut user: User) -> String {
        let existing = self.users_by_id.get(&user.id).copied().or_else(|| {
            let email = user.email.as_ref()?.to_lowercase();
            self.users_by_email.get(&email).copied()
        });
        let index = existing.unwrap_or(self.users.len());
        if user.id.is_empty() {
            user.id = existing.map_or_else(
                || format!("U{index:08}"),
                |index| self.users[index].id.clone(),
            );
        }
        // A deactivated account can have an address that another account has now.
        let is_of_another = |email: &str, users: &HashMap<String, usize>| {
            users.get(email).is_some_and(|holder| *holder != index)
        };
        if let Some(before) = existing.and_then(|index| self.users[index].email.as_ref()) {
            let before = before.to_lowercase();
            if !is_of_another(&before, &self.users_by_email) {
                self.users_by_email.remove(&before);
            }
        }
        let id = user.id.clone();
        self.users_by_id.insert(id.clone(), index);
        if let Some(email) = user.email.as_ref().map(|email| email.to_lowercase())
            && !(user.deleted && is_of_another(&email, &self.users_by_email))
        {
            self.users_by_email.insert(email, index);
        }
        match existing {
            Some(index) => self.users[index] = user,
            None => self.users.push(user),
        }
        id
    }

    pub fn channel(&self, id: &str) -> Option<&Channel> {
        self.channels_by_id
            .get(id)
            .map(|index| &self.channels[*index])
    }

    pub fn channel_mut(&mut self, id: &str) -> Option<&mut Channel> {
        self.channels_by_id
            .get(id)
            .map(|index| &mut self.channels[*index])
    }

    pub fn channel_by_name(&self, name: &str) -> Option<&Channel> {
        self.channels_by_name
            .get(name)
            .map(|index| &self.channels[*index])
    }

    /// Adds a channel. Its name must not be taken.
    pub fn add_channel(&mut self, mut channel: Channel) -> String {
        let index = self.channels.len();
        if channel.id.is_empty() {
            let letter = if matches!(channel.kind, Kind::Direct { .. }) {
                'D'
            } else {
                'C'
            };
            channel.id = format!("{letter}{:08}", self.earlier_channels + index);
        }
        if channel.name.is_empty() {
            channel.name.clone_from(&channel.id);
        }
        let now = self.next_micros();
        channel.created = now / 1_000_000;
        channel.keep_version(now);
        let id = channel.id.clone();
        self.channels_by_id.insert(id.clone(), index);
        self.channels_by_name.insert(channel.name.clone(), index);
        self.channels.push(channel);
        id
    }

    /// Renames a channel and releases its old name. The new name must not be taken.
    pub fn rename_channel(&mut self, id: &str, name: &str) {
        if let Some(index) = self.channels_by_id.get(id).copied() {
            let channel = &mut self.channels[index];
            let old = std::mem::replace(&mut channel.name, name.to_owned());
            self.channels_by_name.remove(&old);
            channel.previous_names.insert(0, old);
            self.channels_by_name.insert(name.to_owned(), index);
            self.keep_version(id);
        }
    }

    /// Archives a channel. Slack then removes bots from it, also the one that archived it, so that a bot no longer
    /// sees a private channel: elastic/connectors#1972, slack-go/slack#1066, open-cli-collective/slack-chat-api#26.
    pub fn archive(&mut self, id: &str) {
        let bots: BTreeSet<String> = self
            .users
            .iter()
            .filter(|user| user.is_bot)
            .map(|user| user.id.clone())
            .collect();
        if let Some(channel) = self.channel_mut(id) {
            channel.is_archived = true;
            channel.members.retain(|member| !bots.contains(member));
        }
        self.keep_version(id);
    }

    /// Unarchives a channel. A private one still has its members, a public one has lost them:
    /// <https://slack.com/help/articles/213185307-Archive-or-delete-a-channel>.
    pub fn unarchive(&mut self, id: &str) {
        if let Some(channel) = self.channel_mut(id).filter(|channel| channel.is_archived) {
            channel.is_archived = false;
            if !channel.is_private {
                channel.members.clear();
            }
        }
        self.keep_version(id);
    }

    /// Adds what the channel is now to its versions, if it has changed.
    pub fn keep_version(&mut self, id: &str) {
        let now = self.next_micros();
        if let Some(channel) = self.channel_mut(id) {
            channel.keep_version(now);
        }
    }

    /// The bot's direct message with exactly these users, if there is one.
    pub fn direct_message(&self, users: &BTreeSet<String>) -> Option<&Channel> {
        self.channels
            .iter()
            .find(|channel| channel.kind != Kind::Channel && channel.members == *users)
    }

    /// Opens the direct message of the bot with these users, who include the bot. Returns its id.
    pub fn open_direct_message(&mut self, bot: &str, users: BTreeSet<String>) -> String {
        if let Some(channel) = self.direct_message(&users) {
            let id = channel.id.clone();
            if let Some(channel) = self.channel_mut(&id) {
                channel.is_open = true;
            }
            return id;
        }
        let others: Vec<&String> = users.iter().filter(|user| *user != bot).collect();
        let (kind, name) = match others[..] {
            [user] => (Kind::Direct { user: user.clone() }, String::new()),
            _ => (Kind::Group, self.group_name(&users)),
        };
        self.add_channel(Channel {
            kind,
            is_open: true,
            name,
            is_private: true,
            creator: bot.to_owned(),
            members: users,
            ..Channel::default()
        })
    }

    /// `mpdm-ana--bob-1`, as Slack names a direct message with several users.
    fn group_name(&self, users: &BTreeSet<String>) -> String {
        let names: Vec<String> = users
            .iter()
            .filter_map(|id| Some(self.user(id)?.name.to_lowercase()))
            .collect();
        format!("mpdm-{}-1", names.join("--"))
    }

    /// Adds a token and the user that it belongs to: the bot's, or for `xoxp-…` the owner.
    pub fn put_token(&mut self, token: &str, scopes: BTreeSet<String>) {
        let (bot_user_id, bot_id) = if token.starts_with("xoxp-") {
            (self.put_owner(), String::new())
        } else {
            let bot = User {
                id: BOT_USER_ID.to_owned(),
                name: "APGL-Notifications".to_owned(),
                is_bot: true,
                ..User::default()
            };
            (self.put_user(bot), "B00BOT".to_owned())
        };
        let token_of = Token {
            scopes,
            bot_user_id,
            bot_id,
            revoked: false,
        };
        self.tokens.insert(token.to_owned(), token_of);
    }

    /// Adds the person who created the channels of nobody else, unless there is one.
    pub fn put_owner(&mut self) -> String {
        if self.user(OWNER_USER_ID).is_none() {
            self.put_user(User {
                id: OWNER_USER_ID.to_owned(),
                name: "owner".to_owned(),
                email: Some("owner@example.com".to_owned()),
                ..User::default()
            });
        }
        OWNER_USER_ID.to_owned()
    }

    /// A unique timestamp for a message.
    pub fn next_ts(&mut self) -> String {
        let micros = self.next_micros();
        format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
    }

    /// The time in microseconds since 1970, later than every earlier one.
    fn next_micros(&mut self) -> u64 {
        self.last_ts_micros = epoch_micros().max(self.last_ts_micros + 1);
        self.last_ts_micros
    }
}

pub(crate) fn epoch_micros() -> u64 {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since_epoch.as_micros()).unwrap_or(u64::MAX)
}
