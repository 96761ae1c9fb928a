//! What is known of Slack's channels. Slack has no look-up by name, so this table is the directory.
//!
//! Beside a channel's item, whose key is its name, the table holds items whose keys start with `#`,
//! which no channel's name contains:
//!
//! | key | holds |
//! |---|---|
//! | `project-x` | id, visibility, whether it is archived, when it was seen, which execution made it |
//! | `#members/C012AB3CD` | ids of users who were seen in the channel, and until when that counts |
//! | `#first-look/C012AB3CD/<execution>` | which of its users an execution found there at first |
//! | `#creating/project-x` | who is creating the channel, since when and until when |
//! | `#scan` | the cursor at which the scan of conversations.list goes on |

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use apgl_contract::{ChannelName, ChannelRef, SlackUserId, StepError, Visibility};
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use serde::{Deserialize, Serialize};

use crate::table::{Item, Table, condition_failed, epoch_millis, epoch_seconds, number, text};

/// How long a member counts as a member without asking Slack. Who left the channel within this time
/// is not asked back.
const MEMBERS_MAX_AGE: Duration = Duration::from_hours(24);
/// Members of a larger channel are not remembered: an item holds at most 400 KB.
const MAX_MEMBERS: usize = 10_000;
/// Longer than an execution can be redriven, which is 14 days.
const FIRST_LOOK_MAX_AGE: Duration = Duration::from_hours(30 * 24);

/// A channel as the directory knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Channel {
    pub name: String,
    pub id: String,
    pub visibility: Visibility,
    pub archived: bool,
    /// The execution that made the channel, if one of ours did.
    #[serde(default)]
    pub created_by: Option<String>,
}

impl Channel {
    pub fn to_ref(&self, created: bool) -> ChannelRef {
        ChannelRef {
            id: self.id.clone(),
            name: self.name.clone(),
            visibility: self.visibility,
            created,
        }
    }

    pub fn is_created_by(&self, execution_id: &str) -> bool {
        self.created_by.as_deref() == Some(execution_id)
    }
}

/// The answer to a claim on a channel's creation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Creation {
    /// The caller creates it, and releases the claim. `unfinished_since` is when an attempt of the
    /// same owner began that did not release it: it may have created the channel.
    Mine {
        unfinished_since: Option<SystemTime>,
    },
    /// Somebody else is creating it.
    Theirs,
}

/// The table of channels, by name.
#[derive(Debug, Clone)]
pub struct Channels(Table);

impl Channels {
    pub fn new(table: Table) -> Self {
        Self(table)
    }

    /// What is known of the channel with this name. An item that can't be read is as good as none:
    /// Slack is asked again.
    pub async fn get(&self, name: &ChannelName) -> Result<Option<Channel>, StepError> {
        let item = self.0.get("name", name.as_str()).await?;
        Ok(item.and_then(|item| {
            serde_dynamo::from_item(item)
                .inspect_err(|_| {
                    tracing::warn!(channel.name = %name, "the channel's item can't be read; asking Slack");
                })
                .ok()
        }))
    }

    /// Remembers channels as Slack has just shown them.
    pub async fn remember(&self, channels: &[Channel]) -> Result<(), StepError> {
        let seen_at = number(epoch_seconds(SystemTime::now()));
        let items = channels
            .iter()
            .map(|channel| item_of(channel, seen_at.clone()))
            .collect();
        self.0.put_many(items).await
    }

