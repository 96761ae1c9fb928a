//! Who creates a channel, and who has created it.

use std::time::{Duration, SystemTime};

use apgl_contract::{ChannelName, StepError};
use aws_sdk_dynamodb::{
    operation::update_item::builders::UpdateItemFluentBuilder, types::ReturnValue,
};

use super::{Channel, Channels};
use crate::table::{
    Item, epoch_millis, epoch_seconds, key_of, number, text, time_of, whole_number,
};

/// Longer than an execution can be redriven, which is 14 days.
const CREATOR_MAX_AGE: Duration = Duration::from_hours(30 * 24);

/// The answer to a claim on a channel's creation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Creation {
    /// The caller creates it, and releases the claim.
    Mine {
        /// When an attempt of the same owner began that did not release its claim: it may have created
        /// the channel.
        unfinished_since: Option<SystemTime>,
        /// When Slack said, to whoever held the claim then, that the name is taken.
        name_taken_at: Option<SystemTime>,
    },
    /// Somebody else is creating it.
    Theirs,
}

impl Channels {
    /// Claims the creation of a channel for `lease`, so that two executions don't make two.
    pub async fn claim_creation(
        &self,
        name: &ChannelName,
        owner: &str,
        lease: Duration,
    ) -> Result<Creation, StepError> {
        let now = SystemTime::now();
        let claim = self.update(&creating_key(name))
            .update_expression(
                "SET #owner = :owner, leaseEndsAt = :end, claimedAt = if_not_exists(claimedAt, :now)",
            )
            .condition_expression(
                "attribute_not_exists(#name) OR leaseEndsAt < :now OR #owner = :owner",
            )
            .expression_attribute_names("#name", "name")
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_values(":now", number(epoch_millis(now)))
            .expression_attribute_values(":end", number(epoch_millis(now + lease)))
            .expression_attribute_values(":owner", text(owner))
            .return_values(ReturnValue::AllOld);
        let claimed = self.0.if_it_holds("UpdateItem", claim.send().await)?;
        let Some(claimed) = claimed else {
            return Ok(Creation::Theirs);
        };
        let before = claimed.attributes.unwrap_or_default();
        let name_taken_at = whole_number(&before, "nameTakenAt").map(time_of);
        if key_of(&before, "owner").is_some_and(|other| other != owner) {
            self.begin_claim_anew(name, owner, now).await?;
            return Ok(Creation::Mine {
                unfinished_since: None,
                name_taken_at,
            });
        }
        // Once Slack has said that the name is taken, only an earlier attempt can have created it.
        let unfinished_since = match name_taken_at {
            None => whole_number(&before, "claimedAt"),
            Some(_) => whole_number(&before, "unfinishedSince"),
        };
        Ok(Creation::Mine {
            unfinished_since: unfinished_since.map(time_of),
            name_taken_at,
        })
    }

    /// The claim is another owner's no more, and so is the time of it.
    async fn begin_claim_anew(
        &self,
        name: &ChannelName,
        owner: &str,
        now: SystemTime,
    ) -> Result<(), StepError> {
        let update = self
            .at_claim(name, owner)
            .update_expression("SET claimedAt = :now REMOVE unfinishedSince")
            .expression_attribute_values(":now", number(epoch_millis(now)));
        self.0.if_it_holds("UpdateItem", update.send().await)?;
        Ok(())
    }

    /// Keeps with the claim that Slack has the name already, and ends its lease: others may look for
    /// the channel too, since nobody creates it now.
    pub async fn name_is_taken(
        &self,
        name: &ChannelName,
        owner: &str,
        unfinished_since: Option<SystemTime>,
    ) -> Result<SystemTime, StepError> {
        let now = epoch_millis(SystemTime::now());
        let update = self
            .at_claim(name, owner)
            .expression_attribute_values(":now", number(now));
        let update = match unfinished_since {
            None => update.update_expression("SET nameTakenAt = :now, leaseEndsAt = :now"),
            Some(since) => update
                .update_expression(
                    "SET nameTakenAt = :now, leaseEndsAt = :now, unfinishedSince = :since",
                )
                .expression_attribute_values(":since", number(epoch_millis(since))),
        };
        self.0.if_it_holds("UpdateItem", update.send().await)?;
        Ok(time_of(now))
    }

    /// An update of the claim that happens only while it is the owner's.
    fn at_claim(&self, name: &ChannelName, owner: &str) -> UpdateItemFluentBuilder {
        self.update(&creating_key(name))
            .condition_expression("#owner = :owner")
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_values(":owner", text(owner))
    }

    /// Ends a claim. One that somebody else holds by now, since the lease was over, stays.
    pub async fn release_creation(&self, name: &ChannelName, owner: &str) -> Result<(), StepError> {
        let released = self
            .0
            .client
            .delete_item()
            .table_name(&self.0.name)
            .key("name", text(&creating_key(name)))
            .condition_expression("#owner = :owner")
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_values(":owner", text(owner));
        self.0.if_it_holds("DeleteItem", released.send().await)?;
        Ok(())
    }

    /// Remembers that this execution has made the channel.
    pub async fn remember_creator(
        &self,
        name: &ChannelName,
        channel: &Channel,
        execution_id: &str,
    ) -> Result<(), StepError> {
        let expires_at = epoch_seconds(SystemTime::now() + CREATOR_MAX_AGE);
        let item = [
            ("name", text(&creator_key(name))),
            ("id", text(&channel.id)),
            ("executionId", text(execution_id)),
            ("expiresAt", number(expires_at)),
        ];
        let item = item.map(|(field, value)| (field.to_owned(), value));
        self.0.put(item.into()).await
    }
}

pub(super) fn creator_key(name: &ChannelName) -> String {
    format!("#creator/{name}")
}

/// Which execution made the channel with this id.
pub(super) fn creator_in(item: &Item, id: &str) -> Option<String> {
    let is_this_channel = item.get("id")?.as_s().ok()? == id;
    let execution = item.get("executionId")?.as_s().ok()?;
    is_this_channel.then(|| execution.clone())
}

fn creating_key(name: &ChannelName) -> String {
    format!("#creating/{name}")
}
