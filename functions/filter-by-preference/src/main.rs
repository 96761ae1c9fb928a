use std::process::ExitCode;

use apgl_runtime::{StartError, aws_config, flag, run, setting};
use apgl_stores::{Table, UserProfiles};
use aws_sdk_dynamodb::Client;
use filter_by_preference::{Deps, handle};

fn deps() -> Result<Deps, StartError> {
    let table = Table::new(Client::new(&aws_config()?), setting("USER_PROFILES_TABLE")?);
    Ok(Deps {
        profiles: UserProfiles::new(table),
        wanted_by_default: flag("DEFAULT_SLACK_PREFERENCE")?,
    })
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    run("FilterByPreference", deps, async |deps, _, input| {
        handle(deps, input).await
    })
    .await
}
