//! `apgl preferences`: reads or writes whether a person wants Slack notifications, and which.

use apgl_contract::{Category, Email};
use apgl_stores::{Preference, PreferenceField, Preferences, Table, UserProfiles};
use clap::{
    Subcommand, ValueEnum,
    builder::{PossibleValue, PossibleValuesParser, TypedValueParser},
};
use serde_json::json;

use crate::{
    deployment::{Deployment, Target},
    report::{Exit, Failure, Report, STRONG, styled},
    values::{category_named, email},
};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Shows the preferences in a person's profile.
    Get {
        #[arg(value_parser = email)]
        email: Email,
    },
    /// Writes a preference to a person's profile, which must exist: whether they want Slack notifications at all or,
    /// with an option, those of one category or direct messages.
    Set {
        #[arg(value_parser = email)]
        email: Email,
        /// Whether the person wants them. `unset` means the deployment's default for Slack notifications, and on for
        /// a category and for direct messages.
        wanted: Wanted,
        #[command(flatten)]
        part: Part,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Wanted {
    On,
    Off,
    Unset,
}

/// Which preference to write, if not the one for all Slack notifications.
#[derive(Debug, Clone, Copy, clap::Args)]
#[group(multiple = false)]
struct Part {
    /// Writes whether the person wants messages of this category.
    #[arg(long, value_parser = category())]
    category: Option<PreferenceField>,
    /// Writes whether the person wants direct messages.
    #[arg(long)]
    direct: bool,
}

impl Part {
    fn field(self) -> PreferenceField {
        match self.category {
            Some(category) => category,
            None if self.direct => PreferenceField::Direct,
            None => PreferenceField::Slack,
        }
    }
}

/// Parses a category into its field. `critical` has none: it is not among the possible values, but its error says why.
fn category() -> impl TypedValueParser<Value = PreferenceField> {
    let words = Category::ALL.map(|category| {
        let has_field = PreferenceField::of(category).is_some();
        PossibleValue::new(category.as_str()).hide(!has_field)
    });
    PossibleValuesParser::new(words).try_map(|word| {
        category_named(&word)
            .and_then(PreferenceField::of)
            .ok_or("critical messages can only be turned off together with all others")
    })
}

pub async fn run(target: &Target, arguments: Arguments) -> Result<Report, Failure> {
    let deployment = Deployment::of(target).await?;
    let table = deployment.user_profiles_table().await?;
    let dynamodb = aws_sdk_dynamodb::Client::new(&deployment.aws);
    let profiles = UserProfiles::new(Table::new(dynamodb, table));
    match arguments.action {
        Action::Get { email } => get(&profiles, email).await,
        Action::Set {
            email,
            wanted,
            part,
        } => set(&profiles, email, part.field(), wanted).await,
    }
}

async fn get(profiles: &UserProfiles, email: Email) -> Result<Report, Failure> {
    let mut found = profiles
        .preferences(std::slice::from_ref(&email))
        .await
        .map_err(Failure::aws)?;
    let preferences = found.remove(&email).ok_or_else(|| no_profile(&email))?;
    Ok(report(&email, preferences))
}

/// Reports what the profile says after the change.
async fn set(
    profiles: &UserProfiles,
    email: Email,
    field: PreferenceField,
    wanted: Wanted,
) -> Result<Report, Failure> {
    let value = match wanted {
        Wanted::On => Some(true),
        Wanted::Off => Some(false),
        Wanted::Unset => None,
    };
    let written = profiles.set_preference(&email, field, value).await;
    let preferences = written
        .map_err(Failure::aws)?
        .ok_or_else(|| no_profile(&email))?;
    Ok(report(&email, preferences))
}

fn no_profile(email: &Email) -> Failure {
    let email = email.as_str();
    Failure::input(format!(
        "there is no user profile for {email}; profiles are created by the library, not by apgl"
    ))
}

fn report(email: &Email, preferences: Preferences) -> Report {
    let Preferences {
        slack,
        action,
        news,
        bounty,
        direct,
    } = preferences;
    let email = email.as_str();
    let mut lines = vec![
        styled(STRONG, email),
        line("slack", slack, meaning_of_slack(slack)),
    ];
    let parts = [
        ("action", action),
        ("news", news),
        ("bounty", bounty),
        ("direct", direct),
    ];
    lines.extend(parts.map(|(name, part)| line(name, part, meaning_of_part(part))));
    Report {
        text: lines.join("\n"),
        json: json!({
            "email": email,
            "slack": word(slack),
            "categories": { "action": word(action), "news": word(news), "bounty": word(bounty) },
            "direct": word(direct),
        }),
        exit: Exit::Fine,
    }
}

fn line(name: &str, preference: Preference, meaning: &str) -> String {
    format!("  {name:<6}  {:<7}  {meaning}", word(preference))
}

fn word(preference: Preference) -> &'static str {
    match preference {
        Preference::Wanted => "on",
        Preference::Unwanted => "off",
        Preference::Unset => "unset",
        Preference::Invalid => "invalid",
    }
}

fn meaning_of_slack(slack: Preference) -> &'static str {
    match slack {
        Preference::Wanted => "Slack notifications are wanted",
        Preference::Unwanted => "no Slack notifications are wanted, not even critical ones",
        Preference::Unset => "not set; the deployment's default applies",
        Preference::Invalid => "not a boolean; the person gets no Slack notifications",
    }
}

/// What the preference for a category or for direct messages means.
fn meaning_of_part(part: Preference) -> &'static str {
    match part {
        Preference::Wanted => "wanted, if slack is on",
        Preference::Unwanted => "not wanted",
        Preference::Unset => "not set; as slack",
        Preference::Invalid => "not a boolean; the person gets none",
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use rstest::rstest;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        part: Part,
    }

    #[rstest]
    #[case(&[], PreferenceField::Slack)]
    #[case(&["--category", "action"], PreferenceField::Action)]
    #[case(&["--category", "news"], PreferenceField::News)]
    #[case(&["--category", "bounty"], PreferenceField::Bounty)]
    #[case(&["--direct"], PreferenceField::Direct)]
    fn an_option_selects_the_preference_to_write(
        #[case] options: &[&str],
        #[case] expected: PreferenceField,
    ) {
        let line = Line::try_parse_from([&["set"], options].concat()).unwrap();
        assert_eq!(line.part.field(), expected);
    }

    #[test]
    fn each_preference_is_reported() {
        let preferences = Preferences {
            slack: Preference::Unset,
            action: Preference::Wanted,
            news: Preference::Unwanted,
            bounty: Preference::Invalid,
            direct: Preference::Unset,
        };
        let report = report(&email("ana@example.com").unwrap(), preferences);
        let text = anstream::adapter::strip_str(&report.text).to_string();
        insta::assert_snapshot!(text, @"
        ana@example.com
          slack   unset    not set; the deployment's default applies
          action  on       wanted, if slack is on
          news    off      not wanted
          bounty  invalid  not a boolean; the person gets none
          direct  unset    not set; as slack
        ");
        let expected = json!({
            "email": "ana@example.com",
            "slack": "unset",
            "categories": { "action": "on", "news": "off", "bounty": "invalid" },
            "direct": "unset",
        });
        assert_eq!(report.json, expected);
    }
}
