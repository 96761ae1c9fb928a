//! The Slack users and the profiles of a test.

use aws_sdk_dynamodb::types::AttributeValue;
use local_stack::stack::put_profile;
use slack_sandbox::{
    Seed,
    server::UserChange,
    workspace::{BOT_USER_ID, User},
};

use crate::{SLACK_USERS_TABLE, World, unique};

const PROFILES_TABLE: &str = "apgl-user-profiles";

impl World {
    /// Adds a Slack user with a profile. The address is unique to this test.
    pub async fn person(&self, name: &str, wants_slack: Option<bool>) -> String {
        let email = self.slack_user(name, User::default()).await;
        self.profile(&email, wants_slack).await;
        email
    }

    /// Adds a Slack user who wants Slack notifications. Returns the address and the id.
    pub async fn person_with_id(&self, name: &str) -> (String, String) {
        let id = unique_user_id(name);
        let user = User {
            id: id.clone(),
            ..User::default()
        };
        (self.account(name, user).await, id)
    }

    /// Replaces the person's Slack account by another one with the same address. Returns the new id.
    pub async fn replace_account(&self, email: &str) -> String {
        let deactivated = UserChange {
            email: Some(format!("formerly-{email}")),
            deleted: Some(true),
            ..UserChange::default()
        };
        let changed = self.sandbox.change_user(email, &deactivated).await;
        changed.expect("the account is deactivated");
        let id = unique_user_id("new");
        let user = User {
            id: id.clone(),
            name: "new".to_owned(),
            email: Some(email.to_owned()),
            ..User::default()
        };
        self.add_users(vec![user]).await;
        id
    }

    /// Makes our table's entry for the person so old that it is no longer trusted.
    pub async fn outlive_trust_in_person(&self, email: &str) {
        let aged = aws_sdk_dynamodb::Client::new(&self.aws)
            .update_item()
            .table_name(SLACK_USERS_TABLE)
            .key("email", AttributeValue::S(email.to_owned()))
            .condition_expression("attribute_exists(slackUserId)")
            .update_expression("SET seenAt = :long_ago")
            .expression_attribute_values(":long_ago", AttributeValue::N("0".to_owned()));
        aged.send().await.expect("the table knows the person");
    }

    /// Adds a Slack user without a profile.
    pub async fn slack_user(&self, name: &str, user: User) -> String {
        let email = unique_email(name);
        let user = User {
            name: name.to_owned(),
            email: Some(email.clone()),
            ..user
        };
        self.add_users(vec![user]).await;
        email
    }

    pub async fn profile(&self, email: &str, wants_slack: Option<bool>) {
        let written = put_profile(&self.aws, PROFILES_TABLE, email, wants_slack).await;
        written.expect("the profile is written");
    }

    /// The person no longer wants direct messages, but other Slack notifications.
    pub async fn turn_off_direct_messages(&self, email: &str) {
        let off = AttributeValue::Bool(false);
        self.set_preference(email, "direct", off).await;
    }

    /// The person no longer wants messages of this category, but other Slack notifications.
    pub async fn turn_off_category(&self, email: &str, category: &str) {
        let off = (category.to_owned(), AttributeValue::Bool(false));
        let categories = AttributeValue::M([off].into());
        self.set_preference(email, "categories", categories).await;
    }

    async fn set_preference(&self, email: &str, field: &str, value: AttributeValue) {
        let update = aws_sdk_dynamodb::Client::new(&self.aws)
            .update_item()
            .table_name(PROFILES_TABLE)
            .key("email", AttributeValue::S(email.to_owned()))
            .update_expression("SET notificationPreferences.#field = :value")
            .expression_attribute_names("#field", field)
            .expression_attribute_values(":value", value);
        update.send().await.expect("the profile is changed");
    }

    /// Adds this Slack account with a profile that asks for Slack notifications.
    pub async fn account(&self, name: &str, user: User) -> String {
        let email = self.slack_user(name, user).await;
        self.profile(&email, Some(true)).await;
        email
    }

    /// Adds `count` Slack users who want Slack notifications.
    pub async fn people(&self, name: &str, count: usize) -> Vec<String> {
        let users: Vec<User> = (0..count)
            .map(|n| {
                let name = format!("{name}{n}");
                User {
                    email: Some(unique_email(&name)),
                    name,
                    ..User::default()
                }
            })
            .collect();
        let emails: Vec<String> = users.iter().filter_map(|user| user.email.clone()).collect();
        self.add_users(users).await;
        for email in &emails {
            self.profile(email, Some(true)).await;
        }
        emails
    }

    /// Returns the address of the app's own bot user, with a profile that asks for Slack notifications.
    pub async fn bot_itself(&self) -> String {
        let email = "apgl-notifications@example.com".to_owned();
        let bot = User {
            id: BOT_USER_ID.to_owned(),
            name: "APGL-Notifications".to_owned(),
            email: Some(email.clone()),
            is_bot: true,
            ..User::default()
        };
        self.add_users(vec![bot]).await;
        self.profile(&email, Some(true)).await;
        email
    }

    async fn add_users(&self, users: Vec<User>) {
        self.seed(Seed {
            users,
            ..Seed::default()
        })
        .await;
    }
}

fn unique_user_id(name: &str) -> String {
    format!("U{}", unique(name).to_uppercase().replace('-', ""))
}

fn unique_email(name: &str) -> String {
    format!("{}@example.com", unique(name))
}
