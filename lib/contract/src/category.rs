//! What a notification is about, by which people choose what they get.

use serde::{Deserialize, Serialize};

/// What a notification is about. A profile can turn each off, except `critical`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Category {
    /// Somebody must act.
    #[default]
    Action,
    /// Something happened, and nobody must act.
    News,
    /// A bounty is offered, claimed or awarded.
    Bounty,
    /// Reaches everybody who has not turned Slack notifications off as a whole.
    Critical,
}
