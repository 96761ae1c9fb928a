//! Fits a message's text into what Slack shows in one piece.
//!
//! Slack splits a `text` of more than about 4,000 characters into several messages, and repeats it beside blocks:
//! slackapi/java-slack-sdk#704, slackapi/python-slack-sdk#1336. So a longer text becomes section blocks, and what stays
//! in `text`, for notifications, is cut.

use std::{borrow::Cow, ops::Range};

use apgl_contract::{
    Message, Timestamp,
    message::{
        Blocks, MessageText, elements_of_section, is_place_for_mentions, leaves_place_for_mentions,
        names_everybody,
    },
};
use serde_json::{Value, json};

use crate::addressees::Addressees;

/// Slack: "for best results, limit the number of characters in the text field to 4,000 characters".
const LONGEST_TEXT: usize = 4_000;
/// Source: Slack's "Section block", `text`.
const LONGEST_SECTION: usize = 3_000;
/// The characters in all blocks. Slack does not document when it refuses with `msg_blocks_too_long`.
const LONGEST_BLOCKS: usize = 13_000;
const FENCE: &str = "```";
/// The longest entity that stands for a character, `&quot;`.
const LONGEST_ENTITY: usize = 6;

/// What is posted.
#[derive(Debug, PartialEq)]
pub(crate) struct Shown<'a> {
    pub text: Cow<'a, str>,
    pub blocks: Option<Cow<'a, [Value]>>,
}

impl<'a> Shown<'a> {
    /// The people whom the message addresses come first, unless its blocks leave another place for them. If it is
    /// late, the time at which that of which it tells happened comes last.
    pub fn of(message: &'a Message, addressees: &Addressees, late: Option<Timestamp>) -> Self {
        let text = message.text.as_str();
        let late = late.map(delayed);
        if let Some(blocks) = &message.blocks {
            let blocks = with_additions(blocks, addressees, late.as_deref());
            return Self {
                text: cut(between(addressees.mrkdwn(), text, late)),
                blocks: Some(blocks),
            };
        }
        let characters = text.chars().count();
        let text = between(addressees.mrkdwn(), text, late);
        // A longer text is from an execution that an earlier release has started.
        if text.chars().count() <= LONGEST_TEXT || characters > MessageText::MAX_WITHOUT_BLOCKS {
            return Self { text, blocks: None };
        }
        Self {
            blocks: Some(sections(&text).into()),
            text: cut(text),
        }
    }
}

/// The text between these lines, if there are any.
fn between(first: Option<String>, text: &str, last: Option<String>) -> Cow<'_, str> {
    if first.is_none() && last.is_none() {
        return text.into();
    }
    let lines = [first, Some(text.to_owned()), last];
    let lines: Vec<String> = lines.into_iter().flatten().collect();
    lines.join("\n").into()
}

/// When that of which a late message tells happened, in the reader's own time zone.
///
/// Source: Slack's "Formatting text for app surfaces", "Date formatting".
fn delayed(occurred_at: Timestamp) -> String {
    let (seconds, words) = (occurred_at.epoch_seconds(), occurred_at.in_words());
    format!("<!date^{seconds}^{{date_short}}, {{time}}|{words}>, delayed")
}

/// The caller's blocks, with the people whom the message addresses, and with a last line if there is room for it.
fn with_additions<'a>(
    blocks: &'a Blocks,
    addressees: &Addressees,
    last_line: Option<&str>,
) -> Cow<'a, [Value]> {
    let blocks = blocks.as_slice();
    let people = addressees.elements();
    let has_place = blocks.iter().any(leaves_place_for_mentions);
    if people.is_empty() && !has_place && last_line.is_none() {
        return blocks.into();
    }
    let mut all = Vec::with_capacity(blocks.len() + 2);
    if !people.is_empty() && !has_place {
        let section = json!({ "type": "rich_text_section", "elements": people });
        all.push(json!({ "type": "rich_text", "elements": [section] }));
    }
    all.extend(blocks.iter().cloned());
    for block in &mut all {
        put_mentions(block, &people);
    }
    if let Some(line) = last_line {
        let line = json!({ "type": "mrkdwn", "text": line });
        all.push(json!({ "type": "context", "elements": [line] }));
        if all.len() > Blocks::MAX || json!(all).to_string().chars().count() > LONGEST_BLOCKS {
            all.pop();
        }
    }
    all.into()
}

/// Puts the people where this part of the blocks leaves a place for them.
fn put_mentions(part: &mut Value, people: &[Value]) {
    if let Some(elements) = elements_of_section(part) {
        let elements = elements.iter().flat_map(|element| {
            if is_place_for_mentions(element) {
                people.to_vec()
            } else {
                vec![element.clone()]
            }
        });
        let mut elements: Vec<Value> = elements.collect();
        if elements.is_empty() {
            // A section without elements may be refused.
            elements.push(json!({ "type": "text", "text": " " }));
        }
        part["elements"] = json!(elements);
        return;
    }
    match part {
        Value::Array(parts) => parts.iter_mut().for_each(|part| put_mentions(part, people)),
        Value::Object(fields) => fields
            .values_mut()
            .for_each(|part| put_mentions(part, people)),
        _ => {}
    }
}

/// The text as section blocks.
fn sections(text: &str) -> Vec<Value> {
    let section = |part: String| {
        let mut text = json!({ "type": "mrkdwn", "text": part });
        if names_everybody(&part) {
            // In blocks, unlike in `text`, Slack looks for mentions in plain text.
            text["verbatim"] = json!(true);
        }
        // Otherwise Slack hides most of it behind "See more".
        json!({ "type": "section", "text": text, "expand": true })
    };
    split(text, LONGEST_SECTION)
        .into_iter()
        .map(section)
        .collect()
}

