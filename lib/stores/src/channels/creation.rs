//! Claims on creating a channel, and the record of its creator.
//!
//! Two simultaneous calls of Slack's conversations.create can both succeed, with different ids. So an execution
//! claims a name before it creates the channel. The rules are pure; [`Claims::replace`] is the only write.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

use apgl_contract::{ChannelName, StepError};
use aws_sdk_dynamodb::{
    operation::{delete_item::DeleteItemError, put_item::PutItemError},
    types::ReturnValuesOnConditionCheckFailure,
};

use super::{Channel, Channels};
use crate::table::{
    Item, epoch_millis, epoch_seconds, key_of, number, text, time_of, whole_number,
};

/// How long a creation may take: longer than the function's own time-out, so that nobody else creates the
/// channel while this execution may still be creating it.
const LEASE: Duration = Duration::from_secs(45);
/// How long a name counts as taken after Slack has said so: long enough to scan a large workspace.
const NAME_TAKEN_MAX_AGE: Duration = Duration::from_mins(30);
/// Longer than an execution can be redriven, which is 14 days.
const CREATOR_MAX_AGE: Duration = Duration::from_hours(30 * 24);
/// How many times a claim is attempted while other executions keep changing it.
const MAX_CONFLICTS: usize = 4;

/// What is stored about the creation of a channel. Times are in whole milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreationClaim {
    /// The execution that creates the channel.
    pub owner: String,
    pub lease_ends_at: SystemTime,
    /// When the owner will check again, if it is waiting to call Slack.
    pub waits_until: Option<SystemTime>,
    /// When the owner's first attempt that may have created the channel began.
    pub uncertain_since: Option<SystemTime>,
    /// When Slack said that the name is taken. Then no execution creates the channel, and any may look for it.
    pub name_taken_at: Option<SystemTime>,
}

/// The result of a claim on creating a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Creation {
    /// The caller creates the channel.
    Mine {
        claim: CreationClaim,
        /// When an earlier attempt of the same execution that may have created the channel began.
        uncertain_since: Option<SystemTime>,
    },
    /// Slack has said that the name is taken.
    NameTaken(CreationClaim),
    /// Another execution is creating the channel. If it is waiting, it checks again at this time.
    Theirs { waits_until: Option<SystemTime> },
}

/// Where claims are stored: in the table of channels, or in the memory of a simulation.
#[expect(
    async_fn_in_trait,
    reason = "a Lambda function runs on one thread, so nobody needs the futures to be Send"
)]
pub trait Claims {
    /// Writes `claim` (or deletes the stored one if `None`) if `expected` is still stored. Otherwise returns what is
    /// stored instead.
    async fn replace(
        &self,
        expected: Option<&CreationClaim>,
        claim: Option<&CreationClaim>,
    ) -> Result<Result<(), Option<CreationClaim>>, StepError>;

    /// Claims the creation for the execution `owner`. `stored` is the claim that the caller has read.
    async fn claim(
        &self,
        mut stored: Option<CreationClaim>,
        owner: &str,
        now: SystemTime,
    ) -> Result<Creation, StepError> {
        for _ in 0..MAX_CONFLICTS {
            let creation = CreationClaim::next(stored.as_ref(), owner, now);
            let Creation::Mine { claim, .. } = &creation else {
                return Ok(creation);
            };
            match self.replace(stored.as_ref(), Some(claim)).await? {
                Ok(()) => return Ok(creation),
                Err(actual) => stored = actual,
            }
        }
        Ok(Creation::Theirs { waits_until: None })
    }
}

impl CreationClaim {
    fn next(stored: Option<&Self>, owner: &str, now: SystemTime) -> Creation {
        let now = time_of(epoch_millis(now));
        let claimed = |uncertain_since: Option<SystemTime>| Creation::Mine {
            claim: Self {
                owner: owner.to_owned(),
                lease_ends_at: now + LEASE,
                waits_until: None,
                uncertain_since: uncertain_since.or(Some(now)),
                name_taken_at: None,
            },
            uncertain_since,
        };
        let Some(stored) = stored else {
            return claimed(None);
        };
        let is_taken = |at| now < at + NAME_TAKEN_MAX_AGE;
        if stored.name_taken_at.is_some_and(is_taken) {
            return Creation::NameTaken(stored.clone());
        }
        if stored.owner == owner {
            return claimed(stored.uncertain_since);
        }
        if stored.lease_ends_at < now {
            return claimed(None);
        }
        Creation::Theirs {
            waits_until: stored.waits_until.filter(|until| *until > now),
        }
    }

    /// The claim while its owner waits until `until` to call Slack: it has not called yet, or Slack refused the call.
    #[must_use]
    pub fn waiting(&self, uncertain_since: Option<SystemTime>, until: SystemTime) -> Self {
        let until = time_of(epoch_millis(until));
        Self {
            lease_ends_at: until + LEASE,
            waits_until: Some(until),
            uncertain_since,
            ..self.clone()
        }
    }

