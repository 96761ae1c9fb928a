//! Callers that start an event twice, or die when they have started it.

use std::time::Duration;

use apgl_client::{Client, StartError};
use local_stack::execution::state_machine_arn;
use tokio::time::sleep;

use crate::{
    dice::{Dice, Seam},
    notifications::Notification,
};

const KINDS: [(&str, u32); 2] = [("starts twice at once", 1), ("dies and starts again", 1)];
const LATEST_DEATH_MILLIS: u64 = 30;
const PAUSE: Duration = Duration::from_millis(200);
const TRIES: usize = 25;

/// Starts the event's execution, as a caller does who may be mistaken about whether it has, and
/// answers the execution's ARN.
pub async fn start(
    client: &Client,
    notification: &Notification,
    dice: &Dice,
) -> Result<String, StartError> {
    match dice.roll(Seam::Caller, &KINDS) {
        None => persistently(client, notification).await,
        Some(("starts twice at once", _)) => {
            let (first, second) = tokio::join!(
                persistently(client, notification),
                persistently(client, notification)
            );
            second.and(first)
        }
        Some((_, mut rng)) => {
            let (its_client, its_notification) = (client.clone(), notification.clone());
            let caller =
                tokio::spawn(async move { once(&its_client, &its_notification).await.map(drop) });
            sleep(Duration::from_millis(rng.u64(..LATEST_DEATH_MILLIS))).await;
            caller.abort();
            sleep(PAUSE).await;
            persistently(client, notification).await
        }
    }
}

/// To start an event again is safe, so a caller does until it knows that it has started.
async fn persistently(client: &Client, notification: &Notification) -> Result<String, StartError> {
    let mut tried = 1;
    loop {
        match once(client, notification).await {
            Err(StartError::StepFunctions { .. }) if tried < TRIES => {
                tried += 1;
                sleep(PAUSE).await;
            }
            result => return result,
        }
    }
}

async fn once(client: &Client, notification: &Notification) -> Result<String, StartError> {
    let machine = state_machine_arn(notification.workflow);
    let started = client
        .start(&machine, &notification.execution, &notification.request)
        .await?;
    Ok(started.execution_arn)
}
