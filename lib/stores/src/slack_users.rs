//! Slack's ids of e-mail addresses, so that a known person costs no Slack call.
//!
//! Beside a person's item, whose key is the address, the table holds items whose keys start with `#`
//! and hold no `@`, so that they are no address:
//!
//! | key | holds |
//! |---|---|
//! | `ana@example.com` | id, whether it is a bot, when Slack said so and until when that counts |
//! | `#look-ups/<execution>` | whom this execution has not found in Slack, and where it is in users.list |
//! | `#list` | how many pages users.list has |

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, SystemTime},
};

use apgl_aws::SettingError;
use apgl_contract::{Email, SlackUserId, StepError};
use aws_sdk_dynamodb::types::AttributeValue;
use aws_types::SdkConfig;

use crate::table::{
    Item, Table, epoch_millis, epoch_seconds, expired, key_of, number, text, time_of, whole_number,
};

/// An id is looked up again after this time: people leave, and addresses move to other accounts.
const MAX_AGE: Duration = Duration::from_hours(30 * 24);
/// As long as an execution may run. One that is redriven later looks everybody up again.
const LOOK_UPS_MAX_AGE: Duration = Duration::from_hours(24);
const LIST_KEY: &str = "#list";

/// Somebody in Slack, as the table knows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownUser {
    pub id: SlackUserId,
    pub is_bot: bool,
    /// When Slack said so.
    pub seen_at: SystemTime,
}

/// What is known of the people that an execution asks for.
#[derive(Debug, Default)]
pub struct LookUps {
    pub known: HashMap<Email, KnownUser>,
    /// Whom this execution has looked up already: Slack knows no active user with the address.
    pub absent: HashSet<Email>,
    /// Where this execution goes on in users.list, and how many pages it has read.
    pub place_in_list: Option<(String, u32)>,
    /// How many pages users.list has, as far as somebody has read.
    pub list_pages: Option<u32>,
}

/// The table of Slack users, by e-mail address in lower case.
#[derive(Debug, Clone)]
pub struct SlackUsers(Table);

impl SlackUsers {
    pub fn new(table: Table) -> Self {
        Self(table)
    }

    /// The table that `SLACK_USERS_TABLE` names.
    pub fn from_env(aws: &SdkConfig) -> Result<Self, SettingError> {
        Ok(Self(Table::from_env(aws, "SLACK_USERS_TABLE")?))
    }

    pub async fn look_up(
        &self,
        emails: &[Email],
        execution_id: &str,
    ) -> Result<LookUps, StepError> {
        let look_ups_key = look_ups_key(execution_id);
        let keys = emails
            .iter()
            .map(Email::as_str)
            .chain([look_ups_key.as_str(), LIST_KEY]);
        let mut look_ups = LookUps::default();
        for item in self.0.get_many_consistently("email", keys).await? {
            match key_of(&item, "email") {
                Some(LIST_KEY) => look_ups.list_pages = pages(&item),
                // An item that is too old, or that can't be read, is as good as none.
                _ if expired(&item) => {}
                Some(key) if key == look_ups_key => {
                    look_ups.absent = absent(&item);
                    look_ups.place_in_list = place_in_list(&item);
                }
                _ => {
                    if let Some(user) = known_user(&item) {
                        look_ups.known.insert(self.0.email_of(&item)?, user);
                    }
                }
            }
        }
        Ok(look_ups)
    }

    pub async fn remember(&self, users: &[(Email, KnownUser)]) -> Result<(), StepError> {
        let item_of = |(email, user): &(Email, KnownUser)| {
            let fields = [
                ("email", text(email.as_str())),
                ("slackUserId", text(&user.id.0)),
                ("isBot", AttributeValue::Bool(user.is_bot)),
                ("seenAt", number(epoch_millis(user.seen_at))),
                ("expiresAt", number(epoch_seconds(user.seen_at + MAX_AGE))),
            ];
            fields
                .map(|(field, value)| (field.to_owned(), value))
                .into()
        };
        self.0.put_many(users.iter().map(item_of).collect()).await
    }

    /// The address does not belong to this id any more.
    pub async fn forget(&self, email: &Email, id: &SlackUserId) -> Result<(), StepError> {
        let deleted = self
            .0
            .client
            .delete_item()
            .table_name(&self.0.name)
            .key("email", text(email.as_str()))
            .condition_expression("slackUserId = :id")
            .expression_attribute_values(":id", text(&id.0));
        self.0.if_it_holds("DeleteItem", deleted.send().await)?;
        Ok(())
    }

    /// Keeps for this execution's next attempts whom Slack does not know.
    pub async fn keep_absent(&self, execution_id: &str, absent: &[Email]) -> Result<(), StepError> {
        if absent.is_empty() {
            return Ok(());
        }
        let emails = absent.iter().map(|email| email.as_str().to_owned());
        self.0
            .update("email", &look_ups_key(execution_id))
            .update_expression("SET expiresAt = :expires ADD absent :emails")
            .expression_attribute_values(":expires", look_ups_expire_at())
            .expression_attribute_values(":emails", AttributeValue::Ss(emails.collect()))
            .send()
            .await
            .map_err(|error| self.0.error("UpdateItem", &error))?;
        Ok(())
    }

    /// Keeps where this execution goes on in users.list; `None` at its end.
    pub async fn keep_place_in_list(
        &self,
        execution_id: &str,
        cursor: Option<&str>,
        pages: u32,
    ) -> Result<(), StepError> {
        let update = self
            .0
            .update("email", &look_ups_key(execution_id))
            .expression_attribute_names("#cursor", "cursor")
            .expression_attribute_values(":expires", look_ups_expire_at());
        let update = match cursor {
            None => update.update_expression("SET expiresAt = :expires REMOVE #cursor, pages"),
            Some(cursor) => update
                .update_expression("SET expiresAt = :expires, #cursor = :cursor, pages = :pages")
                .expression_attribute_values(":cursor", text(cursor))
                .expression_attribute_values(":pages", number(pages.into())),
        };
        update
            .send()
            .await
            .map_err(|error| self.0.error("UpdateItem", &error))?;
        Ok(())
    }

    /// Remembers how many pages users.list has, or has at least.
    pub async fn remember_list_pages(&self, pages: u32) -> Result<(), StepError> {
        let item = [("email", text(LIST_KEY)), ("pages", number(pages.into()))];
        let item = item.map(|(field, value)| (field.to_owned(), value));
        self.0.put(item.into()).await
    }
}

fn look_ups_key(execution_id: &str) -> String {
    format!("#look-ups/{execution_id}")
}

fn look_ups_expire_at() -> AttributeValue {
    number(epoch_seconds(SystemTime::now() + LOOK_UPS_MAX_AGE))
}

fn known_user(item: &Item) -> Option<KnownUser> {
    Some(KnownUser {
        id: SlackUserId(item.get("slackUserId")?.as_s().ok()?.clone()),
        is_bot: *item.get("isBot")?.as_bool().ok()?,
        seen_at: time_of(whole_number(item, "seenAt")?),
    })
}

fn absent(item: &Item) -> HashSet<Email> {
    let emails = item.get("absent").and_then(|emails| emails.as_ss().ok());
    emails
        .into_iter()
        .flatten()
        .filter_map(|email| Email::try_from(email.clone()).ok())
        .collect()
}

fn place_in_list(item: &Item) -> Option<(String, u32)> {
    let cursor = item.get("cursor")?.as_s().ok()?.clone();
    Some((cursor, pages(item)?))
}

fn pages(item: &Item) -> Option<u32> {
    whole_number(item, "pages")?.try_into().ok()
}
