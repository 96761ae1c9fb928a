//! The users who are in a channel, those who were ever seen there, and those who were there before an execution invited
//! others.

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime},
};

use apgl_contract::{SlackUserId, StepError};
use aws_sdk_dynamodb::types::AttributeValue;

use super::{Channels, KEPT_FOR_REDRIVES};
use crate::table::{
    Item, epoch_millis, epoch_seconds, expired, key_of, number, text, time_of, whole_number,
};

/// How long a user counts as a member without asking Slack.
const MEMBERS_MAX_AGE: Duration = Duration::from_hours(24);
/// More users of a channel are not remembered, because an item can hold at most 400 KB.
const MAX_MEMBERS: usize = 10_000;
/// The attribute of an item that does not have all members.
const INCOMPLETE: &str = "incomplete";
/// The condition that nobody has been removed from the channel since `:askedAt`.
const NOBODY_REMOVED: &str = "attribute_not_exists(removingUntil) OR removingUntil <= :askedAt";

/// Which of an execution's users were in the channel before it invited anyone. A later attempt compares this with
/// the current members: the difference is who came since then, most likely by an earlier attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Snapshot {
    BeforeInviting,
    /// For users whose ids in our table were wrong.
    BeforeInvitingCorrected,
}

impl Snapshot {
    fn key(self, channel_id: &str, execution_id: &str) -> String {
        // Keys of release 0.1 are still in the table.
        let kind = match self {
            Self::BeforeInviting => "first-look",
            Self::BeforeInvitingCorrected => "second-look",
        };
        format!("#{kind}/{channel_id}/{execution_id}")
    }
}

/// Users who are in a channel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Members {
    pub ids: BTreeSet<SlackUserId>,
    /// Whether nobody else is in the channel. Of a large one, not everybody is known.
    pub is_complete: bool,
}

/// What the table says about a channel's members.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct KnownMembers {
    /// The users who are known to be in the channel; `None` if that is unknown or too old.
    pub present: Option<Members>,
    /// When Slack listed `present`. Later changes of ours are in it, those of people are not.
    pub listed_at: Option<SystemTime>,
    /// The users who were ever seen in the channel. Whoever of them is gone has left it, or somebody has removed them:
    /// Slack does not tell which.
    pub seen: BTreeSet<SlackUserId>,
    /// When the last of them was seen first.
    pub seen_at: Option<SystemTime>,
    /// The snapshot of an earlier attempt, if there is one.
    pub before: Option<BTreeSet<SlackUserId>>,
}

impl Channels {
    /// Reads the known members, those who were ever seen, and the execution's snapshot in one request.
    pub async fn members(
        &self,
        snapshot: Snapshot,
        channel_id: &str,
        execution_id: &str,
    ) -> Result<KnownMembers, StepError> {
        let members = members_key(channel_id);
        let seen = seen_key(channel_id);
        let before = snapshot.key(channel_id, execution_id);
        let keys = [members.as_str(), seen.as_str(), before.as_str()];
        let mut found = KnownMembers::default();
        for item in self.0.get_many_consistently("name", keys).await? {
            match key_of(&item, "name") {
                Some(key) if key == members && !is_removing(&item) => {
                    found.present = users_in(&item).map(|ids| Members {
                        ids,
                        is_complete: !item.contains_key(INCOMPLETE),
                    });
                    found.listed_at = whole_number(&item, "listedAt").map(time_of);
                }
                Some(key) if key == members => {}
                Some(key) if key == seen => {
                    found.seen = user_ids(&item, "userIds");
                    found.seen_at = whole_number(&item, "seenAt").map(time_of);
                }
                _ => found.before = users_in(&item),
            }
        }
        Ok(found)
    }

    /// Remembers the members of the channel, as Slack returned them when it was asked at `asked_at`. Does nothing if
    /// somebody was being removed then or has been since.
    pub async fn remember_members(
        &self,
        channel_id: &str,
        members: &Members,
        asked_at: SystemTime,
    ) -> Result<(), StepError> {
        if members.ids.len() > MAX_MEMBERS {
            return Ok(());
        }
        let mut item = users_item(&members_key(channel_id), &members.ids, MEMBERS_MAX_AGE);
        let listed_at = number(epoch_millis(asked_at));
        item.insert("listedAt".to_owned(), listed_at);
        if !members.is_complete {
            item.insert(INCOMPLETE.to_owned(), AttributeValue::Bool(true));
        }
        let put = self
            .0
            .client
            .put_item()
            .table_name(&self.0.name)
            .set_item(Some(item))
            .condition_expression(NOBODY_REMOVED)
            .expression_attribute_values(":askedAt", number(epoch_millis(asked_at)));
        self.0.if_it_holds("PutItem", put.send().await)?;
        Ok(())
    }

    /// Adds members, who were invited at `asked_at`, to the remembered ones. Does nothing if none are remembered,
    /// because the others are unknown, or if somebody was being removed then or has been since.
    pub async fn add_members(
        &self,
        channel_id: &str,
        members: &BTreeSet<SlackUserId>,
        asked_at: SystemTime,
    ) -> Result<(), StepError> {
        let Some(members) = string_set(members) else {
            return Ok(());
        };
        let update = self
            .update(&members_key(channel_id))
            .update_expression("ADD userIds :members")
            .condition_expression(format!(
                "attribute_exists(expiresAt) AND ({NOBODY_REMOVED})"
            ))
            .expression_attribute_values(":members", members)
            .expression_attribute_values(":askedAt", number(epoch_millis(asked_at)));
        self.0.if_it_holds("UpdateItem", update.send().await)?;
        Ok(())
    }

