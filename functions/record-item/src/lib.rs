//! Records an item's new version, unless a newer one is known. Nobody is reminded any more for whom it does not wait now.

use std::time::SystemTime;

use apgl_contract::{Invocation, Item, StepError, item::RecordedItem};
use apgl_stores::{Items, Stored};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

#[derive(Debug)]
pub struct Deps {
    pub items: Items,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    pub item: Item,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    pub item: RecordedItem,
    /// For each person who had been reminded of the former state, how many seconds later the item has moved.
    pub moved_after_seconds: Vec<u64>,
}

pub async fn handle(
    deps: &Deps,
    invocation: &Invocation,
    input: Input,
) -> Result<Outcome, StepError> {
    // A redrive keeps the execution's id.
    let writer = &invocation.run.execution_id;
    let recorded = deps.items.record(&input.item, writer, SystemTime::now());
    let item = recorded.await?;
    let version = input.item.version.get();
    if item.superseded {
        let known = item.version.get();
        tracing::info!(
            item.version = version,
            item.known = known,
            "a version that is not older is known"
        );
        return Ok(Outcome {
            item,
            moved_after_seconds: Vec::new(),
        });
    }
    tracing::info!(item.version = version, "recorded the item");
    let rows = deps.items.waiting(&input.item.id).await?;
    forget_others(deps, &input.item, &rows).await?;
    Ok(Outcome {
        item,
        moved_after_seconds: moved_after(&input.item, &rows, Timestamp::now()),
    })
}

/// Forgets those for whom the item waited in an older version and does not wait now. If it waits for them again, in
/// whatever state, they have been told nothing.
async fn forget_others(deps: &Deps, item: &Item, rows: &[Stored]) -> Result<(), StepError> {
    for row in rows {
        let waiting = &row.waiting;
        let is_older = waiting.version < item.version;
        if is_older && !item.waiting_for.as_slice().contains(&waiting.email) {
            deps.items.forget(&item.id, row).await?;
        }
    }
    Ok(())
}

/// How long after their first reminder the item has moved, for each person who had one.
fn moved_after(item: &Item, rows: &[Stored], now: Timestamp) -> Vec<u64> {
    let moved = rows.iter().map(|row| &row.waiting);
    let moved = moved.filter(|waiting| !waiting.is_current(Some(item)));
    let told = moved.filter_map(|waiting| waiting.told.values().min());
    let seconds = told.map(|told| now.duration_since(*told).as_secs());
    seconds
        .filter_map(|seconds| seconds.try_into().ok())
        .collect()
}
