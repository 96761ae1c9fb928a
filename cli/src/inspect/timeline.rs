//! The timeline: one line for each state, followed by notes about its attempts.

use std::time::Duration;

use super::Inspected;
use crate::{
    history::{Attempt, StateKind, Visit},
    report::{BAD, FAINT, GOOD, STRONG, WARNING, styled},
    time::{between, took},
};

/// The length of the bar that shows when a state was active during the execution, in characters.
const BAR: usize = 20;

pub(super) fn drawn(inspected: &Inspected) -> String {
    let mut lines = vec![styled(
        FAINT,
        format!("{:>12}  {:>12}  {:BAR$}", "at", "took", ""),
    )];
    for (n, visit) in inspected.visits.iter().enumerate() {
        lines.push(line(inspected, n, visit));
        lines.extend(
            notes(n, &inspected.visits)
                .into_iter()
                .map(|note| format!("{:>12}  {:>12}  {:BAR$}  {note}", "", "", "")),
        );
    }
    lines.join("\n")
}

fn line(inspected: &Inspected, n: usize, visit: &Visit) -> String {
    let start = inspected.started();
    let ended = visit.ended.unwrap_or(inspected.ended());
    let at = format!("+{}", took(between(start, visit.began)));
    let spent = took(between(visit.began, ended));
    let all = between(start, inspected.ended());
    let bar = bar(
        between(start, visit.began),
        between(visit.began, ended),
        all,
    );
    let is_last = n + 1 == inspected.visits.len();
    let has_failed = inspected.has_failed();
    let (glyph, style) = match visit.kind {
        StateKind::Wait => ("◷", WARNING),
        _ if is_last && has_failed => ("✗", BAD),
        _ if visit.ended.is_none() => ("▶", WARNING),
        _ if visit.failures().next().is_some() => ("●", WARNING),
        _ => ("●", GOOD),
    };
    let state = format!("{} {}", styled(style, glyph), styled(STRONG, &visit.state));
    let attempts = match visit.attempts.len() {
        0 | 1 => String::new(),
        count => format!("  {count} attempts"),
    };
    let goes_on = if visit.ended.is_none() && inspected.described.stop_date.is_none() {
        "  now"
    } else {
        ""
    };
    format!(
        "{at:>12}  {spent:>12}  {}  {state}{attempts}{goes_on}",
        styled(FAINT, bar)
    )
}

/// Notes about the attempts of a visit, or the reason for a wait.
fn notes(n: usize, visits: &[Visit]) -> Vec<String> {
    let visit = &visits[n];
    if visit.kind == StateKind::Wait {
        let before = n.checked_sub(1).and_then(|before| visits.get(before));
        let reason = before.and_then(|before| before.failures().last());
        return reason
            .map(|failed| format!("│ waits: {}", failed.said()))
            .into_iter()
            .collect();
    }
    // The error that leads to a wait is shown at the wait.
    let waits_next = visits
        .get(n + 1)
        .is_some_and(|next| next.kind == StateKind::Wait);
    let mut notes = Vec::new();
    for (m, attempt) in visit.attempts.iter().enumerate() {
        if attempt.redriven {
            notes.push(format!("│ {}", styled(WARNING, "redriven")));
        }
        let Some(failed) = &attempt.failed else {
            continue;
        };
        let next = visit.attempts.get(m + 1);
        if next.is_none() && waits_next {
            continue;
        }
        let error = styled(BAD, format!("✗ {}", failed.said()));
        notes.push(format!("│ {error}"));
        if let Some((pause, next)) = pause_before(attempt, next)
            && !next.redriven
        {
            notes.push(format!("│ ↻ retried after {}", took(pause)));
        }
    }
    notes
}

fn pause_before<'a>(
    attempt: &Attempt,
    next: Option<&'a Attempt>,
) -> Option<(Duration, &'a Attempt)> {
    let next = next?;
    Some((between(attempt.ended?, next.began), next))
}

fn bar(before: Duration, at_work: Duration, all: Duration) -> String {
    let all = all.as_millis().max(1);
    let columns = |time: Duration| {
        let columns = (time.as_millis() * BAR as u128 + all / 2) / all;
        usize::try_from(columns).unwrap_or(BAR)
    };
    let from = columns(before).min(BAR - 1);
    let length = columns(at_work).clamp(1, BAR - from);
    format!(
        "{}{}{}",
        " ".repeat(from),
        "█".repeat(length),
        " ".repeat(BAR - from - length)
    )
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(0, 100, "████████████████████")]
    #[case(50, 50, "          ██████████")]
    #[case(100, 0, "                   █")]
    #[case(0, 0, "█                   ")]
    fn a_bar_has_the_right_position_and_length(
        #[case] before: u64,
        #[case] at_work: u64,
        #[case] expected: &str,
    ) {
        let seconds = Duration::from_secs;
        assert_eq!(
            bar(seconds(before), seconds(at_work), seconds(100)),
            expected
        );
    }
}
