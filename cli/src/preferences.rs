//! `apgl preferences`: reads or writes whether a person wants Slack notifications.

use apgl_contract::Email;
use apgl_stores::{Preference, Table, UserProfiles};
use clap::{Subcommand, ValueEnum};
use serde_json::json;

use crate::{
    deployment::{Deployment, Target},
    report::{Exit, Failure, Report},
};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Shows the preference in a person's profile.
    Get {
        #[arg(value_parser = email)]
        email: Email,
    },
    /// Writes the preference to a person's profile, which must exist.
    Set {
        #[arg(value_parser = email)]
        email: Email,
        /// Whether the person wants Slack notifications; `unset` means the deployment's default.
        wanted: Wanted,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Wanted {
    On,
    Off,
    Unset,
}

fn email(text: &str) -> Result<Email, &'static str> {
    Email::try_from(text.to_owned())
}

pub async fn run(target: &Target, arguments: Arguments) -> Result<Report, Failure> {
    let deployment = Deployment::of(target).await?;
    let table = deployment.user_profiles_table().await?;
    let dynamodb = aws_sdk_dynamodb::Client::new(&deployment.aws);
    let profiles = UserProfiles::new(Table::new(dynamodb, table));
    match arguments.action {
        Action::Get { email } => get(&profiles, email).await,
        Action::Set { email, wanted } => set(&profiles, email, wanted).await,
    }
}

async fn get(profiles: &UserProfiles, email: Email) -> Result<Report, Failure> {
    let mut found = profiles
        .preferences(std::slice::from_ref(&email))
        .await
        .map_err(Failure::aws)?;
    let preference = found.remove(&email).ok_or_else(|| no_profile(&email))?;
    let (word, meaning) = match preference {
        Preference::Wanted => ("on", "Slack notifications are wanted"),
        Preference::Unwanted => ("off", "Slack notifications are not wanted"),
        Preference::Unset => ("unset", "not set; the deployment's default applies"),
        Preference::Invalid => (
            "invalid",
            "the value is not a boolean; the person is not invited",
        ),
    };
    Ok(report(&email, word, meaning))
}

async fn set(profiles: &UserProfiles, email: Email, wanted: Wanted) -> Result<Report, Failure> {
    let (word, value) = match wanted {
        Wanted::On => ("on", Some(true)),
        Wanted::Off => ("off", Some(false)),
        Wanted::Unset => ("unset", None),
    };
    let written = profiles.set_preference(&email, value).await;
    if !written.map_err(Failure::aws)? {
        return Err(no_profile(&email));
    }
    Ok(report(&email, word, "written"))
}

fn no_profile(email: &Email) -> Failure {
    let email = email.as_str();
    Failure::input(format!(
        "there is no user profile for {email}; profiles are created by the library, not by apgl"
    ))
}

fn report(email: &Email, slack: &str, meaning: &str) -> Report {
    let email = email.as_str();
    Report {
        text: format!("{email}  {slack}  ({meaning})"),
        json: json!({ "email": email, "slack": slack }),
        exit: Exit::Fine,
    }
}
