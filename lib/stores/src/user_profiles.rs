//! The library's user profiles, in the role of its `UserResourceDao.getUserProfile`.

use std::collections::HashMap;

use apgl_aws::SettingError;
use apgl_contract::{Category, Email, StepError};
use aws_sdk_dynamodb::{
    operation::update_item::builders::UpdateItemFluentBuilder,
    types::{AttributeValue, ReturnValue},
};
use aws_types::SdkConfig;

use crate::table::{Item, Table, text};

/// What one field of a profile's preferences says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preference {
    Wanted,
    Unwanted,
    /// The field is absent, NULL or an empty map. Object mappers write the last two for what is not set.
    Unset,
    /// The field is not a BOOL, or what should contain it is not a map.
    Invalid,
}

/// A field of the preferences. All of them are optional.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PreferenceField {
    Slack,
    Action,
    News,
    Bounty,
    Direct,
}

impl PreferenceField {
    /// The field for messages of this category. Critical messages have none: nobody can opt out of them alone.
    pub fn of(category: Category) -> Option<Self> {
        match category {
            Category::Action => Some(Self::Action),
            Category::News => Some(Self::News),
            Category::Bounty => Some(Self::Bounty),
            Category::Critical => None,
        }
    }

    /// The maps in a profile that contain the field, the outermost first.
    fn maps(self) -> &'static [&'static str] {
        match self {
            Self::Slack | Self::Direct => &["notificationPreferences"],
            Self::Action | Self::News | Self::Bounty => &["notificationPreferences", "categories"],
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Slack => "slack",
            Self::Action => "action",
            Self::News => "news",
            Self::Bounty => "bounty",
            Self::Direct => "direct",
        }
    }

    fn in_profile(self, profile: &Item) -> Preference {
        let mut fields = profile;
        for map in self.maps() {
            fields = match said(fields.get(*map)) {
                None => return Preference::Unset,
                Some(AttributeValue::M(fields)) => fields,
                Some(_) => return Preference::Invalid,
            };
        }
        match said(fields.get(self.name())) {
            None => Preference::Unset,
            Some(AttributeValue::Bool(true)) => Preference::Wanted,
            Some(AttributeValue::Bool(false)) => Preference::Unwanted,
            Some(_) => Preference::Invalid,
        }
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

/// What a profile's `notificationPreferences` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preferences {
    /// `slack`: whether the person wants Slack notifications at all.
    pub slack: Preference,
    /// `categories.action`: whether the person wants messages of this category.
    pub action: Preference,
    /// `categories.news`, likewise.
    pub news: Preference,
    /// `categories.bounty`, likewise.
    pub bounty: Preference,
    /// `direct`: whether the person wants direct messages.
    pub direct: Preference,
}

/// The decision depends on an invalid field, so nobody knows what the person wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidPreference;

impl Preferences {
    /// Whether the person wants a message of this category, or an invitation because of it. An invitation that is
    /// about no message has no category. `direct` says that the message is a direct one, and `wanted_by_default`
    /// what counts if `slack` is not set.
    ///
    /// `slack` decides first. If it is on, a critical message is wanted; it is also wanted if `slack` is not set.
    /// Any other message is wanted unless its category is off or, for a direct one, `direct` is. An invalid field
    /// matters only if the decision depends on it.
    pub fn wants(
        &self,
        category: Option<Category>,
        direct: bool,
        wanted_by_default: bool,
    ) -> Result<bool, InvalidPreference> {
        match self.slack {
            Preference::Invalid => return Err(InvalidPreference),
            Preference::Unwanted => return Ok(false),
            _ if category == Some(Category::Critical) => return Ok(true),
            Preference::Unset if !wanted_by_default => return Ok(false),
            Preference::Unset | Preference::Wanted => {}
        }
        let of_category = match category {
            Some(Category::Action) => self.action,
            Some(Category::News) => self.news,
            Some(Category::Bounty) => self.bounty,
            Some(Category::Critical) | None => Preference::Unset,
        };
        let of_direct = if direct {
            self.direct
        } else {
            Preference::Unset
        };
        let decisive = [of_category, of_direct];
        if decisive.contains(&Preference::Unwanted) {
            Ok(false)
        } else if decisive.contains(&Preference::Invalid) {
            Err(InvalidPreference)
        } else {
            Ok(true)
        }
    }

