//! Which users an execution has invited to a channel, or removed from it, or may have.
//!
//! It is written down before Slack is asked. If the answer is lost, or if the step stops in between, a later attempt
//! knows that the change which it finds is this execution's own.

use std::{collections::BTreeSet, time::SystemTime};

use apgl_contract::{SlackUserId, StepError};
use aws_sdk_dynamodb::types::ReturnValue;

use super::{
    Channels, KEPT_FOR_REDRIVES,
    members::{string_set, user_ids},
};
use crate::table::{Item, epoch_seconds, expired, number};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    Invite,
    Remove,
}

/// What an execution has changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// The users whose membership it has changed, or may have.
    pub users: BTreeSet<SlackUserId>,
    /// The users who need no further call. Those of them who are not in `users` were already as requested.
    pub settled: BTreeSet<SlackUserId>,
}

impl Change {
    fn key(self, channel_id: &str, execution_id: &str) -> String {
        let kind = match self {
            Self::Invite => "to-join",
            // Release 0.1 wrote the members here who were to be removed, without `settledIds`.
            Self::Remove => "to-leave",
        };
        format!("#{kind}/{channel_id}/{execution_id}")
    }
}

impl Channels {
    /// What earlier attempts of this execution have changed.
    pub async fn changes(
        &self,
        change: Change,
        channel_id: &str,
        execution_id: &str,
    ) -> Result<Changes, StepError> {
        let item = self
            .0
            .get("name", &change.key(channel_id, execution_id))
            .await?;
        Ok(item.as_ref().map(changes_in).unwrap_or_default())
    }

    /// Records that this execution is about to change the membership of these users. Returns what earlier attempts
    /// have changed.
    pub async fn begin_change(
        &self,
        change: Change,
        channel_id: &str,
        execution_id: &str,
        users: &BTreeSet<SlackUserId>,
    ) -> Result<Changes, StepError> {
        let Some(users) = string_set(users) else {
            return self.changes(change, channel_id, execution_id).await;
        };
        let expires_at = epoch_seconds(SystemTime::now() + KEPT_FOR_REDRIVES);
        let begun = self
            .update(&change.key(channel_id, execution_id))
            .update_expression("SET expiresAt = :expiresAt ADD userIds :users")
            .expression_attribute_values(":expiresAt", number(expires_at))
            .expression_attribute_values(":users", users)
            .return_values(ReturnValue::AllOld)
            .send()
            .await
            .map_err(|error| self.0.error("UpdateItem", &error))?;
        Ok(begun
            .attributes
            .as_ref()
            .map(changes_in)
            .unwrap_or_default())
    }

    /// Records that the `settled` users need no further call, and that this execution certainly did not change the
    /// `unchanged` ones.
    pub async fn settle_change(
        &self,
        change: Change,
        channel_id: &str,
        execution_id: &str,
        settled: &BTreeSet<SlackUserId>,
        unchanged: &BTreeSet<SlackUserId>,
    ) -> Result<(), StepError> {
        let settled = string_set(settled).map(|ids| (":settled", "ADD settledIds :settled", ids));
        let unchanged =
            string_set(unchanged).map(|ids| (":unchanged", "DELETE userIds :unchanged", ids));
        let clauses: Vec<_> = settled.into_iter().chain(unchanged).collect();
        if clauses.is_empty() {
            return Ok(());
        }
        let expression: Vec<_> = clauses.iter().map(|(_, clause, _)| *clause).collect();
        let mut update = self
            .update(&change.key(channel_id, execution_id))
            .update_expression(expression.join(" "));
        for (name, _, ids) in clauses {
            update = update.expression_attribute_values(name, ids);
        }
        update
            .send()
            .await
            .map_err(|error| self.0.error("UpdateItem", &error))?;
        Ok(())
    }
}

fn changes_in(item: &Item) -> Changes {
    if expired(item) {
        return Changes::default();
    }
    Changes {
        users: user_ids(item, "userIds"),
        settled: user_ids(item, "settledIds"),
    }
}
