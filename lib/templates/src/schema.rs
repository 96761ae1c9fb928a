//! JSON Schemas of the types that are validated in code.
//!
//! Some rules are hard to express in JSON Schema (user names in links). Only the code checks them.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::{DueDate, Link, PersonName, Reward, Title};

macro_rules! schema_of {
    ($type:ident, $schema:tt) => {
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

schema_of!(Title, {
    "description": "An article's title: not all white space. It is shown on one line, with at most 150 characters.",
    "type": "string",
    "minLength": 1,
});

schema_of!(PersonName, {
    "description": "The name by which people know somebody: not all white space. It is shown on one line, with at most 80 characters.",
    "type": "string",
    "minLength": 1,
});

schema_of!(Reward, {
    "description": "What the author of an article gets: not all white space. It is shown on one line, with at most 80 characters.",
    "type": "string",
    "minLength": 1,
});

schema_of!(Link, {
    "description": "An https URL without a user name; an & counts as 5 characters.",
    "type": "string",
    "pattern": "^\\s*[hH][tT][tT][pP][sS]://",
    "maxLength": Link::MAX_CHARACTERS,
});

schema_of!(DueDate, {
    "description": "A day of the calendar, for example 2026-11-25.",
    "type": "string",
    "format": "date",
});
