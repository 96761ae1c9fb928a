//! The Slack users and the profiles of a test.

use aws_sdk_dynamodb::types::AttributeValue;
use local_stack::stack::put_profile;
use slack_sandbox::{
    Seed,
    workspace::{BOT_USER_ID, User},
};

use crate::{World, unique};

const PROFILES_TABLE: &str = "apgl-user-profiles";

impl World {
    /// Adds a Slack user with a profile. The address is unique to this test.
    pub async fn person(&self, name: &str, wants_slack: Option<bool>) -> String {
        let email = self.slack_user(name, User::default()).await;
        self.profile(&email, wants_slack).await;
        email
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
        let update = aws_sdk_dynamodb::Client::new(&self.aws)
            .update_item()
            .table_name(PROFILES_TABLE)
            .key("email", AttributeValue::S(email.to_owned()))
            .update_expression("SET notificationPreferences.direct = :off")
            .expression_attribute_values(":off", AttributeValue::Bool(false));
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

fn unique_email(name: &str) -> String {
    format!("{}@example.com", unique(name))
}
