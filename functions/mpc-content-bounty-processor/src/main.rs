use std::{process::ExitCode, time::Duration};

use apgl_client::Client;
use apgl_contract::ChannelName;
use apgl_runtime::{SettingError, SetupError, serve, setting};
use mpc_content_bounty_processor::{Deps, handle};

const CHANNEL: &str = "BOUNTY_CHANNEL";
/// The item and the message are started one after the other, both within the function's 20 seconds.
const BUDGET: Duration = Duration::from_secs(8);

fn deps() -> Result<Deps, SetupError> {
    let channel = ChannelName::try_from(setting(CHANNEL)?);
    let channel = channel.map_err(|rule| SettingError::Bad {
        name: CHANNEL,
        rule,
    })?;
    let client =
        Client::from_env("mpc-bounty").map_err(|error| SetupError::Client(error.into()))?;
    Ok(Deps {
        client: client.with_budget(BUDGET),
        channel,
    })
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    serve("MpcContentBountyProcessor", deps, async |deps, event| {
        handle(deps, event.payload).await
    })
    .await
}
