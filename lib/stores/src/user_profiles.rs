//! The library's user profiles, in the role of its `UserResourceDao.getUserProfile`.

use std::collections::HashMap;

use apgl_aws::SettingError;
use apgl_contract::{Email, StepError};
use aws_sdk_dynamodb::types::AttributeValue;

use crate::table::{Item, Table, text};
use aws_types::SdkConfig;

/// What a profile says about Slack notifications: `notificationPreferences.slack`, a BOOL. NULL and an empty map, which
/// object mappers write for what is not set, count as absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preference {
    Wanted,
    Unwanted,
    /// The profile has no preference.
    Unset,
    /// The preference exists but is not a BOOL.
    Invalid,
}

/// The table of user profiles, by e-mail address in lower case.
#[derive(Debug, Clone)]
pub struct UserProfiles(Table);

impl UserProfiles {
    pub fn new(table: Table) -> Self {
        Self(table)
    }

    /// The table that `USER_PROFILES_TABLE` names.
    pub fn from_env(aws: &SdkConfig) -> Result<Self, SettingError> {
        Ok(Self(Table::from_env(aws, "USER_PROFILES_TABLE")?))
    }

    /// The preferences of those of `emails` that have a profile.
    pub async fn preferences(
        &self,
        emails: &[Email],
    ) -> Result<HashMap<Email, Preference>, StepError> {
        let keys = emails.iter().map(Email::as_str);
        let items = self
            .0
            .get_many("email", keys, "email, notificationPreferences")
            .await?;
        let mut preferences = HashMap::with_capacity(items.len());
        for item in items {
            preferences.insert(self.0.email_of(&item)?, preference_in(&item));
        }
        Ok(preferences)
    }

    /// Sets a person's preference, or removes it if `None`. Returns whether the person has a profile. Does not
    /// create one, because profiles belong to the library.
    pub async fn set_preference(
        &self,
        email: &Email,
        wanted: Option<bool>,
    ) -> Result<bool, StepError> {
        let update = || self.0.update("email", email.as_str());
        let Some(wanted) = wanted else {
            let removal = update()
                .update_expression("REMOVE notificationPreferences.slack")
                .condition_expression("attribute_type(notificationPreferences, :map)")
                .expression_attribute_values(":map", text("M"));
            let removed = self.0.if_it_holds("UpdateItem", removal.send().await)?;
            // Without preferences there is nothing to remove.
            return match removed {
                Some(_) => Ok(true),
                None => Ok(self.0.get("email", email.as_str()).await?.is_some()),
            };
        };
        let among_others = update()
            .update_expression("SET notificationPreferences.slack = :wanted")
            .condition_expression("attribute_type(notificationPreferences, :map)")
            .expression_attribute_values(":map", text("M"))
            .expression_attribute_values(":wanted", AttributeValue::Bool(wanted));
        let written = self
            .0
            .if_it_holds("UpdateItem", among_others.send().await)?;
        if written.is_some() {
            return Ok(true);
        }
        let preferences = [("slack".to_owned(), AttributeValue::Bool(wanted))];
        let alone = update()
            .update_expression("SET notificationPreferences = :preferences")
            .condition_expression(
                "attribute_exists(email) AND NOT attribute_type(notificationPreferences, :map)",
            )
            .expression_attribute_values(":map", text("M"))
            .expression_attribute_values(":preferences", AttributeValue::M(preferences.into()));
        let written = self.0.if_it_holds("UpdateItem", alone.send().await)?;
        Ok(written.is_some())
    }
}

fn preference_in(profile: &Item) -> Preference {
    let slack = match said(profile.get("notificationPreferences")) {
        None => return Preference::Unset,
        Some(AttributeValue::M(preferences)) => said(preferences.get("slack")),
        Some(_) => return Preference::Invalid,
    };
    match slack {
        None => Preference::Unset,
        Some(AttributeValue::Bool(true)) => Preference::Wanted,
        Some(AttributeValue::Bool(false)) => Preference::Unwanted,
        Some(_) => Preference::Invalid,
    }
}

/// The value, unless it says nothing.
fn said(value: Option<&AttributeValue>) -> Option<&AttributeValue> {
    value.filter(|value| match value {
        AttributeValue::Null(_) => false,
        AttributeValue::M(fields) => !fields.is_empty(),
        _ => true,
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn slack(value: AttributeValue) -> AttributeValue {
        AttributeValue::M([("slack".to_owned(), value)].into())
    }

    #[rstest]
    #[case(None, Preference::Unset)]
    #[case(Some(AttributeValue::M(Item::new())), Preference::Unset)]
    #[case(Some(slack(AttributeValue::Bool(true))), Preference::Wanted)]
    #[case(Some(slack(AttributeValue::Bool(false))), Preference::Unwanted)]
    #[case(Some(slack(AttributeValue::S("true".to_owned()))), Preference::Invalid)]
    #[case(Some(AttributeValue::Null(true)), Preference::Unset)]
    #[case(Some(slack(AttributeValue::Null(true))), Preference::Unset)]
    #[case(Some(slack(AttributeValue::M(Item::new()))), Preference::Unset)]
    #[case(Some(slack(slack(AttributeValue::Bool(true)))), Preference::Invalid)]
    #[case(Some(slack(AttributeValue::L(Vec::new()))), Preference::Invalid)]
    #[case(Some(slack(AttributeValue::N("1".to_owned()))), Preference::Invalid)]
    #[case(Some(AttributeValue::S("slack".to_owned())), Preference::Invalid)]
    fn a_preference_is_a_bool_or_absent(
        #[case] preferences: Option<AttributeValue>,
        #[case] expected: Preference,
    ) {
        let profile = preferences.map(|value| ("notificationPreferences".to_owned(), value));
        assert_eq!(preference_in(&profile.into_iter().collect()), expected);
    }
}
