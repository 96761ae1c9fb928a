//! Whether every workflow has its state machine.

use apgl_client::{Operation, StateMachines};

use super::finding::Finding;

pub(super) fn check(machines: &StateMachines) -> Finding {
    let missing: Vec<&str> = Operation::ALL
        .into_iter()
        .filter(|operation| machines.get(*operation).is_none())
        .map(Operation::as_str)
        .collect();
    if missing.is_empty() {
        return Finding::good(format!(
            "state machines: all {} are there",
            Operation::ALL.len()
        ));
    }
    Finding::bad(
        format!("state machines: {} missing", missing.join(", ")),
        "deploy the stack again",
    )
}