    /// The claim after Slack has said that the name is taken. Only an earlier attempt can have created it.
    #[must_use]
    pub fn name_taken(&self, uncertain_since: Option<SystemTime>, now: SystemTime) -> Self {
        let now = time_of(epoch_millis(now));
        Self {
            lease_ends_at: now,
            waits_until: None,
            uncertain_since,
            name_taken_at: Some(now),
            ..self.clone()
        }
    }

    /// The claim after its owner has failed permanently. Others may create the channel. If the owner is redriven, it
    /// knows since when it may have created the channel itself.
    #[must_use]
    pub fn released(&self, uncertain_since: SystemTime, now: SystemTime) -> Self {
        Self {
            lease_ends_at: time_of(epoch_millis(now)),
            uncertain_since: Some(uncertain_since),
            ..self.clone()
        }
    }

    /// When an attempt of this execution that may have created the channel began.
    pub fn uncertain_attempt_of(&self, execution_id: &str) -> Option<SystemTime> {
        self.uncertain_since.filter(|_| self.owner == execution_id)
    }

    pub(super) fn read(item: &Item) -> Option<Self> {
        let time = |field| whole_number(item, field).map(time_of);
        let name_taken_at = time("nameTakenAt");
        // Release 0.1 wrote when each claim began, whether Slack was called or not.
        let claimed_at = time("claimedAt").filter(|_| name_taken_at.is_none());
        Some(Self {
            owner: key_of(item, "owner")?.to_owned(),
            lease_ends_at: time("leaseEndsAt")?,
            waits_until: time("waitsUntil"),
            uncertain_since: time("unfinishedSince").or(claimed_at),
            name_taken_at,
        })
    }

    fn item(&self, name: &ChannelName) -> Item {
        let time = |time| number(epoch_millis(time));
        let fields = [
            ("name", Some(text(&creating_key(name)))),
            ("owner", Some(text(&self.owner))),
            ("leaseEndsAt", Some(time(self.lease_ends_at))),
            ("waitsUntil", self.waits_until.map(time)),
            ("unfinishedSince", self.uncertain_since.map(time)),
            ("nameTakenAt", self.name_taken_at.map(time)),
        ];
        let fields = fields.into_iter();
        fields
            .filter_map(|(field, value)| Some((field.to_owned(), value?)))
            .collect()
    }
}

/// The claims on one name.
#[derive(Debug, Clone, Copy)]
pub struct ClaimsOn<'a> {
    pub channels: &'a Channels,
    pub name: &'a ChannelName,
}

impl Claims for ClaimsOn<'_> {
    async fn replace(
        &self,
        expected: Option<&CreationClaim>,
        claim: Option<&CreationClaim>,
    ) -> Result<Result<(), Option<CreationClaim>>, StepError> {
        let condition = Condition::that_is_there(expected);
        let conflict = match claim {
            Some(claim) => self.put(claim, condition).await?,
            None => self.delete(condition).await?,
        };
        Ok(match conflict {
            None => Ok(()),
            Some(item) => Err(CreationClaim::read(&item)),
        })
    }
}

impl ClaimsOn<'_> {
    /// If the condition does not hold, returns the stored item, or an empty item if there is none.
    async fn put(
        &self,
        claim: &CreationClaim,
        condition: Condition,
    ) -> Result<Option<Item>, StepError> {
        let table = &self.channels.0;
        let put = table
            .client
            .put_item()
            .table_name(&table.name)
            .set_item(Some(claim.item(self.name)))
            .condition_expression(condition.expression)
            .set_expression_attribute_names(Some(condition.names))
            .set_expression_attribute_values(condition.values)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let Err(error) = put.send().await else {
            return Ok(None);
        };
        match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(conflict)) => {
                Ok(Some(conflict.item.clone().unwrap_or_default()))
            }
            _ => Err(table.error("PutItem", &error)),
        }
    }

    async fn delete(&self, condition: Condition) -> Result<Option<Item>, StepError> {
        let table = &self.channels.0;
        let delete = table
            .client
            .delete_item()
            .table_name(&table.name)
            .key("name", text(&creating_key(self.name)))
            .condition_expression(condition.expression)
            .set_expression_attribute_names(Some(condition.names))
            .set_expression_attribute_values(condition.values)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let Err(error) = delete.send().await else {
            return Ok(None);
        };
        match error.as_service_error() {
            Some(DeleteItemError::ConditionalCheckFailedException(conflict)) => {
                Ok(Some(conflict.item.clone().unwrap_or_default()))
            }
            _ => Err(table.error("DeleteItem", &error)),
        }
    }
}

struct Condition {
    expression: &'static str,
    names: HashMap<String, String>,
    values: Option<Item>,
}

