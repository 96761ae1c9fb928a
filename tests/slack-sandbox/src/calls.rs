//! The log of all calls, for tests. It is kept in memory and contains arguments, but only the end of each token.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// A sequence number, from 1.
    pub seq: u64,
    /// RFC 3339.
    pub at: String,
    pub method: String,
    /// The last characters of the token, to tell tokens apart. `None` if the token is too short to be shortened.
    pub token_end: Option<String>,
    pub arguments: BTreeMap<String, String>,
    /// The HTTP status; 0 if the connection was reset.
    pub status: u16,
    /// Slack's error code, if the call failed.
    pub error: Option<String>,
    /// The kind of fault that was injected.
    pub fault: Option<String>,
}

const SHOWN_OF_A_TOKEN: usize = 4;
/// From this length on, the end of a token reveals only a small part of it.
const SHORTEST_TO_CUT: usize = 12;

/// Returns the end of a token.
pub(crate) fn end_of(token: &str) -> Option<String> {
    let count = token.chars().count();
    (count >= SHORTEST_TO_CUT).then(|| token.chars().skip(count - SHOWN_OF_A_TOKEN).collect())
}

/// How often a method was called, and with what results.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    pub total: u64,
    /// Calls that a rate limit rejected, not a fault.
    pub rate_limited: u64,
    pub errors: BTreeMap<String, u64>,
    /// Calls by the kind of injected fault.
    pub faults: BTreeMap<String, u64>,
}

pub(crate) fn summary(calls: &[Call]) -> BTreeMap<String, Tally> {
    let mut summary: BTreeMap<String, Tally> = BTreeMap::new();
    for call in calls {
        let tally = summary.entry(call.method.clone()).or_default();
        tally.total += 1;
        tally.rate_limited += u64::from(call.status == 429 && call.fault.is_none());
        if let Some(fault) = &call.fault {
            *tally.faults.entry(fault.clone()).or_default() += 1;
        }
        if let Some(error) = &call.error {
            *tally.errors.entry(error.clone()).or_default() += 1;
        }
    }
    summary
}
