//! Failures on demand: which method, which of its calls, and how they fail.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

/// A failure, and the calls that it affects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// A method's name, or `*`.
    pub method: String,
    /// Only calls with these arguments, so that concurrent tests do not disturb each other. A list of ids
    /// matches if it contains the value.
    #[serde(default, rename = "where")]
    pub only_where: BTreeMap<String, String>,
    /// How many matching calls succeed first.
    #[serde(default)]
    pub skip: u64,
    /// How many matching calls fail after that; all of them if omitted.
    #[serde(default)]
    pub times: Option<u64>,
    pub how: How,
}

/// What happens to the call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum How {
    /// HTTP 429 with `Retry-After` in sandbox seconds.
    RateLimited { retry_after: u64 },
    /// HTTP 500 with HTML, as a proxy would return.
    Html500 { effect: Effect },
    /// HTTP 200 with `ok: false` and this error.
    Error { error: String, effect: Effect },
    /// No response for this long, in real milliseconds, then the connection is reset.
    Hang { millis: u64, effect: Effect },
    /// The connection is reset.
    Reset { effect: Effect },
    /// The correct response, delayed by this many real milliseconds.
    Slow { millis: u64 },
    /// The connection is reset at once, and the call takes effect after this many real milliseconds.
    Late { millis: u64 },
}

/// Whether the call took effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// The call failed before it had any effect.
    None,
    /// The call took full effect, and only the response is wrong.
    Done,
}

impl Fault {
    pub fn new(method: &str, how: How) -> Self {
        Self {
            method: method.to_owned(),
            only_where: BTreeMap::new(),
            skip: 0,
            times: None,
            how,
        }
    }

    #[must_use]
    pub fn only_where(mut self, argument: &str, value: &str) -> Self {
        self.only_where
            .insert(argument.to_owned(), value.to_owned());
        self
    }

    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.times = Some(times);
        self
    }

    #[must_use]
    pub fn skip(mut self, calls: u64) -> Self {
        self.skip = calls;
        self
    }

    fn matches(&self, method: &str, arguments: &BTreeMap<String, String>) -> bool {
        (self.method == "*" || self.method == method)
            && self.only_where.iter().all(|(name, wanted)| {
                arguments
                    .get(name)
                    .is_some_and(|value| value.split(',').any(|part| part == wanted))
            })
    }
}

impl How {
    /// Slack returns this error, and the call has no effect.
    pub fn refused(error: &str) -> Self {
        Self::Error {
            error: error.to_owned(),
            effect: Effect::None,
        }
    }

    pub(crate) fn has_effect(&self) -> bool {
        match self {
            Self::RateLimited { .. } | Self::Late { .. } => false,
            Self::Slow { .. } => true,
            Self::Html500 { effect }
            | Self::Error { effect, .. }
            | Self::Hang { effect, .. }
            | Self::Reset { effect } => *effect == Effect::Done,
        }
    }

    pub(crate) fn breaks_the_connection(&self) -> bool {
        matches!(
            self,
            Self::Reset { .. } | Self::Hang { .. } | Self::Late { .. }
        )
    }

    pub(crate) fn delay(&self) -> Duration {
        match self {
            Self::Hang { millis, .. } | Self::Slow { millis } => Duration::from_millis(*millis),
            _ => Duration::ZERO,
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::RateLimited { .. } => "rate_limited",
            Self::Html500 { .. } => "html500",
            Self::Error { .. } => "error",
            Self::Hang { .. } => "hang",
            Self::Reset { .. } => "reset",
            Self::Slow { .. } => "slow",
            Self::Late { .. } => "late",
        }
    }
}

/// The armed faults, and how many calls each has affected.
#[derive(Debug, Default)]
pub struct Faults(Vec<(Fault, u64)>);

impl Faults {
    pub fn add(&mut self, fault: Fault) {
        self.0.push((fault, 0));
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Returns what happens to this call, according to the first matching fault.
    pub(crate) fn take(
        &mut self,
        method: &str,
        arguments: &BTreeMap<String, String>,
    ) -> Option<How> {
        for (fault, met) in &mut self.0 {
            if !fault.matches(method, arguments) {
                continue;
            }
            let nth = *met;
            *met += 1;
            let is_over = fault.times.is_some_and(|times| nth >= fault.skip + times);
            if nth >= fault.skip && !is_over {
                return Some(fault.how.clone());
            }
        }
        None
    }
}
