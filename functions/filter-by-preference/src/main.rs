use std::process::ExitCode;

use apgl_runtime::{SetupError, aws_config, flag, run};
use apgl_stores::UserProfiles;
use filter_by_preference::{Deps, handle};

fn deps() -> Result<Deps, SetupError> {
    Ok(Deps {
        profiles: UserProfiles::from_env(&aws_config()?)?,
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