impl Condition {
    /// Requires that this claim is still stored, or that there is none.
    fn that_is_there(expected: Option<&CreationClaim>) -> Self {
        let name = |name: &str, field: &str| [(name.to_owned(), field.to_owned())].into();
        let Some(expected) = expected else {
            return Self {
                expression: "attribute_not_exists(#name)",
                names: name("#name", "name"),
                values: None,
            };
        };
        let values = [
            (":owner", text(&expected.owner)),
            (":end", number(epoch_millis(expected.lease_ends_at))),
        ];
        let values = values.map(|(name, value)| (name.to_owned(), value));
        Self {
            expression: "#owner = :owner AND leaseEndsAt = :end",
            names: name("#owner", "owner"),
            values: Some(values.into()),
        }
    }
}

impl Channels {
    /// Remembers that this execution created the channel.
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

/// The execution that created the channel with this id.
pub(super) fn creator_in(item: &Item, id: &str) -> Option<String> {
    let is_this_channel = item.get("id")?.as_s().ok()? == id;
    let execution = item.get("executionId")?.as_s().ok()?;
    is_this_channel.then(|| execution.clone())
}

pub(super) fn creating_key(name: &ChannelName) -> String {
    format!("#creating/{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        time_of(1_000_000_000 + seconds * 1_000)
    }

    /// The result of a claim by `owner` at this time.
    fn claim(stored: Option<&CreationClaim>, owner: &str, seconds: u64) -> Creation {
        CreationClaim::next(stored, owner, at(seconds))
    }

    fn mine(creation: Creation) -> (CreationClaim, Option<SystemTime>) {
        match creation {
            Creation::Mine {
                claim,
                uncertain_since,
            } => (claim, uncertain_since),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_execution_at_a_time_creates_a_channel() {
        let (ana, _) = mine(claim(None, "ana", 0));
        let theirs = Creation::Theirs { waits_until: None };
        assert_eq!(claim(Some(&ana), "bob", 45), theirs);
        // Ana never came back.
        let (bob, uncertain_since) = mine(claim(Some(&ana), "bob", 46));
        assert_eq!((bob.owner.as_str(), uncertain_since), ("bob", None));
    }

    #[test]
    fn who_comes_back_knows_since_when_the_channel_may_be_there() {
        let (first, _) = mine(claim(None, "ana", 0));
        let (second, uncertain_since) = mine(claim(Some(&first), "ana", 10));
        assert_eq!(uncertain_since, Some(at(0)));
        assert_eq!(second.uncertain_attempt_of("ana"), Some(at(0)));
        assert_eq!(second.uncertain_attempt_of("bob"), None);
    }

    #[test]
    fn who_waits_to_call_slack_keeps_the_claim_until_then() {
        let (claimed, _) = mine(claim(None, "ana", 0));
        let waiting = claimed.waiting(None, at(600));
        let waits_until = Some(at(600));
        assert_eq!(
            claim(Some(&waiting), "bob", 100),
            Creation::Theirs { waits_until }
        );
        // It has not called Slack yet, so nothing is uncertain.
        assert_eq!(mine(claim(Some(&waiting), "ana", 600)).1, None);
        // If it never comes back, another execution takes over.
        let theirs = Creation::Theirs { waits_until: None };
        assert_eq!(claim(Some(&waiting), "bob", 645), theirs);
        mine(claim(Some(&waiting), "bob", 646));
    }

    #[test]
    fn a_name_that_is_taken_is_nobodys_claim_for_half_an_hour() {
        let (claimed, _) = mine(claim(None, "ana", 0));
        let taken = claimed.name_taken(None, at(1));
        for owner in ["ana", "bob"] {
            let creation = claim(Some(&taken), owner, 29 * 60);
            assert_eq!(creation, Creation::NameTaken(taken.clone()));
        }
        mine(claim(Some(&taken), "bob", 31 * 60));
    }

    #[test]
    fn a_claim_is_read_as_it_was_written() {
        let name = ChannelName::try_from("project-x".to_owned()).unwrap();
        let (claimed, _) = mine(claim(None, "ana", 0));
        for claim in [
            claimed.waiting(Some(at(0)), at(9)),
            claimed.name_taken(None, at(9)),
            claimed,
        ] {
            assert_eq!(CreationClaim::read(&claim.item(&name)), Some(claim));
        }
    }

    #[test]
    fn a_claim_of_release_0_1_is_read() {
        let item = |fields: &[(&str, u64)]| {
            let fields = fields.iter();
            let mut item: Item = fields
                .map(|(field, value)| ((*field).to_owned(), number(*value)))
                .collect();
            item.insert("owner".to_owned(), text("ana"));
            CreationClaim::read(&item).unwrap().uncertain_since
        };
        let claimed = [("leaseEndsAt", 9), ("claimedAt", 5)];
        assert_eq!(item(&claimed), Some(time_of(5)));
        let taken = [("leaseEndsAt", 9), ("claimedAt", 5), ("nameTakenAt", 9)];
        assert_eq!(item(&taken), None);
    }
}