    /// Remembers for good that these users were in the channel when Slack was asked at `asked_at`, unless the item would
    /// become too large. `seen` are those whom it has already. Does nothing if somebody was being removed then or has been
    /// since.
    pub async fn remember_seen(
        &self,
        channel_id: &str,
        users: &BTreeSet<SlackUserId>,
        seen: &BTreeSet<SlackUserId>,
        asked_at: SystemTime,
    ) -> Result<(), StepError> {
        let new = users - seen;
        let Some(users) = string_set(&new).filter(|_| new.len() + seen.len() <= MAX_MEMBERS) else {
            return Ok(());
        };
        let update = self
            .update(&seen_key(channel_id))
            .update_expression("SET seenAt = :now ADD userIds :users")
            .condition_expression(NOBODY_REMOVED)
            .expression_attribute_values(":now", number(epoch_millis(SystemTime::now())))
            .expression_attribute_values(":askedAt", number(epoch_millis(asked_at)))
            .expression_attribute_values(":users", users);
        self.0.if_it_holds("UpdateItem", update.send().await)?;
        Ok(())
    }

    /// Removes members from the remembered ones, and from those who were ever seen, before they are removed in Slack,
    /// which ends at `until` at the latest. What others read from Slack before then is not remembered: it may show somebody who is removed a
    /// moment later.
    pub async fn forget_members(
        &self,
        channel_id: &str,
        members: &BTreeSet<SlackUserId>,
        until: SystemTime,
    ) -> Result<(), StepError> {
        let Some(members) = string_set(members) else {
            return Ok(());
        };
        let begin = |key: &str, sets: &str| {
            self.update(key)
                .update_expression(format!(
                    "SET removingUntil = :until{sets} DELETE userIds :members"
                ))
                .condition_expression(
                    "attribute_not_exists(removingUntil) OR removingUntil < :until",
                )
                .expression_attribute_values(":until", number(epoch_millis(until)))
                .expression_attribute_values(":members", members.clone())
        };
        let (seen, remembered) = (seen_key(channel_id), members_key(channel_id));
        let of_seen = begin(&seen, "");
        let of_remembered = begin(
            &remembered,
            ", expiresAt = if_not_exists(expiresAt, :expiresAt)",
        )
        .expression_attribute_values(":expiresAt", number(epoch_seconds(until)));
        for (key, begin) in [(&seen, of_seen), (&remembered, of_remembered)] {
            let first = self.0.if_it_holds("UpdateItem", begin.send().await)?;
            if first.is_none() {
                // Another execution removes somebody for longer.
                self.update(key)
                    .update_expression("DELETE userIds :members")
                    .expression_attribute_values(":members", members.clone())
                    .send()
                    .await
                    .map_err(|error| self.0.error("UpdateItem", &error))?;
            }
        }
        Ok(())
    }

    /// The snapshot of an earlier attempt of this execution, if there is one.
    pub async fn snapshot(
        &self,
        snapshot: Snapshot,
        channel_id: &str,
        execution_id: &str,
    ) -> Result<Option<BTreeSet<SlackUserId>>, StepError> {
        self.users(&snapshot.key(channel_id, execution_id)).await
    }

    /// Writes `present` as this execution's snapshot. If an earlier attempt has written one, returns that instead.
    pub async fn take_snapshot(
        &self,
        snapshot: Snapshot,
        channel_id: &str,
        execution_id: &str,
        present: &BTreeSet<SlackUserId>,
    ) -> Result<Option<BTreeSet<SlackUserId>>, StepError> {
        let key = snapshot.key(channel_id, execution_id);
        let put = self
            .0
            .client
            .put_item()
            .table_name(&self.0.name)
            .set_item(Some(users_item(&key, present, KEPT_FOR_REDRIVES)))
            .condition_expression("attribute_not_exists(#name)")
            .expression_attribute_names("#name", "name");
        match self.0.if_it_holds("PutItem", put.send().await)? {
            Some(_) => Ok(None),
            None => self.users(&key).await,
        }
    }

    async fn users(&self, key: &str) -> Result<Option<BTreeSet<SlackUserId>>, StepError> {
        let item = self.0.get("name", key).await?;
        Ok(item.as_ref().and_then(users_in))
    }
}

/// Whether somebody is being removed from the channel.
fn is_removing(item: &Item) -> bool {
    let until = whole_number(item, "removingUntil").map(time_of);
    until.is_some_and(|until| until > SystemTime::now())
}

/// The users in an item, unless it has expired.
fn users_in(item: &Item) -> Option<BTreeSet<SlackUserId>> {
    if expired(item) {
        return None;
    }
    Some(user_ids(item, "userIds"))
}

pub(super) fn user_ids(item: &Item, attribute: &str) -> BTreeSet<SlackUserId> {
    let ids = item.get(attribute).and_then(|value| value.as_ss().ok());
    let ids = ids.into_iter().flatten().cloned();
    ids.map(SlackUserId).collect()
}

fn members_key(channel_id: &str) -> String {
    format!("#members/{channel_id}")
}

fn seen_key(channel_id: &str) -> String {
    format!("#seen/{channel_id}")
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

/// DynamoDB has no empty sets.
pub(super) fn string_set(users: &BTreeSet<SlackUserId>) -> Option<AttributeValue> {
    (!users.is_empty())
        .then(|| AttributeValue::Ss(users.iter().map(|user| user.0.clone()).collect()))
}
