//! The records of the executions that archive a channel.

use std::time::SystemTime;

use apgl_contract::StepError;
use aws_sdk_dynamodb::types::ReturnValue;

use super::{Channels, KEPT_FOR_REDRIVES};
use crate::table::{epoch_seconds, key_of, number, text};

impl Channels {
    /// Remembers that this execution archives the channel now, under this name. Returns whether an earlier attempt of it
    /// may have done so.
    pub async fn begin_archiving(
        &self,
        channel_id: &str,
        execution_id: &str,
        slack_name: &str,
    ) -> Result<bool, StepError> {
        let expires_at = epoch_seconds(SystemTime::now() + KEPT_FOR_REDRIVES);
        let put = self
            .0
            .client
            .put_item()
            .table_name(&self.0.name)
            .item("name", text(&key(channel_id, execution_id)))
            .item("slackName", text(slack_name))
            .item("expiresAt", number(expires_at))
            .return_values(ReturnValue::AllOld)
            .send()
            .await;
        let put = put.map_err(|error| self.0.error("PutItem", &error))?;
        Ok(put.attributes.is_some())
    }

    /// Forgets it, because Slack has refused to archive the channel.
    pub async fn end_archiving(
        &self,
        channel_id: &str,
        execution_id: &str,
    ) -> Result<(), StepError> {
        let deleted = self
            .0
            .client
            .delete_item()
            .table_name(&self.0.name)
            .key("name", text(&key(channel_id, execution_id)))
            .send()
            .await;
        deleted.map_err(|error| self.0.error("DeleteItem", &error))?;
        Ok(())
    }

    /// The name under which this execution has archived the channel, as far as it knows; `None` if it has not.
    pub async fn archived_as(
        &self,
        channel_id: &str,
        execution_id: &str,
    ) -> Result<Option<String>, StepError> {
        let item = self.0.get("name", &key(channel_id, execution_id)).await?;
        let name = item.as_ref().and_then(|item| key_of(item, "slackName"));
        Ok(name.map(str::to_owned))
    }
}

fn key(channel_id: &str, execution_id: &str) -> String {
    format!("#archiving/{channel_id}/{execution_id}")
}
