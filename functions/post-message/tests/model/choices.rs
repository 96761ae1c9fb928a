//! Every way that things can go, one after the other.
//!
//! A run asks [`Choices`] whenever more than one thing can happen. The explorer repeats the run with
//! other answers until it has been through them all (depth first), or draws the answers by chance.

/// The answers of one run: those of the path that is being explored, then the first of each.
#[derive(Debug, Clone)]
pub struct Choices {
    /// What was chosen, of how many.
    path: Vec<(usize, usize)>,
    at: usize,
    chance: Option<fastrand::Rng>,
}

impl Choices {
    /// One of `count` things happens; 0 is what happens when nothing goes wrong.
    pub fn choose(&mut self, count: usize) -> usize {
        if self.at == self.path.len() {
            let chosen = self.chance.as_mut().map_or(0, |rng| {
                // Nothing goes wrong half of the time, or no run would come far.
                if rng.bool() { 0 } else { rng.usize(..count) }
            });
            self.path.push((chosen, count));
        }
        let (chosen, of) = self.path[self.at];
        assert_eq!(of, count, "a run must ask the same when it is repeated");
        self.at += 1;
        chosen
    }

    /// The next path; `false` after the last one.
    fn advance(&mut self) -> bool {
        self.at = 0;
        while let Some((chosen, of)) = self.path.pop() {
            if chosen + 1 < of {
                self.path.push((chosen + 1, of));
                return true;
            }
        }
        false
    }
}

/// How many runs there were, or what the first bad one did.
pub type Explored = Result<u64, String>;

/// Runs `run` in every way.
pub fn every_way(mut run: impl FnMut(&mut Choices) -> Result<(), String>) -> Explored {
    let mut choices = Choices {
        path: Vec::new(),
        at: 0,
        chance: None,
    };
    let mut runs = 0;
    loop {
        run(&mut choices)?;
        runs += 1;
        if !choices.advance() {
            return Ok(runs);
        }
    }
}

/// Runs `run` so many times, in ways drawn by chance from `seed`.
pub fn by_chance(
    seed: u64,
    runs: u64,
    mut run: impl FnMut(&mut Choices) -> Result<(), String>,
) -> Explored {
    for n in 0..runs {
        let mut choices = Choices {
            path: Vec::new(),
            at: 0,
            chance: Some(fastrand::Rng::with_seed(seed + n)),
        };
        run(&mut choices).map_err(|problem| format!("seed {}: {problem}", seed + n))?;
    }
    Ok(runs)
}
