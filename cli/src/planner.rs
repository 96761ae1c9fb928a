//! What the deployment plans reminders with: the items, the settings and the calendar.

use std::collections::HashMap;

use apgl_reminders::read_settings;
use apgl_stores::{Calendar, Items, Planner, Table};
use aws_sdk_dynamodb::Client;

use crate::{deployment::Deployment, report::Failure};

/// One of the steps that plan reminders. All of them have the same settings.
const STEP: &str = "find-reminder";

impl Deployment {
    /// The planner as the functions have it.
    pub async fn planner(&self) -> Result<Planner, Failure> {
        let environment = self.environment_of(STEP).await?;
        let planner = planner(environment, Client::new(&self.aws));
        planner.map_err(|(variable, why)| {
            Failure::aws(format!(
                "the function {}-{STEP} has a {variable} that {why}: deploy again, and use the apgl of that version",
                self.prefix
            ))
        })
    }
}

/// # Errors
/// The environment variable that is wrong, and why.
fn planner(
    mut environment: HashMap<String, String>,
    dynamodb: Client,
) -> Result<Planner, (&'static str, String)> {
    let mut setting = |name: &str| environment.remove(name).filter(|value| !value.is_empty());
    let table = setting("ITEMS_TABLE");
    let table = table.ok_or(("ITEMS_TABLE", "is not set".to_owned()))?;
    let items = Items::new(Table::new(dynamodb, table));
    let reminders = setting("REMINDERS").unwrap_or_else(|| "{}".to_owned());
    let reminders = read_settings(&reminders);
    let calendar = Calendar::named(setting("CALENDAR").as_deref(), &items);
    let calendar = calendar.ok_or(("CALENDAR", "is neither system nor stored".to_owned()))?;
    Ok(Planner {
        reminders: reminders.map_err(|error| ("REMINDERS", format!("is not valid ({error})")))?,
        calendar,
        items,
    })
}

#[cfg(test)]
mod tests {
    use aws_smithy_http_client::test_util::StaticReplayClient;
    use rstest::rstest;

    use super::*;

    fn of(environment: &[(&str, &str)]) -> Result<Planner, (&'static str, String)> {
        let environment = environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let nothing = StaticReplayClient::new(Vec::new());
        let dynamodb = Client::new(&fake_aws::config(nothing));
        planner(environment.collect(), dynamodb)
    }

    #[test]
    fn the_settings_and_the_calendar_are_those_of_the_function() {
        let table = ("ITEMS_TABLE", "apgl-items");
        let bare = of(&[table]).unwrap();
        assert_eq!(bare.default_zone(), "UTC");
        assert!(matches!(bare.calendar, Calendar::System));
        let settings = ("REMINDERS", r#"{"timeZone":"Europe/Berlin"}"#);
        let local = of(&[table, settings, ("CALENDAR", "stored")]).unwrap();
        assert_eq!(local.default_zone(), "Europe/Berlin");
        assert!(matches!(local.calendar, Calendar::Stored(_)));
    }

    #[rstest]
    #[case(&[], "ITEMS_TABLE", "is not set")]
    #[case(&[("ITEMS_TABLE", "t"), ("CALENDAR", "moon")], "CALENDAR", "is neither system nor stored")]
    #[case(&[("ITEMS_TABLE", "t"), ("REMINDERS", "{")], "REMINDERS", "is not valid (reminders: must be JSON)")]
    fn the_variable_that_is_wrong_is_named(
        #[case] environment: &[(&str, &str)],
        #[case] variable: &str,
        #[case] why: &str,
    ) {
        assert_eq!(of(environment).unwrap_err(), (variable, why.to_owned()));
    }
}
