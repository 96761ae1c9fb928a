//! Cold starts: from the start of the process to its first response.

use std::time::Duration;

use crate::{
    Error,
    contender::{Contender, Places},
    events::Scene,
    sizes::{Sizes, sizes},
    spread::Spread,
    stopwatch::Stopwatches,
};

/// What a contender's cold starts took.
#[derive(Debug, Clone)]
pub struct Cold {
    pub contender: Contender,
    /// Time until the process asks for its first event.
    pub first_next: Spread<Duration>,
    /// Time until its first response.
    pub first_answer: Spread<Duration>,
    /// The same, without the time that AWS and Slack took.
    pub own: Spread<Duration>,
    /// Processor time until its first response.
    pub processor: Spread<Duration>,
    /// Calls to AWS and Slack.
    pub calls: usize,
    /// In bytes.
    pub peak_memory: Spread<u64>,
    /// The size of the deployed file.
    pub sizes: Sizes,
}

#[derive(Debug, Default)]
struct Measured {
    first_next: Vec<Duration>,
    first_answer: Vec<Duration>,
    own: Vec<Duration>,
    processor: Vec<Duration>,
    calls: Vec<usize>,
    peak_memory: Vec<u64>,
}

/// The number of events of each function that `rounds` rounds use.
pub fn events(rounds: usize) -> usize {
    2 * (rounds + 1)
}

/// Starts each contender `rounds` times, round after round, so that other load on the machine affects all of
/// them alike. An extra round at the beginning warms up the disk cache.
///
/// Each round starts a contender twice: once directly against AWS and Slack, for the times and the memory, and
/// once with stopwatches in between, to find out how much of the time AWS and Slack take.
pub async fn measure(
    contenders: &[Contender],
    scene: &Scene,
    places: &Places,
    rounds: usize,
) -> Result<Vec<Cold>, Error> {
    let watched = Stopwatches::before(places).await?;
    let mut measured: Vec<Measured> = contenders.iter().map(|_| Measured::default()).collect();
    for round in 0..=rounds {
        for (contender, measured) in contenders.iter().zip(&mut measured) {
            let mut function = contender.start(places).await?;
            let event = contender.event(scene, 2 * round)?;
            let answered = contender.invoke(&mut function, event).await?;
            let never = || Error::Unmeasured(format!("{} asked for no event", contender.name));
            let first_next = function.asked_after().ok_or_else(never)?;
            let peak_memory = function.peak_memory()?;
            let processor = function.processor_time()?;
            drop(function);

            watched.calls.take();
            let mut function = contender.start(&watched.places).await?;
            let event = contender.event(scene, 2 * round + 1)?;
            let own = contender.invoke(&mut function, event).await?.after;
            let called = watched.calls.take();
            if round == 0 {
                continue;
            }
            measured.first_next.push(first_next);
            measured.first_answer.push(answered.after);
            measured.own.push(own.saturating_sub(called.time));
            measured.processor.push(processor);
            measured.calls.push(called.count);
            measured.peak_memory.push(peak_memory);
        }
    }
    let measured = contenders.iter().zip(measured);
    measured
        .map(|(contender, measured)| measured.of(contender))
        .collect()
}

impl Measured {
    fn of(self, contender: &Contender) -> Result<Cold, Error> {
        let none = || Error::Unmeasured("at least one round is needed".to_owned());
        Ok(Cold {
            contender: contender.clone(),
            first_next: Spread::of(self.first_next).ok_or_else(none)?,
            first_answer: Spread::of(self.first_answer).ok_or_else(none)?,
            own: Spread::of(self.own).ok_or_else(none)?,
            processor: Spread::of(self.processor).ok_or_else(none)?,
            calls: Spread::of(self.calls).ok_or_else(none)?.median,
            peak_memory: Spread::of(self.peak_memory).ok_or_else(none)?,
            sizes: sizes(&contender.program)?,
        })
    }
}
