//! Elements of Slack's rich text blocks that several messages have.
//!
//! Source: Slack's "Rich text block".

use apgl_contract::Item;
use jiff::Timestamp;
use serde_json::{Value, json};

pub fn section(elements: &[Value]) -> Value {
    json!({ "type": "rich_text_section", "elements": elements })
}

pub fn plain(text: &str) -> Value {
    json!({ "type": "text", "text": text })
}

pub fn bold(text: &str) -> Value {
    json!({ "type": "text", "text": text, "style": { "bold": true } })
}

/// An item's title, with its link if it has one.
pub fn title(item: &Item) -> Value {
    match &item.link {
        Some(link) => json!({
            "type": "link", "url": link.as_str(), "text": item.title.as_str(), "style": { "bold": true },
        }),
        None => bold(item.title.as_str()),
    }
}

/// A moment in seconds since the epoch, which Slack shows in the reader's time zone.
pub fn date(at: i64, format: &str) -> Value {
    json!({ "type": "date", "timestamp": at, "format": format, "fallback": day(at) })
}

/// The same for a text in mrkdwn. Source: Slack's "Formatting text for app surfaces", "Date formatting".
pub fn date_in_text(at: i64, format: &str) -> String {
    format!("<!date^{at}^{format}|{}>", day(at))
}

/// The day in UTC, for a client that can't show dates.
fn day(at: i64) -> String {
    let at = Timestamp::from_second(at).unwrap_or_default();
    at.strftime("%-d %B %Y").to_string()
}