/// The beginning of a text that is too long, up to the end of a word.
fn cut(text: Cow<'_, str>) -> Cow<'_, str> {
    let Some(end) = end_of(&text, LONGEST_TEXT) else {
        return text;
    };
    // Room for the ellipsis.
    let end = text[..end]
        .char_indices()
        .next_back()
        .map_or(0, |(at, _)| at);
    let word = ends_of_words(&text, end).rfind(|at| !is_in_token(&text, *at));
    let start = &text[..word.unwrap_or_else(|| anywhere(&text, end))];
    format!("{}…", start.trim_end()).into()
}

/// Splits a text into parts of at most `limit` characters: at the end of a paragraph, otherwise of a line, otherwise of
/// a word. A code block stays whole if it fits; otherwise each of its parts is a code block.
fn split(text: &str, limit: usize) -> Vec<String> {
    let mut rest = Cow::Owned(text.replace("\r\n", "\n"));
    let mut parts = Vec::new();
    while let Some(end) = end_of(&rest, limit) {
        let code = code_blocks(&rest);
        let (part, left) = match place_to_split(&rest, end, &code) {
            Some(at) => (rest[..at].to_owned(), rest[at..].to_owned()),
            None => split_code(&rest, end),
        };
        parts.push(part);
        rest = Cow::Owned(left.trim_start().to_owned());
    }
    parts.push(rest.into_owned());
    let trimmed = parts.iter().map(|part| part.trim_end().to_owned());
    trimmed.filter(|part| !part.trim().is_empty()).collect()
}

/// The last place up to `end` at which the text may be split; `None` if a code block fills all of it.
fn place_to_split(text: &str, end: usize, code: &[Range<usize>]) -> Option<usize> {
    let is_outside = |at: &usize| !code.iter().any(|code| code.start < *at && *at < code.end);
    let places = |separator: &'static str| {
        let found =
            text[..text.floor_char_boundary(end + separator.len())].rmatch_indices(separator);
        found.map(|(at, _)| at).filter(|at| *at > 0)
    };
    let mut edges = code.iter().flat_map(|code| [code.start, code.end]);
    let edge = edges.rfind(|at| (1..=end).contains(at));
    let line = places("\n").find(is_outside);
    let paragraph = places("\n\n").find(is_outside);
    if let Some(at) = paragraph.or(line.max(edge)) {
        return Some(at);
    }
    if code
        .first()
        .is_some_and(|code| code.start == 0 && code.end > end)
    {
        return None;
    }
    let word = ends_of_words(text, end).rfind(|at| is_outside(at) && !is_in_token(text, *at));
    Some(word.unwrap_or_else(|| anywhere(text, end)))
}

/// Splits a code block that is too long: closes it at the end of a line, and opens it again.
fn split_code(text: &str, end: usize) -> (String, String) {
    let room = text[..end].char_indices().rev().nth(FENCE.len());
    let end = room.map_or(end, |(at, _)| at);
    let line = text[FENCE.len()..end].rfind('\n').filter(|at| *at > 0);
    let at = line.map_or_else(|| anywhere(text, end), |at| at + FENCE.len());
    let left = text[at..].strip_prefix('\n').unwrap_or(&text[at..]);
    let part = format!("{}\n{FENCE}", &text[..at]);
    (part, format!("{FENCE}\n{left}"))
}

/// The code blocks, with their fences. A fence without an end is plain text.
fn code_blocks(text: &str) -> Vec<Range<usize>> {
    let fences: Vec<usize> = text.match_indices(FENCE).map(|(at, _)| at).collect();
    let pairs = fences.chunks_exact(2);
    pairs.map(|pair| pair[0]..pair[1] + FENCE.len()).collect()
}

/// Where the text has more than `limit` characters: the place after the last of them.
fn end_of(text: &str, limit: usize) -> Option<usize> {
    text.char_indices().nth(limit).map(|(at, _)| at)
}

fn ends_of_words(text: &str, end: usize) -> impl DoubleEndedIterator<Item = usize> {
    let next = text[end..].chars().next().map_or(0, char::len_utf8);
    let spaces = text[..end + next].match_indices(char::is_whitespace);
    spaces.map(|(at, _)| at).filter(|at| *at > 0)
}

/// Whether the place is within a link or a mention, such as `<https://example.com|a label>`.
fn is_in_token(text: &str, at: usize) -> bool {
    start_of_token(text, at).is_some()
}

fn start_of_token(text: &str, at: usize) -> Option<usize> {
    let start = text[..at].rfind(['<', '>', '\n'])?;
    let is_open = text[start..].starts_with('<');
    // Without an end it is plain text, but `<!` can still become a mention if what follows is cut off.
    let after = &text[at..];
    let is_closed = after.find(['<', '>', '\n']).map(|end| &after[end..=end]) == Some(">");
    let may_be_mention = text[start..].starts_with("<!");
    (is_open && (is_closed || may_be_mention)).then_some(start)
}

/// A place up to `end` that is within no link, mention or entity such as `&amp;`, if there is one.
fn anywhere(text: &str, end: usize) -> usize {
    let in_entity = text[..end].rfind('&').filter(|start| {
        let entity = text.get(*start..).unwrap_or_default();
        let length = entity.find(';').map_or(0, |length| length + 1);
        (end - start + 1..=LONGEST_ENTITY).contains(&length)
    });
    let in_token = start_of_token(text, end).filter(|at| *at > 0);
    in_token.or(in_entity).unwrap_or(end)
}

#[cfg(test)]
mod tests;
