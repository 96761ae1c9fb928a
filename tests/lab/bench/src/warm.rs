//! Warm invocations: a function's own time, without the time that AWS and Slack take.

use std::time::Duration;

use crate::{
    Error,
    contender::{Contender, Places},
    events::Scene,
    spread::Spread,
    stopwatch::Stopwatches,
};

/// What a contender's warm invocations took.
#[derive(Debug, Clone)]
pub struct Warm {
    pub contender: String,
    /// From the event to the response.
    pub whole: Spread<Duration>,
    /// The same, without the time that AWS and Slack took.
    pub own: Spread<Duration>,
    /// The median number of calls to AWS and Slack in one invocation.
    pub calls: usize,
    /// In bytes, after the last invocation.
    pub peak_memory: u64,
}

/// The number of events of each function that `invocations` invocations use.
pub fn events(invocations: usize) -> usize {
    invocations + 1
}

/// Invokes one process of each contender `invocations` times, after a cold invocation that is not counted. `first`
/// is the number of the first event.
pub async fn measure(
    contenders: &[Contender],
    scene: &Scene,
    places: &Places,
    first: usize,
    invocations: usize,
) -> Result<Vec<Warm>, Error> {
    let watched = Stopwatches::before(places).await?;
    // All processes run at the same time and take turns.
    let mut running = Vec::new();
    for contender in contenders {
        let mut function = contender.start(&watched.places).await?;
        let event = contender.event(scene, first)?;
        contender.invoke(&mut function, event).await?;
        running.push((contender, function, Vec::with_capacity(invocations)));
    }
    for n in 1..=invocations {
        for (contender, function, measured) in &mut running {
            let event = contender.event(scene, first + n)?;
            watched.calls.take();
            let took = contender.invoke(function, event).await?.took;
            measured.push((took, watched.calls.take()));
        }
    }
    let none = || Error::Unmeasured("at least one invocation is needed".to_owned());
    running
        .into_iter()
        .map(|(contender, function, measured)| {
            let whole = measured.iter().map(|(took, _)| *took);
            let own = measured
                .iter()
                .map(|(took, called)| took.saturating_sub(called.time));
            let calls = measured.iter().map(|(_, called)| called.count);
            Ok(Warm {
                contender: contender.name.clone(),
                whole: Spread::of(whole).ok_or_else(none)?,
                own: Spread::of(own).ok_or_else(none)?,
                calls: Spread::of(calls).ok_or_else(none)?.median,
                peak_memory: function.peak_memory()?,
            })
        })
        .collect()
}
