//! The path: the states in order. A step and its wait that alternate are drawn once.

use aws_sdk_sfn::types::ExecutionStatus;

use super::Inspected;
use crate::{
    history::{StateKind, Visit},
    report::{BAD, GOOD, styled},
};

/// The maximum length of a line, in characters.
const WIDTH: usize = 90;

pub(super) fn drawn(inspected: &Inspected) -> String {
    let mut lines = vec![String::new()];
    for (n, step) in steps(&inspected.visits).iter().enumerate() {
        let arrow = if n == 0 { "" } else { " ─▶ " };
        let line = lines.last().map_or(0, |line| line.chars().count());
        if line + arrow.len() + step.chars().count() > WIDTH {
            lines.push(format!(" ─▶ {step}"));
        } else if let Some(line) = lines.last_mut() {
            line.push_str(arrow);
            line.push_str(step);
        }
    }
    let end = match inspected.described.status {
        ExecutionStatus::Succeeded => styled(GOOD, " ─▶ ✔"),
        _ if inspected.has_failed() => styled(BAD, " ─▶ ✗"),
        _ => String::new(),
    };
    let indent = format!("\n{:<11}", "");
    format!("{:<11}{}{end}", "path", lines.join(&indent))
}

/// The states in order, with `PostMessage ⇄ WaitToPostMessage (3 times)` for two states that alternate.
pub(super) fn steps(visits: &[Visit]) -> Vec<String> {
    let mut steps = Vec::new();
    let mut n = 0;
    while let Some(visit) = visits.get(n) {
        let name = |n: usize| visits.get(n).map(|visit| visit.state.as_str());
        let mut turns = 0;
        while visits
            .get(n + 2 * turns + 1)
            .is_some_and(|next| next.kind == StateKind::Wait)
            && name(n + 2 * turns) == Some(&visit.state)
        {
            turns += 1;
        }
        if turns == 0 {
            steps.push(visit.state.clone());
            n += 1;
            continue;
        }
        let wait = name(n + 1).unwrap_or_default();
        let times = if turns == 1 {
            "once".to_owned()
        } else {
            format!("{turns} times")
        };
        steps.push(format!("{} ⇄ {wait} ({times})", visit.state));
        n += 2 * turns;
        // The state that followed the last wait has already been drawn.
        n += usize::from(name(n) == Some(&visit.state));
    }
    steps
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use rstest::rstest;

    use super::*;

    fn visit(state: &&str) -> Visit {
        let is_wait = state.starts_with("Wait");
        Visit {
            state: (*state).to_owned(),
            kind: if is_wait {
                StateKind::Wait
            } else {
                StateKind::Task
            },
            began: Timestamp::UNIX_EPOCH,
            ended: None,
            attempts: Vec::new(),
        }
    }

    #[rstest]
    #[case(&[], &[])]
    #[case(&["A", "B"], &["A", "B"])]
    #[case(&["A", "WaitA", "A", "B"], &["A ⇄ WaitA (once)", "B"])]
    #[case(&["A", "WaitA", "A", "WaitA", "A"], &["A ⇄ WaitA (2 times)"])]
    #[case(&["A", "WaitA"], &["A ⇄ WaitA (once)"])]
    #[case(&["A", "WaitA", "B"], &["A ⇄ WaitA (once)", "B"])]
    #[case(&["A", "A"], &["A", "A"])]
    fn alternating_states_are_drawn_once(#[case] states: &[&str], #[case] expected: &[&str]) {
        let visits: Vec<Visit> = states.iter().map(visit).collect();
        assert_eq!(steps(&visits), expected);
    }
}
