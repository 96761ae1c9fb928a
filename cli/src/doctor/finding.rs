//! The result of a check, and the report of all.

use serde_json::{Value, json};

use crate::report::{BAD, Exit, Failure, GOOD, Report, STRONG, WARNING, styled};

/// The result of a check.
pub(super) struct Finding {
    pub(super) verdict: Verdict,
    /// What was checked, and its state.
    pub(super) what: String,
    /// What the operator should do.
    pub(super) advice: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Good,
    /// It works, but somebody should know about it.
    Warning,
    Bad,
}

impl Finding {
    pub(super) fn good(what: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Good,
            what: what.into(),
            advice: None,
        }
    }

    pub(super) fn warning(what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Warning,
            what: what.into(),
            advice: Some(advice.into()),
        }
    }

    pub(super) fn bad(what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Bad,
            ..Self::warning(what, advice)
        }
    }

    /// A check that could not be made, for example because a permission is missing.
    pub(super) fn unchecked(what: &str, failure: &Failure) -> Self {
        Self::warning(
            format!("{what} not checked: {failure}"),
            "run the check with a role that may read it",
        )
    }
}

pub(super) fn report(findings: &[Finding]) -> Report {
    let mut lines = Vec::new();
    let mut all: Vec<Value> = Vec::new();
    for finding in findings {
        let (glyph, style, word) = match finding.verdict {
            Verdict::Good => ("✔", GOOD, "good"),
            Verdict::Warning => ("!", WARNING, "warning"),
            Verdict::Bad => ("✗", BAD, "bad"),
        };
        lines.push(format!("{} {}", styled(style, glyph), finding.what));
        lines.extend(finding.advice.iter().map(|advice| format!("  → {advice}")));
        all.push(json!({ "verdict": word, "what": finding.what, "advice": finding.advice }));
    }
    let count = |verdict| findings.iter().filter(|one| one.verdict == verdict).count();
    let (bad, warnings) = (count(Verdict::Bad), count(Verdict::Warning));
    let sum = match (bad, warnings) {
        (0, 0) => styled(GOOD, "all is well"),
        (0, warnings) => format!("{} ({warnings} to look at)", styled(GOOD, "it works")),
        (bad, _) => styled(BAD, format!("{bad} to fix")),
    };
    lines.push(format!("\n{}", styled(STRONG, sum)));
    Report {
        text: lines.join("\n"),
        json: json!({ "findings": all }),
        exit: if bad == 0 { Exit::Fine } else { Exit::NotWell },
    }
}
