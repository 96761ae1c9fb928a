//! The initial or additional contents of a workspace, as a JSON document.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{
    time_zone,
    workspace::{Channel, User, Workspace},
};

/// The bot scopes of the app's manifest.
pub const ALL_SCOPES: [&str; 13] = [
    "channels:read",
    "channels:manage",
    "channels:join",
    "channels:history",
    "groups:read",
    "groups:write",
    "groups:history",
    "im:write",
    "im:history",
    "chat:write",
    "pins:write",
    "users:read",
    "users:read.email",
];

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Seed {
    pub tokens: Vec<TokenSeed>,
    pub users: Vec<User>,
    pub channels: Vec<ChannelSeed>,
    /// Generated users and channels, up to hundreds of thousands.
    pub generate: Generate,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenSeed {
    pub token: String,
    /// By default the scopes of the manifest.
    #[serde(default = "all_scopes")]
    pub scopes: BTreeSet<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a property of a channel of its own"
)]
pub struct ChannelSeed {
    pub name: String,
    #[serde(default)]
    pub is_private: bool,
    #[serde(default)]
    pub is_archived: bool,
    /// Shared with another organisation.
    #[serde(default)]
    pub is_ext_shared: bool,
    /// E-mail addresses or ids of existing users.
    #[serde(default)]
    pub members: Vec<String>,
    #[serde(default = "yes")]
    pub bot_is_member: bool,
    /// Whether the bot created the channel. Slack lets only a channel's creator rename it. Otherwise the first of the
    /// members created it, or the workspace's owner if it has none.
    #[serde(default)]
    pub created_by_bot: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Generate {
    /// `user0@example.com` and so on.
    pub users: usize,
    /// `channel-0` and so on: public, without the bot.
    pub channels: usize,
}

/// The rule that a seed document breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {rule}")]
pub struct SeedError {
    field: String,
    rule: &'static str,
}

fn all_scopes() -> BTreeSet<String> {
    ALL_SCOPES.map(str::to_owned).into()
}

fn yes() -> bool {
    true
}

impl Default for ChannelSeed {
    /// A public channel with only the bot in it.
    fn default() -> Self {
        Self {
            name: String::new(),
            is_private: false,
            is_archived: false,
            is_ext_shared: false,
            members: Vec::new(),
            bot_is_member: true,
            created_by_bot: false,
        }
    }
}

impl TokenSeed {
    /// A token with all scopes of the manifest.
    pub fn new(token: &str) -> Self {
        Self {
            token: token.to_owned(),
            scopes: all_scopes(),
        }
    }
}

impl Seed {
    /// Adds the document's contents. A document that breaks a rule changes nothing.
    pub fn plant(&self, workspace: &mut Workspace) -> Result<(), SeedError> {
        self.check(workspace)?;
        for TokenSeed { token, scopes } in &self.tokens {
            workspace.put_token(token, scopes.clone());
        }
        for user in &self.users {
            workspace.put_user(user.clone());
        }
        for n in 0..self.generate.users {
            workspace.put_user(User {
                name: format!("user{n}"),
                email: Some(format!("user{n}@example.com")),
                ..User::default()
            });
        }
        let bot = workspace
            .tokens
            .values()
            .next()
            .map(|token| token.bot_user_id.clone());
        for seed in &self.channels {
            let people: Vec<String> = seed
                .members
                .iter()
                .filter_map(|member| Some(workspace.user_named(member)?.id.clone()))
                .collect();
            let creator = bot
                .clone()
                .filter(|_| seed.created_by_bot)
                .or_else(|| people.first().cloned())
                .unwrap_or_else(|| workspace.put_owner());
            let bot = bot.clone().filter(|_| seed.bot_is_member);
            workspace.add_channel(Channel {
                name: seed.name.clone(),
                is_private: seed.is_private,
                is_archived: seed.is_archived,
                is_ext_shared: seed.is_ext_shared,
                creator,
                members: people.into_iter().chain(bot).collect(),
                ..Channel::default()
            });
        }
        for n in 0..self.generate.channels {
            let name = format!("channel-{n}");
            if workspace.channel_by_name(&name).is_none() {
                let creator = workspace.put_owner();
                workspace.add_channel(Channel {
                    name,
                    creator,
                    ..Channel::default()
                });
            }
        }
        Ok(())
    }

    fn check(&self, workspace: &Workspace) -> Result<(), SeedError> {
        let broken = |field: String, rule| Err(SeedError { field, rule });
        for (n, token) in self.tokens.iter().enumerate() {
            if token.token.is_empty() {
                return broken(format!("tokens[{n}].token"), "must not be empty");
            }
        }
        for (n, user) in self.users.iter().enumerate() {
            if time_zone::named(&user.tz).is_none() {
                return broken(format!("users[{n}].tz"), time_zone::RULE);
            }
        }
        let mut names = BTreeSet::new();
        for (n, channel) in self.channels.iter().enumerate() {
            if !names.insert(&channel.name) || workspace.channel_by_name(&channel.name).is_some() {
                return broken(
                    format!("channels[{n}].name"),
                    "must be a name that is not taken",
                );
            }
            for (m, member) in channel.members.iter().enumerate() {
                let is_seeded = self.users.iter().any(|user| {
                    user.id == *member
                        || user
                            .email
                            .as_ref()
                            .is_some_and(|email| email.eq_ignore_ascii_case(member))
                });
                if !is_seeded && workspace.user_named(member).is_none() {
                    return broken(
                        format!("channels[{n}].members[{m}]"),
                        "must be the id or the address of a user",
                    );
                }
            }
        }
        Ok(())
    }
}
