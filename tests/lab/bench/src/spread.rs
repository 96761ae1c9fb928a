//! Repeated measurements of the same thing.

use std::{fmt, time::Duration};

/// The median (of an even number, the upper one), minimum and maximum of some measurements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spread<T> {
    pub median: T,
    pub min: T,
    pub max: T,
}

impl<T: Ord + Copy> Spread<T> {
    /// `None` if there are no measurements.
    pub fn of(measured: impl IntoIterator<Item = T>) -> Option<Self> {
        let mut sorted: Vec<T> = measured.into_iter().collect();
        sorted.sort_unstable();
        Some(Self {
            median: *sorted.get(sorted.len() / 2)?,
            min: *sorted.first()?,
            max: *sorted.last()?,
        })
    }
}

/// In milliseconds: `2.7 (2.5–3.1)`.
impl fmt::Display for Spread<Duration> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [median, min, max] = [self.median, self.min, self.max].map(millis);
        write!(f, "{median:.1} ({min:.1}–{max:.1})")
    }
}

pub fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_value() {
        let spread = Spread::of([3_000, 1_000, 9_000].map(Duration::from_micros)).unwrap();
        assert_eq!(spread.to_string(), "3.0 (1.0–9.0)");
    }

    #[test]
    fn nothing_has_no_median() {
        assert_eq!(Spread::<Duration>::of([]), None);
    }
}
