//! What became of the notifications of a run with faults.

use std::{collections::BTreeMap, fmt, time::Duration};

use counting::Table;
use local_stack::Execution;

use crate::{
    dice::{Seam, Tally},
    faults::{NotPosted, Options, Sent},
    notifications::SlackCalls,
    places::{Changed, Place},
};

/// A run that delivers less than this share without a redrive proves nothing about deliveries.
const DELIVERED_SHARE: f64 = 0.9;
/// While people change channels, more executions fail as they should. How many depends on how fast this machine is: a
/// slower one leaves people more time between two steps.
const DELIVERED_SHARE_WITH_PEOPLE: f64 = 0.25;
/// The share of the calls at a seam that must fail for the run to be valid, once the seam has had this many calls.
const FAULTS_SHARE: f64 = 0.15;
const ENOUGH_CALLS: u64 = 2_000;

/// What became of the notifications. Each one counts once.
#[derive(Debug, Clone, Default)]
pub struct Report {
    pub executions: usize,
    /// The execution succeeded, and the message is where it belongs exactly once.
    pub delivered_once: usize,
    /// The message is in Slack more than once, in any channel.
    pub delivered_twice: usize,
    /// The message is nowhere, and no failed execution or outcome reports that.
    pub lost: usize,
    /// The outcome says why nothing was posted, and nothing was. The number by reason.
    pub not_posted: BTreeMap<NotPosted, usize>,
    /// Messages that are in their channel or direct messages after a later one of the sequence.
    pub out_of_sequence: usize,
    /// Messages of a sequence that were not posted though none with a higher number was.
    pub superseded_by_none: usize,
    /// Notifications of which a request to post was sent after they had expired.
    pub sent_late: usize,
    /// How the channels of messages had changed, longer before than `channelTrustSeconds` allows.
    pub misplaced: Vec<Changed>,
    /// How the channels of messages had changed right before them: within `channelTrustSeconds`, or after the invocation
    /// had asked Slack.
    pub just_changed: Vec<Changed>,
    /// How often people changed something, by kind.
    pub changes: BTreeMap<&'static str, u64>,
    /// The execution failed with an error, and a redrive delivered the message once. The number by error.
    pub redriven: BTreeMap<String, usize>,
    pub slack: SlackCalls,
    pub seams: BTreeMap<Seam, Tally>,
    pub time: Duration,
}

impl Report {
    /// The promises that the run has broken, and the reasons why the run is not valid.
    pub fn problems(&self, options: &Options) -> Vec<String> {
        let mut problems = Vec::new();
        let mut expect = |holds: bool, problem: String| {
            if !holds {
                problems.push(problem);
            }
        };
        expect(self.lost == 0, format!("{} were lost", self.lost));
        let misplaced = self.misplaced.len();
        expect(
            misplaced == 0,
            format!("{misplaced} went to a channel that had changed before"),
        );
        let twice = self.delivered_twice;
        expect(twice == 0, format!("{twice} were delivered twice"));
        let unordered = self.out_of_sequence;
        expect(
            unordered == 0,
            format!("{unordered} were posted out of sequence"),
        );
        let by_none = self.superseded_by_none;
        expect(
            by_none == 0,
            format!("{by_none} of a sequence were not posted though no later one was"),
        );
        let late = self.sent_late;
        expect(late == 0, format!("{late} were sent after their expiry"));
        let skipped = self.not_posted.get(&NotPosted::Skipped);
        expect(
            skipped.is_none() || options.seams.contains(&Seam::People),
            "people were skipped though nobody had changed an address".to_owned(),
        );
        let settled = self.delivered_once + self.not_posted.values().sum::<usize>();
        let share = share(settled as u64, self.executions as u64);
        let enough = if options.seams.contains(&Seam::People) {
            DELIVERED_SHARE_WITH_PEOPLE
        } else {
            DELIVERED_SHARE
        };
        expect(
            share >= enough,
            format!("only {:.0} % were delivered", 100.0 * share),
        );
        for seam in &options.seams {
            let (calls, faults) = self.calls_and_faults(*seam);
            expect(calls > 0, format!("there was no call at the seam {seam}"));
            expect(
                calls < ENOUGH_CALLS
                    || options.rate < FAULTS_SHARE
                    || self::share(faults, calls) >= FAULTS_SHARE,
                format!("only {faults} of {calls} calls failed at the seam {seam}"),
            );
        }
        problems
    }

    pub fn redriven_count(&self) -> usize {
        self.redriven.values().sum()
    }

