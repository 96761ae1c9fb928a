//! Messages: what a caller wants posted.

use std::{fmt, ops::Not};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::{Map, Value, json};

use crate::decode::{MAX_DEPTH, TOO_DEEP, is_deeper, null_as_absent};

/// A message. A caller may also write a plain string, which is the text.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// The text for notifications and screen readers. Without blocks it is the whole message.
    pub text: MessageText,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocks: Option<Blocks>,
    /// The message in whose thread this one is posted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thread_ts: Option<MessageTs>,
    /// Whether Slack shows a preview of the pages that the text links to.
    #[serde(skip_serializing_if = "Not::not")]
    pub unfurl_links: bool,
    /// Whether Slack shows images, videos and sound that the text links to.
    #[serde(skip_serializing_if = "Not::not")]
    pub unfurl_media: bool,
}

impl Message {
    /// Whether the blocks leave a place for mentions.
    pub fn has_place_for_mentions(&self) -> bool {
        let blocks = self.blocks.as_ref().map_or(&[][..], Blocks::as_slice);
        blocks.iter().any(leaves_place_for_mentions)
    }

    /// Defuses broadcast mentions, so that they notify nobody: `<!channel>` becomes `@channel`, which Slack is
    /// told to show as plain text and not to read as a mention.
    #[must_use]
    pub fn without_broadcasts(self) -> Self {
        Self {
            text: MessageText(defused(&self.text.0)),
            blocks: self
                .blocks
                .map(|Blocks(blocks)| Blocks(blocks.into_iter().map(defused_value).collect())),
            ..self
        }
    }
}

impl<'de> Deserialize<'de> for Message {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        struct Fields {
            text: MessageText,
            blocks: Option<Blocks>,
            thread_ts: Option<MessageTs>,
            #[serde(default, deserialize_with = "null_as_absent")]
            unfurl_links: bool,
            #[serde(default, deserialize_with = "null_as_absent")]
            unfurl_media: bool,
        }

        struct TextOrFields;

        impl<'de> Visitor<'de> for TextOrFields {
            type Value = Message;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string, or an object with text")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Message, E> {
                Ok(Message {
                    text: MessageText::try_from(text.to_owned()).map_err(E::custom)?,
                    blocks: None,
                    thread_ts: None,
                    unfurl_links: false,
                    unfurl_media: false,
                })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Message, A::Error> {
                let Fields {
                    text,
                    blocks,
                    thread_ts,
                    unfurl_links,
                    unfurl_media,
                } = Fields::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Message {
                    text,
                    blocks,
                    thread_ts,
                    unfurl_links,
                    unfurl_media,
                })
            }
        }

        deserializer.deserialize_any(TextOrFields)
    }
}

/// 1 to 40,000 characters that are not all white space. Slack truncates longer texts. A request's text without blocks
/// has at most 12,000: Slack shows that much in one message.
///
/// Source: Slack's `chat.postMessage`, "Truncating content". `Debug` shows its size only, so that a
/// message can't get into a log by accident.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct MessageText(String);

impl MessageText {
    pub const MAX_CHARACTERS: usize = 40_000;
    /// As section blocks, with room for Slack's limit of about 13,200 characters in all blocks.
    pub const MAX_WITHOUT_BLOCKS: usize = 12_000;

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for MessageText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({} characters)", self.0.chars().count())
    }
}

impl TryFrom<String> for MessageText {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.trim().is_empty() {
            return Err("must not be empty");
        }
        if text.chars().count() > Self::MAX_CHARACTERS {
            return Err("must have at most 40,000 characters");
        }
        Ok(Self(text))
    }
}

/// 1 to 50 Block Kit blocks, nested at most 32 levels deep. Slack, not this type, validates their content.
///
/// Source: Slack's Block Kit reference, whose blocks are about 10 levels deep. A step can't read JSON with 128
/// levels. `Debug` shows only the number of blocks.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Value>")]
pub struct Blocks(Vec<Value>);

impl Blocks {
    pub const MAX: usize = 50;

    pub fn as_slice(&self) -> &[Value] {
        &self.0
    }
}

impl fmt::Debug for Blocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({} blocks)", self.0.len())
    }
}

impl TryFrom<Vec<Value>> for Blocks {
    type Error = &'static str;

