//! The table of Slack's channels. Slack has no look-up by name, so this table is the directory.
//!
//! The key of a channel's item is the channel's name. The table also holds items whose keys start with `#`, which is
//! not allowed in a channel's name:
//!
//! | key | content |
//! |---|---|
//! | `project-x` | id, name in Slack, visibility, whether it is archived, externally shared or created by the bot, and when Slack confirmed this; or since when the id is known to be wrong, or the name free |
//! | `#creator/project-x` | the execution that created the channel |
//! | `#creating/project-x` | the execution that is creating the channel, and its lease; or when Slack said that the name is taken |
//! | `#archiving/C012AB3CD/<execution>` | under which name the execution archives the channel, or has done so |
//! | `#scan` | the progress of the scan of conversations.list, its owner, and when the last scan was complete |
//! | `#refresh` | the same for users.conversations |
//! | `#members/C012AB3CD` | the ids of users who were seen in the channel, whether there are others, when this expires, and until when somebody is being removed |
//! | `#seen/C012AB3CD` | the ids of users who were ever seen in the channel, except those whom a request removed; it does not expire |
//! | `#first-look/C012AB3CD/<execution>` | which of an execution's users were in the channel before it invited them |
//! | `#second-look/C012AB3CD/<execution>` | the same, for users whose ids had to be corrected |
//! | `#to-join/C012AB3CD/<execution>` | which users an execution has invited, or may have, to a channel whose members were not all known |
//! | `#to-leave/C012AB3CD/<execution>` | which users an execution has removed, or may have |
//!
//! Several executions read Slack and write the table at the same time. What was read earlier never replaces what was
//! learnt later: a channel's item is only written by what was read from Slack after it.

mod archiving;
mod changes;
mod claims;
mod creation;
mod members;
mod scan;

pub use changes::{Change, Changes};
pub use claims::ClaimsOn;
pub use creation::{Claims, Creation, CreationClaim};
pub use members::{KnownMembers, Members, Snapshot};
pub use scan::{List, Scan, ScanClaim, Scanned};

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use apgl_aws::SettingError;
use apgl_contract::{ChannelName, ChannelRef, StepError, Visibility};
use aws_sdk_dynamodb::{
    operation::update_item::builders::UpdateItemFluentBuilder, types::AttributeValue,
};
use aws_types::SdkConfig;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;

use crate::table::{Item, Table, epoch_millis, epoch_seconds, key_of, number, text, time_of};

/// How long what an execution has written down for itself is kept: longer than it can be redriven, which is 14 days.
const KEPT_FOR_REDRIVES: Duration = Duration::from_hours(30 * 24);
/// Longer than an execution that has read a channel takes to write it.
const FREED_MAX_AGE: Duration = Duration::from_hours(24);
/// How many of a page's channels are written at the same time.
const WRITES_AT_ONCE: usize = 32;

/// A channel as Slack showed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// The name in Slack.
    pub name: String,
    pub id: String,
    pub visibility: Visibility,
    pub archived: bool,
    /// Whether another organisation can read it.
    pub externally_shared: bool,
    /// Whether the bot created it; `None` if Slack did not say.
    pub ours: Option<bool>,
    /// When Slack was asked: nothing that happened later is in the other fields.
    pub confirmed_at: SystemTime,
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
            ours: self.ours,
            externally_shared: self.externally_shared,
            confirmed_at: Some(epoch_millis(self.confirmed_at)),
        }
    }

    /// Whether what Slack has confirmed is what it shows now.
    fn is_still(&self, shown: &Self) -> bool {
        let confirmed_now = Self {
            confirmed_at: shown.confirmed_at,
            ..self.clone()
        };
        self.confirmed_at > UNIX_EPOCH && confirmed_now == *shown
    }
}

/// If two channels of a page have one name, the active one.
fn one_of_each_name(page: &[Channel]) -> BTreeMap<&str, &Channel> {
    let mut by_name: BTreeMap<&str, &Channel> = BTreeMap::new();
    for channel in page {
        let kept = by_name.entry(&channel.name).or_insert(channel);
        if kept.archived && !channel.archived {
            *kept = channel;
        }
    }
    by_name
}

