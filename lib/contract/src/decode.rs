//! Reads JSON from outside into a typed value. An error names the field and the rule, and never repeats
//! the value that was sent.

use serde::{
    Deserialize, Deserializer,
    de::{
        DeserializeOwned, Error as _, IntoDeserializer, Unexpected, Visitor,
        value::{MapDeserializer, SeqDeserializer},
    },
    forward_to_deserialize_any,
};
use serde_json::Value;

use crate::surrogates::without_lone_surrogates;

/// A field that breaks a rule. The value that was sent is not repeated, so it is safe to log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {rule}")]
pub struct InvalidField {
    /// The path of the field, for example `members[3]`; `request` stands for the whole request.
    pub field: String,
    pub rule: String,
}

/// The path of the whole request.
const WHOLE: &str = "request";

impl InvalidField {
    pub fn new(field: impl Into<String>, rule: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            rule: rule.into(),
        }
    }

    /// Puts the field's path under `place`, for a value that is nested in another one: `title` becomes
    /// `detail.title`.
    #[must_use]
    pub fn within(self, place: &str) -> Self {
        let field = if self.field == WHOLE {
            place.to_owned()
        } else {
            format!("{place}.{}", self.field)
        };
        Self { field, ..self }
    }
}

/// Reads `value` as a `T`.
///
/// # Errors
/// [`InvalidField`] with the path of the first field that breaks a rule.
pub fn decode<T: DeserializeOwned>(value: Value) -> Result<T, InvalidField> {
    serde_path_to_error::deserialize(Strict(value)).map_err(|error| {
        let path = error.path().to_string();
        let message = error.into_inner().to_string();
        let (name, rule) = field_and_rule(&message);
        InvalidField::new(field_path(&path, name), rule)
    })
}

/// A value of which a struct is read only from an object, and an enum only from a string. `serde_json` also reads a
/// struct from a list of its fields' values, and an enum from an object with one field.
struct Strict(Value);

impl<'de> Deserializer<'de> for Strict {
    type Error = serde_json::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        match self.0 {
            Value::Array(parts) => {
                SeqDeserializer::new(parts.into_iter().map(Strict)).deserialize_any(visitor)
            }
            Value::Object(fields) => {
                let fields = fields
                    .into_iter()
                    .map(|(name, value)| (name, Strict(value)));
                MapDeserializer::new(fields).deserialize_any(visitor)
            }
            other => other.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        if self.0.is_null() {
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        if self.0.is_array() {
            return Err(Self::Error::invalid_type(Unexpected::Seq, &visitor));
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        if !self.0.is_string() {
            return Err(Self::Error::invalid_type(Unexpected::Enum, &"a string"));
        }
        self.0.deserialize_enum(name, variants, visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq
        tuple tuple_struct map identifier ignored_any
    }
}

impl IntoDeserializer<'_, serde_json::Error> for Strict {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// How deep a value of any shape may be nested.
pub(crate) const MAX_DEPTH: usize = 32;
pub(crate) const TOO_DEEP: &str = "must not be nested deeper than 32 levels";

pub(crate) fn is_deeper(value: &Value, levels: usize) -> bool {
    let below = |part| levels == 0 || is_deeper(part, levels - 1);
    match value {
        Value::Array(parts) => parts.iter().any(below),
        Value::Object(fields) => fields.values().any(below),
        _ => false,
    }
}

/// Parses JSON from outside. A lone surrogate, half of an emoji, counts as U+FFFD.
///
/// # Errors
/// `serde_json`'s error, which may quote the text.
pub fn parse<T: DeserializeOwned>(json: &[u8]) -> serde_json::Result<T> {
    serde_json::from_slice(&without_lone_surrogates(json))
}

/// Reads an optional field: `null` counts as absent. Use it with `#[serde(default, deserialize_with = …)]`.
///
/// # Errors
/// The errors of `T`.
pub fn null_as_absent<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// The path of the invalid field; `.` is the request itself. The name of an unknown field is the sender's own
/// text, so it is shown only if it looks like a field name.
fn field_path(path: &str, name: Option<&str>) -> String {
    let looks_like_a_field = |name: &str| {
        !name.is_empty()
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '[' | ']'))
    };
    let is_shown = path == "." || path.len() <= 100 && path.split('.').all(looks_like_a_field);
    if !is_shown {
        return "request (a field whose name is not shown)".to_owned();
    }
    match (path, name) {
        (".", None) => WHOLE.to_owned(),
        (".", Some(name)) => name.to_owned(),
        (path, None) => path.to_owned(),
        // serde_path_to_error already ends an unknown field's path with the field.
        (path, Some(name)) if path == name || path.ends_with(&format!(".{name}")) => {
            path.to_owned()
        }
        (path, Some(name)) => format!("{path}.{name}"),
    }
}

/// Turns serde's message into a rule. Serde's own messages quote the invalid value, which may be a message's
/// text or an address, so only the part that comes from our types is kept.
fn field_and_rule(message: &str) -> (Option<&str>, String) {
    if let Some(field) = quoted_after(message, "missing field ") {
        return (Some(field), "is required".to_owned());
    }
    if let Some(field) = quoted_after(message, "duplicate field ") {
        return (Some(field), "is given twice".to_owned());
    }
    if message.starts_with("unknown field ") {
        let known = message
            .rsplit_once(", expected ")
            .map_or("", |(_, known)| known);
        return (
            None,
            format!(
                "is not a known field; known fields: {}",
                known_fields(known)
            ),
        );
    }
    let quotes_the_value = [
        "invalid type: ",
        "invalid value: ",
        "invalid length ",
        "unknown variant ",
    ]
    .iter()
    .any(|start| message.starts_with(start));
    if quotes_the_value {
        let expected = message
            .rsplit_once(", expected ")
            .map_or("another value", |(_, expected)| expected);
        // serde's words.
        let expected = match expected {
            "a sequence" => "a list",
            "a map" => "an object",
            expected if expected.starts_with("struct ") => "an object",
            expected => expected,
        };
        return (None, format!("must be {expected}"));
    }
    (None, message.to_owned())
}

fn quoted_after<'a>(message: &'a str, start: &str) -> Option<&'a str> {
    message
        .strip_prefix(start)?
        .strip_prefix('`')?
        .split('`')
        .next()
}

fn known_fields(expected: &str) -> &str {
    expected.strip_prefix("one of ").unwrap_or(expected)
}
