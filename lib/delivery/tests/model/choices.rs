//! Explores every possible run of the model.
//!
//! A run asks [`Choices`] whenever more than one thing can happen. [`every_way`] repeats the run with other choices,
//! depth first, until it has tried them all. [`by_chance`] makes the choices at random.

use std::{future::poll_fn, mem, task::Poll};

/// A point at which the code can be interrupted or crash.
pub async fn pause() {
    let mut paused = false;
    poll_fn(|_| {
        if mem::replace(&mut paused, true) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

/// The choices of one run: first those of the path being explored, then 0 for every further choice.
#[derive(Debug, Clone)]
pub struct Choices {
    /// For each choice: the chosen alternative and the number of alternatives.
    path: Vec<(usize, usize)>,
    at: usize,
    chance: Option<fastrand::Rng>,
}

impl Choices {
    /// Chooses one of `count` alternatives. 0 means that nothing goes wrong.
    pub fn choose(&mut self, count: usize) -> usize {
        if self.at == self.path.len() {
            let chosen = self.chance.as_mut().map_or(0, |rng| {
                // Half of the time nothing goes wrong. Otherwise no run would get far.
                if rng.bool() { 0 } else { rng.usize(..count) }
            });
            self.path.push((chosen, count));
        }
        let (chosen, of) = self.path[self.at];
        assert_eq!(of, count, "a repeated run must ask for the same choices");
        self.at += 1;
        chosen
    }

    /// Moves on to the next path. Returns `false` after the last one.
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

/// The number of runs, or the story of the first bad one.
pub type Explored = Result<u64, String>;

/// Repeats `run` with every combination of choices.
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

/// Repeats `run` `runs` times with random choices. `seed` makes them reproducible.
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
