//! The Slack ids of e-mail addresses and of direct messages, so that a known person needs no call to Slack.
//!
//! The key of a person's item is the address. The table also holds items whose keys start with `#` and contain no
//! `@`, so that they can't be addresses:
//!
//! | key | content |
//! |---|---|
//! | `ana@example.com` | id, whether it is a bot, its time zone, when Slack returned this, and when it expires |
//! | `#look-ups/<execution>` | the addresses that this execution did not find in Slack, and its position in users.list |
//! | `#list` | how many pages users.list has |
//! | `#direct-message/<user>` | the id of the bot's direct message with this Slack user, and when it expires |

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, SystemTime},
};

use apgl_aws::SettingError;
use apgl_contract::{Email, SlackUserId, StepError};
use aws_sdk_dynamodb::types::AttributeValue;
use aws_types::SdkConfig;
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::table::{
    Item, Table, epoch_millis, epoch_seconds, expired, key_of, number, text, time_of, whole_number,
};

/// How long a user's id is kept after Slack was asked for it, and the id of a direct message after it was opened.
const MAX_AGE: Duration = Duration::from_hours(30 * 24);
/// As long as an execution may run.
const LOOK_UPS_MAX_AGE: Duration = Duration::from_hours(24);
const LIST_KEY: &str = "#list";
/// How many people are written at the same time.
const WRITES_AT_ONCE: usize = 32;

/// A Slack user as the table knows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownUser {
    pub id: SlackUserId,
    pub is_bot: bool,
    /// Their time zone, by its IANA name.
    pub tz: Option<String>,
    /// When Slack was asked for it.
    pub seen_at: SystemTime,
}

/// What is known about the people that an execution asks for.
#[derive(Debug, Default)]
pub struct LookUps {
    pub known: HashMap<Email, KnownUser>,
    /// Addresses that this execution has already looked up, and for which Slack has no active user.
    pub absent: HashSet<Email>,
    /// The cursor at which this execution continues in users.list, and the number of pages it has read.
    pub place_in_list: Option<(String, u32)>,
    /// How many pages users.list has, or at least has, according to the last execution that read it.
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
                // An item that has expired or can't be read is treated as missing.
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

    /// These people, as far as they are known.
    pub async fn known(&self, emails: &[Email]) -> Result<HashMap<Email, KnownUser>, StepError> {
        let keys = emails.iter().map(Email::as_str);
        let mut known = HashMap::new();
        for item in self.0.get_many_consistently("email", keys).await? {
            if let Some(user) = known_user(&item).filter(|_| !expired(&item)) {
                known.insert(self.0.email_of(&item)?, user);
            }
        }
        Ok(known)
    }

    /// The time zones of these people, by their IANA names, as far as they are known.
    pub async fn time_zones(&self, emails: &[Email]) -> Result<HashMap<Email, String>, StepError> {
        let keys = emails.iter().map(Email::as_str);
        let known = self.0.get_many("email", keys, "email, tz").await?;
        let mut zones = HashMap::new();
        for item in &known {
            if let Some(zone) = key_of(item, "tz") {
                zones.insert(self.0.email_of(item)?, zone.to_owned());
            }
        }
        Ok(zones)
    }

    /// Remembers what Slack has returned, unless the table has learnt something about the address since Slack was
    /// asked.
    pub async fn remember(&self, users: &[(Email, KnownUser)]) -> Result<(), StepError> {
        let writes = users
            .iter()
            .map(|(email, user)| self.remember_one(email, user));
        stream::iter(writes)
            .buffer_unordered(WRITES_AT_ONCE)
            .try_collect()
            .await
    }

    async fn remember_one(&self, email: &Email, user: &KnownUser) -> Result<(), StepError> {
        let seen_at = number(epoch_millis(user.seen_at));
        let tz = user.tz.as_deref().map(text);
        let put = self
            .0
            .client
            .put_item()
            .table_name(&self.0.name)
            .item("email", text(email.as_str()))
            .item("slackUserId", text(&user.id.0))
            .item("isBot", AttributeValue::Bool(user.is_bot))
            .item("tz", tz.unwrap_or(AttributeValue::Null(true)))
            .item("seenAt", seen_at.clone())
            .item("expiresAt", number(epoch_seconds(user.seen_at + MAX_AGE)))
            .condition_expression("attribute_not_exists(seenAt) OR seenAt <= :seenAt")
            .expression_attribute_values(":seenAt", seen_at);
        self.0.if_it_holds("PutItem", put.send().await)?;
        Ok(())
    }

    /// Forgets that the address belongs to this id. The item stays, so that nobody who has read the id earlier writes it
    /// again.
    pub async fn forget(&self, email: &Email, id: &SlackUserId) -> Result<(), StepError> {
        let update = self
            .0
            .update("email", email.as_str())
            .update_expression("SET seenAt = :now REMOVE slackUserId, isBot")
            .condition_expression("slackUserId = :id")
            .expression_attribute_values(":now", number(epoch_millis(SystemTime::now())))
            .expression_attribute_values(":id", text(&id.0));
        self.0.if_it_holds("UpdateItem", update.send().await)?;
        Ok(())
    }

    /// Stores the addresses that Slack does not know, for this execution's next attempts.
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

    /// Stores this execution's position in users.list; `None` when it is done with the list.
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

    /// The id of the bot's direct message with this user. An item that has expired or can't be read is treated as
    /// missing.
    pub async fn direct_message(&self, user: &SlackUserId) -> Result<Option<String>, StepError> {
        let item = self.0.get("email", &direct_message_key(user)).await?;
        let current = item.filter(|item| !expired(item));
        Ok(current.and_then(|item| item.get("conversationId")?.as_s().ok().cloned()))
    }

    /// Remembers the id that Slack has returned for the direct message with this user.
    pub async fn remember_direct_message(
        &self,
        user: &SlackUserId,
        conversation_id: &str,
    ) -> Result<(), StepError> {
        let expires_at = epoch_seconds(SystemTime::now() + MAX_AGE);
        let item = [
            ("email", text(&direct_message_key(user))),
            ("conversationId", text(conversation_id)),
            ("expiresAt", number(expires_at)),
        ];
        let item = item.map(|(field, value)| (field.to_owned(), value));
        self.0.put(item.into()).await
    }

    /// Remembers how many pages users.list has, or at least has.
    pub async fn remember_list_pages(&self, pages: u32) -> Result<(), StepError> {
        let item = [("email", text(LIST_KEY)), ("pages", number(pages.into()))];
        let item = item.map(|(field, value)| (field.to_owned(), value));
        self.0.put(item.into()).await
    }
}

fn look_ups_key(execution_id: &str) -> String {
    format!("#look-ups/{execution_id}")
}

fn direct_message_key(SlackUserId(user): &SlackUserId) -> String {
    format!("#direct-message/{user}")
}

fn look_ups_expire_at() -> AttributeValue {
    number(epoch_seconds(SystemTime::now() + LOOK_UPS_MAX_AGE))
}

fn known_user(item: &Item) -> Option<KnownUser> {
    Some(KnownUser {
        id: SlackUserId(item.get("slackUserId")?.as_s().ok()?.clone()),
        is_bot: *item.get("isBot")?.as_bool().ok()?,
        tz: key_of(item, "tz").map(str::to_owned),
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
