//! The message that reminds a person.

use apgl_contract::{Item, mrkdwn::escaped, reminders::Stage};
use apgl_delivery::rich_text::{date, date_in_text, plain, section, title};
use apgl_stores::BundleContent;
use jiff::Timestamp;
use serde_json::{Value, json};

/// Slack splits a longer text into several messages. What does not fit is in the blocks.
const LONGEST_TEXT: usize = 4_000;
/// More items than this are counted instead of shown: the blocks must fit into one message.
const MOST_SHOWN: usize = 20;

/// An item of which the message reminds.
pub(crate) struct Line<'a> {
    pub item: &'a Item,
    pub stage: Stage,
    /// Since when the item waits for the person.
    pub since: Timestamp,
}

/// The message for these items, which are in the order of their urgency.
pub(crate) fn content(lines: &[Line<'_>]) -> BundleContent {
    let shown = &lines[..lines.len().min(MOST_SHOWN)];
    let headline = match lines.len() {
        1 => "An item waits for you".to_owned(),
        items => format!("{items} items wait for you"),
    };
    let mut items: Vec<Value> = shown.iter().map(|line| section(&elements(line))).collect();
    let others = lines.len() - shown.len();
    if others > 0 {
        items.push(section(&[plain(&format!("and {others} more"))]));
    }
    let list = json!({ "type": "rich_text_list", "style": "bullet", "elements": items });
    BundleContent {
        text: text(&headline, shown),
        blocks: vec![
            json!({ "type": "header", "text": { "type": "plain_text", "text": headline } }),
            json!({ "type": "rich_text", "elements": [list] }),
        ],
    }
}

fn text(headline: &str, lines: &[Line<'_>]) -> String {
    let mut text = headline.to_owned();
    let mut separator = ": ";
    for Line { item, stage, since } in lines {
        let title = escaped(item.title.as_str());
        let (before, at, after) = when(item, *stage, *since);
        let date = date_in_text(at, "{date_short}");
        let shown = format!("{separator}{title} ({before}{date}{after})");
        if text.chars().count() + shown.chars().count() > LONGEST_TEXT {
            break;
        }
        text.push_str(&shown);
        separator = ", ";
    }
    text
}

fn elements(line: &Line<'_>) -> Vec<Value> {
    let Line { item, stage, since } = line;
    let (before, at, after) = when(item, *stage, *since);
    let state = format!(" · {} · {before}", item.state.in_words());
    let next_step = item.next_step.as_ref();
    let after = next_step.map_or(after.to_owned(), |step| {
        format!("{after}\n{}", step.as_str())
    });
    let mut elements = vec![title(item), plain(&state), date(at, "{date_long}")];
    if !after.is_empty() {
        elements.push(plain(&after));
    }
    elements
}

/// What the reader is told about the time: text, an instant in seconds since the epoch, and text.
fn when(item: &Item, stage: Stage, since: Timestamp) -> (&'static str, i64, &'static str) {
    let Some(due) = item.due_date else {
        return ("waiting since ", since.as_second(), "");
    };
    let after = match stage {
        Stage::Overdue(_) => ", overdue",
        Stage::Due => ", today",
        Stage::Before(_) | Stage::Quiet(_) => "",
    };
    ("due ", due.epoch_seconds(), after)
}
