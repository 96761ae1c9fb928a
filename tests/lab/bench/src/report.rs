//! The report: what was measured.

use counting::{Section, Table, bill::number};

use crate::{
    cold::Cold,
    contender::ContenderKind,
    spread::{Spread, millis},
    warm::Warm,
};

const MEGABYTE: f64 = 1_000_000.0;

pub fn cold_starts(cold: &[Cold], rounds: usize) -> Section {
    let mut table = Table::new([
        "",
        "first `next`, ms",
        "first answer, ms",
        "own time, ms",
        "on a processor, ms",
        "calls",
        "× bare",
        "peak memory, MB",
        "binary, MB",
        "zip, MB",
    ]);
    let bare = cold
        .iter()
        .find(|one| one.contender.kind == ContenderKind::Bare);
    for one in cold {
        let times_bare = bare.map(|bare| millis(one.own.median) / millis(bare.own.median));
        table.row([
            one.contender.name.clone(),
            one.first_next.to_string(),
            one.first_answer.to_string(),
            one.own.to_string(),
            one.processor.to_string(),
            one.calls.to_string(),
            times_bare
                .map(|times| format!("{times:.1}"))
                .unwrap_or_default(),
            memory(&one.peak_memory),
            megabytes(one.sizes.binary),
            megabytes(one.sizes.zip),
        ]);
    }
    Section {
        title: "Cold starts",
        note: Some(format!(
            "Medians of {rounds} rounds, with minimum and maximum, measured from the start of the process. \
             \"Own time\" and \"× bare\" exclude the time that MiniStack and the sandbox took for the \
             calls."
        )),
        table,
    }
}

pub fn warm_invocations(warm: &[Warm], invocations: usize) -> Section {
    let mut table = Table::new(["", "whole, ms", "own time, ms", "calls", "peak memory, MB"]);
    for one in warm {
        table.row([
            one.contender.clone(),
            one.whole.to_string(),
            one.own.to_string(),
            one.calls.to_string(),
            megabytes(one.peak_memory),
        ]);
    }
    Section {
        title: "Warm invocations",
        note: Some(format!(
            "Medians of {invocations} invocations of one process, with minimum and maximum. \"Own time\" \
             excludes the time that MiniStack and the sandbox took for the calls."
        )),
        table,
    }
}

fn memory(spread: &Spread<u64>) -> String {
    let [median, min, max] = [spread.median, spread.min, spread.max].map(megabytes);
    format!("{median} ({min}–{max})")
}

fn megabytes(bytes: u64) -> String {
    format!("{:.2}", number(bytes) / MEGABYTE)
}