/// What the table says about a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// It was this channel's name when Slack confirmed it.
    Seen(Channel),
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
    /// Release 0.1 did not ask for it.
    externally_shared: Option<bool>,
    ours: Option<bool>,
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
        let keys = [name.as_str(), &creator_key, &creating_key, List::All.key()];
        let items = self.0.get_many_consistently("name", keys).await?;
        let item = |key: &str| items.iter().find(|item| key_of(item, "name") == Some(key));
        let entry =
            item(name.as_str()).map_or(Entry::Unknown, |item| entry_in(name.as_str(), item));
        let created_by = match (&entry, item(&creator_key)) {
            (Entry::Seen(channel), Some(item)) => claims::creator_in(item, &channel.id),
            _ => None,
        };
        Ok(LookUp {
            entry,
            created_by,
            creation: item(&creating_key).and_then(CreationClaim::read),
            scanned: item(List::All.key()).and_then(Scanned::read),
        })
    }

    /// The channel that the table has under this name.
    pub async fn known(&self, name: &str) -> Result<Option<Channel>, StepError> {
        let item = self.0.get("name", name).await?;
        Ok(match item.map(|item| entry_in(name, &item)) {
            Some(Entry::Seen(channel)) => Some(channel),
            _ => None,
        })
    }

    /// Remembers a channel that Slack has returned, unless the table has learnt something about this name since
    /// Slack was asked. An archived channel does not replace an active one with the same name.
    pub async fn remember(&self, name: &str, channel: &Channel) -> Result<(), StepError> {
        let is_newer = "(attribute_not_exists(seenAt) OR seenAt <= :confirmedAt) \
             AND (attribute_not_exists(outdatedAt) OR outdatedAt <= :confirmedAt) \
             AND (attribute_not_exists(archivedAt) OR archivedAt <= :confirmedAt) \
             AND (attribute_not_exists(freedAt) OR freedAt <= :confirmedAt)";
        let confirmed_at = number(epoch_millis(channel.confirmed_at));
        let put = self
            .0
            .client
            .put_item()
            .table_name(&self.0.name)
            .set_item(Some(item_of(name, channel)))
            .expression_attribute_values(":confirmedAt", confirmed_at);
        let put = if channel.archived {
            let replaces_none = "(attribute_not_exists(archived) OR archived = :archived OR id = :id \
                 OR attribute_exists(outdatedAt))";
            put.condition_expression(format!("{is_newer} AND {replaces_none}"))
                .expression_attribute_values(":archived", AttributeValue::Bool(true))
                .expression_attribute_values(":id", text(&channel.id))
        } else {
            put.condition_expression(is_newer)
        };
        self.0.if_it_holds("PutItem", put.send().await)?;
        Ok(())
    }

    /// Remembers a page of Slack's list, each channel as [`Channels::remember`] does. If two channels have one name,
    /// the active one is remembered.
    pub async fn remember_all(&self, page: &[Channel]) -> Result<(), StepError> {
        self.remember_each(one_of_each_name(page)).await
    }

    /// The same, but leaves alone what the table has already: a conditional write takes one request, and a scan of a
    /// large workspace shows tens of thousands of channels, few of which have changed.
    pub async fn remember_changes(&self, page: &[Channel]) -> Result<(), StepError> {
        let mut changed = one_of_each_name(page);
        let names = changed.keys().copied();
        for item in self.0.get_many_consistently("name", names).await? {
            let name = key_of(&item, "name").unwrap_or_default();
            if let Entry::Seen(known) = entry_in(name, &item)
                && changed.get(name).is_some_and(|shown| known.is_still(shown))
            {
                changed.remove(name);
            }
        }
        self.remember_each(changed).await
    }

    async fn remember_each(&self, channels: BTreeMap<&str, &Channel>) -> Result<(), StepError> {
        let writes = channels.into_iter();
        stream::iter(writes.map(|(name, channel)| self.remember(name, channel)))
            .buffer_unordered(WRITES_AT_ONCE)
            .try_collect()
            .await
    }

    /// Forgets the entry of the channel `id`, which has been renamed: this name is free. The item stays for a day, so
    /// that nobody who has read the channel earlier writes it again.
    pub async fn forget(&self, name: &ChannelName, id: &str) -> Result<(), StepError> {
        let expires_at = epoch_seconds(SystemTime::now() + FREED_MAX_AGE);
        let update = self
            .update(name.as_str())
            .update_expression(
                "SET freedAt = :now, expiresAt = :expiresAt \
                 REMOVE id, slackName, visibility, archived, externallyShared, ours, seenAt, outdatedAt, archivedAt",
            )
            .expression_attribute_values(":expiresAt", number(expires_at));
        self.correct(update, id).await
    }

    /// Records that the channel `id` can no longer be found under this name, as Slack answered when it was asked at
    /// `asked_at`. Does nothing if Slack has confirmed the channel since.
    pub async fn mark_outdated(
        &self,
        name: &str,
        id: &str,
        asked_at: SystemTime,
    ) -> Result<(), StepError> {
        let update = self
            .update(name)
            .update_expression("SET outdatedAt = :askedAt")
            .condition_expression("id = :id AND seenAt <= :askedAt")
            .expression_attribute_values(":id", text(id))
            .expression_attribute_values(":askedAt", number(epoch_millis(asked_at)));
        self.0.if_it_holds("UpdateItem", update.send().await)?;
        Ok(())
    }

    /// Records that the channel `id`, which has this name, is archived.
    pub async fn mark_archived(&self, name: &str, id: &str) -> Result<(), StepError> {
        let update = self
            .update(name)
            .update_expression("SET archived = :true, archivedAt = :now")
            .expression_attribute_values(":true", AttributeValue::Bool(true));
        self.correct(update, id).await
    }

    fn update(&self, key: &str) -> UpdateItemFluentBuilder {
        self.0.update("name", key)
    }

    /// Changes an item if it is still about the channel `id`.
    async fn correct(&self, update: UpdateItemFluentBuilder, id: &str) -> Result<(), StepError> {
        let now = number(epoch_millis(SystemTime::now()));
        let update = update
            .condition_expression("id = :id")
            .expression_attribute_values(":id", text(id))
            .expression_attribute_values(":now", now);
        self.0.if_it_holds("UpdateItem", update.send().await)?;
        Ok(())
    }
}

