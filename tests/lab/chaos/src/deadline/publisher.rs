//! Publishes items' versions: each with an execution of `update-item`, several at the same time.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use apgl_client::Client;
use apgl_contract::{Email, ItemId};
use apgl_stores::{Escalating, Items};
use aws_types::SdkConfig;
use jiff::Timestamp;
use local_stack::{Status, execution::Executions};
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, sleep},
};

use super::{executions::has_failed, script::Version};
use crate::{
    Error,
    caller::{self, Event},
    dice::Dice,
};

/// Of so many executions, most wait for an attempt that was killed or has hung.
const AT_ONCE: usize = 60;
const POLL: Duration = Duration::from_millis(400);
/// An execution that has not succeeded by then never will.
const AT_MOST: Duration = Duration::from_mins(15);

/// A version that was published.
#[derive(Debug)]
pub(crate) struct Done {
    pub version: Version,
    /// The execution.
    pub arn: String,
    /// How often it was redriven.
    pub redriven: usize,
    /// Since when the item waits for whom, as the table says.
    pub waiting_since: BTreeMap<Email, Timestamp>,
    /// What the table says about its escalation.
    pub escalating: Option<Escalating>,
}

#[derive(Debug)]
pub(crate) struct Publisher {
    client: Client,
    executions: Executions,
    items: Items,
    dice: Dice,
    permits: Arc<Semaphore>,
    tasks: JoinSet<Result<Done, Error>>,
    in_flight: Arc<Mutex<BTreeSet<usize>>>,
}

impl Publisher {
    pub fn new(aws: &SdkConfig, items: Items, dice: Dice) -> Result<Self, Error> {
        Ok(Self {
            client: caller::client(aws)?,
            executions: Executions::new(aws),
            items,
            dice,
            permits: Arc::new(Semaphore::new(AT_ONCE)),
            tasks: JoinSet::new(),
            in_flight: Arc::default(),
        })
    }

    /// Starts to publish a version. The item's version before it must be published.
    pub fn publish(&mut self, version: Version, event: Event) {
        let item = version.item;
        in_flight(&self.in_flight).insert(item);
        let (client, executions) = (self.client.clone(), self.executions.clone());
        let (dice, permits) = (self.dice.clone(), self.permits.clone());
        let (items, all) = (self.items.clone(), self.in_flight.clone());
        self.tasks.spawn(async move {
            let permit = permits.acquire().await;
            let arn = caller::start(&client, &event, &dice).await;
            let arn = arn.map_err(|error| Error::Setup(error.to_string()))?;
            let redriven = until_it_succeeds(&executions, &arn).await?;
            let id = ItemId::try_from(version.item_id());
            let id = id.map_err(|error| Error::Setup(error.to_owned()))?;
            let waiting_since = waiting_since(&items, &id).await?;
            let escalating = items.escalating(&id).await?;
            drop(permit);
            in_flight(&all).remove(&item);
            Ok(Done {
                version,
                arn,
                redriven,
                waiting_since,
                escalating,
            })
        });
    }

    pub fn is_publishing(&self, item: usize) -> bool {
        in_flight(&self.in_flight).contains(&item)
    }

    /// How many items are in flight.
    pub fn in_flight(&self) -> usize {
        in_flight(&self.in_flight).len()
    }

    /// Waits until all versions are published.
    pub async fn finish(&mut self) -> Result<Vec<Done>, Error> {
        let mut all = Vec::new();
        while let Some(done) = self.tasks.join_next().await {
            all.push(done.map_err(|error| Error::Setup(error.to_string()))??);
        }
        Ok(all)
    }
}

/// Redrives it each time that it fails, as an operator does. Returns how often.
async fn until_it_succeeds(executions: &Executions, arn: &str) -> Result<usize, Error> {
    let deadline = Instant::now() + AT_MOST;
    let mut redriven = 0;
    while Instant::now() < deadline {
        // A failed poll, which can happen on an overloaded machine, is repeated.
        if let Ok(execution) = executions.describe(arn).await {
            if execution.status == Status::Succeeded {
                return Ok(redriven);
            }
            if has_failed(&execution) {
                executions.redrive(arn).await?;
                redriven += 1;
            }
        }
        sleep(POLL).await;
    }
    Err(Error::Setup(format!("{arn} does not end")))
}

async fn waiting_since(items: &Items, id: &ItemId) -> Result<BTreeMap<Email, Timestamp>, Error> {
    let rows = items.waiting(id).await?.into_iter();
    let since = rows.map(|row| (row.waiting.email, row.waiting.since));
    Ok(since.collect())
}

fn in_flight(items: &Mutex<BTreeSet<usize>>) -> MutexGuard<'_, BTreeSet<usize>> {
    items.lock().unwrap_or_else(PoisonError::into_inner)
}
