//! The table of Slack's channels. Slack has no look-up by name, so this table is the directory.
//!
//! The key of a channel's item is the channel's name. The table also holds items whose keys start with `#`, which is
//! not allowed in a channel's name:
//!
//! | key | content |
//! |---|---|
//! | `project-x` | id, name in Slack, visibility, whether it is archived, when it was seen; or since when the id is known to be wrong |
//! | `#creator/project-x` | the execution that created the channel |
//! | `#creating/project-x` | the execution that is creating the channel, and its lease; or when Slack said that the name is taken |
//! | `#scan` | the progress of the scan of conversations.list, its owner, and when the last scan was complete |
//! | `#members/C012AB3CD` | the ids of users who were seen in the channel, and when this expires |
//! | `#first-look/C012AB3CD/<execution>` | which of an execution's users were in the channel before it invited them |
//! | `#second-look/C012AB3CD/<execution>` | the same, for users whose ids had to be corrected |
//! | `#to-leave/C012AB3CD/<execution>` | the same, for users to be removed |

mod claims;
mod creation;
mod members;
mod scan;

pub use claims::ClaimsOn;
pub use creation::{Claims, Creation, CreationClaim};
pub use members::{KnownMembers, Snapshot};
pub use scan::{Scan, ScanClaim, Scanned};

use std::time::SystemTime;

use apgl_aws::SettingError;
use apgl_contract::{ChannelName, ChannelRef, StepError, Visibility};
use aws_sdk_dynamodb::{
    operation::update_item::builders::UpdateItemFluentBuilder, types::AttributeValue,
};
use aws_types::SdkConfig;
use serde::Deserialize;

use crate::table::{Item, Table, epoch_millis, key_of, number, text, time_of};

/// A channel as the directory knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// The name in Slack.
    pub name: String,
    pub id: String,
    pub visibility: Visibility,
    pub archived: bool,
}

impl Channel {
    pub fn to_ref(&self, created: bool) -> ChannelRef {
        ChannelRef {
            id: self.id.clone(),
            name: self.name.clone(),
            visibility: self.visibility,
            requested_visibility: None,
            archived: self.archived,
            created,
        }
    }
}

/// What the table says about a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// It was this channel's name at `seen_at`.
    Seen {
        channel: Channel,
        seen_at: SystemTime,
    },
    /// The channel that had the name no longer has it, or can no longer be seen.
    Outdated {
        since: SystemTime,
    },
    Unknown,
}

/// What the table says about a name, and about the scan that fills the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookUp {
    pub entry: Entry,
    /// The execution that created the entry's channel, if one of ours did.
    pub created_by: Option<String>,
    /// The claim on creating a channel with this name.
    pub creation: Option<CreationClaim>,
    pub scanned: Option<Scanned>,
}

/// The table of channels, by name.
#[derive(Debug, Clone)]
pub struct Channels(Table);

/// A channel's item.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stored {
    id: String,
    slack_name: String,
    visibility: Visibility,
    archived: bool,
    seen_at: u64,
    outdated_at: Option<u64>,
}

impl Channels {
    pub fn new(table: Table) -> Self {
        Self(table)
    }

    /// The table that `CHANNELS_TABLE` names.
    pub fn from_env(aws: &SdkConfig) -> Result<Self, SettingError> {
        Ok(Self(Table::from_env(aws, "CHANNELS_TABLE")?))
    }

    pub async fn look_up(&self, name: &ChannelName) -> Result<LookUp, StepError> {
        let creator_key = claims::creator_key(name);
        let creating_key = claims::creating_key(name);
        let keys = [name.as_str(), &creator_key, &creating_key, scan::KEY];
        let items = self.0.get_many_consistently("name", keys).await?;
        let item = |key: &str| items.iter().find(|item| key_of(item, "name") == Some(key));
        let entry = item(name.as_str()).map_or(Entry::Unknown, |item| entry_in(name, item));
        let created_by = match (&entry, item(&creator_key)) {
            (Entry::Seen { channel, .. }, Some(item)) => claims::creator_in(item, &channel.id),
            _ => None,
        };
        Ok(LookUp {
            entry,
            created_by,
            creation: item(&creating_key).and_then(CreationClaim::read),
            scanned: item(scan::KEY).and_then(Scanned::read),
        })
    }

