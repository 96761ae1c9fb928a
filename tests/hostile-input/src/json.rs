//! Arbitrary JSON, and JSON that is nearly valid input.

use proptest::{
    collection::{btree_map, vec},
    prelude::*,
    sample::{Index, select},
};
use serde_json::{Map, Value};

use crate::text;

/// Field names that have a meaning somewhere.
const NAMES: [&str; 10] = [
    "type", "text", "id", "ok", "error", "body", "message", "range", "elements", "",
];

/// Any JSON.
pub fn anything() -> impl Strategy<Value = Value> + Clone {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 48, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            btree_map(name(), inner, 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn name() -> impl Strategy<Value = String> + Clone {
    prop_oneof![select(&NAMES[..]).prop_map(str::to_owned), text()]
}

/// `valid` with some of its parts removed, replaced, added, repeated or nested deeper.
pub fn mutated(valid: Value) -> impl Strategy<Value = Value> {
    vec((any::<Index>(), change()), 1..4).prop_map(move |changes| {
        let mut value = valid.clone();
        for (place, change) in changes {
            let places = places(&value);
            change.apply(&mut value, place.get(&places).as_str());
        }
        value
    })
}

/// `value` nested `depth` lists and objects deep.
pub fn nested(value: Value, depth: usize) -> Value {
    (0..depth).fold(value, |inner, level| {
        if level % 2 == 0 {
            Value::Array(vec![inner])
        } else {
            Map::from_iter([("text".to_owned(), inner)]).into()
        }
    })
}

#[derive(Debug, Clone)]
enum Change {
    LeaveOut,
    Replace(Value),
    Add(String, Value),
    Repeat(usize),
    Bury(usize),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        2 => Just(Change::LeaveOut),
        4 => anything().prop_map(Change::Replace),
        4 => text().prop_map(|text| Change::Replace(text.into())),
        2 => (name(), anything()).prop_map(|(name, value)| Change::Add(name, value)),
        1 => (2..3_000_usize).prop_map(Change::Repeat),
        1 => (1..130_usize).prop_map(Change::Bury),
    ]
}

impl Change {
    fn apply(self, whole: &mut Value, place: &str) {
        if let Self::LeaveOut = self {
            leave_out(whole, place);
            return;
        }
        let Some(part) = whole.pointer_mut(place) else {
            return;
        };
        match (self, part) {
            (Self::Replace(value), part) => *part = value,
            (Self::Add(name, value), Value::Object(fields)) => {
                fields.insert(name, value);
            }
            (Self::Add(_, value), Value::Array(values)) => values.push(value),
            (Self::Repeat(times), Value::Array(values)) => {
                let count = values.len() * times.min(3_000 / values.len().max(1));
                *values = values.iter().cloned().cycle().take(count).collect();
            }
            (Self::Repeat(times), Value::String(text)) => {
                *text = text.repeat(times.min(200_000 / text.len().max(1)));
            }
            (Self::Bury(depth), part) => *part = nested(part.take(), depth),
            (Self::LeaveOut | Self::Add(..) | Self::Repeat(_), _) => {}
        }
    }
}

fn leave_out(whole: &mut Value, place: &str) {
    let Some((parent, name)) = place.rsplit_once('/') else {
        return;
    };
    match whole.pointer_mut(parent) {
        Some(Value::Object(fields)) => {
            fields.remove(&name.replace("~1", "/").replace("~0", "~"));
        }
        Some(Value::Array(values)) => {
            if let Ok(n) = name.parse::<usize>()
                && n < values.len()
            {
                values.remove(n);
            }
        }
        _ => {}
    }
}

/// The JSON pointers of the value and of all its parts.
fn places(value: &Value) -> Vec<String> {
    let mut found = vec![String::new()];
    let mut below = |name: &str, part: &Value| {
        let name = name.replace('~', "~0").replace('/', "~1");
        found.extend(
            places(part)
                .into_iter()
                .map(|place| format!("/{name}{place}")),
        );
    };
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, part)| below(name, part)),
        Value::Array(values) => (0..)
            .zip(values)
            .for_each(|(n, part)| below(&usize::to_string(&n), part)),
        _ => {}
    }
    found
}