    fn try_from(blocks: Vec<Value>) -> Result<Self, Self::Error> {
        if blocks.is_empty() || blocks.len() > Self::MAX {
            return Err("must contain 1 to 50 blocks");
        }
        if !blocks.iter().all(|block| block["type"].is_string()) {
            return Err("must contain only objects with a `type`");
        }
        if blocks.iter().any(|block| is_deeper(block, MAX_DEPTH)) {
            return Err(TOO_DEEP);
        }
        if blocks.iter().any(misplaces_mentions) {
            return Err("may have the element `mentions` only in a `rich_text_section`");
        }
        Ok(Self(blocks))
    }
}

/// A message's timestamp, which is its id within a channel, for example `1712345678.000200`: at most
/// 32 characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct MessageTs(String);

impl MessageTs {
    pub const MAX_CHARACTERS: usize = 32;

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// When Slack has posted the message, in seconds since the epoch.
    pub fn epoch_seconds(&self) -> u64 {
        let seconds = self.0.split('.').next().unwrap_or_default();
        seconds.parse().unwrap_or(u64::MAX)
    }
}

impl TryFrom<String> for MessageTs {
    type Error = &'static str;

    fn try_from(ts: String) -> Result<Self, Self::Error> {
        let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        match ts.split_once('.') {
            Some((seconds, fraction))
                if is_digits(seconds)
                    && is_digits(fraction)
                    && ts.len() <= Self::MAX_CHARACTERS =>
            {
                Ok(Self(ts))
            }
            _ => Err("must be a message's timestamp such as 1712345678.000200"),
        }
    }
}

/// The element of a `rich_text_section` that stands where the people whom a message addresses are to be mentioned:
/// `{"type": "mentions"}`. It is not Slack's own, so nothing that is only text can become one.
pub fn is_place_for_mentions(element: &Value) -> bool {
    element["type"] == "mentions"
}

/// The elements of a section of rich text; `None` for anything else.
pub fn elements_of_section(block: &Value) -> Option<&Vec<Value>> {
    let is_section = block["type"] == "rich_text_section";
    block["elements"].as_array().filter(|_| is_section)
}

/// Whether this part of a block leaves a place for mentions.
pub fn leaves_place_for_mentions(part: &Value) -> bool {
    let is_in_section = || {
        elements_of_section(part).is_some_and(|elements| elements.iter().any(is_place_for_mentions))
    };
    is_in_section() || parts_of(part).any(leaves_place_for_mentions)
}

/// Whether this part of a block has a place for mentions where Slack allows none.
fn misplaces_mentions(part: &Value) -> bool {
    let is_section = elements_of_section(part).is_some();
    let misplaced = |below: &Value| match below {
        Value::Array(elements) if is_section => elements
            .iter()
            .any(|element| !is_place_for_mentions(element) && misplaces_mentions(element)),
        below => misplaces_mentions(below),
    };
    is_place_for_mentions(part) || parts_of(part).any(misplaced)
}

fn parts_of(value: &Value) -> Box<dyn Iterator<Item = &Value> + '_> {
    match value {
        Value::Array(parts) => Box::new(parts.iter()),
        Value::Object(fields) => Box::new(fields.values()),
        _ => Box::new(std::iter::empty()),
    }
}

/// Mentions that notify everybody. `group` is Slack's older word for `channel`.
const BROADCASTS: [&str; 4] = ["channel", "here", "everyone", "group"];

fn defused(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('<') {
        let (before, mention) = rest.split_at(start);
        out.push_str(before);
        rest = if let Some((name, after)) = broadcast(mention) {
            out.push('@');
            out.push_str(name);
            after
        } else {
            out.push('<');
            &mention[1..]
        };
    }
    out.push_str(rest);
    out
}

/// The name of the broadcast that `mention` starts with (`<!here>`, `<!here|label>`), and the text after it.
/// A mention without an end counts too, because Slack may still find one.
fn broadcast(mention: &str) -> Option<(&'static str, &str)> {
    let inside = past(mention, "<!")?;
    let (name, after) = BROADCASTS
        .iter()
        .find_map(|name| Some((*name, past(inside, name)?)))
        .filter(|(_, after)| !after.starts_with(char::is_alphanumeric))?;
    let is_mention = after
        .trim_start_matches(shows_nothing)
        .starts_with(['>', '|', '^']);
    let label = after
        .split_once(['<', '>'])
        .filter(|(label, _)| is_mention && after[label.len()..].starts_with('>'));
    Some((name, label.map_or(after, |(_, after)| after)))
}