    fn in_profile(profile: &Item) -> Self {
        Self {
            slack: PreferenceField::Slack.in_profile(profile),
            action: PreferenceField::Action.in_profile(profile),
            news: PreferenceField::News.in_profile(profile),
            bounty: PreferenceField::Bounty.in_profile(profile),
            direct: PreferenceField::Direct.in_profile(profile),
        }
    }
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
    ) -> Result<HashMap<Email, Preferences>, StepError> {
        let keys = emails.iter().map(Email::as_str);
        let items = self
            .0
            .get_many("email", keys, "email, notificationPreferences")
            .await?;
        let mut preferences = HashMap::with_capacity(items.len());
        for item in items {
            preferences.insert(self.0.email_of(&item)?, Preferences::in_profile(&item));
        }
        Ok(preferences)
    }

    /// Sets one field of a person's preferences, or removes it if `None`, and keeps the others. If what should contain the
    /// field is not a map, `slack` replaces it, and another field is not set: a new map with that field alone would look
    /// as if the person wanted the rest.
    ///
    /// Returns what the profile then says; `None` if the person has no profile. Does not create one, because profiles
    /// belong to the library.
    ///
    /// # Errors
    /// [`StepError::StoreRejected`] if a field can't be set in what is not a map.
    pub async fn set_preference(
        &self,
        email: &Email,
        field: PreferenceField,
        wanted: Option<bool>,
    ) -> Result<Option<Preferences>, StepError> {
        let written = match wanted {
            Some(wanted) => self.set(email, field, wanted).await?,
            None => self.remove(email, field).await?,
        };
        Ok(written.as_ref().map(Preferences::in_profile))
    }

    async fn set(
        &self,
        email: &Email,
        field: PreferenceField,
        wanted: bool,
    ) -> Result<Option<Item>, StepError> {
        let (maps, name) = (field.maps(), field.name());
        let wanted = AttributeValue::Bool(wanted);
        // First the outermost map that is missing: if another writer creates it meanwhile, the next attempt finds it.
        for depth in 0..maps.len() {
            let (around, missing) = (&maps[..depth], &maps[..=depth]);
            let within = maps[depth + 1..].iter().rev();
            let contents = within.fold(map_of(name, wanted.clone()), |contents, map| {
                map_of(map, contents)
            });
            let update = self
                .update(email, missing)
                .update_expression(format!("SET {} = :contents", path(missing)))
                .condition_expression(format!("{} AND NOT {}", is_map(around), is_map(missing)))
                .expression_attribute_values(":contents", contents);
            let update = match field {
                PreferenceField::Slack => update,
                _ => only_if_absent(update, missing),
            };
            if let Some(profile) = self.written(update).await? {
                return Ok(Some(profile));
            }
        }
        let place = [maps, &[name]].concat();
        let update = self
            .update(email, &place)
            .update_expression(format!("SET {} = :wanted", path(&place)))
            .condition_expression(is_map(maps))
            .expression_attribute_values(":wanted", wanted);
        if let Some(profile) = self.written(update).await? {
            return Ok(Some(profile));
        }
        match self.0.get("email", email.as_str()).await? {
            None => Ok(None),
            Some(_) => Err(StepError::StoreRejected {
                store: self.0.name.clone(),
                operation: "UpdateItem",
                reason: format!("{} is not a map", maps.join(" or its ")),
            }),
        }
    }

    async fn remove(
        &self,
        email: &Email,
        field: PreferenceField,
    ) -> Result<Option<Item>, StepError> {
        let maps = field.maps();
        let place = [maps, &[field.name()]].concat();
        let update = self
            .update(email, &place)
            .update_expression(format!("REMOVE {}", path(&place)))
            .condition_expression(is_map(maps));
        match self.written(update).await? {
            // Without the map there is nothing to remove.
            None => self.0.get("email", email.as_str()).await,
            profile => Ok(profile),
        }
    }

    /// An update of a person's profile whose expressions contain this path.
    fn update(&self, email: &Email, place: &[&str]) -> UpdateItemFluentBuilder {
        let update = self
            .0
            .update("email", email.as_str())
            .return_values(ReturnValue::AllNew)
            .expression_attribute_values(":map", text("M"));
        let names = place.iter().enumerate();
        names.fold(update, |update, (depth, name)| {
            update.expression_attribute_names(placeholder(depth), *name)
        })
    }

    /// The profile after the update; `None` if its condition did not hold.
    async fn written(&self, update: UpdateItemFluentBuilder) -> Result<Option<Item>, StepError> {
        let answer = self.0.if_it_holds("UpdateItem", update.send().await)?;
        Ok(answer.and_then(|answer| answer.attributes))
    }
}

