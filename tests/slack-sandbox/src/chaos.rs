//! Random failures: a share of all calls, drawn from a seed.
//!
//! Whether and how a call fails depends on the seed, the method and the number of earlier calls of the method.
//! So two runs with the same seed meet the same failures, if their calls come in the same order.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::faults::{Effect, How};

/// Longer than any client waits for a response.
const DEFAULT_HANG_MILLIS: u64 = 11_000;
const LONGEST_RETRY_AFTER: u64 = 3;
const LONGEST_DELAY_MILLIS: u64 = 2_000;
/// Slack can complete a request some seconds after its sender has disconnected.
const LATEST_EFFECT_MILLIS: u64 = 5_000;

/// Makes a share of the calls fail.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chaos {
    pub seed: u64,
    /// The share of all calls that fail, from 0 to 1.
    pub rate: f64,
    /// The kinds of failures, which are equally likely.
    #[serde(default = "FaultKind::all")]
    pub kinds: Vec<FaultKind>,
    /// How long a call hangs, in real milliseconds.
    #[serde(default = "default_hang_millis")]
    pub hang_millis: u64,
}

/// A kind of failure: see [`How`]. Whether the call takes effect is random too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    RateLimited,
    Html500,
    InternalError,
    Hang,
    Reset,
    Slow,
    Late,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChaosError {
    #[error("rate: must be a number from 0 to 1")]
    Rate,
    #[error("kinds: must name at least one kind")]
    Kinds,
}

fn default_hang_millis() -> u64 {
    DEFAULT_HANG_MILLIS
}

impl FaultKind {
    pub fn all() -> Vec<Self> {
        vec![
            Self::RateLimited,
            Self::Html500,
            Self::InternalError,
            Self::Hang,
            Self::Reset,
            Self::Slow,
            Self::Late,
        ]
    }
}

impl Chaos {
    pub fn new(seed: u64, rate: f64) -> Self {
        Self {
            seed,
            rate,
            kinds: FaultKind::all(),
            hang_millis: DEFAULT_HANG_MILLIS,
        }
    }

    pub fn check(&self) -> Result<(), ChaosError> {
        if !(0.0..=1.0).contains(&self.rate) {
            return Err(ChaosError::Rate);
        }
        if self.kinds.is_empty() {
            return Err(ChaosError::Kinds);
        }
        Ok(())
    }

    /// Decides what happens to the `nth` call of a method.
    fn fault(&self, method: &str, nth: u64) -> Option<How> {
        let mut rng = fastrand::Rng::with_seed(self.seed ^ hash(method) ^ nth.rotate_left(32));
        if rng.f64() >= self.rate {
            return None;
        }
        let effect = if rng.bool() {
            Effect::Done
        } else {
            Effect::None
        };
        Some(match self.kinds[rng.usize(..self.kinds.len())] {
            FaultKind::RateLimited => How::RateLimited {
                retry_after: rng.u64(1..=LONGEST_RETRY_AFTER),
            },
            FaultKind::Html500 => How::Html500 { effect },
            FaultKind::InternalError => How::Error {
                error: "internal_error".to_owned(),
                effect,
            },
            FaultKind::Hang => How::Hang {
                millis: self.hang_millis,
                effect,
            },
            FaultKind::Reset => How::Reset { effect },
            FaultKind::Slow => How::Slow {
                millis: rng.u64(1..=LONGEST_DELAY_MILLIS),
            },
            FaultKind::Late => How::Late {
                millis: rng.u64(1..=LATEST_EFFECT_MILLIS),
            },
        })
    }
}

/// FNV-1a, which gives the same result on every machine, as a seed requires.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The active chaos, and the number of calls of each method since it started.
#[derive(Debug)]
pub(crate) struct Reign {
    chaos: Chaos,
    calls: HashMap<String, u64>,
}

impl Reign {
    pub fn new(chaos: Chaos) -> Self {
        Self {
            chaos,
            calls: HashMap::new(),
        }
    }

    pub fn take(&mut self, method: &str) -> Option<How> {
        let calls = self.calls.entry(method.to_owned()).or_default();
        let nth = *calls;
        *calls += 1;
        self.chaos.fault(method, nth)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(chaos: &Chaos) -> Vec<Option<How>> {
        (0..1_000).map(|n| chaos.fault("auth.test", n)).collect()
    }

    #[test]
    fn the_same_seed_draws_the_same_failures_at_the_requested_rate() {
        let chaos = Chaos::new(7, 0.2);
        let first = faults(&chaos);
        assert_eq!(first, faults(&chaos));
        assert_ne!(first, faults(&Chaos::new(8, 0.2)));
        let failed = first.iter().flatten().count();
        assert!((150..250).contains(&failed), "{failed}");
    }

    #[test]
    fn only_the_requested_kinds_are_drawn() {
        let chaos = Chaos {
            kinds: vec![FaultKind::Slow],
            ..Chaos::new(7, 1.0)
        };
        assert!(
            faults(&chaos)
                .iter()
                .all(|how| matches!(how, Some(How::Slow { .. })))
        );
    }

    #[test]
    fn a_rate_above_1_and_an_empty_list_of_kinds_are_rejected() {
        assert_eq!(Chaos::new(1, 1.5).check(), Err(ChaosError::Rate));
        assert_eq!(Chaos::new(1, f64::NAN).check(), Err(ChaosError::Rate));
        let none = Chaos {
            kinds: Vec::new(),
            ..Chaos::new(1, 0.5)
        };
        assert_eq!(none.check(), Err(ChaosError::Kinds));
    }
}
