//! Claims on creating a channel, in the table, and the record of the execution that created it.

use std::{collections::HashMap, time::SystemTime};

use apgl_contract::{ChannelName, StepError};
use aws_sdk_dynamodb::{
    operation::{delete_item::DeleteItemError, put_item::PutItemError},
    types::ReturnValuesOnConditionCheckFailure,
};

use super::{
    Channel, Channels, KEPT_FOR_REDRIVES,
    creation::{Claims, CreationClaim},
};
use crate::table::{
    Item, epoch_millis, epoch_seconds, key_of, number, text, time_of, whole_number,
};

impl CreationClaim {
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
            refused_again_at: time("refusedAgainAt"),
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
            ("refusedAgainAt", self.refused_again_at.map(time)),
            // Nobody deletes such a claim.
            (
                "expiresAt",
                self.refused_again_at
                    .map(|at| number(epoch_seconds(at + KEPT_FOR_REDRIVES))),
            ),
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
        let expires_at = epoch_seconds(SystemTime::now() + KEPT_FOR_REDRIVES);
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

    #[test]
    fn a_claim_is_read_as_it_was_written() {
        let name = ChannelName::try_from("project-x".to_owned()).unwrap();
        let claimed = CreationClaim {
            owner: "ana".to_owned(),
            lease_ends_at: time_of(9),
            waits_until: None,
            uncertain_since: Some(time_of(5)),
            name_taken_at: None,
            refused_again_at: None,
        };
        let taken = claimed.name_taken(None, time_of(9));
        for claim in [
            claimed.waiting(Some(time_of(5)), time_of(9)),
            taken.refused_again(time_of(90)),
            taken,
            claimed,
        ] {
            assert_eq!(CreationClaim::read(&claim.item(&name)), Some(claim));
        }
    }

    #[test]
    fn a_claim_from_release_0_1_is_read() {
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