    /// Claims the creation of a channel for `lease`, so that two executions don't make two.
    pub async fn claim_creation(
        &self,
        name: &ChannelName,
        owner: &str,
        lease: Duration,
    ) -> Result<Creation, StepError> {
        let now = epoch_millis(SystemTime::now());
        let lease_ends_at = epoch_millis(SystemTime::now() + lease);
        let claim = self
            .0
            .client
            .update_item()
            .table_name(&self.0.name)
            .key("name", text(&creating_key(name)))
            .update_expression(
                "SET #owner = :owner, leaseEndsAt = :end, claimedAt = if_not_exists(claimedAt, :now)",
            )
            .condition_expression(
                "attribute_not_exists(#name) OR leaseEndsAt < :now OR #owner = :owner",
            )
            .expression_attribute_names("#name", "name")
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_values(":now", number(now))
            .expression_attribute_values(":end", number(lease_ends_at))
            .expression_attribute_values(":owner", text(owner))
            .return_values(ReturnValue::AllOld)
            .send()
            .await;
        match claim {
            Ok(claim) => Ok(Creation::Mine {
                unfinished_since: claim.attributes.and_then(|claim| claimed_by(&claim, owner)),
            }),
            Err(error) if condition_failed(&error) => Ok(Creation::Theirs),
            Err(error) => Err(self.0.error("UpdateItem", &error)),
        }
    }

    pub async fn release_creation(&self, name: &ChannelName, owner: &str) -> Result<(), StepError> {
        let released = self
            .0
            .client
            .delete_item()
            .table_name(&self.0.name)
            .key("name", text(&creating_key(name)))
            .condition_expression("#owner = :owner")
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_values(":owner", text(owner))
            .send()
            .await;
        match released {
            // Somebody else holds it by now: the lease was over.
            Err(error) if condition_failed(&error) => Ok(()),
            Err(error) => Err(self.0.error("DeleteItem", &error)),
            Ok(_) => Ok(()),
        }
    }

    /// Where the scan of conversations.list goes on: `None` for the beginning.
    pub async fn scan_cursor(&self) -> Result<Option<String>, StepError> {
        let item = self.0.get("name", SCAN_KEY).await?;
        Ok(item.and_then(|mut item| match item.remove("cursor") {
            Some(AttributeValue::S(cursor)) => Some(cursor),
            _ => None,
        }))
    }

    /// Keeps the place at which a scan goes on; `None` when it is at its end.
    pub async fn keep_scan_cursor(&self, cursor: Option<&str>) -> Result<(), StepError> {
        let mut item = Item::from([("name".to_owned(), text(SCAN_KEY))]);
        item.extend(cursor.map(|cursor| ("cursor".to_owned(), text(cursor))));
        self.put(item).await
    }

    /// The users who are known to be in the channel; `None` when it is not known, or too old.
    pub async fn members(
        &self,
        channel_id: &str,
    ) -> Result<Option<BTreeSet<SlackUserId>>, StepError> {
        self.users(&members_key(channel_id)).await
    }

    /// Remembers all members of the channel, as Slack has just shown them.
    pub async fn remember_members(
        &self,
        channel_id: &str,
        members: &BTreeSet<SlackUserId>,
    ) -> Result<(), StepError> {
        if members.len() > MAX_MEMBERS {
            return Ok(());
        }
        let key = members_key(channel_id);
        self.put(users_item(&key, members, MEMBERS_MAX_AGE)).await
    }

    /// Adds members to those that are remembered. Where none are, nothing is: the others are unknown.
    pub async fn add_members(
        &self,
        channel_id: &str,
        members: &BTreeSet<SlackUserId>,
    ) -> Result<(), StepError> {
        let Some(members) = string_set(members) else {
            return Ok(());
        };
        let added = self
            .0
            .client
            .update_item()
            .table_name(&self.0.name)
            .key("name", text(&members_key(channel_id)))
            .update_expression("ADD userIds :members")
            .condition_expression("attribute_exists(#name)")
            .expression_attribute_names("#name", "name")
            .expression_attribute_values(":members", members)
            .send()
            .await;
        match added {
            Err(error) if condition_failed(&error) => Ok(()),
            Err(error) => Err(self.0.error("UpdateItem", &error)),
            Ok(_) => Ok(()),
        }
    }

    /// Which of its users this execution found in the channel when it first looked; `None` where it
    /// has not looked before.
    pub async fn first_look(
        &self,
        channel_id: &str,
        execution_id: &str,
    ) -> Result<Option<BTreeSet<SlackUserId>>, StepError> {
        self.users(&first_look_key(channel_id, execution_id)).await
    }