    /// Remembers a channel that Slack has just returned under this name.
    pub async fn remember(&self, name: &ChannelName, channel: &Channel) -> Result<(), StepError> {
        self.0.put(item_of(name.as_str(), channel)).await
    }

    /// Remembers channels from Slack's list.
    pub async fn remember_all(&self, channels: &[Channel]) -> Result<(), StepError> {
        let items = channels
            .iter()
            .map(|channel| item_of(&channel.name, channel))
            .collect();
        self.0.put_many(items).await
    }

    /// Forgets the entry of the channel `id`, which has been renamed: this name is free.
    pub async fn forget(&self, name: &ChannelName, id: &str) -> Result<(), StepError> {
        let deleted = self
            .0
            .client
            .delete_item()
            .table_name(&self.0.name)
            .key("name", text(name.as_str()))
            .condition_expression("id = :id")
            .expression_attribute_values(":id", text(id));
        self.0.if_it_holds("DeleteItem", deleted.send().await)?;
        Ok(())
    }

    /// Records that the channel `id` can no longer be found under this name.
    pub async fn mark_outdated(&self, name: &str, id: &str) -> Result<(), StepError> {
        let now = number(epoch_millis(SystemTime::now()));
        self.correct(name, id, "SET outdatedAt = :value", now).await
    }

    /// Records that the channel `id`, which has this name, is archived.
    pub async fn mark_archived(&self, name: &str, id: &str) -> Result<(), StepError> {
        let archived = AttributeValue::Bool(true);
        self.correct(name, id, "SET archived = :value", archived)
            .await
    }

    fn update(&self, key: &str) -> UpdateItemFluentBuilder {
        self.0.update("name", key)
    }

    /// Changes an item if it is still about the channel `id`.
    async fn correct(
        &self,
        name: &str,
        id: &str,
        expression: &str,
        value: AttributeValue,
    ) -> Result<(), StepError> {
        let update = self
            .update(name)
            .update_expression(expression)
            .condition_expression("id = :id")
            .expression_attribute_values(":id", text(id))
            .expression_attribute_values(":value", value);
        self.0.if_it_holds("UpdateItem", update.send().await)?;
        Ok(())
    }
}

/// An item that can't be read is treated as missing, so that Slack is asked again.
fn entry_in(name: &ChannelName, item: &Item) -> Entry {
    let Ok(stored) = serde_dynamo::from_item::<_, Stored>(item.clone()) else {
        tracing::warn!(channel.name = %name, "the channel's item can't be read; asking Slack");
        return Entry::Unknown;
    };
    if let Some(since) = stored.outdated_at {
        return Entry::Outdated {
            since: time_of(since),
        };
    }
    Entry::Seen {
        seen_at: time_of(stored.seen_at),
        channel: Channel {
            name: stored.slack_name,
            id: stored.id,
            visibility: stored.visibility,
            archived: stored.archived,
        },
    }
}

fn item_of(name: &str, channel: &Channel) -> Item {
    let visibility = if channel.visibility.is_private() {
        "private"
    } else {
        "public"
    };
    let seen_at = epoch_millis(SystemTime::now());
    [
        ("name", text(name)),
        ("id", text(&channel.id)),
        ("slackName", text(&channel.name)),
        ("visibility", text(visibility)),
        ("archived", AttributeValue::Bool(channel.archived)),
        ("seenAt", number(seen_at)),
    ]
    .map(|(field, value)| (field.to_owned(), value))
    .into()
}