fn map_of(name: &str, value: AttributeValue) -> AttributeValue {
    AttributeValue::M([(name.to_owned(), value)].into())
}

/// The path in an expression. Names have placeholders, because DynamoDB reserves some of them, such as `action`.
fn path(place: &[&str]) -> String {
    let placeholders: Vec<String> = (0..place.len()).map(placeholder).collect();
    placeholders.join(".")
}

fn placeholder(depth: usize) -> String {
    format!("#name{depth}")
}

/// Adds the condition that nothing but null is in this place.
fn only_if_absent(update: UpdateItemFluentBuilder, place: &[&str]) -> UpdateItemFluentBuilder {
    let condition = update
        .get_condition_expression()
        .clone()
        .unwrap_or_default();
    let path = path(place);
    update
        .condition_expression(format!(
            "{condition} AND (attribute_not_exists({path}) OR attribute_type({path}, :null))"
        ))
        .expression_attribute_values(":null", text("NULL"))
}

/// The condition that there is a map in this place. The profile itself is one.
fn is_map(place: &[&str]) -> String {
    if place.is_empty() {
        "attribute_exists(email)".to_owned()
    } else {
        format!("attribute_type({}, :map)", path(place))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::{
        Preference::{Invalid, Unset, Unwanted, Wanted},
        *,
    };

    const UNSET: Preferences = Preferences {
        slack: Unset,
        action: Unset,
        news: Unset,
        bounty: Unset,
        direct: Unset,
    };
    const INVALID: Preferences = Preferences {
        slack: Invalid,
        action: Invalid,
        news: Invalid,
        bounty: Invalid,
        direct: Invalid,
    };

    fn bool(value: bool) -> AttributeValue {
        AttributeValue::Bool(value)
    }

    fn null() -> AttributeValue {
        AttributeValue::Null(true)
    }

    fn empty() -> AttributeValue {
        AttributeValue::M(Item::new())
    }

    fn preferences_in(preferences: Option<AttributeValue>) -> Preferences {
        let profile = preferences.map(|value| ("notificationPreferences".to_owned(), value));
        Preferences::in_profile(&profile.into_iter().collect())
    }

    #[rstest]
    #[case(bool(true), Wanted)]
    #[case(bool(false), Unwanted)]
    #[case(null(), Unset)]
    #[case(empty(), Unset)]
    #[case(text("true"), Invalid)]
    #[case(text(""), Invalid)]
    #[case(map_of("slack", bool(true)), Invalid)]
    #[case(AttributeValue::L(Vec::new()), Invalid)]
    #[case(AttributeValue::N("1".to_owned()), Invalid)]
    fn a_preference_is_a_bool_or_absent(
        #[case] value: AttributeValue,
        #[case] expected: Preference,
    ) {
        let field = |name| preferences_in(Some(map_of(name, value.clone())));
        let category = |name| with_categories(map_of(name, value.clone()));
        for (read, expected) in [
            (
                field("slack"),
                Preferences {
                    slack: expected,
                    ..UNSET
                },
            ),
            (
                field("direct"),
                Preferences {
                    direct: expected,
                    ..UNSET
                },
            ),
            (
                category("action"),
                Preferences {
                    action: expected,
                    ..UNSET
                },
            ),
            (
                category("news"),
                Preferences {
                    news: expected,
                    ..UNSET
                },
            ),
            (
                category("bounty"),
                Preferences {
                    bounty: expected,
                    ..UNSET
                },
            ),
            (category("critical"), UNSET),
        ] {
            assert_eq!(read, expected);
        }
    }

    fn with_categories(categories: AttributeValue) -> Preferences {
        preferences_in(Some(map_of("categories", categories)))
    }

    #[rstest]
    #[case(None, UNSET)]
    #[case(Some(null()), UNSET)]
    #[case(Some(empty()), UNSET)]
    #[case(Some(text("slack")), INVALID)]
    #[case(Some(bool(true)), INVALID)]
    #[case(Some(AttributeValue::L(Vec::new())), INVALID)]
    fn preferences_that_are_no_map_are_invalid_unless_they_say_nothing(
        #[case] value: Option<AttributeValue>,
        #[case] expected: Preferences,
    ) {
        assert_eq!(preferences_in(value), expected);
    }

    #[rstest]
    #[case(null(), Unset)]
    #[case(empty(), Unset)]
    #[case(bool(false), Invalid)]
    #[case(text("news"), Invalid)]
    fn categories_that_are_no_map_leave_the_other_fields_alone(
        #[case] categories: AttributeValue,
        #[case] expected: Preference,
    ) {
        let read = preferences_in(Some(AttributeValue::M(
            [
                ("slack".to_owned(), bool(true)),
                ("categories".to_owned(), categories),
                ("direct".to_owned(), bool(false)),
            ]
            .into(),
        )));
        let expected = Preferences {
            slack: Wanted,
            action: expected,
            news: expected,
            bounty: expected,
            direct: Unwanted,
        };
        assert_eq!(read, expected);
    }

    type Decision = Result<bool, InvalidPreference>;

    const YES: Decision = Ok(true);
    const NO: Decision = Ok(false);
    const UNKNOWN: Decision = Err(InvalidPreference);

    const EACH: [Preference; 4] = [Wanted, Unwanted, Unset, Invalid];

    /// The categories that people can opt out of.
    const OPTIONAL: [Category; 3] = [Category::Action, Category::News, Category::Bounty];

    /// With `others` for the other categories.
    fn preferences(
        slack: Preference,
        (category, of_category): (Category, Preference),
        direct: Preference,
        others: Preference,
    ) -> Preferences {
        let of = |each| {
            if each == category {
                of_category
            } else {
                others
            }
        };
        Preferences {
            slack,
            action: of(Category::Action),
            news: of(Category::News),
            bounty: of(Category::Bounty),
            direct,
        }
    }

    #[rstest]
    #[case::on(Wanted, [YES, YES])]
    #[case::off(Unwanted, [NO, NO])]
    #[case::unset(Unset, [NO, YES])]
    #[case::invalid(Invalid, [UNKNOWN, UNKNOWN])]
    fn slack_decides_alone_about_an_invitation_and_where_nothing_else_is_set(
        #[case] slack: Preference,
        #[case] expected: [Decision; 2],
    ) {
        for (by_default, expected) in [false, true].into_iter().zip(expected) {
            for others in EACH {
                let preferences = preferences(slack, (Category::Action, others), others, others);
                assert_eq!(preferences.wants(None, false, by_default), expected);
            }
            let alone = Preferences { slack, ..UNSET };
            for category in OPTIONAL {
                for direct in [false, true] {
                    let decided = alone.wants(Some(category), direct, by_default);
                    assert_eq!(decided, expected, "{category:?}, {direct}");
                }
            }
        }
    }

    #[rstest]
    #[case::on(Wanted, YES)]
    #[case::off(Unwanted, NO)]
    #[case::unset(Unset, YES)]
    #[case::invalid(Invalid, UNKNOWN)]
    fn a_category_decides_about_its_messages_if_slack_is_on(
        #[case] of_category: Preference,
        #[case] expected: Decision,
        #[values(Category::Action, Category::News, Category::Bounty)] category: Category,
    ) {
        for others in EACH {
            let wants = |slack, by_default| {
                preferences(slack, (category, of_category), others, others).wants(
                    Some(category),
                    false,
                    by_default,
                )
            };
            assert_eq!(wants(Wanted, false), expected);
            assert_eq!(wants(Unset, true), expected);
            assert_eq!(wants(Unset, false), NO);
            assert_eq!(wants(Unwanted, true), NO);
            assert_eq!(wants(Invalid, true), UNKNOWN);
        }
    }

    #[rstest]
    #[case(Wanted, Wanted, YES)]
    #[case(Wanted, Unset, YES)]
    #[case(Unset, Wanted, YES)]
    #[case(Unset, Unset, YES)]
    #[case(Wanted, Unwanted, NO)]
    #[case(Unset, Unwanted, NO)]
    #[case(Unwanted, Wanted, NO)]
    #[case(Unwanted, Unset, NO)]
    #[case(Unwanted, Unwanted, NO)]
    #[case(Invalid, Unwanted, NO)]
    #[case(Unwanted, Invalid, NO)]
    #[case(Invalid, Wanted, UNKNOWN)]
    #[case(Invalid, Unset, UNKNOWN)]
    #[case(Wanted, Invalid, UNKNOWN)]
    #[case(Unset, Invalid, UNKNOWN)]
    #[case(Invalid, Invalid, UNKNOWN)]
    fn a_direct_message_is_wanted_if_neither_its_category_nor_direct_messages_are_off(
        #[case] of_category: Preference,
        #[case] of_direct: Preference,
        #[case] expected: Decision,
    ) {
        for (category, others) in OPTIONAL
            .into_iter()
            .flat_map(|each| EACH.map(|o| (each, o)))
        {
            let wants = |slack, by_default| {
                preferences(slack, (category, of_category), of_direct, others).wants(
                    Some(category),
                    true,
                    by_default,
                )
            };
            assert_eq!(wants(Wanted, false), expected);
            assert_eq!(wants(Unset, true), expected);
            assert_eq!(wants(Unset, false), NO);
            assert_eq!(wants(Unwanted, true), NO);
            assert_eq!(wants(Invalid, true), UNKNOWN);
        }
    }

    #[rstest]
    #[case::on(Wanted, YES)]
    #[case::off(Unwanted, NO)]
    #[case::unset(Unset, YES)]
    #[case::invalid(Invalid, UNKNOWN)]
    fn a_direct_message_without_a_category_depends_on_direct_messages(
        #[case] of_direct: Preference,
        #[case] expected: Decision,
    ) {
        for others in EACH {
            let preferences = preferences(Wanted, (Category::Action, others), of_direct, others);
            assert_eq!(preferences.wants(None, true, false), expected);
        }
    }

    #[rstest]
    #[case::on(Wanted, YES)]
    #[case::off(Unwanted, NO)]
    #[case::unset(Unset, YES)]
    #[case::invalid(Invalid, UNKNOWN)]
    fn a_critical_message_is_wanted_unless_slack_is_off(
        #[case] slack: Preference,
        #[case] expected: Decision,
        #[values(false, true)] direct: bool,
        #[values(false, true)] by_default: bool,
    ) {
        for (of_direct, others) in EACH.into_iter().flat_map(|each| EACH.map(|o| (each, o))) {
            let preferences = preferences(slack, (Category::Action, others), of_direct, others);
            let decided = preferences.wants(Some(Category::Critical), direct, by_default);
            assert_eq!(decided, expected, "{preferences:?}");
        }
    }

    #[test]
    fn each_category_but_critical_has_a_field() {
        let fields =
            Category::ALL.map(|category| PreferenceField::of(category).map(PreferenceField::name));
        assert_eq!(fields, [Some("action"), Some("news"), Some("bounty"), None]);
    }
}