    fn calls_and_faults(&self, seam: Seam) -> (u64, u64) {
        if seam == Seam::Slack {
            return (self.slack.total, self.slack.faults.values().sum());
        }
        let tally = self.seams.get(&seam);
        tally.map_or((0, 0), |tally| (tally.calls, tally.fault_count()))
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share for a person")]
fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

impl Report {
    /// `redriven` is the execution after a redrive that succeeded. `places` are those of the message.
    pub(crate) fn count(&mut self, one: &Sent, redriven: Option<&Execution>, places: &[Place]) {
        let not_posted = one.not_posted(redriven);
        let [place] = places else {
            match not_posted {
                Some(reason) if places.is_empty() => {
                    *self.not_posted.entry(reason).or_default() += 1;
                }
                _ if places.is_empty() => self.lost += 1,
                _ => self.delivered_twice += 1,
            }
            return;
        };
        // The outcome denies a message that is there.
        if not_posted.is_some() {
            self.lost += 1;
        } else if one.succeeded().is_some() {
            self.delivered_once += 1;
        } else if let Some(error) = one.error()
            && redriven.is_some()
        {
            *self.redriven.entry(error.to_owned()).or_default() += 1;
        } else {
            self.lost += 1;
        }
        match place {
            Place::Right => {}
            Place::JustChanged(changed) => self.just_changed.push(*changed),
            Place::Wrong(changed) => self.misplaced.push(*changed),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let not_posted = |reason| {
            let count = self.not_posted.get(&reason).copied();
            count.unwrap_or_default().to_string()
        };
        let mut table = Table::new([
            "executions",
            "delivered once",
            "delivered twice",
            "lost",
            "expired",
            "superseded",
            "out of sequence",
            "sent late",
            "failed and redriven",
            "Slack calls",
            "rejected by a limit",
            "time",
        ]);
        table.row([
            self.executions.to_string(),
            self.delivered_once.to_string(),
            self.delivered_twice.to_string(),
            self.lost.to_string(),
            not_posted(NotPosted::Expired),
            not_posted(NotPosted::Superseded),
            self.out_of_sequence.to_string(),
            self.sent_late.to_string(),
            self.redriven_count().to_string(),
            self.slack.total.to_string(),
            self.slack.rejected.to_string(),
            format!("{} s", self.time.as_secs()),
        ]);
        write!(f, "{table}")?;
        for (error, count) in &self.redriven {
            writeln!(f, "  {count} failed with {error} and were redriven")?;
        }
        for (changed, when) in [
            (&self.misplaced, "before"),
            (&self.just_changed, "right before"),
        ] {
            let mut by_kind: BTreeMap<&str, Vec<Duration>> = BTreeMap::new();
            for Changed { how, before } in changed {
                by_kind.entry(how).or_default().push(*before);
            }
            for (how, before) in by_kind {
                let longest = before.iter().max().copied().unwrap_or_default();
                writeln!(
                    f,
                    "  {} went to a channel {how} {when}, at most {:.3} s",
                    before.len(),
                    longest.as_secs_f64()
                )?;
            }
        }
        if !self.changes.is_empty() {
            let changes = self.changes.iter();
            let changes: Vec<_> = changes.map(|(kind, n)| format!("{n} {kind}")).collect();
            writeln!(f, "  people made these changes: {}", changes.join(", "))?;
        }
        let seams = seams(&self.seams, &self.slack);
        write!(f, "\n{seams}")
    }
}

/// How many calls failed at each seam.
pub(crate) fn seams(tallies: &BTreeMap<Seam, Tally>, slack: &SlackCalls) -> Table {
    let mut seams = Table::new(["seam", "calls", "faults", "", "of which"]);
    let percent = |faults, calls| format!("{:.0} %", 100.0 * share(faults, calls));
    let kinds = |kinds: &mut dyn Iterator<Item = (String, u64)>| {
        let kinds: Vec<_> = kinds
            .map(|(kind, count)| format!("{count} {kind}"))
            .collect();
        kinds.join(", ")
    };
    for (seam, tally) in tallies {
        let faults = tally.fault_count();
        let mut by_kind = tally
            .faults
            .iter()
            .map(|(kind, count)| ((*kind).to_owned(), *count));
        seams.row([
            seam.to_string(),
            tally.calls.to_string(),
            faults.to_string(),
            percent(faults, tally.calls),
            kinds(&mut by_kind),
        ]);
    }
    let faults: u64 = slack.faults.values().sum();
    let mut by_kind = slack
        .faults
        .iter()
        .map(|(kind, count)| (kind.clone(), *count));
    seams.row([
        Seam::Slack.to_string(),
        slack.total.to_string(),
        faults.to_string(),
        percent(faults, slack.total),
        kinds(&mut by_kind),
    ]);
    seams
}
