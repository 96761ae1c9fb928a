//! Some people who can receive a first notification, and the channel for bounties.

use serde_json::Value;
use slack_sandbox::{Seed, seed::ChannelSeed, workspace::User};

use crate::{
    Error, LocalStack,
    stack::{BOUNTY_CHANNEL, put_profile},
};

/// Writes the people's profiles. If the sandbox is used, also adds the people and the channel to it.
pub async fn seed(stack: &LocalStack) -> Result<(), Error> {
    let people: Vec<Value> = serde_json::from_str(include_str!("../demo/people.json"))
        .map_err(|error| Error::Setup(format!("demo/people.json: {error}")))?;
    let text = |person: &Value, field: &str| person[field].as_str().unwrap_or_default().to_owned();
    for person in &people {
        let wants_slack = person["slack"].as_bool();
        put_profile(
            &stack.aws,
            stack.user_profiles_table(),
            &text(person, "email"),
            wants_slack,
        )
        .await?;
    }
    if let Some(sandbox) = stack.sandbox() {
        let users = people
            .iter()
            .filter(|person| person["inSlack"] != false)
            .map(|person| User {
                name: text(person, "name"),
                email: Some(text(person, "email")),
                ..User::default()
            })
            .collect();
        sandbox
            .seed(&Seed {
                users,
                channels: vec![ChannelSeed {
                    name: BOUNTY_CHANNEL.to_owned(),
                    ..ChannelSeed::default()
                }],
                ..Seed::default()
            })
            .await?;
    }
    Ok(())
}
