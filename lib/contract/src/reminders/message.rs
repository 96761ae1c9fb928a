//! What an execution of `remind` sends.

use serde::{Deserialize, Serialize};

use crate::{ItemId, notice::SequenceNumber, reminders::Stage};

/// Which of a day's messages to a person.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Part {
    /// Everything that is due.
    #[default]
    First,
    /// What is due by now and can't wait until the next working day, after the first one was sent.
    Second,
}

/// An item of which a person was reminded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(deny_unknown_fields)
)]
#[non_exhaustive]
pub struct RemindedOf {
    pub item_id: ItemId,
    /// The version in which the item was then.
    pub version: SequenceNumber,
    /// The stage of the reminder: due-3d, due-24h, due, overdue-1 or quiet-1, for example.
    pub stage: Stage,
}

impl RemindedOf {
    pub fn new(item_id: ItemId, version: SequenceNumber, stage: Stage) -> Self {
        Self {
            item_id,
            version,
            stage,
        }
    }
}
