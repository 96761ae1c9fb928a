//! Draws faults from a seed, and counts them.

use std::{
    collections::BTreeMap,
    fmt,
    str::FromStr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// A place where faults can occur. The sandbox draws Slack's faults itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Seam {
    Caller,
    Lambda,
    DynamoDb,
    SecretsManager,
    CloudWatch,
    Slack,
    People,
}

impl Seam {
    pub const ALL: [Self; 7] = [
        Self::Caller,
        Self::Lambda,
        Self::DynamoDb,
        Self::SecretsManager,
        Self::CloudWatch,
        Self::Slack,
        Self::People,
    ];

    /// The name on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Lambda => "lambda",
            Self::DynamoDb => "dynamodb",
            Self::SecretsManager => "secretsmanager",
            Self::CloudWatch => "cloudwatch",
            Self::Slack => "slack",
            Self::People => "people",
        }
    }
}

impl fmt::Display for Seam {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Seam {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|seam| seam.as_str() == name);
        found.ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|seam| seam.as_str()).collect();
            format!("must be one of {}", known.join(", "))
        })
    }
}

/// How often a seam was passed, and which faults occurred there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    pub calls: u64,
    pub faults: BTreeMap<&'static str, u64>,
}

impl Tally {
    pub fn fault_count(&self) -> u64 {
        self.faults.values().sum()
    }
}

/// Shared by all seams. Each seam has its own random sequence, so faults at one seam do not change those at
/// another.
#[derive(Debug, Clone)]
pub struct Dice(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    seed: u64,
    /// The share of the calls at each of these seams that fail.
    rates: BTreeMap<Seam, f64>,
    tallies: BTreeMap<Seam, Tally>,
}

impl Dice {
    /// No faults occur before [`Dice::begin`].
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            seed,
            rates: BTreeMap::new(),
            tallies: BTreeMap::new(),
        })))
    }

    pub fn begin(&self, seams: impl IntoIterator<Item = Seam>, rate: f64) {
        let mut state = self.state();
        state.rates = seams.into_iter().map(|seam| (seam, rate)).collect();
        state.tallies.clear();
    }

    /// Stops faults and counting.
    pub fn end(&self) {
        self.state().rates.clear();
    }

    /// Decides whether a call at a seam fails, and how: draws one of `kinds` by weight. Also returns the random
    /// generator for any further draws.
    pub fn roll(
        &self,
        seam: Seam,
        kinds: &[(&'static str, u32)],
    ) -> Option<(&'static str, fastrand::Rng)> {
        let mut state = self.state();
        let rate = *state.rates.get(&seam)?;
        let seed = state.seed;
        let tally = state.tallies.entry(seam).or_default();
        let salt = (seam as u64 + 1).rotate_left(48) ^ tally.calls.rotate_left(16);
        let mut rng = fastrand::Rng::with_seed(seed ^ salt);
        tally.calls += 1;
        if rng.f64() >= rate {
            return None;
        }
        let weights: u32 = kinds.iter().map(|(_, weight)| weight).sum();
        let mut drawn = rng.u32(..weights);
        let kind = kinds.iter().find_map(|(kind, weight)| {
            let is_it = drawn < *weight;
            drawn = drawn.saturating_sub(*weight);
            is_it.then_some(*kind)
        })?;
        *tally.faults.entry(kind).or_default() += 1;
        Some((kind, rng))
    }

    pub fn tallies(&self) -> BTreeMap<Seam, Tally> {
        self.state().tallies.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rolls(seed: u64) -> (Vec<Option<&'static str>>, Tally) {
        let dice = Dice::new(seed);
        dice.begin([Seam::Lambda], 0.25);
        let kinds = [("kill", 3), ("hang", 1)];
        let rolls = (0..1_000)
            .map(|_| dice.roll(Seam::Lambda, &kinds).map(|(kind, _)| kind))
            .collect();
        (rolls, dice.tallies()[&Seam::Lambda].clone())
    }

    #[test]
    fn the_same_seed_draws_the_same_faults_by_rate_and_weight() {
        let (first, tally) = rolls(1);
        assert_eq!(first, rolls(1).0);
        assert_ne!(first, rolls(2).0);
        assert_eq!(tally.calls, 1_000);
        assert!((200..300).contains(&tally.fault_count()), "{tally:?}");
        assert!(tally.faults["kill"] > 2 * tally.faults["hang"], "{tally:?}");
    }

    #[test]
    fn no_fault_occurs_before_the_start_after_the_end_or_elsewhere() {
        let dice = Dice::new(1);
        let rolls = |seam| dice.roll(seam, &[("kill", 1)]).is_some();
        assert!(!rolls(Seam::Lambda));
        dice.begin([Seam::Lambda], 1.0);
        assert!(rolls(Seam::Lambda));
        assert!(!rolls(Seam::DynamoDb));
        dice.end();
        assert!(!rolls(Seam::Lambda));
        assert_eq!(dice.tallies()[&Seam::Lambda].calls, 1);
    }
}
