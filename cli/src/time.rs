//! Times and durations in a readable form.

use std::time::Duration;

use aws_smithy_types::DateTime;
use jiff::Timestamp;

/// Converts a time from AWS.
pub fn timestamp(time: &DateTime) -> Timestamp {
    Timestamp::from_nanosecond(time.as_nanos()).unwrap_or_default()
}

/// In UTC and whole seconds, as in CloudWatch.
pub fn shown(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// From one time to a later one.
pub fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

/// Shows short durations precisely, and long ones in minutes or hours.
pub fn took(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{:.2} s", duration.as_secs_f64()),
        60..3_600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3_600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(Duration::ZERO, "0.00 s")]
    #[case(Duration::from_millis(1_234), "1.23 s")]
    #[case(Duration::from_secs(61), "1 min 01 s")]
    #[case(Duration::from_mins(122), "2 h 02 min")]
    fn a_duration_is_shown_in_suitable_units(#[case] duration: Duration, #[case] expected: &str) {
        assert_eq!(took(duration), expected);
    }

    #[test]
    fn a_time_is_shown_in_utc() {
        let time = timestamp(&DateTime::from_secs_f64(1_700_000_000.5));
        assert_eq!(shown(time), "2023-11-14 22:13:20 UTC");
    }
}
