//! Lists come in pages.

use serde::Deserialize;

/// One page of a list. A page may be short or even empty and still have a next one.
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
    /// Slack writes no cursor as an empty one.
    pub fn cursor(metadata: Option<Self>) -> Option<String> {
        let cursor = metadata?.next_cursor;
        (!cursor.is_empty()).then_some(cursor)
    }
}