/// An item that can't be read is treated as missing, so that Slack is asked again.
fn entry_in(name: &str, item: &Item) -> Entry {
    if item.contains_key("freedAt") {
        return Entry::Unknown;
    }
    let Ok(stored) = serde_dynamo::from_item::<_, Stored>(item.clone()) else {
        tracing::warn!(channel.name = %name, "the channel's item can't be read; asking Slack");
        return Entry::Unknown;
    };
    if let Some(since) = stored.outdated_at {
        return Entry::Outdated {
            since: time_of(since),
        };
    }
    let confirmed_at = match stored.externally_shared {
        Some(_) => time_of(stored.seen_at),
        // Slack has never confirmed all of it.
        None => UNIX_EPOCH,
    };
    Entry::Seen(Channel {
        name: stored.slack_name,
        id: stored.id,
        visibility: stored.visibility,
        archived: stored.archived,
        externally_shared: stored.externally_shared.unwrap_or_default(),
        ours: stored.ours,
        confirmed_at,
    })
}

fn item_of(name: &str, channel: &Channel) -> Item {
    let visibility = if channel.visibility.is_private() {
        "private"
    } else {
        "public"
    };
    let flag = AttributeValue::Bool;
    let fields = [
        ("name", Some(text(name))),
        ("id", Some(text(&channel.id))),
        ("slackName", Some(text(&channel.name))),
        ("visibility", Some(text(visibility))),
        ("archived", Some(flag(channel.archived))),
        ("externallyShared", Some(flag(channel.externally_shared))),
        ("ours", channel.ours.map(flag)),
        ("seenAt", Some(number(epoch_millis(channel.confirmed_at)))),
    ];
    fields
        .into_iter()
        .filter_map(|(field, value)| Some((field.to_owned(), value?)))
        .collect()
}
