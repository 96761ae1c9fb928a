//! Slack's time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use apgl_aws::{SettingError, optional_setting};

use crate::gcra::millis;

/// Reads Slack's time, in milliseconds since the epoch. It is the real time, except on a local stack, where
/// Slack's time and the waits of workflows run faster.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SlackClock {
    /// How many real seconds one of Slack's seconds lasts.
    scale: f64,
}

impl SlackClock {
    /// `None` unless the scale is above 0 and at most 1.
    pub fn with_scale(scale: f64) -> Option<Self> {
        (scale > 0.0 && scale <= 1.0).then_some(Self { scale })
    }

    /// Reads the scale from `TIME_SCALE`, which is set on a local stack, where Slack's time runs faster.
    ///
    /// # Errors
    /// [`SettingError::Bad`] unless the scale is above 0 and at most 1.
    pub fn from_env() -> Result<Self, SettingError> {
        match optional_setting("TIME_SCALE") {
            Some(scale) => Self::read("TIME_SCALE", &scale),
            None => Ok(Self::default()),
        }
    }

    fn read(name: &'static str, scale: &str) -> Result<Self, SettingError> {
        let scale = scale.parse().ok().and_then(Self::with_scale);
        scale.ok_or(SettingError::Bad {
            name,
            rule: "must be a number above 0 and at most 1",
        })
    }

    pub fn now(&self) -> u64 {
        self.at(SystemTime::now())
    }

    pub fn at(&self, time: SystemTime) -> u64 {
        let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        millis(since_epoch.div_f64(self.scale))
    }

    /// Converts a duration in Slack's time to real time.
    pub fn lasts(&self, slack_time: Duration) -> Duration {
        slack_time.mul_f64(self.scale)
    }

    /// Converts a duration in real time to Slack's time.
    pub fn in_slack(&self, duration: Duration) -> Duration {
        duration.div_f64(self.scale)
    }
}

impl Default for SlackClock {
    fn default() -> Self {
        Self { scale: 1.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_scale_is_above_0_and_at_most_1() {
        let scale = |scale| SlackClock::read("TIME_SCALE", scale);
        assert_eq!(scale("0.05").ok(), SlackClock::with_scale(0.05));
        for bad in ["0", "-1", "2", "fast", "NaN"] {
            let error = scale(bad).unwrap_err();
            assert!(error.to_string().contains("TIME_SCALE must be"), "{error}");
        }
    }

    #[test]
    fn slacks_time_is_the_time_of_day_unless_it_runs_faster() {
        let now = SystemTime::now();
        let fast = SlackClock::with_scale(0.05).unwrap();
        assert_eq!(SlackClock::default().at(now), fast.at(now) / 20);
        assert_eq!(fast.lasts(Duration::from_secs(20)), Duration::from_secs(1));
        assert_eq!(
            fast.in_slack(Duration::from_secs(1)),
            Duration::from_secs(20)
        );
    }
}
