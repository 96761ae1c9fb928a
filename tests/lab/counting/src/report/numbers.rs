//! Formats counts and units.

use crate::dynamodb::Taken;

pub(super) fn requests_and_units(taken: &Taken) -> String {
    let half_units = taken.half_read_units + 2 * taken.write_units;
    if half_units == 2 * taken.requests {
        return taken.requests.to_string();
    }
    format!("{} ({})", taken.requests, halves(half_units))
}

/// Formats half units as units.
pub(super) fn halves(count: u64) -> String {
    if count.is_multiple_of(2) {
        (count / 2).to_string()
    } else {
        format!("{}.5", count / 2)
    }
}

/// Inserts a comma after each group of three digits.
pub(super) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let groups = digits.as_bytes().rchunks(3).rev();
    let groups = groups.map(|group| String::from_utf8_lossy(group));
    groups.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::a_write_each(Taken { requests: 2, half_read_units: 0, write_units: 2 }, "2")]
    #[case::a_batch(Taken { requests: 1, half_read_units: 24, write_units: 0 }, "1 (12)")]
    #[case::a_stale_read(Taken { requests: 1, half_read_units: 1, write_units: 0 }, "1 (0.5)")]
    fn units_are_shown_only_if_they_differ_from_requests(
        #[case] taken: Taken,
        #[case] shown: &str,
    ) {
        assert_eq!(requests_and_units(&taken), shown);
    }

    #[rstest]
    #[case(0, "0")]
    #[case(999, "999")]
    #[case(8_640, "8,640")]
    #[case(1_000_000, "1,000,000")]
    fn a_large_count_is_readable(#[case] count: u64, #[case] shown: &str) {
        assert_eq!(grouped(count), shown);
    }
}
