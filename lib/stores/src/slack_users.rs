//! Slack's ids of e-mail addresses, so that a known person costs no Slack call.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

use apgl_contract::{Email, SlackUserId, StepError};

use crate::table::{Table, epoch_seconds, number, text};

/// An id is looked up again after this time: people leave, and addresses move to other accounts.
const MAX_AGE: Duration = Duration::from_hours(30 * 24);

/// The table of Slack users, by e-mail address in lower case.
#[derive(Debug, Clone)]
pub struct SlackUsers(Table);

impl SlackUsers {
    pub fn new(table: Table) -> Self {
        Self(table)
    }

    /// The ids of those of `emails` that are known.
    pub async fn ids(&self, emails: &[Email]) -> Result<HashMap<Email, SlackUserId>, StepError> {
        let now = epoch_seconds(SystemTime::now());
        let keys = emails.iter().map(Email::as_str);
        let items = self
            .0
            .get_many("email", keys, "email, slackUserId, expiresAt")
            .await?;
        let mut ids = HashMap::with_capacity(items.len());
        for item in items {
            let id = item.get("slackUserId").and_then(|value| value.as_s().ok());
            let expires_at = item
                .get("expiresAt")
                .and_then(|value| value.as_n().ok()?.parse().ok());
            // An item that is too old, or that can't be read, is as good as none: it is looked up again.
            if let (Some(id), Some(expires_at)) = (id, expires_at)
                && now < expires_at
            {
                ids.insert(self.0.email_of(&item)?, SlackUserId(id.clone()));
            }
        }
        Ok(ids)
    }

    pub async fn remember(&self, email: &Email, id: &SlackUserId) -> Result<(), StepError> {
        let expires_at = epoch_seconds(SystemTime::now() + MAX_AGE);
        self.0
            .client
            .put_item()
            .table_name(&self.0.name)
            .item("email", text(email.as_str()))
            .item("slackUserId", text(&id.0))
            .item("expiresAt", number(expires_at))
            .send()
            .await
            .map_err(|error| self.0.error("PutItem", &error))?;
        Ok(())
    }
}
