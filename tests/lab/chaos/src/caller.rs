//! Callers that start an event twice, or die after starting it.

use std::time::Duration;

use apgl_client::{Client, Operation, StartError, StateMachines};
use aws_types::SdkConfig;
use local_stack::execution::state_machines;
use serde_json::Value;
use tokio::time::sleep;

use crate::{
    Error,
    dice::{Dice, Seam},
};

const KINDS: [(&str, u32); 2] = [("starts twice at once", 1), ("dies and starts again", 1)];
const LATEST_DEATH_MILLIS: u64 = 30;
const PAUSE: Duration = Duration::from_millis(200);
const TRIES: usize = 25;

/// What a caller asks for.
#[derive(Debug, Clone)]
pub struct Event {
    pub operation: Operation,
    pub key: String,
    pub request: Value,
}

/// The client that every caller uses.
pub fn client(aws: &SdkConfig) -> Result<Client, Error> {
    let machines = StateMachines::starting_with(&state_machines()).unwrap_or_default();
    Client::new(aws_sdk_sfn::Client::new(aws), machines, "chaos")
        .map_err(|error| Error::Setup(error.to_string()))
}

/// Starts the event's execution like a caller that may not know whether it has already done so. Returns the
/// execution's ARN.
pub async fn start(client: &Client, event: &Event, dice: &Dice) -> Result<String, StartError> {
    match dice.roll(Seam::Caller, &KINDS) {
        None => persistently(client, event).await,
        Some(("starts twice at once", _)) => {
            let (first, second) =
                tokio::join!(persistently(client, event), persistently(client, event));
            second.and(first)
        }
        Some((_, mut rng)) => {
            let (its_client, its_event) = (client.clone(), event.clone());
            let caller = tokio::spawn(async move { once(&its_client, &its_event).await.map(drop) });
            sleep(Duration::from_millis(rng.u64(..LATEST_DEATH_MILLIS))).await;
            caller.abort();
            sleep(PAUSE).await;
            persistently(client, event).await
        }
    }
}

/// Starting an event again is safe, so a caller retries until it knows that the execution has started.
async fn persistently(client: &Client, event: &Event) -> Result<String, StartError> {
    let mut tried = 1;
    loop {
        match once(client, event).await {
            Err(StartError::Unavailable { .. } | StartError::Refused { .. }) if tried < TRIES => {
                tried += 1;
                sleep(PAUSE).await;
            }
            result => return result,
        }
    }
}

async fn once(client: &Client, event: &Event) -> Result<String, StartError> {
    let Event {
        operation,
        key,
        request,
    } = event;
    let execution = client.start(*operation, key, request).await?;
    Ok(execution.arn().to_owned())
}
