//! The log of all calls. It lives in memory, for tests, and holds arguments; of a token only its end.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// From 1, in the order in which calls came.
    pub seq: u64,
    /// RFC 3339.
    pub at: String,
    pub method: String,
    /// The last characters of the token, to tell two tokens apart; none of one that is too short to be cut.
    pub token_end: Option<String>,
    pub arguments: BTreeMap<String, String>,
    /// The HTTP status; 0 where the connection was reset.
    pub status: u16,
    /// Slack's error code, where the answer was none.
    pub error: Option<String>,
    /// The kind of the fault that happened to the call.
    pub fault: Option<String>,
}

const SHOWN_OF_A_TOKEN: usize = 4;
/// What may be shown is a small part of a token of this length.
const SHORTEST_TO_CUT: usize = 12;

/// The end of a token.
pub(crate) fn end_of(token: &str) -> Option<String> {
    let count = token.chars().count();
    (count >= SHORTEST_TO_CUT).then(|| token.chars().skip(count - SHOWN_OF_A_TOKEN).collect())
}

/// How often a method was called, and how its calls ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    pub total: u64,
    /// Refused by a limit, and not by a fault.
    pub rate_limited: u64,
    pub errors: BTreeMap<String, u64>,
    /// By the kind of the fault.
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
