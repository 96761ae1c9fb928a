//! Pages of lists.

use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::value::RawValue;

/// One page of a list. Even a short or empty page may be followed by another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// How many entries were left out because they can't be read.
    pub unreadable: usize,
    /// `None` on the last page.
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    pub(crate) fn of(
        method: &'static str,
        entries: Entries<T>,
        metadata: Option<ResponseMetadata>,
    ) -> Self {
        Self {
            unreadable: entries.unreadable,
            items: entries.readable(method),
            next_cursor: ResponseMetadata::cursor(metadata),
        }
    }
}

/// The entries of a list in a response. One that does not have the documented shape is left out, so that it does not
/// make the others unreadable.
pub(crate) struct Entries<T> {
    pub items: Vec<T>,
    pub unreadable: usize,
}

impl<T> Entries<T> {
    /// The readable entries. Logs how many were left out.
    pub fn readable(self, method: &'static str) -> Vec<T> {
        if self.unreadable > 0 {
            tracing::warn!(
                slack.method = method,
                slack.unreadable = self.unreadable,
                "left out entries of Slack's response that can't be read"
            );
        }
        self.items
    }
}

impl<T> Default for Entries<T> {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            unreadable: 0,
        }
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Entries<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let entries = Vec::<Box<RawValue>>::deserialize(deserializer)?;
        let all = entries.len();
        let items: Vec<T> = entries
            .iter()
            .filter_map(|entry| serde_json::from_str(entry.get()).ok())
            .collect();
        Ok(Self {
            unreadable: all - items.len(),
            items,
        })
    }
}

/// Reads a field without which the rest of its entry is still of use: a value of another shape counts as absent.
pub(crate) fn if_readable<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + DeserializeOwned,
{
    let value = Box::<RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str(value.get()).unwrap_or_default())
}

#[derive(Deserialize, Default)]
pub(crate) struct ResponseMetadata {
    #[serde(default)]
    next_cursor: Option<String>,
    #[serde(default, deserialize_with = "if_readable")]
    pub messages: Vec<String>,
}

impl ResponseMetadata {
    /// Slack returns an empty cursor if there is no next page.
    pub fn cursor(metadata: Option<Self>) -> Option<String> {
        metadata?.next_cursor.filter(|cursor| !cursor.is_empty())
    }
}