    /// Keeps `there` as this execution's first look, or answers the one that is kept already.
    pub async fn keep_first_look(
        &self,
        channel_id: &str,
        execution_id: &str,
        there: &BTreeSet<SlackUserId>,
    ) -> Result<Option<BTreeSet<SlackUserId>>, StepError> {
        let key = first_look_key(channel_id, execution_id);
        let put = self
            .0
            .client
            .put_item()
            .table_name(&self.0.name)
            .set_item(Some(users_item(&key, there, FIRST_LOOK_MAX_AGE)))
            .condition_expression("attribute_not_exists(#name)")
            .expression_attribute_names("#name", "name")
            .send()
            .await;
        match put {
            Ok(_) => Ok(None),
            Err(error) if condition_failed(&error) => self.users(&key).await,
            Err(error) => Err(self.0.error("PutItem", &error)),
        }
    }

    async fn users(&self, key: &str) -> Result<Option<BTreeSet<SlackUserId>>, StepError> {
        let Some(item) = self.0.get("name", key).await? else {
            return Ok(None);
        };
        let expires_at: Option<u64> = item
            .get("expiresAt")
            .and_then(|value| value.as_n().ok()?.parse().ok());
        if expires_at.is_none_or(|expires_at| expires_at <= epoch_seconds(SystemTime::now())) {
            return Ok(None);
        }
        let ids = item.get("userIds").and_then(|value| value.as_ss().ok());
        Ok(Some(
            ids.into_iter()
                .flatten()
                .cloned()
                .map(SlackUserId)
                .collect(),
        ))
    }

    async fn put(&self, item: Item) -> Result<(), StepError> {
        self.0
            .client
            .put_item()
            .table_name(&self.0.name)
            .set_item(Some(item))
            .send()
            .await
            .map_err(|error| self.0.error("PutItem", &error))?;
        Ok(())
    }
}

const SCAN_KEY: &str = "#scan";

fn creating_key(name: &ChannelName) -> String {
    format!("#creating/{name}")
}

fn members_key(channel_id: &str) -> String {
    format!("#members/{channel_id}")
}

fn first_look_key(channel_id: &str, execution_id: &str) -> String {
    format!("#first-look/{channel_id}/{execution_id}")
}

/// When `owner` made this claim.
fn claimed_by(claim: &Item, owner: &str) -> Option<SystemTime> {
    if claim.get("owner")?.as_s().ok()? != owner {
        return None;
    }
    let millis = claim.get("claimedAt")?.as_n().ok()?.parse().ok()?;
    Some(UNIX_EPOCH + Duration::from_millis(millis))
}

fn users_item(key: &str, users: &BTreeSet<SlackUserId>, max_age: Duration) -> Item {
    let expires_at = epoch_seconds(SystemTime::now() + max_age);
    let mut item = Item::from([
        ("name".to_owned(), text(key)),
        ("expiresAt".to_owned(), number(expires_at)),
    ]);
    item.extend(string_set(users).map(|ids| ("userIds".to_owned(), ids)));
    item
}

fn item_of(channel: &Channel, seen_at: AttributeValue) -> Item {
    let visibility = if channel.visibility.is_private() {
        "private"
    } else {
        "public"
    };
    let mut item = Item::from([
        ("name".to_owned(), text(&channel.name)),
        ("id".to_owned(), text(&channel.id)),
        ("visibility".to_owned(), text(visibility)),
        (
            "archived".to_owned(),
            AttributeValue::Bool(channel.archived),
        ),
        ("seenAt".to_owned(), seen_at),
    ]);
    let created_by = channel.created_by.as_deref().map(text);
    item.extend(created_by.map(|execution| ("createdBy".to_owned(), execution)));
    item
}

/// DynamoDB has no empty sets.
fn string_set(users: &BTreeSet<SlackUserId>) -> Option<AttributeValue> {
    (!users.is_empty())
        .then(|| AttributeValue::Ss(users.iter().map(|user| user.0.clone()).collect()))
}
