//! Pages of lists.

use serde::Deserialize;

/// One page of a list. Even a short or empty page may be followed by another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// `None` on the last page.
    pub next_cursor: Option<String>,
}

#[derive(Deserialize, Default)]
pub(crate) struct ResponseMetadata {
    #[serde(default)]
    next_cursor: String,
}

impl ResponseMetadata {
    /// Slack returns an empty cursor if there is no next page.
    pub fn cursor(metadata: Option<Self>) -> Option<String> {
        let cursor = metadata?.next_cursor;
        (!cursor.is_empty()).then_some(cursor)
    }
}
