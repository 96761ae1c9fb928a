//! What a run has found.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use counting::Table;

use super::check::Findings;
use crate::{
    dice::{Seam, Tally},
    notifications::SlackCalls,
    report::seams,
};

/// So many violations are shown in full.
const MOST_SHOWN: usize = 20;

/// What one run has found.
#[derive(Debug, Clone, Default)]
pub struct Report {
    pub seed: u64,
    pub items: usize,
    pub people: usize,
    /// Versions after an item's first.
    pub moves: usize,
    /// Invocations of the sweep.
    pub sweeps: usize,
    /// Those that failed, were killed or never ended.
    pub lost_sweeps: usize,
    /// Hours in which no sweep was started.
    pub skipped_hours: usize,
    /// Executions of `remind` and `escalate`.
    pub executions: usize,
    /// Those that never ended.
    pub unfinished: usize,
    pub redriven: usize,
    /// Days of a person whose execution had not ended when their working time did, or had failed.
    pub held_up: usize,
    pub findings: Findings,
    pub slack: SlackCalls,
    pub tallies: BTreeMap<Seam, Tally>,
    pub time: Duration,
}

impl Report {
    /// The promises that the run has broken, and the reasons why the run is not valid.
    pub fn problems(&self, selected: &BTreeSet<Seam>) -> Vec<String> {
        let findings = &self.findings;
        let counts = [
            (findings.twice, "messages were sent twice"),
            (findings.strange, "messages do not belong to one outcome"),
            (
                findings.after_move,
                "messages came after the item had moved",
            ),
            (
                findings.outside_hours,
                "messages came outside working hours",
            ),
            (findings.too_many, "messages were the third of their day"),
            (findings.missed, "reminders and escalations were missed"),
            (
                findings.too_early,
                "escalations came within the grace period",
            ),
            (
                findings.not_planned,
                "people were not planned to be reminded",
            ),
            (self.unfinished, "executions have not ended"),
        ];
        let broken = counts.into_iter().filter(|(count, _)| *count > 0);
        let mut problems: Vec<String> = broken
            .map(|(count, problem)| format!("seed {}: {count} {problem}", self.seed))
            .collect();
        if findings.messages == 0 || findings.expected == 0 {
            problems.push(format!("seed {}: nobody had to be reminded", self.seed));
        }
        if findings.expected_escalations == 0 {
            problems.push(format!("seed {}: nothing had to be escalated", self.seed));
        }
        for seam in selected {
            let calls = match seam {
                Seam::Slack => self.slack.total,
                seam => self.tallies.get(seam).map_or(0, |tally| tally.calls),
            };
            if calls == 0 {
                let seed = self.seed;
                problems.push(format!("seed {seed}: there was no call at the seam {seam}"));
            }
        }
        problems
    }
}

/// The runs of several seeds.
#[derive(Debug, Default)]
pub struct Reports(pub Vec<Report>);

impl fmt::Display for Reports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new([
            "seed",
            "items",
            "people",
            "moves",
            "sweeps",
            "executions",
            "messages",
            "reminders",
            "escalated",
            "twice",
            "after a move",
            "outside hours",
            "missed",
            "redriven",
            "Slack calls",
            "time",
        ]);
        for report in &self.0 {
            let findings = &report.findings;
            table.row([
                report.seed.to_string(),
                report.items.to_string(),
                report.people.to_string(),
                report.moves.to_string(),
                report.sweeps.to_string(),
                report.executions.to_string(),
                findings.messages.to_string(),
                findings.by_stage.values().sum::<usize>().to_string(),
                findings.escalated.to_string(),
                findings.twice.to_string(),
                findings.after_move.to_string(),
                findings.outside_hours.to_string(),
                findings.missed.to_string(),
                report.redriven.to_string(),
                report.slack.total.to_string(),
                format!("{} s", report.time.as_secs()),
            ]);
        }
        write!(f, "{table}")?;
        for report in &self.0 {
            write!(f, "\n{report}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let findings = &self.findings;
        let stages = findings.by_stage.iter();
        let stages: Vec<_> = stages.map(|(stage, n)| format!("{n} {stage}")).collect();
        writeln!(f, "Seed {}: {}", self.seed, stages.join(", "))?;
        writeln!(
            f,
            "  {} stages had to be sent, {} of them that very day; {} days of a person were held up",
            findings.expected, findings.expected_that_day, self.held_up
        )?;
        writeln!(
            f,
            "  {} items had to be escalated",
            findings.expected_escalations
        )?;
        writeln!(
            f,
            "  {} sweeps were lost, and {} hours were not swept; {} reminders may have come after a move",
            self.lost_sweeps, self.skipped_hours, findings.maybe_after_move
        )?;
        for detail in findings.details.iter().take(MOST_SHOWN) {
            writeln!(f, "  {detail}")?;
        }
        if findings.details.len() > MOST_SHOWN {
            writeln!(f, "  and {} more", findings.details.len() - MOST_SHOWN)?;
        }
        write!(f, "\n{}", seams(&self.tallies, &self.slack))
    }
}
