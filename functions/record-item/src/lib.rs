//! Records an item's new version, unless a newer one is known.

use std::time::SystemTime;

use apgl_contract::{Invocation, Item, StepError, item::RecordedItem};
use apgl_stores::Items;
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
pub struct Outcome {
    pub item: RecordedItem,
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
    } else {
        tracing::info!(item.version = version, "recorded the item");
    }
    Ok(Outcome { item })
}