/// The text after `start`, ignoring case and any invisible characters within it.
fn past<'a>(text: &'a str, start: &str) -> Option<&'a str> {
    start.chars().try_fold(text, |rest, expected| {
        rest.trim_start_matches(shows_nothing)
            .strip_prefix(|c: char| c.eq_ignore_ascii_case(&expected))
    })
}

/// Invisible characters. Slack may drop them before it looks for mentions; it does not document which.
pub(crate) fn shows_nothing(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || matches!(c, '\u{AD}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{E0000}'..='\u{E007F}')
}

fn defused_value(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(defused(&text)),
        Value::Array(values) => Value::Array(values.into_iter().map(defused_value).collect()),
        Value::Object(fields) => defused_object(fields),
        other => other,
    }
}

/// In rich text a broadcast is an element of its own: `{"type": "broadcast", "range": "channel"}`. In a
/// mrkdwn text object Slack also looks for "certain mentions" in plain text, unless `verbatim` is set.
///
/// Source: Slack's "Rich text block" and "Text object".
fn defused_object(fields: Map<String, Value>) -> Value {
    let text_of = |field: &str| {
        fields
            .get(field)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let kind = text_of("type");
    if kind == "broadcast" {
        let range = text_of("range");
        let known = BROADCASTS.iter().find(|known| **known == range);
        return json!({ "type": "text", "text": format!("@{}", known.unwrap_or(&"channel")) });
    }
    let is_mrkdwn = kind == "mrkdwn";
    let mut fields: Map<String, Value> = fields
        .into_iter()
        .map(|(key, value)| (key, defused_value(value)))
        .collect();
    if is_mrkdwn
        && fields
            .get("text")
            .and_then(Value::as_str)
            .is_some_and(names_everybody)
    {
        fields.insert("verbatim".to_owned(), json!(true));
    }
    Value::Object(fields)
}

/// Whether the text names everybody without being a mention, such as `@channel`. Slack makes this a mention where it
/// looks for "certain mentions" in plain text.
pub fn names_everybody(text: &str) -> bool {
    text.split('@')
        .skip(1)
        .any(|name| BROADCASTS.iter().any(|known| past(name, known).is_some()))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("hi <!channel>", "hi @channel")]
    #[case("<!here|@here> and <!everyone>!", "@here and @everyone!")]
    #[case("<!HERE>", "@here")]
    #[case("<!group>", "@group")]
    #[case("<!<!channel>", "<!@channel")]
    #[case("<!date^1392734382^{date}|then>", "<!date^1392734382^{date}|then>")]
    #[case("<!subteam^S1>", "<!subteam^S1>")]
    #[case("a < b <! c", "a < b <! c")]
    #[case("<!channel", "@channel")]
    #[case("<!channel|all of <!here>", "@channel|all of @here")]
    #[case("<!here and 3 > 2", "@here and 3 > 2")]
    #[case("<\u{200b}!\0he\nre^x|y>!", "@here!")]
    #[case("<!hereabouts> <!heré>", "<!hereabouts> <!heré>")]
    #[case("<@U1> é", "<@U1> é")]
    fn only_broadcast_mentions_are_defused(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(defused(text), expected);
    }

    #[test]
    fn broadcasts_are_defused_at_any_depth_of_the_blocks() {
        let blocks = json!([{ "type": "section", "text": { "type": "mrkdwn", "text": "<!channel>" } },
            { "type": "rich_text", "elements": [{ "type": "rich_text_section",
                "elements": [{ "type": "broadcast", "range": "here" }] }] }]);
        let message: Message =
            serde_json::from_value(json!({ "text": "x", "blocks": blocks })).unwrap();
        let defused = serde_json::to_value(message.without_broadcasts()).unwrap();
        assert_eq!(defused["blocks"][0]["text"]["text"], "@channel");
        assert_eq!(
            defused["blocks"][1]["elements"][0]["elements"][0],
            json!({ "type": "text", "text": "@here" })
        );
    }

    #[test]
    fn debug_shows_no_text() {
        let message: Message = serde_json::from_value(json!("the secret plan")).unwrap();
        assert!(!format!("{message:?}").contains("secret"));
    }
}
